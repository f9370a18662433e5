"""The store's file as a file: its log moved into it, itself written anew, a new one put in its place.

What was deleted stays in a DuckDB file until it is copied without it. Is handed connections; knows no table.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from feedback.errors import HomeBusy, HoneError, StoreError
from feedback.records import new_id
from feedback.whole import durable

LOG_BYTES = 256 * 2**20
"""Size of the log (`.wal`) from which on it is moved into the file; until then nothing is written twice."""
RETRY = 30.0
"""Seconds until that is tried again."""


class Log:
    """Moves the log into the file between two commits, but never where the disk could fill on the way.

    DuckDB would do so within a commit, and a file that cannot be written then is of no use to readers either.
    """

    def __init__(self, path: Path, held: Callable[[], AbstractContextManager[None]]) -> None:
        self._log = log(path)
        self._held = held
        self._not_before = 0.0

    def empty(self, connection: Any) -> None:
        size = _bytes(self._log)
        if size < LOG_BYTES or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + RETRY
        if shutil.disk_usage(self._log.parent).free > 2 * size:
            with self._held():
                connection.execute("CHECKPOINT")


def beside(path: Path) -> Path:
    """Where the new file is written before it takes the old one's place."""
    return path.with_name(path.name + ".new")


def log(path: Path) -> Path:
    """The log that lies beside a file, of what was written since it was last moved into it."""
    return path.with_name(path.name + ".wal")


def size(path: Path) -> int:
    """Bytes of a file and its log."""
    return _bytes(path) + _bytes(log(path))


def _bytes(path: Path) -> int:
    """A file's length; none has no bytes."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def remove(path: Path) -> None:
    """Delete a file and its log; the log first, which would do harm to any other file in that place."""
    log(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def fill(cursor: Any, target: Path, write: Callable[[str], None]) -> None:
    """Make a new file of what `write(database)` writes in one transaction; on the disk when this returns."""
    remove(target)
    fresh = f"copy_{new_id().replace('-', '')}"
    cursor.execute(f"ATTACH {quoted(target)} AS {fresh}")
    try:
        cursor.execute("BEGIN TRANSACTION")
        write(fresh)
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(Exception):
            cursor.execute("ROLLBACK")
        raise
    finally:
        with suppress(Exception):
            cursor.execute(f"DETACH {fresh}")
    if log(target).exists():
        raise StoreError(f"{target.name} could not be written whole.", "Check the disk's space; try again.")
    durable(target)


def rewrite(cursor: Any, target: Path) -> None:
    """Copy the cursor's database, as of now, to a new file."""
    current = cursor.execute("SELECT current_database()").fetchall()[0][0].replace('"', '""')

    def copy(fresh: str) -> None:
        cursor.execute(f'COPY FROM DATABASE "{current}" TO {fresh}')
        if _counts(cursor, current) != _counts(cursor, fresh):
            raise StoreError("A copy of the store is not what was copied.", "Try again; report this.")

    fill(cursor, target, copy)


def put_in_place(fresh: Path, path: Path) -> None:
    """Let the new file take the old one's place at once; the old one must be closed and have no log.

    Raises:
        StoreError: It has one.
    """
    if log(path).exists():
        raise StoreError(f"{path} was not closed cleanly, so it stays as it is.", "Start Hone again.")
    fresh.replace(path)
    durable(path.parent)


def _counts(cursor: Any, database: str) -> dict[str, int]:
    tables = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND NOT temporary", [database]
    ).fetchall()
    return {
        name: cursor.execute(f'SELECT count(*) FROM "{database}".main."{name}"').fetchall()[0][0]  # noqa: S608
        for (name,) in tables
    }


def cannot_open(path: Path, fault: Exception) -> HoneError:
    holder = re.search(r"Conflicting lock is held.*?\(PID (\d+)\)", str(fault), re.DOTALL)
    if holder or "Could not set lock" in str(fault):
        who = f"process {holder[1]}" if holder else "another process"
        return HomeBusy(
            f"The store {path} is open in {who}.",
            "Stop that Hone first, or give the command to it while it runs.",
        )
    return StoreError(
        f"The store {path} cannot be opened: {first_line(fault)}",
        "Check the disk and the file's permissions; if the file is damaged, restore a backup.",
    )


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def first_line(fault: BaseException) -> str:
    return next(iter(str(fault).strip().splitlines()), "")
