"""Approved exchanges as pairs: the store's side of what the tuner may learn from.

Only the newest verdict counts, and only conversations whose owner lets the tuner learn. A gold item, which
measures reviewers, is never a pair, whatever its verdict, nor is an answer proposed to it; a proposal is
none while its question is its author's alone. Judges nothing.

Trail: feedback/review.py -> here -> feedback/curate.py
"""

from collections.abc import Iterator
from typing import Any

from feedback.records import Message, Pair
from feedback.store import Store

PAGE = 5_000

_APPROVED = """
SELECT s.exchange_id, s.review_id, s.assistant, s.conversation_id, e.context, e.instruction, v.response,
    v.author, v.principal AS reviewer, s.source, v.at AS at, v.own, s.owner AS contributor,
    coalesce(v.seq < (SELECT min(seq) AS seq FROM accounts GROUP BY name ORDER BY seq LIMIT 1 OFFSET 1), true)
        AS alone, v.seq
FROM exchange_state s JOIN exchanges e ON e.id = s.exchange_id JOIN reviews v ON v.id = s.review_id
WHERE s.state = 'approved' AND s.reviewable AND s.assistant = $1
    AND s.exchange_id NOT IN (SELECT exchange_id FROM golds)
    AND s.exchange_id NOT IN (
        SELECT p.exchange_id FROM proposals p JOIN golds g ON g.exchange_id = p.origin_id)"""


def approved(store: Store, assistant: str) -> list[Pair]:
    """An assistant's pairs, the first approved first."""
    return [_pair(row) for row in store.rows(f"{_APPROVED} ORDER BY v.seq", [assistant])]


def stream(store: Store, assistant: str) -> Iterator[Pair]:
    """The same, page by page, for those who need not hold them all."""
    last = 0
    while page := store.rows(f"{_APPROVED} AND v.seq > $2 ORDER BY v.seq LIMIT $3", [assistant, last, PAGE]):
        yield from map(_pair, page)
        last = page[-1]["seq"]


def _pair(row: dict[str, Any]) -> Pair:
    context = tuple(Message(m["role"], m["content"]) for m in row["context"])
    return Pair(
        exchange_id=row["exchange_id"],
        review_id=row["review_id"],
        assistant=row["assistant"],
        conversation_id=row["conversation_id"],
        messages=(*context, Message("user", row["instruction"])),
        response=row["response"],
        author=row["author"],
        reviewer=row["reviewer"],
        source=row["source"],
        at=row["at"],
        own=row["own"],
        contributor=row["contributor"],
        alone=row["alone"],
    )
