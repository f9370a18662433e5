"""One thing that is measured: its name, its kind, its labels, its unit and what it means, said once.

Both processes declare theirs so, and docs/metrics.md is printed from the same words. Knows Prometheus' forms
and not what is counted. Names follow Prometheus (a base unit at the end, `_total` for counters) and else
vLLM's, so that a dashboard of the one is soon one of the other. Every label takes few values.

Trail: serve/metrics.py, serve/engine/metrics.py -> here
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

# When each counter was made doubles the lines, and nobody asks.
disable_created_metrics()

QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Buckets, in seconds, of what takes milliseconds: a commit, the gap between two tokens."""
SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Buckets, in seconds, of what people wait for."""

Kind = Literal["counter", "gauge", "histogram"]
Values = Iterable[tuple[tuple[str, ...], float]]
"""The labels' values in their order, and the number."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric as it is exposed; `unit` is empty for a plain number."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SLOW

    def counter(self, registry: CollectorRegistry) -> Counter:
        assert self.kind == "counter"
        return Counter(self.name, self.meaning, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        assert self.kind == "histogram"
        return Histogram(self.name, self.meaning, self.labels, registry=registry, buckets=self.buckets)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        assert self.kind == "gauge"
        return Gauge(self.name, self.meaning, self.labels, registry=registry)

    def family(self, values: Values) -> Metric:
        """What was read elsewhere, as Prometheus takes it."""
        if self.kind == "counter":
            counted = CounterMetricFamily(self.name, self.meaning, labels=self.labels)
            for labels, value in values:
                counted.add_metric(labels, value)
            return counted
        read = GaugeMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, value in values:
            read.add_metric(labels, value)
        return read


def by_label(counts: Mapping[str, float]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Numbers by the value of a measure's only label."""
    for label, value in sorted(counts.items()):
        yield (label,), value


def plain(value: float) -> Values:
    """The number of a measure without labels."""
    return [((), value)]
