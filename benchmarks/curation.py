"""Curation, measured: what is found, what is told apart, and whether all that goes in comes out equal.

    make bench-curation DATA=folder        on real rows; results in benchmarks/results/curation.json
    python -m benchmarks.curation --quick  own-written rows, seconds: that it runs

The folder holds JSON lines (docs/log.md says which were used); none of them is part of the project.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.curating import finding, repeating, travelling
from benchmarks.curating.rows import asked
from benchmarks.curating.travelling import Journey
from feedback.store import Store

RESULTS = Path(__file__).parent / "results" / "curation.json"
RECALL = {"email": 0.95, "card": 0.95, "iban": 0.95, "phone": 0.60}
KOREAN_RECALL = {"email": 0.95, "card": 0.95, "national_id": 0.95, "phone": 0.80}
SAME = {"whitespace": 0.95, "case": 0.99, "decomposition": 0.99, "punctuation": 0.95}
"""Variants that change no letter; those that change words have no goal and are reported."""
HOSTILE_SECONDS = 5.0

screen = Console(highlight=False)
Bars = dict[str, dict[str, Any]]


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--data", type=Path, help="folder of JSON lines")
    given.add_argument("--quick", action="store_true", help="own-written rows only")
    given.add_argument("--rows", type=int, default=2_000, help="questions that are varied, a language")
    options = given.parse_args()
    if not options.quick and options.data is None:
        given.error("give --data FOLDER, or --quick")
    data = None if options.quick else options.data
    bars: Bars = {}
    told = {
        "private": private(data, bars),
        "repeated": repeated(data, options.rows, bars),
        "journeys": journeys(data, bars),
    }
    ok = show(bars)
    target = Path(tempfile.mkdtemp()) / RESULTS.name if options.quick else RESULTS
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"bars": bars, "told": told}, indent=2, default=str, ensure_ascii=False))
    screen.print(f"written to {target}")
    return 0 if ok else 1


def private(data: Path | None, bars: Bars) -> dict[str, Any]:
    """Recall and precision of each kind, and the finds in rows that were not made to hold any."""
    sets = {"korean": (finding.korean(), KOREAN_RECALL)}
    if data:
        sets["presidio"] = (list(finding.presidio(data)), RECALL)
    told: dict[str, Any] = {}
    for name, (texts, goals) in sets.items():
        scores = finding.score(texts)
        table = Table("kind", "there", "recall", "precision", "missed", title=f"private data: {name}")
        for kind, score in scores.items():
            missed = ", ".join(score.missed[:8])
            table.add_row(kind, str(score.there), _share(score.recall), _share(score.precision), missed)
            if kind in goals:
                at_least(bars, f"{name}_{kind}_recall", score.recall, goals[kind])
        screen.print(table)
        told[name] = {
            kind: {**asdict(s), "recall": s.recall, "precision": s.precision} for kind, s in scores.items()
        }
    at_most(bars, "hostile_seconds", finding.hostile_seconds(), HOSTILE_SECONDS)
    if data:
        told["ordinary"] = _shown("rows in which a kind is found: ordinary data", finding.ordinary(data))
        told["flags"] = _shown("rows that are flagged", finding.suspicious(data))
    return told


def repeated(data: Path | None, count: int, bars: Bars) -> dict[str, Any]:
    """Variants that are found again, by language and rule, and other lessons that are not lost."""
    told: dict[str, Any] = {}
    for language, rows in asked(data, count).items():
        found, out = repeating.measure(language, rows), repeating.left_out(language, rows)
        table = Table(
            "variant", "tied", "left out", title=f"near duplicates: {language}, {len(rows)} questions"
        )
        for variant, recall in found.recall.items():
            table.add_row(variant, _share(recall), _share(out[variant]))
            if variant in SAME:
                at_least(bars, f"{language}_{variant}_recall", recall, SAME[variant])
        screen.print(table)
        screen.print(
            f"of {found.ties} ties {found.precision:.3f} join a question and its variant; of {found.changed} "
            f"changed questions {found.wrongly_left_out} were lost"
        )
        at_least(bars, f"{language}_precision", found.precision, 0.9)
        at_most(bars, f"{language}_other_lessons_lost", found.wrongly_left_out, 0)
        told[language] = {**asdict(found), "left_out": out}
    return told


def journeys(data: Path | None, bars: Bars) -> dict[str, Any]:
    """Every file in, curated, out and in again."""
    table = Table(
        "file", "rows", "in", "refused", "rows/s", "kept", "groups", "largest", "left out", "s", "equal"
    )
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "hone.duckdb")
        for path in travelling.files(data) if data else travelling.own(Path(folder)):
            found = travelling.journey(store, path)
            told[path.stem] = asdict(found)
            told[path.stem]["report"]["refused"] = told[path.stem]["report"]["refused"][:3]
            table.add_row(*_told(path.stem, found))
            if path.stem == travelling.RANKED:
                told["ranked"] = travelling.comparisons(store, path)
        store.close()
    screen.print(table)
    if "ranked" in told:
        screen.print(f"ranked replies became {told['ranked']}")
        at_least(bars, "ranked_comparisons", told["ranked"]["comparisons"], 400)
        at_least(bars, "ranked_ratings", told["ranked"]["up"] + told["ranked"]["down"], 1)
    files = [journey for name, journey in told.items() if name != "ranked"]
    equal = [same for journey in files for same in journey["equal"].values()]
    at_least(bars, "round_trips_equal", sum(equal) / len(equal), 1.0)
    at_most(bars, "added_by_importing_again", sum(journey["again"] for journey in files), 0)
    return told


def at_least(bars: Bars, name: str, value: float | None, goal: float) -> None:
    bars[name] = {"value": value, "goal": goal, "ok": None if value is None else value >= goal}


def at_most(bars: Bars, name: str, value: float, goal: float) -> None:
    bars[name] = {"value": value, "goal": goal, "ok": value <= goal}


def show(bars: Bars) -> bool:
    table = Table("bar", "value", "goal", "", title="bars")
    for name, bar in bars.items():
        value = "not measured" if bar["value"] is None else f"{bar['value']:.3f}"
        table.add_row(
            name, value, str(bar["goal"]), {True: "ok", False: "[red]missed[/]", None: ""}[bar["ok"]]
        )
    screen.print(table)
    return all(bar["ok"] is not False for bar in bars.values())


def _told(name: str, found: Journey) -> list[str]:
    left = ", ".join(f"{count} {reason}" for reason, count in sorted(found.account["left_out"].items()))
    rate = found.rows / found.import_seconds if found.import_seconds else 0
    equal = f"{sum(found.equal.values())}/{len(found.equal)}"
    counts = (found.rows, found.report.imported, found.report.refusals, round(rate), found.account["kept"])
    told = (*counts, found.groups, found.largest_group, left, f"{found.curate_seconds:.1f}", equal)
    return [name, *map(str, told)]


def _shown(title: str, told: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = [name for name in next(iter(told.values())) if name != "rows"]
    table = Table("file", "rows", *names, title=title)
    for file, shares in told.items():
        table.add_row(file, str(shares["rows"]), *(f"{shares[name]:.4f}" for name in names))
    screen.print(table)
    return told


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
