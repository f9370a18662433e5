"""The one thread that writes: callers wait together and are committed together.

Batches that arrive while a commit is on its way share the next one; when a shared commit fails it is
halved until the batch at fault fails alone. A caller is answered only after its commit is on the disk.
Is handed a connection and knows nothing else of DuckDB.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from feedback import schema
from feedback.errors import StoreError

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
Columns = Mapping[str, Mapping[str, str]]
"""For each table, its columns and their types."""

ROWS_A_COMMIT = 5_000
ROWS_AN_INSERT = 10_000


class Transaction(Protocol):
    """What a decision may do: read what is committed, and add rows that are written when it returns."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]: ...

    def row(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any] | None: ...

    def append(self, rows: Rows) -> None: ...


@dataclass(slots=True)
class _Batch:
    rows: Rows
    done: Future[None] = field(default_factory=Future)


@dataclass(slots=True)
class _Decision:
    decide: Callable[[Any], Any]
    done: Future[Any] = field(default_factory=Future)


class Writer:
    """Owns `connection`; `columns` says what may be written, `explain` turns its faults into our errors.

    `open_transaction(connection, rows)` makes what a decision is handed; it collects into `rows`.
    """

    def __init__(
        self,
        connection: Any,
        columns: Columns,
        *,
        last_seq: int,
        explain: Callable[[BaseException], BaseException],
        open_transaction: Callable[[Any, list[Rows]], Transaction],
    ) -> None:
        self._connection = connection
        self._columns = columns
        self._seq = count(last_seq + 1)
        self._explain = explain
        self._open_transaction = open_transaction
        self._jobs: queue.SimpleQueue[_Batch | _Decision | None] = queue.SimpleQueue()
        self._held: _Batch | _Decision | None = None
        self._entry = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def append(self, rows: Rows) -> None:
        """Write one batch, whole or not at all; on the disk when this returns."""
        self._submit(_Batch(rows)).result()

    def decide(self, decide: Callable[[Transaction], Any]) -> Any:
        return self._submit(_Decision(decide)).result()

    def stop(self) -> None:
        """Finish what was accepted, then end the thread."""
        with self._entry:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _submit(self, job: _Batch | _Decision) -> Future[Any]:
        assert threading.current_thread() is not self._thread, "a decision must write through its transaction"
        with self._entry:
            if self._closed:
                raise StoreError("The store is closed.", "Start Hone again.")
            self._jobs.put(job)
        return job.done

    def _work(self) -> None:
        while (job := self._take()) is not None:
            if isinstance(job, _Decision):
                self._settle(job)
            else:
                self._commit(self._gather(job))

    def _take(self) -> _Batch | _Decision | None:
        held, self._held = self._held, None
        return held or self._jobs.get()

    def _gather(self, first: _Batch) -> list[_Batch]:
        """The batches that wait now, up to the next decision, so that order is kept."""
        batches, size = [first], _size(first)
        while size < ROWS_A_COMMIT and not self._jobs.empty():
            job = self._jobs.get()
            if not isinstance(job, _Batch):
                self._put_back(job)
                break
            batches.append(job)
            size += _size(job)
        return batches

    def _put_back(self, job: _Decision | None) -> None:
        if job is None:
            self._jobs.put(None)
        else:
            self._held = job

    def _commit(self, batches: list[_Batch]) -> None:
        try:
            with self._transaction():
                self._write([batch.rows for batch in batches])
        except BaseException as fault:
            if len(batches) == 1:
                batches[0].done.set_exception(self._explain(fault))
            else:
                half = len(batches) // 2
                self._commit(batches[:half])
                self._commit(batches[half:])
            return
        for batch in batches:
            batch.done.set_result(None)

    def _settle(self, decision: _Decision) -> None:
        added: list[Rows] = []
        try:
            with self._transaction():
                answer = decision.decide(self._open_transaction(self._connection, added))
                self._write(added)
        except BaseException as fault:
            # Whatever a decision raises is its caller's: the thread must live to serve the others.
            decision.done.set_exception(self._explain(fault))
        else:
            decision.done.set_result(answer)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN TRANSACTION")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A failed COMMIT has rolled back already, and a broken file cannot.
            with suppress(Exception):
                self._connection.execute("ROLLBACK")
            raise

    def _write(self, batches: Sequence[Rows]) -> None:
        merged: dict[str, dict[str, Row]] = {}
        for batch in batches:
            for table, rows in batch.items():
                known = merged.setdefault(table, {})
                for row in rows:
                    known.setdefault(row["id"], row)
        for table, by_id in merged.items():
            rows = list(by_id.values())
            for start in range(0, len(rows), ROWS_AN_INSERT):
                self._insert(table, rows[start : start + ROWS_AN_INSERT])
        self._project(merged)

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        """Insert by unnesting one list a column: ten times an INSERT a row (a repeated id is ignored)."""
        names = [name for name in self._columns[table] if name == "seq" or any(name in row for row in rows)]
        lists = [[next(self._seq) if n == "seq" else row.get(n) for row in rows] for n in names]
        quoted = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(
            f"unnest(${i}::{self._columns[table][name]}[])" for i, name in enumerate(names, start=1)
        )
        statement = f"INSERT INTO {table} ({quoted}) SELECT {values} ON CONFLICT DO NOTHING"
        self._connection.execute(statement, lists)

    def _project(self, merged: Mapping[str, Mapping[str, Row]]) -> None:
        """Recompute the projection of every exchange that these rows touch."""
        touched = {
            str(row[column])
            for table, column in schema.TOUCHES.items()
            for row in merged.get(table, {}).values()
        }
        held = {
            str(row[column])
            for table, column in schema.TOUCHES_CONVERSATION.items()
            for row in merged.get(table, {}).values()
        }
        if held:
            found = self._connection.execute(schema.HELD, [list(held)]).fetchall()
            touched.update(str(row[0]) for row in found)
        if touched:
            for statement in schema.refresh():
                self._connection.execute(statement, [list(touched)] if "$1" in statement else [])


def _size(batch: _Batch) -> int:
    return sum(len(rows) for rows in batch.rows.values())
