"""Which of the waiting are weighed against each other: the best, but of each contributor a share at first.

Who sends thousands of corrections would otherwise be all that reviewers are shown. The best are asked for,
whoever has more than a share among them is left out, and they are asked for again. A first share is exact;
where those don't fill the list, the second shares of what was seen follow, and so on. Knows no table.

Trail: feedback/queue.py -> here -> feedback/ranking.py
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SHARES = 100
"""A contributor's share is one in so many."""
PASSES = 4
"""How often the best are asked for: enough for several hundred contributors who have more than a share."""

Row = Mapping[str, Any]


def chosen(best: Callable[[Sequence[str]], Sequence[Row]], most: int) -> list[Row]:
    """At most `most` rows (`owner, rank, seq`); `best(owners)` gives the best `most` of all others'."""
    share = max(1, most // SHARES)
    found: list[Row] = []
    heavy: set[str] = set()
    for _ in range(PASSES):
        rows = best(sorted(heavy))
        found = [row for row in found if row["owner"] in heavy] + list(rows)
        more = {owner for owner, count in Counter(row["owner"] for row in rows).items() if count > share}
        heavy |= more
        if not more or len(rows) < most:
            break
    return _by_shares(found, share)[:most]


def _by_shares(rows: Sequence[Row], share: int) -> list[Row]:
    """Everybody's first share, then everybody's second, and so on; each the best first."""
    placed: Counter[str] = Counter()
    shares: list[tuple[int, Row]] = []
    for row in sorted(rows, key=lambda row: (row["rank"], row["seq"])):
        shares.append((placed[row["owner"]] // share, row))
        placed[row["owner"]] += 1
    return [row for _, row in sorted(shares, key=lambda shared: shared[0])]
