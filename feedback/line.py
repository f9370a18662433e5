"""Which exchanges of a conversation are still in its line, oldest first.

One that `replaces` another hides it and all that came after it. Of two answers that were shown side by side
only one is in the line: the one that was chosen, and until then the first. Knows no words and no page.

Trail: feedback/exchanges.py -> here -> feedback/store.py
"""

from collections.abc import Sequence

from feedback.store import Store

_ASKED = """SELECT id, replaces FROM exchanges WHERE conversation_id = $1 AND principal = $2
AND source NOT LIKE 'proposal:%' AND id NOT IN (SELECT exchange_id FROM erased_exchanges) ORDER BY seq"""
_ASIDE = """SELECT coalesce(d.stands, c.first) AS stands,
    CASE WHEN coalesce(d.stands, c.first) = c.first THEN c.second ELSE c.first END AS aside
FROM comparisons c LEFT JOIN choices d ON d.comparison_id = c.id WHERE c.conversation_id = $1"""


def line(store: Store, conversation_id: str, owner: str, replacing: str | None = None) -> list[str]:
    """The ids in the line; with `replacing`, those that stay when that exchange is replaced now."""
    rows = store.rows(_ASKED, [conversation_id, owner])
    asides = {row["aside"]: row["stands"] for row in store.rows(_ASIDE, [conversation_id])}
    asked = [(row["id"], asides.get(row["replaces"], row["replaces"])) for row in rows]
    kept = [one for one in asked if one[0] not in asides]
    return visible([*kept, ("", asides.get(replacing, replacing))])[:-1] if replacing else visible(kept)


def visible(asked: Sequence[tuple[str, str | None]]) -> list[str]:
    """Which of `(id, replaces)`, in order of arrival, are still in the line.

    A replaced exchange keeps its place, so that replacing it twice from an old page replaces its
    replacement too.
    """
    shown: list[str] = []
    place: dict[str, int] = {}
    for identity, replaced in asked:
        if replaced in place:
            del shown[place[replaced] :]
        place[identity] = len(shown)
        shown.append(identity)
    return shown
