"""Python's values as the database takes them, and as it gives them back.

Ids are strings, times UTC and timezone-aware, JSON is Python's own lists and dicts. Refuses text that is
no Unicode before it can reach a transaction; a NUL is text like any other.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from feedback.errors import BadRequest
from feedback.records import new_id, now

MAX_TEXT = 16_000_000
"""Characters in one value; far above any limit of the doors, so that only a fault meets it."""


def encode(table: str, row: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """A row as the database takes it, with `id` and `at` filled in where they are missing.

    Raises:
        BadRequest: A text is no Unicode or far too long, or a value is no JSON.
    """
    encoded = {name: _encoded(value, types[name], f"{table}.{name}") for name, value in row.items()}
    encoded.setdefault("id", new_id())
    encoded.setdefault("at", now().replace(tzinfo=None))
    return encoded


def read(cursor: Any, sql: str, params: Sequence[Any]) -> list[dict[str, Any]]:
    """Run one statement and return its rows as dicts.

    Raises:
        BadRequest: A parameter is no Unicode.
    """
    for value in params:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                _text(item, "A parameter")
    cursor.execute(sql, list(params))
    names = [column[0] for column in cursor.description]
    decoders = [_DECODERS.get(str(column[1])) for column in cursor.description]
    return [
        {
            name: value if value is None or decode is None else decode(value)
            for name, value, decode in zip(names, values, decoders, strict=True)
        }
        for values in cursor.fetchall()
    ]


def _encoded(value: Any, kind: str, where: str) -> Any:
    if value is None:
        return None
    if kind == "JSON":
        return _text(_dumped(value, where), where)
    if kind.endswith("[]"):
        return [None if item is None else _text(item, where) for item in value]
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _dumped(value: Any, where: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as fault:
        raise BadRequest(f"{where} cannot be kept as JSON: {fault}.", "Send plain finite values.") from fault


def _text(value: str, where: str) -> str:
    """The text as DuckDB can hold it; a NUL is text like any other."""
    if len(value) > MAX_TEXT:
        raise BadRequest(f"{where} has {len(value):,} characters; the limit is {MAX_TEXT:,}.", "Shorten it.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as fault:
            raise BadRequest(
                f"{where} holds half a character (a lone surrogate, U+{ord(value[fault.start]):04X}).",
                "Send valid Unicode text.",
            ) from None
    return str(value)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


def _ids(values: list[UUID]) -> list[str]:
    return [str(value) for value in values]


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "UUID": str,
    "UUID[]": _ids,
    "TIMESTAMP": _utc,
    "JSON": json.loads,
}
