"""How far reviewers agree where two judged the same thing without knowing of each other.

Only blind first opinions count: an edit that was confirmed, a changed mind and an adjudication say nothing
of agreement, nor do those who may not review any more. Krippendorff's nominal alpha is 1 where all agree
and 0 where chance would do as well; it is computed here, because the packages that have it are GPL or bring
four others (decision 012). Decides nothing.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from feedback.exchange_state import GONE
from feedback.store import Store

# A reviewer's first opinion in a round; a unit is one round of one exchange that two or more judged blind.
_UNITS = f"""
WITH first AS (SELECT o.exchange_id, o.round, o.principal, o.verdict FROM opinions o
    JOIN exchange_state s ON s.exchange_id = o.exchange_id
    WHERE o.blind AND o.verdict <> 'skip' AND o.principal NOT IN {GONE} AND ($1 IS NULL OR s.assistant = $1)
    QUALIFY row_number() OVER (PARTITION BY o.exchange_id, o.round, o.principal ORDER BY o.seq) = 1)
SELECT list(principal ORDER BY principal) AS reviewers, list(verdict ORDER BY principal) AS verdicts
FROM first GROUP BY exchange_id, round HAVING count(*) > 1"""  # noqa: S608


def figures(store: Store, assistant: str | None = None) -> dict[str, Any]:
    """`exchanges` judged by two or more, `alpha`, `agreed` (share of pairs of opinions), `reviewers`.

    `alpha` is None where it is not defined: nothing was judged twice, or all said the same thing always.
    """
    units = store.rows(_UNITS, [assistant])
    told = [list(zip(unit["reviewers"], unit["verdicts"], strict=True)) for unit in units]
    met = [pair for unit in told for pair in combinations(unit, 2)]
    return {
        "exchanges": len(units),
        "alpha": alpha([unit["verdicts"] for unit in units]),
        "agreed": _share([one[1] == two[1] for one, two in met]),
        "reviewers": _each(met),
    }


def alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's nominal alpha of what was said of each unit; None where it is not defined.

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section B.
    """
    told = [Counter(unit) for unit in units if len(unit) > 1]
    totals: Counter[str] = sum(told, Counter())
    values = totals.total()
    by_chance = values**2 - sum(count**2 for count in totals.values())
    if by_chance == 0:
        return None
    observed = sum(
        (unit.total() ** 2 - sum(count**2 for count in unit.values())) / (unit.total() - 1) for unit in told
    )
    return 1 - (values - 1) * observed / by_chance


def _each(met: Sequence[tuple[tuple[str, str], tuple[str, str]]]) -> list[dict[str, Any]]:
    names = sorted({name for pair in met for name, _ in pair})
    found = []
    for name in names:
        own = [one[1] == two[1] for one, two in met if name in (one[0], two[0])]
        found.append({"reviewer": name, "compared": len(own), "agreed": _share(own)})
    return found


def _share(same: Sequence[bool]) -> float | None:
    return sum(same) / len(same) if same else None
