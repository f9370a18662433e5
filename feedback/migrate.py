"""Brings a file to this program's schema, one numbered migration after the other, each whole or not at all.

Before the first of them the file is copied as it is, so that an older program can be gone back to; the copy
is let go with the next words that are deleted, for it still holds them. Is handed a connection; knows no
table but the one that says which schema a file has.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feedback import schema, store_file, whole
from feedback.errors import StoreError
from feedback.records import now


def migrate(connection: Any, path: Path) -> bool:
    """Bring the file to this program's schema; True if anything was done.

    Raises:
        StoreError: The file is no Hone's, or a newer Hone's.
    """
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if tables and "hone_schema" not in tables:
        raise StoreError(f"{path} is a DuckDB file, but not a Hone's.", "Give another --home.")
    connection.execute('CREATE TABLE IF NOT EXISTS hone_schema (version INTEGER, "at" TIMESTAMP)')
    newest = connection.execute("SELECT coalesce(max(version), 0) FROM hone_schema").fetchall()[0][0]
    known = len(schema.MIGRATIONS)
    if newest > known:
        before = max((copy for copy in _copies(path) if copy[0] <= known), default=None)
        raise StoreError(
            f"A newer Hone wrote {path}: its schema is {newest}, this program knows {known}.",
            "Install the newer Hone, or restore a backup made with this one"
            + (f", or put {before[1].name} in its place: without what came since." if before else "."),
        )
    if 0 < newest < known:
        _keep(connection, path, newest)
    for number in range(newest, known):
        connection.execute("BEGIN TRANSACTION")
        for statement in schema.MIGRATIONS[number]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO hone_schema VALUES ($1, $2)", [number + 1, now().replace(tzinfo=None)]
        )
        connection.execute("COMMIT")
    return bool(newest < known)


def forget(path: Path) -> None:
    """Delete the copies that migrations made of a file."""
    for _, copy in _copies(path):
        store_file.remove(copy)


def _keep(connection: Any, path: Path, number: int) -> None:
    copy = path.with_name(f"{path.stem}.schema-{number}{path.suffix}")
    fresh = store_file.beside(copy)
    try:
        with connection.cursor() as cursor:
            store_file.rewrite(cursor, fresh)
    except BaseException:
        store_file.remove(fresh)
        raise
    fresh.replace(copy)
    whole.durable(copy.parent)


def _copies(path: Path) -> Iterator[tuple[int, Path]]:
    """Each with the number of its schema."""
    for copy in path.parent.glob(f"{path.stem}.schema-*{path.suffix}"):
        number = copy.stem.rpartition("-")[2]
        if number.isdigit():
            yield int(number), copy


def columns(connection: Any) -> dict[str, dict[str, str]]:
    """For each table, its columns and their types."""
    found: dict[str, dict[str, str]] = {}
    asked = """SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE NOT internal AND database_name = current_database() AND schema_name = 'main'"""
    for table, column, kind in connection.execute(asked).fetchall():
        found.setdefault(table, {})[column] = kind
    return found
