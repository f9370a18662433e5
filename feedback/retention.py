"""Lets exchanges go that nobody rated and that are old: their rows are deleted, and that is recorded.

What was ever rated or judged stays, and so does a turn that still runs. What hangs on an exchange goes with
it, and conversations of which nothing is left go too. The words stay in the file until it is rewritten
(`Store.compact`). Knows no clock but the one it is given.
"""

from datetime import datetime, timedelta
from typing import Any

from feedback import queue_tables
from feedback.records import now
from feedback.store import Store
from feedback.writer import Transaction

AT_ONCE = 5_000
"""Exchanges in one transaction, for which everyone else waits."""

_OLD = """SELECT exchange_id, conversation_id, answer_id FROM exchange_state
WHERE "at" < $1 AND state = 'unrated' AND rating_id IS NULL AND review_id IS NULL
    AND finish_reason IS NOT NULL AND exchange_id NOT IN (
        SELECT exchange_id FROM opinions UNION ALL SELECT exchange_id FROM golds
        UNION ALL SELECT chosen FROM preferences UNION ALL SELECT rejected FROM preferences)
LIMIT $2"""
_THESE = "(SELECT unnest($1::UUID[]))"


def forget_unrated(store: Store, days: int, principal: str = "hone", at: datetime | None = None) -> int:
    """Delete exchanges older than `days` that were never rated; how many there were."""
    before = (at or now()) - timedelta(days=days)
    total = 0
    while True:
        gone = store.decide(lambda transaction: _forget_some(transaction, before, days, principal))
        total += gone
        if gone < AT_ONCE:
            return total


def _forget_some(transaction: Transaction, before: datetime, days: int, principal: str) -> int:
    old = transaction.rows(_OLD, [before.replace(tzinfo=None), AT_ONCE])
    if not old:
        return 0
    exchanges = [row["exchange_id"] for row in old]
    for statement in queue_tables.leave():
        transaction.rows(statement, [exchanges])
    for table, column, keys in (
        ("answers", "id", [row["answer_id"] for row in old]),
        ("exchanges", "id", exchanges),
        *((table, "exchange_id", exchanges) for table in ("exchange_state", "signals", "claims", "drafts")),
    ):
        transaction.rows(f"DELETE FROM {table} WHERE {column} IN {_THESE}", [keys])  # noqa: S608
    emptied = _emptied(transaction, sorted({row["conversation_id"] for row in old}))
    for table, column in (
        ("conversations", "id"),
        ("consents", "conversation_id"),
        ("shares", "conversation_id"),
        ("titles", "conversation_id"),
    ):
        transaction.rows(f"DELETE FROM {table} WHERE {column} IN {_THESE}", [emptied])  # noqa: S608
    row: dict[str, Any] = {"principal": principal, "days": days, "exchanges": len(old)}
    transaction.append({"retentions": [{**row, "conversations": len(emptied)}]})
    return len(old)


def _emptied(transaction: Transaction, conversations: list[str]) -> list[str]:
    """Those of which no exchange is left."""
    held = transaction.rows(
        f"SELECT DISTINCT conversation_id FROM exchanges WHERE conversation_id IN {_THESE}",  # noqa: S608
        [conversations],
    )
    return sorted(set(conversations) - {row["conversation_id"] for row in held})
