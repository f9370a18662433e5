"""Prints what documents the metrics: `docs/metrics.md`.

python -m hone.metrics_page > docs/metrics.md
"""

import sys
from collections.abc import Sequence

from serve import gauges, metrics
from serve.engine import metrics as engine
from serve.measure import Measure

PROCESS = (
    Measure("hone_process_cpu_seconds_total", "counter", "Processor time of the web process", "seconds"),
    Measure("hone_process_resident_memory_bytes", "gauge", "Its memory", "bytes"),
    Measure("hone_process_virtual_memory_bytes", "gauge", "What it has reserved", "bytes"),
    Measure("hone_process_start_time_seconds", "gauge", "When it started, since 1970", "seconds"),
    Measure("hone_process_open_fds", "gauge", "Files and connections it has open"),
    Measure("hone_process_max_fds", "gauge", "How many it may have"),
)
"""What Prometheus' own library tells of a process, on Linux."""

WEB = (*metrics.COUNTED, *gauges.READ, *PROCESS)
ENGINE = engine.MEASURES


def table(measures: Sequence[Measure]) -> str:
    lines = ["| name | type | labels | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for one in measures:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.unit} | {one.meaning} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """What `docs/metrics.md` holds."""
    return f"""# Metrics

`GET /metrics` gives them in Prometheus' form to operators. No label holds a person, a conversation or a word.
A histogram has `_bucket`, `_sum` and `_count` behind its name. This page is printed by
`python -m hone.metrics_page > docs/metrics.md`.

## Hone

Counters begin at 0 with each start of the web process, but for those of runs and events, which are counted
from the record.

{table(WEB)}
## Hone's own engine

With `engine.kind` `vllm` or `tgi` the metrics of one such server stand here instead; have Prometheus collect
each of them by itself. `vllm:` in a meaning is what vLLM calls the same.

{table(ENGINE)}"""


if __name__ == "__main__":
    sys.stdout.write(page())
