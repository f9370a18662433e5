"""How often the gate passes, abstains and refuses, by what a version is truly worth.

    make bench-gate                       everything; results/gate.json and results/gate.svg
    python -m benchmarks.gate --quick     seconds, to a temporary folder: that it runs
    python -m benchmarks.gate --only worlds spoiled

Nothing is trained: scorecards are drawn from nine worlds (`gating/worlds.py`), or made by the real
evaluation of versions that learnt from spoiled data (`gating/spoiled.py`).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path

from benchmarks.gating import picture, rates, repeats, spoiling
from benchmarks.gating.parts import Found, Size
from benchmarks.gating.worlds import COUNTED
from benchmarks.serving.verdict import bar_table, show, write

RESULTS = Path(__file__).parent / "results"
SEED = 20261201
FULL = Size(
    cards=300,
    fewer=100,
    sizes=(30, 50, 200),
    chains=40,
    spoilt=15,
    real_embedder=True,
    seed=SEED,
    general=COUNTED,
)
QUICK = Size(
    cards=12, fewer=4, sizes=(30,), chains=4, spoilt=1, real_embedder=False, seed=SEED, general=COUNTED
)


@dataclass(frozen=True)
class Part:
    """A part of the benchmark: what it asks, and what answers it. A further one is a line in PARTS."""

    asks: str
    run: Callable[[Size, Pool], Found]


PARTS = {
    "worlds": Part("verdicts by true worth, world and number of instructions", rates.run),
    "spoiled": Part("versions that learnt from spoiled data", spoiling.run),
    "repeats": Part("many versions in a row: small losses that add up, and many tries", repeats.run),
}


def main() -> int:
    """Measure, show tables, write results; 1 where a bar that has a goal is missed in a full run."""
    asked = _arguments()
    size = replace(QUICK if asked.quick else FULL, general=asked.general)
    whole = not asked.quick and not asked.only and asked.general == COUNTED
    folder = RESULTS if whole else Path(tempfile.mkdtemp(prefix="bench-gate-"))
    started, when = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    found: dict[str, Found] = {}
    # Fresh processes: a fork would take the threads' locks of numpy along.
    with get_context("spawn").Pool(min(2, os.cpu_count() or 1)) as pool:
        for name in asked.only or PARTS:
            found[name] = PARTS[name].run(size, pool)
            show(*found[name].tables)
    bars = {name: bar for part in found.values() for name, bar in part.bars.items()}
    show(bar_table(bars))
    figures = {name: part.figures for name, part in found.items()}
    figures["seconds"] = round(time.monotonic() - started, 1)
    write(
        folder / "gate.json", {"cores": os.cpu_count(), "python": sys.version.split()[0]}, when, bars, figures
    )
    if "worlds" in found:
        picture.draw(folder / "gate.svg", found["worlds"].figures)
    print(f"{figures['seconds']} s; {folder / 'gate.json'}")
    return int(whole and any(bar.ok is False for bar in bars.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds: proves that it runs, measures nothing")
    told = "\n".join(f"{name}: {part.asks}" for name, part in PARTS.items())
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, help=f"some parts only, to a temporary folder\n{told}"
    )
    parser.add_argument(
        "--general", type=int, default=COUNTED, help="general items that count, where worlds have others"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
