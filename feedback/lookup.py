"""Exchanges as they stand now, gathered from all that happened to them.

They are chosen from the projection, which holds the keys of the events that count, and their texts are
looked up by those keys. Decides nothing about who may see what.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from feedback.errors import Conflict, NotFound
from feedback.records import Exchange, Message, is_id
from feedback.store import Store
from feedback.writer import Transaction

ERASED = "erased"
"""The state of an exchange of which only the fact is left; it is never among those looked up."""

# A text by its key, one table at a time: that is an index each, where a join would read a million texts.
_STATE = """SELECT s.exchange_id, s.at AS at, s.owner, s.conversation_id, s.assistant, s.version, s.source,
    s.replaces, s.finish_reason, s.rating, s.state, s.verdict, s.reviewed_by, s.answer_id, s.rating_id,
    s.review_id, s.reviewable, s.setter, s.opinions
FROM exchange_state s WHERE """
# Some that lie far apart are found by their places, or every column would be read to its end.
_BY_SEQ = "seq IN (SELECT unnest($1::BIGINT[]))"
_BY_PLACE = f"s.rowid IN (SELECT rowid FROM exchange_state WHERE {_BY_SEQ})"  # noqa: S608
_ASKED = "exchanges", "seq, conversation_id, source, context, instruction, sampling"
_SAID = {
    "answer_id": ("answers", "response, prompt_tokens + completion_tokens AS tokens"),
    "rating_id": ("ratings", "reasons, comment, correction"),
    "review_id": ("reviews", "response AS approved_response"),
}
"""For each key of a state, the table that it is a key of and the columns that are wanted."""

ById = dict[str, dict[str, Any]]


def get(store: Store | Transaction, exchange_id: str) -> Exchange:
    """One exchange with all that was said of it.

    Raises:
        NotFound: There is none of that id, or its words were erased.
    """
    found = load(store, [exchange_id]) if is_id(exchange_id) else []
    if not found:
        raise unknown(exchange_id)
    return found[0]


def load(store: Store | Transaction, ids: Sequence[str]) -> list[Exchange]:
    """The exchanges of these ids, in their order; unknown ones are left out."""
    return whole(store, states(store, ids))


def states(store: Store | Transaction, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Their rows of the projection, with what was asked.

    They are found by `seq`, in whose order they lie, much faster than by id.
    """
    asked = by_key(store, *_ASKED, ids)
    seqs = [row["seq"] for row in asked.values()]
    these = _STATE + (_BY_PLACE if len(seqs) > 1 else _BY_SEQ)
    found = {row["exchange_id"]: row for row in store.rows(these, [seqs], _named(asked))} if seqs else {}
    return [asked[identity] | found[identity] for identity in ids if identity in found]


def _named(asked: ById) -> dict[str, list[str]] | None:
    """What was said of these must be known, and for a proposal, which hangs on others, of all."""
    if any(row["source"].startswith("proposal:") for row in asked.values()):
        return None
    return {"exchange": list(asked), "conversation": [row["conversation_id"] for row in asked.values()]}


def whole(store: Store | Transaction, states: Sequence[dict[str, Any]]) -> list[Exchange]:
    """The exchanges of these states with all that was said of them."""
    said = {
        key: by_key(store, table, columns, [state[key] for state in states if state[key] is not None])
        for key, (table, columns) in _SAID.items()
    }
    return [
        _exchange(state | _merged(said[key].get(state[key], {}) for key in said))
        for state in states
        if state["state"] != ERASED  # else it was erased meanwhile
    ]


def by_key(store: Store | Transaction, table: str, columns: str, ids: Sequence[str]) -> ById:
    """These columns of the events of these ids."""
    if not ids:
        return {}
    found = store.rows(f"SELECT id, {columns} FROM {table} WHERE id IN ({_places(ids)})", ids)  # noqa: S608
    return {row["id"]: row for row in found}


def _merged(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for row in rows for name, value in row.items()}


def _places(values: Sequence[Any]) -> str:
    return ", ".join(f"${number}" for number in range(1, len(values) + 1))


def written(transaction: Transaction, table: str, identity: str, exchange_id: str) -> bool:
    """Whether the event `identity` is in `table` already.

    Raises:
        Conflict: It is, and says something of another exchange.
    """
    row = transaction.row(f"SELECT exchange_id FROM {table} WHERE id = $1", [identity])  # noqa: S608
    if row and row["exchange_id"] != exchange_id:
        raise Conflict("That id was used for another exchange.", "Send the write with a new id.")
    return row is not None


def unknown(exchange_id: str) -> NotFound:
    return NotFound(f"There is no exchange {exchange_id[:64]}.", "Load the page again.")


def _exchange(row: dict[str, Any]) -> Exchange:
    return Exchange(
        id=row["exchange_id"],
        at=row["at"],
        principal=row["owner"],
        conversation_id=row["conversation_id"],
        assistant=row["assistant"],
        version=row["version"],
        context=tuple(Message(m["role"], m["content"]) for m in row["context"]),
        instruction=row["instruction"],
        sampling=row["sampling"] or {},
        source=row["source"],
        replaces=row["replaces"],
        response=row.get("response"),
        tokens=row.get("tokens"),
        finish_reason=row["finish_reason"],
        rating=row["rating"],
        reasons=tuple(row.get("reasons") or ()),
        comment=row.get("comment") or "",
        correction=row.get("correction") or "",
        state=row["state"],
        verdict=row["verdict"],
        approved_response=row.get("approved_response") if row["state"] == "approved" else None,
        reviewed_by=row["reviewed_by"],
    )
