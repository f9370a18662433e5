"""How often one version's answer was chosen over another's, where people saw both without names.

Counted from the events, which say the versions themselves, so that a count outlives the words. A version
beside itself tells of nothing but its luck and is left out. Judges nothing.

Trail: feedback/choices.py -> here -> hone/tuning.py
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from feedback.store import Store

Z = 1.959964
"""Standard deviations of a normal distribution that 95 % lie within."""

_CHOSEN = """SELECT c.first_version, c.second_version, d.choice, count(*) AS times
FROM comparisons c JOIN choices d ON d.comparison_id = c.id
WHERE c.assistant = $1 AND c.first_version <> c.second_version GROUP BY ALL"""
_OUTCOME = {"tie": "ties", "neither": "neither", "skipped": "skipped"}


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one pair of versions; `share` is of the newer, a draw counting half, with its 95 % interval."""

    version: str
    other: str
    wins: int
    ties: int
    losses: int
    neither: int
    skipped: int
    share: float
    low: float
    high: float


def tallies(store: Store, assistant: str) -> list[dict[str, object]]:
    """One for each pair that was ever shown, the newest versions first."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for row in store.rows(_CHOSEN, [assistant]):
        sides = row["first_version"], row["second_version"]
        newer, older = sorted(sides, key=_number, reverse=True)
        outcome = _OUTCOME.get(row["choice"])
        if outcome is None:
            chosen = sides[0] if row["choice"] == "first" else sides[1]
            outcome = "wins" if chosen == newer else "losses"
        counted.setdefault((newer, older), Counter())[outcome] += row["times"]
    pairs = sorted(counted, key=lambda pair: (_number(pair[0]), _number(pair[1])), reverse=True)
    return [asdict(_tally(pair, counted[pair])) for pair in pairs]


def _tally(pair: tuple[str, str], counts: Mapping[str, int]) -> Tally:
    names = ("wins", "ties", "losses", "neither", "skipped")
    wins, ties, losses, neither, skipped = (counts.get(name, 0) for name in names)
    chosen = wins + ties + losses + neither
    share, low, high = interval(wins + (ties + neither) / 2, chosen)
    return Tally(*pair, wins, ties, losses, neither, skipped, share, low, high)


def interval(gained: float, of: int) -> tuple[float, float, float]:
    """A share and Wilson's interval for it; all that is possible where there is nothing yet.

    Draws that count half vary less than it supposes, so it is rather too wide than too narrow.
    """
    if not of:
        return 0.5, 0.0, 1.0
    share, spread = gained / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    reach = Z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return share, max(0.0, middle - reach), min(1.0, middle + reach)


def _number(version: str) -> tuple[int, str]:
    """By the number in `assistant@7-digest`; what is none comes last."""
    told = version.rpartition("@")[2].partition("-")[0]
    return (int(told) if told.isdigit() else -1, version)
