"""Approved exchanges as pairs: the store's side of what the tuner may learn from.

Only the newest verdict counts, and only conversations whose owner lets the tuner learn. A gold item, which
measures reviewers, is never a pair, whatever its verdict, nor is an answer proposed to it; a proposal is
none while its question is its author's alone. A verdict that only a reviewer stands behind who is suspended
is marked so. Judges nothing.

Trail: feedback/review.py -> here -> feedback/curate.py
"""

from collections.abc import Iterator
from typing import Any

from feedback.accounts import suspended
from feedback.records import Message, Pair
from feedback.store import Store

PAGE = 5_000

NEVER = """(SELECT exchange_id FROM golds
    UNION ALL SELECT p.exchange_id FROM proposals p JOIN golds g ON g.exchange_id = p.origin_id
    UNION ALL SELECT p.exchange_id FROM proposals p
        JOIN exchange_state s ON s.exchange_id = p.exchange_id WHERE NOT s.reviewable)"""
"""SQL for the exchanges that teach nobody and leave in no export, whatever their verdict."""

_APPROVED = f"""
SELECT s.exchange_id, s.review_id, s.assistant, s.conversation_id, e.context, e.instruction, v.response,
    v.author, v.principal AS reviewer, s.source, v.at AS at, v.own, s.owner AS contributor,
    coalesce(v.seq < (SELECT min(seq) AS seq FROM accounts GROUP BY name ORDER BY seq LIMIT 1 OFFSET 1), true)
        AS alone, v.seq
FROM exchange_state s JOIN exchanges e ON e.id = s.exchange_id JOIN reviews v ON v.id = s.review_id
WHERE s.state = 'approved' AND s.reviewable AND s.assistant = $1
    AND s.exchange_id NOT IN {NEVER}"""  # noqa: S608

# $1 are the suspended. An import's approval is no opinion: it stands.
DISOWNED = """
WITH settled AS (SELECT r.id, r.exchange_id, r.response, o.round FROM reviews r JOIN opinions o ON o.id = r.id
    WHERE r.principal IN (SELECT unnest($1::VARCHAR[])) AND r.verdict IN ('approve', 'edit')),
said AS (SELECT o.exchange_id, o.round, o.verdict, o.response FROM opinions o
    WHERE o.exchange_id IN (SELECT exchange_id FROM settled) AND o.verdict <> 'skip'
        AND o.principal NOT IN (SELECT unnest($1::VARCHAR[]))
    QUALIFY row_number() OVER (PARTITION BY o.exchange_id, o.round, o.principal ORDER BY o.seq DESC) = 1)
SELECT settled.id FROM settled LEFT JOIN said
    ON said.exchange_id = settled.exchange_id AND said.round = settled.round
GROUP BY settled.id
HAVING NOT coalesce(bool_and(said.verdict <> 'reject' AND said.response = settled.response), false)"""


def approved(store: Store, assistant: str) -> list[Pair]:
    """An assistant's pairs, the first approved first; those that nobody stands behind are `disowned`."""
    doubted = disowned(store)
    return [_pair(row, doubted) for row in store.rows(f"{_APPROVED} ORDER BY v.seq", [assistant])]


def stream(store: Store, assistant: str) -> Iterator[Pair]:
    """The pairs that somebody stands behind, page by page, for those who need not hold them all."""
    doubted = disowned(store)
    last = 0
    while page := store.rows(f"{_APPROVED} AND v.seq > $2 ORDER BY v.seq LIMIT $3", [assistant, last, PAGE]):
        yield from (_pair(row, doubted) for row in page if row["review_id"] not in doubted)
        last = page[-1]["seq"]


def disowned(store: Store) -> set[str]:
    """The approvals that a suspended reviewer settled, and nobody in that round who is not suspended shares.

    Of these a dispute is one too: without the suspended one's word it would not have ended so.
    """
    names = suspended(store)
    return {row["id"] for row in store.rows(DISOWNED, [names])} if names else set()


def _pair(row: dict[str, Any], doubted: set[str]) -> Pair:
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
        disowned=row["review_id"] in doubted,
    )
