"""Which of the waiting are weighed against each other: the best, but of each contributor a share at first.

Who sends thousands of corrections would otherwise be all that reviewers are shown. The best are asked for;
where first shares among them don't fill the list, whoever has more than one is left out, and they are asked
for again. First shares are exact; second shares of what was seen follow, and so on. Knows no table.

Trail: feedback/queue.py -> here -> feedback/ranking.py
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

SHARES = 100
"""A contributor's share is one in so many."""
PASSES = 4
"""How often the best are asked for: enough for several hundred contributors who have more than a share."""
LOOK = 2
"""Times the length of the list that is asked for at once, because asking again takes longer than that."""

Row = Mapping[str, Any]


def chosen(best: Callable[[Sequence[str]], Sequence[Row]], most: int) -> list[Row]:
    """At most `most` rows (`owner, rank, seq`).

    `best(owners)` gives the best that are none of these owners', `LOOK` times as many.
    """
    share = max(1, most // SHARES)
    found: list[Row] = []
    heavy: set[str] = set()
    for _ in range(PASSES):
        rows = best(sorted(heavy))
        found = [row for row in found if row["owner"] in heavy] + list(rows)
        counted = Counter(row["owner"] for row in found)
        heavy |= {owner for owner, count in counted.items() if count > share}
        first = sum(min(count, share) for count in counted.values())
        if first >= most or len(rows) < LOOK * most:
            break
    return _by_shares(found, share)[:most]


def _by_shares(rows: Sequence[Row], share: int) -> list[Row]:
    """Everybody's first share, then everybody's second, and so on; each the best first."""
    placed: dict[str, int] = {}
    shares: list[list[Row]] = []
    for row in sorted(rows, key=itemgetter("rank", "seq")):
        place = placed.get(row["owner"], 0)
        placed[row["owner"]] = place + 1
        if place // share == len(shares):
            shares.append([])
        shares[place // share].append(row)
    return [row for one in shares for row in one]
