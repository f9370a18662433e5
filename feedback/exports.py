"""What people approved, compared and rated, as files that an import takes back word for word.

Streams: a page of pairs is read, written and let go before the next. Knows no HTTP.

Trail: serve/api/data.py -> here -> feedback/files.py
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from feedback import files, pairs, preferences
from feedback.errors import BadRequest
from feedback.forms import ImportRow
from feedback.records import Pair
from feedback.store import Store

MEDIA = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}


def export(store: Store, assistant: str, form: str = "messages", kind: str = "jsonl") -> Iterator[bytes]:
    """A file of one form and kind, piece by piece.

    alpaca, messages, completion: approved pairs; preference: comparisons, and edits beside what they
    replace; kto: thumbs.

    Raises:
        BadRequest: There is no such form or kind.
    """
    if form not in FORMS or kind not in files.KINDS:
        raise BadRequest(
            f"There is no export as {form[:64]} in {kind[:64]}.",
            f"Choose a form of {', '.join(FORMS)} and a kind of {', '.join(files.KINDS)}.",
        )
    rows = _rows(store, assistant, form)
    records = ({**_WRITERS[form](row), "conversation": row.conversation} for row in rows)
    return files.write(records, kind, pa.schema([*_COLUMNS[form], ("conversation", pa.string())]))


def _rows(store: Store, assistant: str, form: str) -> Iterator[ImportRow]:
    if form == "preference":
        return preferences.compared(store, assistant)
    if form == "kto":
        return preferences.thumbs(store, assistant)
    return map(_row, pairs.stream(store, assistant))


def _row(pair: Pair) -> ImportRow:
    return ImportRow(pair.messages, pair.response, pair.conversation_id)


def _alpaca(row: ImportRow) -> dict[str, Any]:
    system = row.messages[0].content if row.messages[0].role == "system" else ""
    turns = [message.content for message in row.messages if message.role != "system"]
    history = [turns[place : place + 2] for place in range(0, len(turns) - 1, 2)]
    told = {"instruction": turns[-1], "input": "", "output": row.response}
    return {**told, "system": system, "history": history}


def _messages(row: ImportRow) -> dict[str, Any]:
    return {"messages": [*_prompt(row), *_said(row.response)]}


def _completion(row: ImportRow) -> dict[str, Any]:
    return {"prompt": _prompt(row), "completion": _said(row.response)}


def _preference(row: ImportRow) -> dict[str, Any]:
    return {"prompt": _prompt(row), "chosen": _said(row.response), "rejected": _said(row.rejected)}


def _kto(row: ImportRow) -> dict[str, Any]:
    return {**_completion(row), "label": row.rating == "up", "comment": row.comment}


def _prompt(row: ImportRow) -> list[dict[str, str]]:
    return [message.as_dict() for message in row.messages]


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


_WRITERS: dict[str, Callable[[ImportRow], dict[str, Any]]] = {
    "alpaca": _alpaca,
    "messages": _messages,
    "completion": _completion,
    "preference": _preference,
    "kto": _kto,
}
FORMS = tuple(_WRITERS)

_TEXT = pa.string()
_TALK = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
_COLUMNS: dict[str, list[tuple[str, pa.DataType]]] = {
    "alpaca": [
        *((name, _TEXT) for name in ("instruction", "input", "output", "system")),
        ("history", pa.list_(pa.list_(_TEXT))),
    ],
    "messages": [("messages", _TALK)],
    "completion": [("prompt", _TALK), ("completion", _TALK)],
    "preference": [("prompt", _TALK), ("chosen", _TALK), ("rejected", _TALK)],
    "kto": [("prompt", _TALK), ("completion", _TALK), ("label", pa.bool_()), ("comment", _TEXT)],
}
