"""Records in and out of files: JSON lines, a JSON list, CSV, Parquet; each read and written as a stream.

A record is a dict; what it means is `feedback/forms.py`'s. A record that cannot be read is handed on as a
`Refused` with its place, and the next one is tried. Only a newline ends a JSON line, since JSON may hold
other breaks.

Trail: feedback/imports.py -> here -> feedback/ahead.py, feedback/forms.py
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from feedback.ahead import MAX_RECORD, Ahead, Lines
from feedback.errors import BadImport

KINDS = ("jsonl", "json", "csv", "parquet")
BATCH = 1_000
ROWS = 16
"""Of a Parquet file at once: each may be a large text that the file holds only once."""
COLUMNS = frozenset(
    (
        *("messages", "conversations", "instruction", "input", "output", "system", "history", "prompt"),
        *("completion", "label", "comment", "chosen", "rejected", "user_input", "completion_a"),
        *("completion_b", "conversation", "data", "meta", "snapshot"),
    )
)
"""All that any form has (`feedback/forms.py`)."""
NESTED = {"messages", "conversations", "history"}
"""Columns that a CSV holds as JSON; others only where they are a list of messages."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is left out: where it stands (`Line 3`), and why."""

    where: str
    why: str


Record = tuple[str, Any]
"""A record with the name of its place."""


def kind_of(head: bytes, name: str = "") -> str:
    """What kind of file begins so; its name decides where the beginning cannot."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:4] == b"PAR1":
        return "parquet"
    if text[:1] in (b"{", b"["):
        return "json" if text[:1] == b"[" else "jsonl"
    return "csv" if name.lower().endswith(".csv") or _is_header(text) else "jsonl"


def read(file: BinaryIO, kind: str) -> Iterator[Record | Refused]:
    """The records of an open file, one at a time.

    Raises:
        BadImport: The file as a whole is not of this kind.
    """
    readers = {"jsonl": _json_lines, "json": _json_list, "csv": _csv, "parquet": _parquet}
    return readers[kind](file)


def write(records: Iterable[Mapping[str, Any]], kind: str, schema: pa.Schema) -> Iterator[bytes]:
    """The file's bytes, piece by piece; `schema` names the columns, for the kinds that have some."""
    if kind == "jsonl":
        return (f"{_dumped(record)}\n".encode() for record in records)
    if kind == "json":
        return _write_list(records)
    return _write_csv(records, schema.names) if kind == "csv" else _write_parquet(records, schema)


def _json_lines(file: BinaryIO) -> Iterator[Record | Refused]:
    number = 0
    while line := file.readline(MAX_RECORD):
        number += 1
        where = f"Line {number}"
        if len(line) == MAX_RECORD and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_RECORD)) and not rest.endswith(b"\n"):
                pass
            yield Refused(where, f"is longer than {MAX_RECORD:,} bytes")
            continue
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if text.strip():
            yield _parsed(text, where)


def _parsed(line: bytes, where: str) -> Record | Refused:
    try:
        return where, json.loads(line.decode())
    except UnicodeDecodeError:
        return Refused(where, "is not UTF-8 text")
    except json.JSONDecodeError as fault:
        return Refused(where, f"is not JSON: {fault.msg}, at character {fault.pos + 1}")
    except (ValueError, RecursionError) as fault:
        return Refused(where, f"is not JSON that can be read: {fault}")


def _json_list(file: BinaryIO) -> Iterator[Record | Refused]:
    """The items of one JSON list, decoded one by one; where the list itself is broken, it ends."""
    ahead = Ahead(file)
    ahead.pass_over("[")
    number = 1
    while ahead.next() != "]" and (ahead.next() or number == 1):
        try:
            item = ahead.item()
        except (ValueError, RecursionError) as fault:
            malformed = isinstance(fault, json.JSONDecodeError)
            what = f"is not JSON: {fault.msg}" if malformed else f"cannot be read: {fault}"  # type: ignore[union-attr]
            yield Refused(f"Item {number}", f"{what}; nothing after it was read")
            return
        yield f"Item {number}", item
        number += 1
        if ahead.next() not in ("", ",", "]"):
            yield Refused(f"Item {number}", "is not set off by a comma; nothing after it was read")
            return
        ahead.pass_over(",")


def _csv(file: BinaryIO) -> Iterator[Record | Refused]:
    csv.field_size_limit(MAX_RECORD)
    lines = Lines(file)
    reader = csv.DictReader(lines, strict=True)
    while True:
        lines.taken = 0
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            yield Refused(f"Line {reader.line_num}", f"is not CSV: {fault}")
            continue
        where = f"Line {reader.line_num}"
        if None in row or None in row.values():
            yield Refused(where, f"has not the {len(reader.fieldnames or ())} columns of the header")
        else:
            yield where, {name: _cell(name, text) for name, text in row.items()}


def _cell(name: str, text: str) -> Any:
    """A CSV's text, or the list that it holds as JSON."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    spoken = (
        isinstance(value, list) and value and all(isinstance(item, dict) and "role" in item for item in value)
    )
    return value if name in NESTED or spoken else text


def _parquet(file: BinaryIO) -> Iterator[Record | Refused]:
    """Only the columns that a form has, a few rows at once: a file of kilobytes can stand for gigabytes."""
    try:
        opened = pq.ParquetFile(file)
        names = [name for name in opened.schema_arrow.names if name in COLUMNS]
        number = 0
        for batch in opened.iter_batches(ROWS, columns=names):
            for row in range(batch.num_rows):
                number += 1
                yield _row(batch.slice(row, 1), f"Row {number}")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise BadImport(
            f"The file is no Parquet file that can be read: {fault}.", "Write it again."
        ) from fault


def _row(row: pa.RecordBatch, where: str) -> Record | Refused:
    """The only row of a batch as a record."""
    if row.get_total_buffer_size() > MAX_RECORD and row.nbytes > MAX_RECORD:
        return Refused(where, f"is longer than {MAX_RECORD:,} bytes")
    try:
        return where, row.to_pylist()[0]
    except pa.ArrowException:
        raise
    except (ValueError, OverflowError, RecursionError) as fault:  # a time that no calendar has, or nested
        return Refused(where, f"cannot be read: {fault}")


def _is_header(text: bytes) -> bool:
    names = {name.strip(b'" \r') for name in text.split(b"\n", 1)[0].split(b",")}
    return bool(names & {b"messages", b"instruction", b"prompt", b"user_input", b"conversations", b"chosen"})


def _dumped(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False)


def _write_list(records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    before = "[\n"
    for record in records:
        yield f"{before}{_dumped(record)}".encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _write_csv(records: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Iterator[bytes]:
    def encoded(cells: Iterable[Any]) -> bytes:
        held = io.StringIO(newline="")
        told = (cell if isinstance(cell, str) else _dumped(cell) for cell in cells)
        csv.writer(held, quoting=csv.QUOTE_ALL).writerow(told)
        return held.getvalue().encode()

    yield encoded(names)
    yield from (encoded(record.get(name, "") for name in names) for record in records)


def _write_parquet(records: Iterable[Mapping[str, Any]], schema: pa.Schema) -> Iterator[bytes]:
    """A row group for every batch, handed on as it is written."""
    held = _Pieces()
    rest = iter(records)
    with pq.ParquetWriter(pa.PythonFile(held, mode="w"), schema) as writer:
        while batch := list(islice(rest, BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema))
            yield held.take()
    yield held.take()


class _Pieces(io.RawIOBase):
    """A file that is written and never kept: what was written is taken, piece by piece."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._place = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._written.append(piece)
        self._place += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._place

    def take(self) -> bytes:
        piece = b"".join(self._written)
        self._written.clear()
        return piece
