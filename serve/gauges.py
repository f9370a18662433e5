"""What the record and the parts say when Prometheus asks: versions, canaries, runs, ratings, queue, disk.

Read anew for each scrape and counted from the events, so a restart loses nothing and a rating taken back
is taken back here too. Only versions that are served have a label; older ones are in the record.

Trail: serve/api/health.py -> here -> feedback/ledger.py
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from feedback import queue, ratings, schema, store_file
from feedback.ledger import Ledger
from feedback.records import Run, now
from feedback.store import Store
from serve.measure import Measure, Values, by_label, plain
from serve.parts import Parts

INFO = Measure(
    "hone_info", "gauge", "1; the labels are the version of Hone and its schema", labels=("version", "schema")
)
UP = Measure("hone_engine_up", "gauge", "1 while the engine can be asked")
RESTARTS = Measure("hone_engine_restarts_total", "counter", "Times that it ended or was not to be reached")
REPLICAS = Measure(
    "hone_engine_replicas",
    "gauge",
    "Servers of an outside engine that take requests (in) and that don't (out)",
    labels=("state",),
)
IN_FLIGHT = Measure(
    "hone_turns_in_flight", "gauge", "Turns being answered, by served version", labels=("version",)
)
VERSIONS = Measure("hone_versions", "gauge", "Versions by their state", labels=("assistant", "state"))
SHARE = Measure(
    "hone_canary_share_ratio",
    "gauge",
    "Share of an assistant's conversations that its canary answers; 0 without one",
    "ratio",
    labels=("assistant",),
)
STAGE_AGE = Measure(
    "hone_canary_stage_age_seconds",
    "gauge",
    "How long the canary has been at this share; 0 without one",
    "seconds",
    labels=("assistant",),
)
ORDERS = Measure(
    "hone_orders",
    "gauge",
    "1 while an operator's order stands: hold, pin or pause",
    labels=("assistant", "kind"),
)
RATINGS = Measure(
    "hone_ratings",
    "gauge",
    "Answers of a served version that are rated up or down now",
    labels=("version", "rating"),
)
EXCHANGES = Measure("hone_exchanges", "gauge", "Exchanges by their state in review", labels=("state",))
OLDEST = Measure(
    "hone_review_oldest_seconds", "gauge", "How long the oldest exchange waits for review", "seconds"
)
RUNS = Measure(
    "hone_runs_total",
    "counter",
    "Runs that ended: passed, abstained, refused, failed or skipped",
    labels=("assistant", "outcome"),
)
RUNNING = Measure("hone_runs_running", "gauge", "Runs that go on", labels=("assistant",))
WITHOUT = Measure(
    "hone_runs_without_pass",
    "gauge",
    "Runs that ended since one passed, the skipped not counted",
    labels=("assistant",),
)
STEPS = Measure(
    "hone_run_step_seconds_total", "counter", "What the steps of all runs took", "seconds", labels=("step",)
)
EVENTS = Measure("hone_store_events_total", "counter", "Events that were ever recorded")
LAG = Measure("hone_store_lag_events", "gauge", "Events that are recorded and not yet in what pages read")
STORE_BYTES = Measure("hone_store_bytes", "gauge", "The store's file with its log", "bytes")
NOTICES = Measure("hone_notices_waiting", "gauge", "Deliveries of notices that did not arrive yet")
FREE = Measure("hone_home_disk_free_bytes", "gauge", "What is free on the disk of the home", "bytes")
SIZE = Measure("hone_home_disk_size_bytes", "gauge", "What that disk holds", "bytes")

READ = (
    *(INFO, UP, RESTARTS, REPLICAS, IN_FLIGHT, VERSIONS, SHARE, STAGE_AGE, ORDERS, RATINGS, EXCHANGES),
    *(OLDEST, RUNS, RUNNING, WITHOUT, STEPS, EVENTS, LAG, STORE_BYTES, FREE, SIZE, NOTICES),
)

ENDED = ("passed", "abstained", "refused", "failed", "skipped")


def facts(parts: Parts) -> dict[str, Any]:
    """What only the event loop may ask the router and the engine's keeper."""
    return {
        **parts.router.status(),
        "up": parts.supervisor.state == "ready",
        "lag": parts.store.lag,  # before the reading that follows makes it none
        "restarts": parts.supervisor.restarts,
        "notices": sum(place["waiting"] for place in parts.notices.told()["places"]) if parts.notices else 0,
        "replicas": [server["in"] for server in parts.router.engine.described()],
    }


def text(parts: Parts, known: Mapping[str, Any]) -> str:
    """All of it in Prometheus' form; `known` is what `facts` said. Blocks while the store is read."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(list(_families(parts, known))))
    return generate_latest(registry).decode()


class _Read:
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _families(parts: Parts, known: Mapping[str, Any]) -> Iterator[Metric]:
    assistants = [assistant.name for assistant in parts.assistants.list()]
    ledger = Ledger(parts.store)
    yield INFO.family([((version("hone-chat"), str(len(schema.MIGRATIONS))), 1)])
    yield from _engine(known)
    yield from _versions(ledger, assistants, known)
    served = {*(ledger.live(name).version for name in assistants), *known["loaded"]}
    yield IN_FLIGHT.family(by_label(dict.fromkeys(served, 0) | known["in_flight"]))
    yield RATINGS.family(ratings.by_version(parts.store, sorted(served)))
    yield from _runs(ledger.runs(), assistants)
    yield EXCHANGES.family(by_label(queue.counts(parts.store)))
    oldest = queue.oldest(parts.store)
    yield OLDEST.family(plain((now() - oldest).total_seconds() if oldest else 0))
    yield LAG.family(plain(known["lag"]))
    yield NOTICES.family(plain(known["notices"]))
    yield from _store(parts.store)


def _engine(known: Mapping[str, Any]) -> Iterator[Metric]:
    yield UP.family(plain(known["up"]))
    yield RESTARTS.family(plain(known["restarts"]))
    taking = sum(known["replicas"])
    yield REPLICAS.family(by_label({"in": taking, "out": len(known["replicas"]) - taking}))


def _versions(ledger: Ledger, assistants: Sequence[str], known: Mapping[str, Any]) -> Iterator[Metric]:
    states = Counter((v.assistant, str(v.state)) for v in ledger.versions())
    yield VERSIONS.family(sorted(states.items()))
    shares = {name: known["canaries"].get(name, {}).get("share", 0) for name in assistants}
    yield SHARE.family(by_label(shares))
    yield STAGE_AGE.family(by_label({name: _stage_age(ledger, name) for name in assistants}))
    yield ORDERS.family(_orders(ledger, assistants, known))


def _stage_age(ledger: Ledger, assistant: str) -> float:
    stages = ledger.rollouts.stages(assistant)
    return (now() - stages[-1].at).total_seconds() if stages else 0


def _orders(ledger: Ledger, assistants: Sequence[str], known: Mapping[str, Any]) -> Values:
    for name in assistants:
        canary = known["canaries"].get(name, {}).get("version", "")
        standing = ledger.orders.standing(name, ledger.live(name).version, canary)
        for kind in ("hold", "pause", "pin"):
            yield (name, kind), kind in standing


def _runs(runs: Sequence[Run], assistants: Sequence[str]) -> Iterator[Metric]:
    """`runs` are the newest first."""
    ended = Counter((run.assistant, str(run.state)) for run in runs if run.state in ENDED)
    every = {(name, outcome): ended[name, outcome] for name in assistants for outcome in ENDED}
    yield RUNS.family(sorted(every.items()))
    going = Counter(run.assistant for run in runs if run.state == "running")
    yield RUNNING.family(by_label({name: going[name] for name in assistants}))
    without = {name: _without_pass([run for run in runs if run.assistant == name]) for name in assistants}
    yield WITHOUT.family(by_label(without))
    steps: Counter[str] = Counter()
    for run in runs:
        steps.update(run.detail.get("steps") or {})
    yield STEPS.family(by_label(steps))


def _without_pass(runs: Sequence[Run]) -> int:
    states = [run.state for run in runs if run.state in ENDED and run.state != "skipped"]
    return states.index("passed") if "passed" in states else len(states)


def _store(store: Store) -> Iterator[Metric]:
    yield EVENTS.family(plain(store.newest))
    yield STORE_BYTES.family(plain(store_file.size(store.path)))
    disk = shutil.disk_usage(store.path.parent)
    yield FREE.family(plain(disk.free))
    yield SIZE.family(plain(disk.total))
