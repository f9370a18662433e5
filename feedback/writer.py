"""The one thread that writes: callers wait together and are committed together.

Batches that arrive while a commit is on its way share the next one; when a shared commit fails it is
halved until the batch at fault fails alone. Decisions that are about different things share one likewise.
Most of a commit's time is the disk's, so whoever was just answered is given a moment to come back before it.
A caller is answered only after its commit is on the disk; what the pages read is made after that
(`projection.py`). Is handed a connection and knows nothing else of DuckDB.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from time import monotonic
from typing import Any

from feedback.awaited import Awaited
from feedback.commits import Batch, Decision, grouped, independent
from feedback.errors import HoneError, StoreError
from feedback.projection import Projector
from feedback.transaction import Changes, Columns, Decided, Row, Rows, Transaction

ROWS_AN_INSERT = 10_000
PAUSE, PAUSES = 0.0005, 12
"""Seconds that are waited for more to come, and how often at most while more do: less than a commit takes."""

log = logging.getLogger(__name__)

Committed = Callable[[float, bool], None]
"""Hears of a commit: the seconds it took, and whether it failed."""


def unheard(seconds: float, failed: bool) -> None:
    """For whom no commit is of interest."""


_Outcome = tuple[Decision, Any, HoneError | None]


class Writer:
    """Owns `connection`; `columns` says what may be written, `explain` turns its faults into our errors.

    `open_transaction(connection, rows, projected)` makes what a decision is handed; it collects into `rows`.
    `between(connection)` is called after commits, outside of any transaction.
    """

    def __init__(
        self,
        connection: Any,
        columns: Columns,
        projector: Projector,
        *,
        last_seq: int,
        explain: Callable[[BaseException], BaseException],
        committed: Committed,
        changes: Changes,
        open_transaction: Callable[[Any, list[Rows], bool], Decided],
        between: Callable[[Any], None],
    ) -> None:
        self._connection = connection
        self._columns = columns
        self._projector = projector
        self._last_seq = last_seq
        self._seq = count(last_seq + 1)
        self._explain = explain
        self._committed = committed
        self._changes = changes
        self._open_transaction = open_transaction
        self._between = between
        self._jobs: queue.SimpleQueue[Batch | Decision | None] = queue.SimpleQueue()
        self._missed = 0
        self._entry = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def append(self, rows: Rows) -> None:
        """Write one batch, whole or not at all; on the disk when this returns."""
        self._submit(Batch(rows)).wait()

    def decide(
        self, decide: Callable[[Transaction], Any], about: str | None = None, projected: bool = True
    ) -> Any:
        """Decisions `about` different things may share a commit; those about None are alone in theirs."""
        return self._submit(Decision(decide, about, projected)).wait()

    def stop(self) -> None:
        """Finish what was accepted, then end the thread."""
        with self._entry:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def close(self) -> None:
        """Let the connection go, once stopped."""
        self._connection.close()

    def is_me(self) -> bool:
        """Whether the caller is the writing thread, within a decision."""
        return threading.current_thread() is self._thread

    def _submit(self, job: Batch | Decision) -> Awaited:
        assert not self.is_me(), "a decision must write through its transaction"
        with self._entry:
            if self._closed:
                raise StoreError("The store is closed.", "Start Hone again.")
            self._jobs.put(job)
        return job.done

    def _work(self) -> None:
        going, answered = True, 0
        while going:
            self._gather(answered)
            waiting = self._drain()
            going, answered, self._missed = None not in waiting, len(waiting), 0
            # Whoever waits is not ahead of anyone else who waits, so what commits well together may.
            for batches in grouped([job for job in waiting if isinstance(job, Batch)]):
                self._commit(batches)
            for decisions in independent([job for job in waiting if isinstance(job, Decision)]):
                self._settle(decisions)
            try:
                self._between(self._connection)
            except Exception as fault:
                log.warning("the log stays as it is: %s", self._explain(fault))

    def _gather(self, answered: int) -> None:
        """While those who were `answered` come back, wait for them, or they would miss each second commit.

        Who writes alone never waits so: there is nobody to wait for.
        """
        all_of_them, here = answered + self._missed, self._jobs.qsize()
        for _ in range(PAUSES if all_of_them > 1 else 0):
            if here >= all_of_them:
                return
            time.sleep(PAUSE)
            before, here = here, self._jobs.qsize()
            if here == before:
                return

    def _drain(self) -> list[Batch | Decision | None]:
        """Everything that waits now, at least one job."""
        jobs = [self._jobs.get()]
        with suppress(queue.Empty):
            while True:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _commit(self, batches: list[Batch]) -> None:
        fault = self._tried([batch.rows for batch in batches])
        if fault is None:
            self._missed = self._jobs.qsize()
            for batch in batches:
                batch.done.give()
        elif len(batches) == 1:
            batches[0].done.refuse(self._refusal(fault))
        else:
            half = len(batches) // 2
            self._commit(batches[:half])
            self._commit(batches[half:])

    def _tried(self, rows: list[Rows]) -> BaseException | None:
        """Write the rows as new ones, and if that fails as some that may be there already."""
        fault: BaseException | None = None
        for repeated in (False, True):
            try:
                with self._changes.counted(rows), self._transaction():
                    merged = self._write(rows, repeated)
            except BaseException as failed:
                fault = failed
            else:
                self._tell(merged)
                return None
        return fault

    def _settle(self, decisions: list[Decision]) -> None:
        """Answer decisions of one commit; if it fails, each in a commit of its own."""
        try:
            with self._projector.held() if any(one.projected for one in decisions) else nullcontext():
                outcomes = self._decided(decisions)
        except BaseException as fault:
            # Whatever a decision raises is its caller's: the thread must live to serve the others.
            if len(decisions) == 1:
                decisions[0].done.refuse(self._refusal(fault))
            else:
                for decision in decisions:
                    self._settle([decision])
            return
        self._missed = self._jobs.qsize()
        for decision, answer, refusal in outcomes:
            if refusal is not None:
                decision.done.refuse(refusal)
            else:
                decision.done.give(answer)

    def _decided(self, decisions: list[Decision]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        written: list[Rows] = []
        every: list[Decided] = []
        with self._changes.counted(written, every), self._transaction():
            for decision in decisions:
                added: list[Rows] = []
                asked = self._open_transaction(self._connection, added, decision.projected)
                every.append(asked)
                try:
                    answer = decision.decide(asked)
                except HoneError as refusal:
                    if asked.changed:  # only a rollback takes that back, and it takes the whole commit
                        raise
                    outcomes.append((decision, None, refusal))
                else:
                    outcomes.append((decision, answer, None))
                    written += added
            _check_apart(written, len(decisions))
            merged = self._write(written, repeated=True)
        self._tell(merged)
        return outcomes

    def _refusal(self, fault: BaseException) -> BaseException:
        """The fault in words, counted where it is the store's own."""
        refusal = self._explain(fault)
        if isinstance(refusal, StoreError):
            self._committed(0.0, True)
        return refusal

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        began = monotonic()
        self._connection.execute("BEGIN TRANSACTION")
        try:
            yield
            self._connection.execute("COMMIT")
            self._committed(monotonic() - began, False)
        except BaseException:
            # A failed COMMIT has rolled back already, and a broken file cannot.
            with suppress(Exception):
                self._connection.execute("ROLLBACK")
            raise

    def _write(self, batches: Sequence[Rows], repeated: bool) -> dict[str, dict[str, Row]]:
        """Insert the rows and return them by table and id."""
        merged: dict[str, dict[str, Row]] = {}
        for batch in batches:
            for table, rows in batch.items():
                known = merged.setdefault(table, {})
                for row in rows:
                    known.setdefault(row["id"], row)
        for table, by_id in merged.items():
            rows = list(by_id.values())
            for start in range(0, len(rows), ROWS_AN_INSERT):
                self._insert(table, rows[start : start + ROWS_AN_INSERT], repeated)
        return merged

    def _insert(self, table: str, rows: Sequence[Row], repeated: bool) -> None:
        """Insert by unnesting one list a column: ten times as fast as an INSERT a row.

        Ignoring `repeated` ids takes as long again as the rest, so that it is left out at first.
        """
        names = [name for name in self._columns[table] if name == "seq" or any(name in row for row in rows)]
        lists = [[self._next_seq() if n == "seq" else row.get(n) for row in rows] for n in names]
        quoted = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(
            f"unnest(${i}::{self._columns[table][name]}[])" for i, name in enumerate(names, start=1)
        )
        ignoring = "ON CONFLICT DO NOTHING" if repeated else ""
        self._connection.execute(f"INSERT INTO {table} ({quoted}) SELECT {values} {ignoring}", lists)

    def _next_seq(self) -> int:
        self._last_seq = next(self._seq)
        return self._last_seq

    def _tell(self, merged: Mapping[str, Mapping[str, Row]]) -> None:
        self._projector.note({table: rows.values() for table, rows in merged.items()}, self._last_seq)


def _check_apart(written: Sequence[Rows], decisions: int) -> None:
    """No two decisions of a commit may write the same id: the second must see the first."""
    ids = [row["id"] for rows in written for batch in rows.values() for row in batch]
    if decisions > 1 and len(set(ids)) < len(ids):
        raise ValueError("two decisions write one id")
