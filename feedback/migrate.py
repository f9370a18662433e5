"""Brings a file to this program's schema, one numbered migration after the other, each whole or not at all.

Is handed a connection; knows no table but the one that says which schema a file has.
"""

from pathlib import Path
from typing import Any

from feedback import schema
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
        raise StoreError(
            f"A newer Hone wrote {path}: its schema is {newest}, this program knows {known}.",
            "Install the newer Hone, or restore a backup made with this one.",
        )
    for number in range(newest, known):
        connection.execute("BEGIN TRANSACTION")
        for statement in schema.MIGRATIONS[number]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO hone_schema VALUES ($1, $2)", [number + 1, now().replace(tzinfo=None)]
        )
        connection.execute("COMMIT")
    return bool(newest < known)


def columns(connection: Any) -> dict[str, dict[str, str]]:
    """For each table, its columns and their types."""
    found: dict[str, dict[str, str]] = {}
    asked = """SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE NOT internal AND database_name = current_database() AND schema_name = 'main'"""
    for table, column, kind in connection.execute(asked).fetchall():
        found.setdefault(table, {})[column] = kind
    return found
