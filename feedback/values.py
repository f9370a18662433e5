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

Where = tuple[str, ...]
"""Table and column of a value; nothing for a query's parameter."""

# Made once: `json.dumps` with these would make one each time.
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def encode(table: str, row: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """A row as the database takes it, with `id` and `at` filled in where they are missing.

    Raises:
        BadRequest: A text is no Unicode or far too long, or a value is no JSON.
    """
    encoded = {name: _encoded(value, types[name], (table, name)) for name, value in row.items()}
    if "id" not in encoded:
        encoded["id"] = new_id()
    if "at" not in encoded:
        encoded["at"] = now().replace(tzinfo=None)
    return encoded


def read(cursor: Any, sql: str, params: Sequence[Any]) -> list[dict[str, Any]]:
    """Run one statement and return its rows as dicts.

    Raises:
        BadRequest: A parameter is no Unicode.
    """
    for value in params:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                _text(item, ())
    cursor.execute(sql, list(params))
    described = cursor.description
    names = [column[0] for column in described]
    rows = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
    for name, kind in zip(names, (str(column[1]) for column in described), strict=True):
        if kind in _DECODERS:
            _decode(rows, name, _DECODERS[kind])
    return rows


def _decode(rows: Sequence[dict[str, Any]], name: str, decode: Callable[[Any], Any]) -> None:
    for row in rows:
        if row[name] is not None:
            row[name] = decode(row[name])


def _encoded(value: Any, kind: str, where: Where) -> Any:
    if value is None:
        return None
    if kind == "JSON":
        return _text(_dumped(value, where), where)
    if isinstance(value, str):
        return _text(_spelt(value) if kind == "UUID" else value, where)
    if kind.endswith("[]"):
        return [None if item is None else _text(item, where) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _spelt(identity: str) -> str:
    """An id as the database spells it, by which others find it; what is none it refuses by itself."""
    try:
        return str(UUID(identity))
    except ValueError:
        return identity


def _dumped(value: Any, where: Where) -> str:
    try:
        return _JSON.encode(value)
    except (TypeError, ValueError) as fault:
        told = f"{_told(where)} cannot be kept as JSON: {fault}."
        raise BadRequest(told, "Send plain finite values.") from fault


def _text(value: str, where: Where) -> str:
    """The text as DuckDB can hold it; a NUL is text like any other."""
    if len(value) > MAX_TEXT:
        told = f"{_told(where)} has {len(value):,} characters; the limit is {MAX_TEXT:,}."
        raise BadRequest(told, "Shorten it.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as fault:
            raise BadRequest(
                f"{_told(where)} holds half a character (a lone surrogate, U+{ord(value[fault.start]):04X}).",
                "Send valid Unicode text.",
            ) from None
    return str(value)


def _told(where: Where) -> str:
    return ".".join(where) or "A parameter"


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
