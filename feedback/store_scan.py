"""Looking for words in the store's rows: who else said them, and whether any is left where words can be.

A column is read in pieces, and a piece is looked through as one run of bytes; a row is looked at only where
something was found. JSON is looked through as it is kept, and with its escapes resolved where it has any.
Removes nothing.

Trail: feedback/purge.py -> here -> feedback/scan.py, feedback/words.py
"""

import json
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from feedback import scan, words
from feedback.errors import StoreError
from feedback.scan import Found, Needles
from feedback.store import Store

WASTE = 10
"""Finds of one fragment that take as long as to go on without it."""

_KEYS = {table: key for table, (key, _) in words.WORDS.items()}
_KEYS |= {**words.TITLES, "assistants": "name"}
"""Where people say something, and what it is of: an exchange, a conversation, an assistant."""
_MADE = "exchange_state"
"""Tables of this name, or of one that begins so, follow from the others, and so do the names in them."""
_OF_RUNS = "run_id IN (SELECT unnest($1::UUID[]))"

Piece = tuple[pa.Array, pa.Array]
"""What the rows are called, and their texts."""


def said_elsewhere(store: Store, needles: Needles, erased: Collection[str]) -> set[str]:
    """Fragments that others said too.

    `erased` are the exchanges whose words were taken; those of all others stay, and are no find.
    """
    said: set[str] = set()
    sought, wasted = needles, 0
    for names, texts in _said(store):
        for row, fragment in sought.in_column(texts):
            if fragment in said:
                wasted += 1
            elif names[row].as_py() not in erased:
                said.add(fragment)
        if len(said) == len(needles.fragments):
            break
        if wasted > WASTE * len(sought.fragments):
            sought, wasted = needles.without(said), 0
    return said


def places_elsewhere(store: Store, needles: Needles, erased: Collection[str], most: int) -> list[str]:
    """Some of the exchanges, conversations and assistants in which others said any of it."""
    places: set[str] = set()
    for names, texts in _said(store) if needles else ():
        rows = {row for row, _ in needles.in_column(texts)}
        places |= {names[row].as_py() for row in rows}.difference(erased)
        if len(places) >= most:
            break
    return sorted(places)[:most]


def in_store(store: Store, needles: Needles, runs: Collection[str]) -> Found:
    """Where the columns of words hold any fragment; of scorecards only those of `runs` can."""
    found = Found()
    for table, columns in words.columns(store).items():
        asked = (_OF_RUNS, list(runs)) if table in words.RUN_WORDS else ()
        inside: set[tuple[int, str]] = set()
        for column in words.said(table):
            for seqs, texts in _texts(store, table, column, columns[column], "seq", *asked):
                inside |= {(seqs[row].as_py(), fragment) for row, fragment in needles.in_column(texts)}
        if inside:
            found.where[f"store: {table}"] = len(inside)
    return found


def facts(store: Store, needles: Needles, runs: Collection[str]) -> set[str]:
    """Which fragments the store's names, states and receipts hold, and scorecards but those of `runs`.

    One that stands there stays in the store's file too, and is nobody's words.
    """
    inside = needles.inside("\x00".join(words.schema(store)).encode())
    for table, columns in words.columns(store).items():
        for column, kind in columns.items():
            own = column in words.said(table)
            if table.startswith(_MADE) or (own and table not in words.RUN_WORDS):
                continue
            asked = (f"NOT {_OF_RUNS}", list(runs)) if own else ()
            for _, texts in _texts(store, table, column, kind, "seq", *asked):
                inside |= {fragment for _, fragment in needles.in_column(texts)}
    return inside


def _said(store: Store) -> Iterator[Piece]:
    """All columns of the rows in which people say something; their ids too, which they may have said."""
    columns = words.columns(store)
    for table, key in _KEYS.items():
        own = {"id": "UUID"} if key == "id" else {}
        for column, kind in {**columns[table], **own}.items():
            yield from _texts(store, table, column, kind, key)


def _texts(
    store: Store, table: str, column: str, kind: str, name: str, only: str = "true", *runs: list[str]
) -> Iterator[Piece]:
    """A column in pieces, without texts that are too short to hold a fragment."""
    said = f"to_json({column})" if kind.endswith("[]") else column
    query = f"""SELECT {name} AS name, {said}::VARCHAR AS said FROM {table}
        WHERE {only} AND strlen(said) >= {scan.SHORTEST}"""  # noqa: S608
    for piece in _read(store, query, runs):
        names, texts = piece.columns
        yield names, texts
        if kind not in ("VARCHAR", "UUID"):
            yield from _resolved(names, texts)


def _read(store: Store, query: str, runs: Sequence[list[str]]) -> Iterator[pa.RecordBatch]:
    """The rows in batches; what breaks while they come is the store's fault, whoever says so."""
    try:
        yield from store.batches(query, runs, scan.ROWS_AT_ONCE)
    except (pa.ArrowException, OSError) as fault:
        raise StoreError(f"The store cannot be read: {fault}", "Restore a backup: `hone restore`.") from fault


def _resolved(names: pa.Array, texts: pa.Array) -> Iterator[Piece]:
    """Those rows of JSON again whose escapes could stand for something that people said."""
    escaped = pc.match_substring_regex(texts, r"\\[u/]")
    if pc.any(escaped).as_py():
        plain = [_plain(text) for text in texts.filter(escaped).to_pylist()]
        yield names.filter(escaped), pa.array(plain, pa.large_binary())


def _plain(text: str) -> bytes:
    return json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace")
