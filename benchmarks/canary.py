"""How often a canary is rolled back without need, and how soon a bad one is, with users as they might be.

    make bench-canary                       everything; benchmarks/results/canary.json
    python -m benchmarks.canary --quick     seconds, to a temporary folder: that it runs

No model runs: thumbs are drawn from simulated users (`rolling/worlds.py`); the lot by which conversations
come on the canary, the bets and the steps are those of Hone.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.rolling.worlds import LIVE, START, WORLDS, Ended, World, roll_out, thumbs
from benchmarks.serving.verdict import Bar, bar_table, show, write
from feedback.rollouts import Thumb
from tuner.canary import LADDER, Step, Terms
from tuner.drift import drift
from tuner.wager import BAR, Wager

RESULTS = Path(__file__).parent / "results"
SEED = 20261201
WORSE = (-0.05, 0.0, 0.05, 0.1, 0.2, 0.3)
A_DAY = 100
"""Rated conversations a day; a rollout of seven days hears 700 ..."""
OTHER_DAYS = (30, 300)
"""... and in the second world also these: 30 are about as few as a canary is begun with."""
OFTEN = 0.25
"""Share of rollouts that must have been begun by stages, for a bar to look at how they ended."""
BUSY = "a few busy users"
"""The world in which few do nearly all the rating, whose word is worth little: reported without a goal."""
TERMS = Terms()


@dataclass(frozen=True)
class Size:
    """How much is simulated: rollouts for each world and worth, and thumbs where there is no end."""

    rollouts: int
    thumbs: int


FULL, QUICK = Size(400, 1000), Size(6, 100)


@dataclass(frozen=True)
class Found:
    """Bars, tables to show, and figures to keep."""

    bars: Mapping[str, Bar]
    tables: tuple[Table, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)


def rollouts(size: Size, pool: Pool) -> Found:
    """Whole rollouts through the stages, by what the version is truly worth."""
    table = _table(
        f"Rollouts of {TERMS.days:g} days, looked at after every thumb",
        *("world", "rated a day", "worse by", "begun", "rolled back", "live", "undecided"),
        *("pairs until, of all begun", "days", "days until live"),
    )
    figures: dict[str, dict[str, Any]] = {}
    cells = [(name, A_DAY) for name in WORLDS] + [(list(WORLDS)[1], a_day) for a_day in OTHER_DAYS]
    for name, a_day in cells:
        for worse in WORSE:
            work = partial(_one, WORLDS[name], worse, a_day)
            told = _summed(pool.map(work, range(size.rollouts), chunksize=8))
            figures[f"{name}, {a_day} a day, {worse:+.2f}"] = told
            table.add_row(name, str(a_day), f"{100 * worse:+.0f}", *map(_shown, told.values()))
        table.add_section()
    often = {key: told for key, told in figures.items() if told["begun"] >= OFTEN}
    false = max((told["rolled_back"] for key, told in often.items() if float(key[-5:]) <= 0), default=0.0)
    drops = [told for key, told in often.items() if key.endswith(f"{A_DAY} a day, +0.20")]
    busy = [told for key, told in often.items() if key.startswith(BUSY) and key.endswith("+0.20")]
    even = [told for told in drops if told not in busy]
    bars = {
        "false_roll_back": _at_most(false, 0.05),
        "drop20_rated_pairs_median": _at_most(
            max((told["pairs"] or math.inf for told in drops), default=0.0), 200
        ),
        "drop20_caught": _at_least(min((told["rolled_back"] for told in even), default=0.0), 0.9),
        "drop20_caught_busy_users": Bar(
            round(min((t["rolled_back"] for t in busy), default=0.0), 4), None, None
        ),
    }
    return Found(bars, (table,), figures)


def peeking(size: Size, pool: Pool) -> Found:
    """An equal version at one share for long: alarms of the bets, and of a z-test that is looked at too."""
    table = _table(
        f"Equal versions at one share for {size.thumbs} rated conversations, looked at all the time",
        *("world", "share", "alarms", "a z-test's, looked at after every 20"),
    )
    figures: dict[str, Any] = {}
    for name, world in WORLDS.items():
        for share in LADDER:
            ends = pool.map(partial(_peeked, world, share, size.thumbs), range(size.rollouts), chunksize=8)
            bets, z = (sum(column) / len(ends) for column in zip(*ends, strict=True))
            figures[f"{name} {share:g}"] = {"bets": bets, "z_test": z}
            table.add_row(name, f"{share:.0%}", f"{bets:.1%}", f"{z:.1%}")
    worst = max(told["bets"] for told in figures.values())
    return Found({"false_alarm_at_one_share": _at_most(worst, 0.05)}, (table,), figures)


def hostile(size: Size, pool: Pool) -> Found:
    """Users who see which version answered and thumb down the canary whenever they get it."""
    alone = max(_voted(1, 100, share) for share in LADDER)
    table = _table(
        "Users who thumb down every canary answer and like all others", "share", "one user", "to end it"
    )
    figures: dict[str, Any] = {"one_user": alone}
    for share in LADDER:
        users = next(count for count in range(1, 200) if _voted(count, 100, share) >= BAR)
        figures[f"users_{share:g}"] = users
        table.add_row(f"{share:.0%}", f"evidence times {_voted(1, 100, share):.2f}", f"{users} users")
    return Found({"one_user_of_100_votes": _at_most(alone, BAR / 4)}, (table,), figures)


def drifting(size: Size, pool: Pool) -> Found:
    """A live version beside the earlier one, the same users rating both, one after the other."""
    table = _table(
        "Drift alarms over 500 rated conversations, 300 before",
        "world",
        "worse by",
        "alarms",
        "median ratings until",
    )
    figures: dict[str, Any] = {}
    for name, world in WORLDS.items():
        for worse in (0.0, 0.1, 0.2, 0.3):
            heard = pool.map(partial(_drifted, world, worse), range(size.rollouts), chunksize=8)
            caught = [count for count in heard if count]
            told = {"alarms": len(caught) / len(heard), "ratings": median(caught) if caught else None}
            figures[f"{name} {worse:+.2f}"] = told
            table.add_row(name, f"{100 * worse:+.0f}", f"{told['alarms']:.1%}", _shown(told["ratings"]))
        table.add_section()
    false = max(told["alarms"] for key, told in figures.items() if key.endswith("+0.00"))
    return Found({"drift_false_alarm": _at_most(false, 0.05)}, (table,), figures)


PARTS = {"rollouts": rollouts, "peeking": peeking, "hostile": hostile, "drift": drifting}


def _one(world: World, worse: float, a_day: float, number: int) -> Ended:
    return roll_out(world, worse, SEED + number, a_day=a_day, terms=TERMS)


def _summed(ends: list[Ended]) -> dict[str, Any]:
    """Shares are of the rollouts that thumbs were enough to begin by stages."""
    steps = Counter(end.step for end in ends)
    begun = len(ends) - steps[None]
    back = [end for end in ends if end.step is Step.BACK]
    caught = sorted(end.pairs if end.step is Step.BACK else math.inf for end in ends if end.step)
    live = [end for end in ends if end.step is Step.LIVE]
    return {
        "begun": begun / len(ends),
        "rolled_back": steps[Step.BACK] / max(begun, 1),
        "live": steps[Step.LIVE] / max(begun, 1),
        "undecided": steps[Step.STAY] / max(begun, 1),
        "pairs": _finite(median(caught)) if caught else None,
        "days": round(median(end.days for end in back), 2) if back else None,
        "days_to_live": round(median(end.days for end in live), 2) if live else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _peeked(world: World, share: float, count: int, number: int) -> tuple[bool, bool]:
    """Whether the bets, and whether a z-test of 5 % looked at after every 20, ever raised an alarm."""
    wager, z = Wager(TERMS.margin), False
    for one in islice(thumbs(world, 0.0, SEED + number, share), count):
        wager.hear(one.user, on_canary=one.on_canary, down=one.down, share=share)
        z = z or (wager.rated % 20 == 0 and _z(wager) > 1.645)
    return wager.harm.peak >= BAR, z


def _z(wager: Wager) -> float:
    new, old = wager.canary, wager.control
    if not new.rated or not old.rated:
        return 0.0
    rate = (new.down + old.down) / wager.rated
    spread = math.sqrt(rate * (1 - rate) * (1 / new.rated + 1 / old.rated))
    return (new.down / new.rated - old.down / old.rated) / spread if spread else 0.0


def _voted(users: int, votes: int, share: float) -> float:
    """By how much hostile users multiply the evidence against a good version, after 200 honest thumbs."""
    wager = Wager(TERMS.margin)
    for number in range(200):
        wager.hear(f"h{number}", on_canary=number % 20 < 20 * share, down=number // 20 % 5 == 0, share=share)
    before = wager.harm.value
    for vote in range(users * votes):
        wager.hear(f"x{vote % users}", on_canary=True, down=True, share=share)
    return wager.harm.value / before


def _drifted(world: World, worse: float, number: int) -> int:
    """After how many of the live version's thumbs the alarm came; 0: it didn't."""
    before = [_thumb(one) for one in islice(thumbs(world, 0.0, SEED + number, 0.0), 300)]
    live = [_thumb(one) for one in islice(thumbs(world, worse, SEED + number, 1.0, period=1), 500)]
    if not drift(live, before).alarm:
        return 0
    low, high = 0, len(live)
    while high - low > 1:  # the evidence is its peak, which only grows
        middle = (low + high) // 2
        low, high = (low, middle) if drift(live[:middle], before).alarm else (middle, high)
    return high


def _thumb(one: Any) -> Thumb:
    return Thumb(one.user, "", LIVE, START, one.down)


def _table(title: str, *heads: str) -> Table:
    table = Table(heads[0], title=title)
    for head in heads[1:]:
        table.add_column(head, justify="right")
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if isinstance(value, float) and value <= 1 else f"{value:g}"


def _at_most(value: float, goal: float) -> Bar:
    return Bar(round(value, 4), goal, value <= goal)


def _at_least(value: float, goal: float) -> Bar:
    return Bar(round(value, 4), goal, value >= goal)


def main() -> int:
    """Simulate, show tables, write results; 1 where a bar is missed in a full run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds: proves that it runs, measures nothing")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts only, to a temporary folder")
    asked = parser.parse_args()
    whole = not asked.quick and not asked.only
    folder = RESULTS if whole else Path(tempfile.mkdtemp(prefix="bench-canary-"))
    started, when = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with get_context("spawn").Pool(min(2, os.cpu_count() or 1)) as pool:
        found = {name: PARTS[name](QUICK if asked.quick else FULL, pool) for name in asked.only or PARTS}
    bars = {name: bar for part in found.values() for name, bar in part.bars.items()}
    show(*(table for part in found.values() for table in part.tables), bar_table(bars))
    figures = {name: dict(part.figures) for name, part in found.items()}
    seconds = round(time.monotonic() - started, 1)
    machine = {"cores": os.cpu_count(), "python": sys.version.split()[0], "seconds": seconds}
    write(folder / "canary.json", machine, when, bars, figures)
    print(f"{seconds} s; {folder / 'canary.json'}")
    return int(whole and any(bar.ok is False for bar in bars.values()))


if __name__ == "__main__":
    sys.exit(main())
