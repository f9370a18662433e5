"""The web process under its pages: many readers, nobody, an hour's use, and what a browser waits for.

    make bench-pages                        everything, some ten minutes; results/pages.json
    make bench-pages BENCH=--quick          a minute, to a temporary folder: proves that it runs
    make bench-pages BENCH='--only idle'    a part, likewise

The web process is `hone web`; the engine behind it is a stand-in of a steady rate (`browsing/steady.py`).
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.browsing import browser, lasting, streams
from benchmarks.browsing.web import Web, running
from benchmarks.serving import machine
from benchmarks.serving.verdict import FLAT, Bar, bar_table, show, write

RESULTS = Path(__file__).parent / "results" / "pages.json"
LAG_MS, IDLE_CORES = 300, 0.02


@dataclass(frozen=True)
class Size:
    """How much of everything; `rate` is an answer's words a second, `words` its length."""

    people: int = 150
    turns: int = 2
    rate: float = 20
    words: int = 400
    tabs: int = 300
    open_pages: int = 10
    idle_seconds: float = 30


QUICK = Size(people=4, turns=1, words=20, tabs=20, open_pages=3, idle_seconds=2)


@dataclass(frozen=True)
class Found:
    """What a part measured: its bars, its tables, its figures."""

    bars: dict[str, Bar]
    tables: list[Table]
    figures: Any


def many(size: Size, folder: Path) -> Found:
    with running(folder, people=size.people + 1, rate=size.rate, words=size.words) as web:
        load = asyncio.run(streams.load(web, size.people, turns=size.turns, words=size.words, rate=size.rate))
        figures = load.body() | {"complaints": web.complaints()[:20], "lost": load.lost[:20]}
    bars = {
        "loop_lag_p95_ms": _at_most(figures["loop_lag_p95_ms"], LAG_MS),
        "word_lag_p95_ms": _at_most(figures["word_lag_p95_ms"], LAG_MS),
        "streams_dropped": Bar.none_of(load.dropped),
    }
    table = Table("milliseconds", title=f"{size.people} answers at once, {size.rate:g} words a second each")
    for place in ("p50", "p95", "p99"):
        table.add_column(place, justify="right")
    for name in ("loop_lag", "word_lag", "gap", "first_word"):
        table.add_row(
            name.replace("_", " "), *(f"{figures[f'{name}_{place}_ms']:g}" for place in ("p50", "p95", "p99"))
        )
    return Found(bars, [table], figures)


def hour(size: Size, folder: Path) -> Found:
    """As much as a house of some hundred people does in an hour."""
    with running(folder, people=20, rate=200, words=40) as web:
        grown = asyncio.run(lasting.use(web, size.tabs))
    bars = {"memory_growth_share": _at_most(round(grown.share(), 4), FLAT)}
    table = Table(
        "tabs opened and left", "MiB", title=f"Memory: {grown.slope():.1f} MiB more a thousand tabs"
    )
    for tabs, held in zip(grown.tabs, grown.memory, strict=True):
        table.add_row(str(tabs), f"{held:.0f}")
    return Found(bars, [table], grown.body())


def idle(size: Size, folder: Path) -> Found:
    with running(folder, people=2, rate=size.rate, words=size.words) as web:
        _demo(web, folder)
        with browser.chromium() as found:
            nobody = browser.idle(found, web, names=[], seconds=size.idle_seconds)
            names = [list(browser.READY)[number % 3] for number in range(size.open_pages)]
            opened = browser.idle(found, web, names=names, seconds=size.idle_seconds)
    figures = {"no_page_open": round(nobody, 4), f"{size.open_pages}_pages_open": round(opened, 4)}
    table = Table("open", "of a core", title="The idle web process")
    for name, cores in figures.items():
        table.add_row(name.replace("_", " "), f"{100 * cores:.2f} %")
    return Found({"idle_cores": _at_most(round(opened, 4), IDLE_CORES)}, [table], figures)


def tabs(size: Size, folder: Path) -> Found:
    words = min(size.words, 60)
    with running(folder, people=2, rate=size.rate, words=words) as web, browser.chromium() as found:
        figures = browser.beside(found, web, tabs=size.open_pages, words=words)
    table = Table(
        "seconds", "alone", "beside", title=f"A chat in a browser with {size.open_pages} tabs of Operate"
    )
    for name in ("open", "first_word", "whole"):
        table.add_row(
            name.replace("_", " "), *(f"{figures[f'{name}_{where}']:g}" for where in ("alone", "beside"))
        )
    return Found({"words_lost_beside_tabs": Bar.none_of(int(figures["missing_beside"]))}, [table], figures)


def loading(size: Size, folder: Path) -> Found:
    with running(folder, people=2, rate=size.rate, words=size.words) as web:
        _demo(web, folder)
        with browser.chromium() as found:
            seen = browser.openings(found, web)
    table = Table("page", "device", "visit", title="Opening a page")
    for column in ("seconds until usable", "kB over the wire", "requests"):
        table.add_column(column, justify="right")
    for one in seen:
        visit = "first" if one.cold else "next"
        table.add_row(
            one.page, one.device, visit, f"{one.seconds:g}", f"{one.kilobytes:g}", str(one.requests)
        )
    return Found({}, [table], [asdict(one) for one in seen])


PARTS: dict[str, Callable[[Size, Path], Found]] = {
    "many": many,
    "hour": hour,
    "idle": idle,
    "tabs": tabs,
    "loading": loading,
}


def _at_most(value: float, goal: float) -> Bar:
    return Bar(value, goal, value <= goal)


def _demo(web: Web, folder: Path) -> None:
    """Something on the pages to look at."""
    command = [sys.executable, "-m", "hone.command", "demo", "--home", str(folder / "home")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="little of everything: proves that it runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts only, to a temporary folder")
    parser.add_argument("--people", type=int, help="readers at once, to a temporary folder")
    asked = parser.parse_args()
    size = QUICK if asked.quick else Size(**({"people": asked.people} if asked.people else {}))
    whole = not (asked.quick or asked.only or asked.people)
    output = RESULTS if whole else Path(tempfile.mkdtemp(prefix="bench-pages-")) / "pages.json"
    when, facts = datetime.now(UTC).isoformat(timespec="seconds"), machine.describe()
    found: dict[str, Found] = {}
    for name in asked.only or PARTS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            found[name] = PARTS[name](size, Path(folder))
        show(*found[name].tables)
    bars = {name: bar for part in found.values() for name, bar in part.bars.items()}
    show(bar_table(bars))
    figures = {name: part.figures for name, part in found.items()} | {"size": asdict(size)}
    write(output, facts, when, bars, figures)
    print(f"written to {output}")
    return int(whole and any(bar.ok is False for bar in bars.values()))


if __name__ == "__main__":
    sys.exit(main())
