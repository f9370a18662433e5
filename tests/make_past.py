"""Writes a file of the newest schema as it is today into `past/`, for the tests of those to come.

Run it before a migration is added: `python tests/make_past.py`. What is there is never written again.
"""

import lzma
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from feedback import schema
from feedback.migrate import migrate

PAST = Path(__file__).parent / "past"
ROWS = PAST / "rows.txt"
"""What each file holds, as far as its schema has the tables."""
ALWAYS = {"at": "TIMESTAMP '2026-11-05 12:00:00'", "principal": "'ana'"}


def make(number: int, path: Path) -> None:
    """A file of schema `number` with something in each table that a person's doing fills."""
    newest = schema.MIGRATIONS
    schema.MIGRATIONS = newest[:number]
    try:
        with duckdb.connect(str(path)) as connection:
            migrate(connection, path)
            _fill(connection)
    finally:
        schema.MIGRATIONS = newest


def _fill(connection: Any) -> None:
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    seq = 0
    for line in ROWS.read_text("utf-8").splitlines():
        table, _, row = line.partition(": ")
        if table in tables:
            seq += 1
            fields = {**ALWAYS, "id": _uuid(f"f{seq:02d}"), **_fields(row), "seq": str(seq)}
            names = ", ".join(f'"{name}"' for name in fields)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(fields.values())})")


def _fields(row: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in row.split(", "):
        name, equals, value = part.partition("=")
        if equals and name.isidentifier():
            found[name] = _uuid(value[1:]) if value.startswith("$") else value
            last = name
        else:
            found[last] += f", {part}"
    return found


def _uuid(name: str) -> str:
    return f"'00000000-0000-7000-8000-{name.encode().hex():0>12}'"


def main() -> None:
    PAST.mkdir(exist_ok=True)
    for number in range(1, len(schema.MIGRATIONS) + 1):
        kept = PAST / f"schema-{number}.duckdb.xz"
        if not kept.exists():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "hone.duckdb"
                make(number, path)
                kept.write_bytes(lzma.compress(path.read_bytes(), preset=9))


if __name__ == "__main__":
    main()
