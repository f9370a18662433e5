"""The record of events at size: a million exchanges, read as the pages do and written by many at once.

make bench-store                       a million exchanges; results in benchmarks/results/store.json
make bench-store BENCH=--quick         twenty thousand, seconds: proves that it runs
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.serving import machine
from benchmarks.serving.spread import Spread
from benchmarks.serving.verdict import Bar, bar_table, show, write
from benchmarks.storing import desk, erasing, filling, reading, writing
from benchmarks.storing.times import Times
from feedback.search import Search
from feedback.store import Store

RESULTS = Path(__file__).parent / "results" / "store.json"
FULL, QUICK = 1_000_000, 20_000
WRITERS = 64
GOALS = {
    "review_page_p95_ms": 100,
    "long_review_page_p95_ms": 100,
    "queue_p95_ms": 100,
    "counts_p95_ms": 100,
    "verdict_p95_ms": 100,
    "verdict_on_the_page_p95_ms": None,
    "search_p95_ms": 300,
}
"""The long page is the page after three times "Show more". A verdict on the page is the verdict, and the page
before and after it; it has no bar of its own."""
EVENTS_A_SECOND, ACK_P99_MS = 3_000, 60


def benchmark(exchanges: int, folder: Path, *, calls: int, repeats: int, seconds: float) -> dict[str, Any]:
    """Every figure, of a store of so many exchanges in `folder`."""
    path = folder / "hone.duckdb"
    once: dict[str, float] = {}
    _timed(once, "fill_s", lambda: filling.fill(path, exchanges))
    store = _timed(once, "open_and_project_s", lambda: Store(path))
    _timed(once, "rebuild_s", store.rebuild)
    assert _timed(once, "check_s", store.check), "the projection is not what the events say"
    search = Search(store, folder / "hone.words.duckdb")
    _timed(once, "index_s", search.catch_up)
    _timed(once, "compact_s", store.compact)
    once["store_mb"] = round(path.stat().st_size / 1e6, 1)
    once["index_mb"] = round((folder / "hone.words.duckdb").stat().st_size / 1e6, 1)
    times = Times()
    found = _read(store, search, times, calls)
    store.close()
    store = _timed(once, "open_again_s", lambda: Store(path))
    loads = _write(store, writers=WRITERS, repeats=repeats, seconds=seconds)
    search = Search(store, folder / "hone.words.duckdb")
    erasing.erase(store, search, folder, lambda name, call: _timed(once, name, call))
    _timed(once, "close_s", store.close)
    return {"exchanges": exchanges, "once": once, "times": times, "found": found, "loads": loads}


def _read(store: Store, search: Search, times: Times, calls: int) -> dict[str, int]:
    owner = reading.busiest(store)
    desk.use(store, times, calls)
    reading.queues(store, times, calls)
    found = reading.search(store, search, times, calls, owner)
    reading.loads(store, times, calls)
    reading.turns(store, times, calls, owner)
    say(f"read: {len(times.found)} kinds of calls, {calls} each")
    return found


def _write(store: Store, *, writers: int, repeats: int, seconds: float) -> list[writing.Load]:
    writing.write(store, writers=writers, seconds=min(1.0, seconds))  # warms up
    loads = []
    for _ in range(repeats):
        load = writing.write(store, writers=writers, seconds=seconds)
        say(f"{writers} writers: {load.rate:.0f} events a second, 99 % within {load.wait(0.99):.0f} ms")
        loads.append(load)
    began = time.perf_counter()
    assert store.check(), "the projection is not what the events say"
    say(f"the projection equals the events, checked in {time.perf_counter() - began:.1f} s")
    return loads


def _timed(once: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    answer = call()
    once[name] = round(time.perf_counter() - began, 2)
    say(f"{name} {once[name]}")
    return answer


def bars(figures: dict[str, Any]) -> dict[str, Bar]:
    times: Times = figures["times"]
    found = {
        "review_page_p95_ms": times.p95("review page"),
        "long_review_page_p95_ms": times.p95("long review page"),
        "queue_p95_ms": times.p95("queue"),
        "counts_p95_ms": times.p95("counts"),
        "verdict_p95_ms": times.p95("verdict:"),
        "verdict_on_the_page_p95_ms": times.p95("verdict on the page"),
        "search_p95_ms": times.p95("search"),
    }
    told = {name: _bar(value, GOALS[name]) for name, value in found.items()}
    rates = Spread.of([load.rate for load in figures["loads"]])
    waits = Spread.of([load.wait(0.99) for load in figures["loads"]])
    return told | {
        "events_per_second": Bar.at_least(rates, EVENTS_A_SECOND),
        "ack_p99_ms": Bar.at_most(waits, ACK_P99_MS),
    }


def _bar(value: float, goal: float | None) -> Bar:
    return Bar(value, goal, None if goal is None else value <= goal)


def table(times: Times) -> Table:
    drawn = Table("call", title="Milliseconds a call")
    for column in ("calls", "p50", "p95", "most"):
        drawn.add_column(column, justify="right")
    for name, told in times.body().items():
        drawn.add_row(name, *(f"{told[column]:g}" for column in ("calls", "p50", "p95", "most")))
    return drawn


def say(words: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {words}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} exchanges and few calls")
    parser.add_argument("--exchanges", type=int, help=f"how many; left out: {FULL:,}")
    parser.add_argument("--folder", type=Path, help="where the store is filled; left out: a temporary one")
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    given = parser.parse_args()
    exchanges = given.exchanges or (QUICK if given.quick else FULL)
    size = (
        {"calls": 3, "repeats": 2, "seconds": 0.5}
        if given.quick
        else {"calls": 30, "repeats": 5, "seconds": 6}
    )
    # Another size is no result: it never takes the place of one.
    output = given.output or (RESULTS if exchanges == FULL else Path(tempfile.mkdtemp()) / "store.json")
    when, facts = datetime.now(UTC).isoformat(timespec="seconds"), machine.describe()
    with tempfile.TemporaryDirectory(dir=given.folder, ignore_cleanup_errors=True) as folder:
        figures = benchmark(exchanges, Path(folder), **size)
    reached = bars(figures)
    show(table(figures["times"]), bar_table(reached))
    told = figures | {"times": figures["times"].body(), "loads": [_told(load) for load in figures["loads"]]}
    write(output, facts, when, reached, told)
    say(f"written to {output}")
    return 0


def _told(load: writing.Load) -> dict[str, float]:
    waits = {f"ack_{name}_ms": round(load.wait(share), 1) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {"events": load.events, "events_per_second": round(load.rate, 1), **waits}


if __name__ == "__main__":
    raise SystemExit(main())
