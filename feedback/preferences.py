"""Which of two answers was found better, and which got a thumb: comparisons and thumbs, beside the pairs.

A comparison is an event that names two exchanges, so that its words live in one place and leave with
them. An approved edit or correction says the same of the answer it replaced. Only conversations whose
owner lets the tuner learn, nothing that is no pair whatever its verdict, and no thumb up on what reviewers
rejected. Judges nothing.

Trail: feedback/imports.py -> here -> feedback/exports.py
"""

from collections.abc import Iterator
from typing import Any

from feedback.forms import ImportRow
from feedback.pairs import NEVER, disowned
from feedback.records import Message
from feedback.store import Store

PAGE = 5_000

_COMPARED = f"""
SELECT p.seq, s.review_id, s.conversation_id, e.context, e.instruction, better.response,
    worse.response AS rejected
FROM preferences p
JOIN exchange_state s ON s.exchange_id = p.chosen
JOIN exchanges e ON e.id = p.chosen
JOIN answers better ON better.exchange_id = p.chosen
JOIN answers worse ON worse.exchange_id = p.rejected
WHERE s.training AND s.state NOT IN ('rejected', 'erased') AND trim(worse.response) <> ''
    AND s.exchange_id NOT IN {NEVER}
    AND p.assistant = $1 AND p.seq > $2 ORDER BY p.seq LIMIT $3"""  # noqa: S608

_EDITED = f"""
SELECT v.seq, s.review_id, s.conversation_id, e.context, e.instruction, v.response, a.response AS rejected
FROM exchange_state s JOIN exchanges e ON e.id = s.exchange_id JOIN reviews v ON v.id = s.review_id
JOIN answers a ON a.exchange_id = s.exchange_id
WHERE s.training AND s.state = 'approved' AND s.assistant = $1 AND v.response <> a.response
    AND s.exchange_id NOT IN {NEVER}
    AND trim(a.response) <> '' AND v.seq > $2 ORDER BY v.seq LIMIT $3"""  # noqa: S608

_THUMBS = f"""
SELECT r.seq, s.conversation_id, e.context, e.instruction, a.response, r.rating, r.comment
FROM exchange_state s JOIN exchanges e ON e.id = s.exchange_id
JOIN answers a ON a.exchange_id = s.exchange_id
JOIN (SELECT exchange_id, max(seq) AS seq, arg_max(rating, seq) AS rating, arg_max(comment, seq) AS comment
    FROM ratings GROUP BY exchange_id) r ON r.exchange_id = s.exchange_id
WHERE s.training AND s.rating IS NOT NULL AND s.assistant = $1 AND trim(a.response) <> ''
    AND NOT (s.rating = 'up' AND s.state = 'rejected')
    AND s.exchange_id NOT IN {NEVER} AND r.seq > $2 ORDER BY r.seq LIMIT $3"""  # noqa: S608


def compared(store: Store, assistant: str) -> Iterator[ImportRow]:
    """Comparisons that came in, then approved edits and corrections beside the answers they replaced."""
    doubted = disowned(store)
    for query in (_COMPARED, _EDITED):
        yield from (
            _row(told) for told in _pages(store, query, assistant) if told["review_id"] not in doubted
        )


def thumbs(store: Store, assistant: str) -> Iterator[ImportRow]:
    """Rated answers with their newest thumb, the first rated first."""
    yield from map(_row, _pages(store, _THUMBS, assistant))


def _pages(store: Store, query: str, assistant: str) -> Iterator[dict[str, Any]]:
    last = 0
    while page := store.rows(query, [assistant, last, PAGE]):
        yield from page
        last = page[-1]["seq"]


def _row(told: dict[str, Any]) -> ImportRow:
    context = tuple(Message(m["role"], m["content"]) for m in told["context"])
    return ImportRow(
        (*context, Message("user", told["instruction"])),
        told["response"],
        told["conversation_id"],
        rejected=told.get("rejected") or "",
        rating=told.get("rating"),
        comment=told.get("comment") or "",
    )
