"""The record of everything that happened: events are appended, never changed, in one DuckDB file.

The only file that speaks DuckDB. It opens and migrates the file, hands writes to the one writing thread,
and reads on any thread. It knows tables and rows, not what they mean: ids and times go in and come out
as strings and UTC times, JSON as Python's own values.

Trail: serve/conversation.py -> here -> feedback/review.py
"""

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from feedback import schema, values
from feedback.errors import BadRequest, HomeBusy, HoneError, StoreError
from feedback.records import now
from feedback.writer import Columns, Row, Rows, Transaction, Writer

T = TypeVar("T")


class Store:
    """One open file of events. Thread-safe; every call blocks, so await it through `asyncio.to_thread`.

    Raises, when opened:
        HomeBusy: Another process has the file open.
        StoreError: The file cannot be read, or a newer Hone wrote it.
    """

    def __init__(self, path: Path | str, *, memory: str = "2GB") -> None:
        self.path = Path(path)
        self._opening = threading.Lock()
        self._connection = _connect(self.path, memory)
        try:
            moved = _migrate(self._connection, self.path)
            self._columns = _columns(self._connection)
            self._writer = self._start_writer()
            self.append(schema.SEED)
            if moved:
                self.rebuild()
        except Exception as fault:
            self._connection.close()
            raise _explain(fault) from fault

    def append(self, rows: Rows) -> None:
        """Write rows to tables as one batch, whole or not at all; durable when this returns.

        `id` and `at` are filled in where they are missing. A row whose id is there already is ignored.

        Raises:
            BadRequest: A text cannot be stored, or a value has the wrong form.
            StoreError: The disk refused.
        """
        self._writer.append(self._prepare(rows))

    def decide(self, decide: Callable[[Transaction], T]) -> T:
        """Read, check and append in one transaction that no other write can come between.

        What `decide` appends is written when it returns; if it raises, nothing is.
        """
        answer: T = self._writer.decide(decide)
        return answer

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Read on a cursor of its own, so that readers never wait for the writer."""
        try:
            with self._opening:
                cursor = self._connection.cursor()
            with cursor:
                return values.read(cursor, sql, params)
        except (duckdb.Error, RuntimeError) as fault:
            raise _explain(fault) from fault

    def row(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any] | None:
        """The first row, or None."""
        found = self.rows(sql, params)
        return found[0] if found else None

    def rebuild(self) -> None:
        """Compute the projection anew from the events."""

        def fill(transaction: Transaction) -> None:
            # Not DELETE: at a million rows that and the new rows' keys take minutes, this seconds.
            transaction.rows("DROP TABLE exchange_state")
            transaction.rows(schema.EXCHANGE_STATE)
            transaction.rows(f"INSERT INTO exchange_state {schema.truth()}")

        self.decide(fill)

    def check(self) -> bool:
        """Whether the projection equals what the events say."""
        stale = self.row(schema.difference())
        assert stale is not None
        return bool(stale["rows"] == 0)

    def close(self) -> None:
        """Finish the writes that were accepted and let the file go."""
        self._writer.stop()
        self._connection.close()

    def _start_writer(self) -> Writer:
        tables = [table for table in self._columns if "seq" in self._columns[table]]
        newest = " UNION ALL ".join(f"SELECT max(seq) AS seq FROM {table}" for table in tables)  # noqa: S608
        found = self._connection.execute(f"SELECT coalesce(max(seq), 0) FROM ({newest})").fetchone()  # noqa: S608
        assert found is not None
        return Writer(
            self._connection.cursor(),
            self._columns,
            last_seq=found[0],
            explain=_explain,
            open_transaction=lambda connection, added: _Transaction(connection, added, self._prepare),
        )

    def _prepare(self, rows: Rows) -> dict[str, list[Row]]:
        return {
            table: [values.encode(table, row, self._columns[table]) for row in batch]
            for table, batch in rows.items()
        }


class _Transaction:
    """The writer's connection as a decision sees it."""

    def __init__(
        self, connection: Any, added: list[Rows], prepare: Callable[[Rows], dict[str, list[Row]]]
    ) -> None:
        self._connection = connection
        self._added = added
        self._prepare = prepare

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return values.read(self._connection, sql, params)

    def row(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any] | None:
        found = self.rows(sql, params)
        return found[0] if found else None

    def append(self, rows: Rows) -> None:
        self._added.append(self._prepare(rows))


def _connect(path: Path, memory: str) -> duckdb.DuckDBPyConnection:
    if not path.parent.is_dir():
        raise StoreError(f"The folder {path.parent} does not exist.", "Make it, or give another --home.")
    try:
        connection = duckdb.connect(
            str(path),
            config={
                "checkpoint_threshold": "256MB",
                "memory_limit": memory,
                "autoinstall_known_extensions": "false",
            },
        )
        connection.execute("SET enable_progress_bar = false")
    except (duckdb.Error, RuntimeError, OSError) as fault:
        raise _cannot_open(path, fault) from fault
    return connection


def _cannot_open(path: Path, fault: Exception) -> HoneError:
    holder = re.search(r"Conflicting lock is held.*?\(PID (\d+)\)", str(fault), re.DOTALL)
    if holder or "Could not set lock" in str(fault):
        who = f"process {holder[1]}" if holder else "another process"
        return HomeBusy(
            f"The store {path} is open in {who}.",
            "Stop that Hone first, or give the command to it while it runs.",
        )
    return StoreError(
        f"The store {path} cannot be opened: {_first_line(fault)}",
        "Check the disk and the file's permissions; if the file is damaged, restore a backup.",
    )


def _migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Bring the file to this program's schema; True if anything was done."""
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if tables and "hone_schema" not in tables:
        raise StoreError(f"{path} is a DuckDB file, but not a Hone's.", "Give another --home.")
    connection.execute('CREATE TABLE IF NOT EXISTS hone_schema (version INTEGER, "at" TIMESTAMP)')
    newest = connection.execute("SELECT coalesce(max(version), 0) FROM hone_schema").fetchone()
    assert newest is not None
    known = len(schema.MIGRATIONS)
    if newest[0] > known:
        raise StoreError(
            f"A newer Hone wrote {path}: its schema is {newest[0]}, this program knows {known}.",
            "Install the newer Hone, or restore a backup made with this one.",
        )
    for number in range(newest[0], known):
        connection.execute("BEGIN TRANSACTION")
        for statement in schema.MIGRATIONS[number]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO hone_schema VALUES ($1, $2)", [number + 1, now().replace(tzinfo=None)]
        )
        connection.execute("COMMIT")
    return bool(newest[0] < known)


def _columns(connection: duckdb.DuckDBPyConnection) -> Columns:
    found: dict[str, dict[str, str]] = {}
    asked = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    for table, column, kind in connection.execute(asked).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _explain(fault: BaseException) -> BaseException:
    """The fault as a person should read it; our own errors, and bugs, pass as they are."""
    if isinstance(fault, duckdb.ConversionException | duckdb.ConstraintException):
        return BadRequest(f"The store refused a value: {_first_line(fault)}", "Check the ids and the fields.")
    if isinstance(fault, duckdb.Error):
        return StoreError(
            f"The store failed: {_first_line(fault)}", "Check the disk for space, then start Hone again."
        )
    return fault


def _first_line(fault: BaseException) -> str:
    return str(fault).strip().splitlines()[0]
