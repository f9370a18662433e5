"""The record of everything that happened: events are appended, never changed, in one DuckDB file.

The only file that speaks DuckDB. It opens and migrates the file, hands writes to the one writing thread,
and reads on any thread. It knows tables and rows, not what they mean: ids and times go in and come out
as strings and UTC times, JSON as Python's own values.

Trail: feedback/exchanges.py -> here -> feedback/review.py
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from feedback import exchange_state, migrate, schema, store_file, values
from feedback.errors import BadRequest, StoreError
from feedback.projection import Named, Projector
from feedback.shared_lock import SharedLock
from feedback.transaction import Changes, Decided, Row, Rows, Transaction
from feedback.writer import Committed, Writer, unheard

CONFIG = {"checkpoint_threshold": "1TB", "autoinstall_known_extensions": "false"}
T = TypeVar("T")


class Store:
    """One open file of events. Thread-safe; every call blocks, so await it through `asyncio.to_thread`.

    Raises, when opened:
        HomeBusy: Another process has the file open.
        StoreError: The file cannot be read, or a newer Hone wrote it.
    """

    def __init__(self, path: Path | str, *, memory: str = "2GB", committed: Committed = unheard) -> None:
        self.path = Path(path)
        self._committed = committed
        self._memory = memory
        self.changes = Changes()
        self._opening = threading.Lock()
        self._file = SharedLock()
        self._beside: dict[str, tuple[Path, Callable[[Any], bool]]] = {}
        self._open()

    def append(self, rows: Rows) -> None:
        """Write rows to tables as one batch, whole or not at all; durable when this returns.

        `id` and `at` are filled in where they are missing. A row whose id is there already is ignored.

        Raises:
            BadRequest: A text cannot be stored, or a value has the wrong form.
            StoreError: The disk refused.
        """
        prepared = self._prepare(rows)
        with self._file.shared():
            self._writer.append(prepared)

    def decide(
        self, decide: Callable[[Transaction], T], about: str | None = None, *, projected: bool = True
    ) -> T:
        """Read, check and append in one transaction that no other write can come between.

        What `decide` appends is written when it returns; if it raises, nothing is. Decisions that are
        `about` different things share a commit: they must not depend on each other, and may be asked twice.
        One that is not `projected` reads events alone, so that no projection is made for it.
        """
        with self._file.shared():
            answer: T = self._writer.decide(decide, about, projected)
            return answer

    def rows(self, sql: str, params: Sequence[Any] = (), of: Named | None = None) -> list[dict[str, Any]]:
        """Read on a cursor of its own, so that readers never wait for the writer.

        With `of`, what was said of what is named is in the projection, and the rest may be a moment old.
        """
        with self._reading():
            try:
                with self._cursor() as cursor:
                    return values.read(cursor, self._current(sql, of), params)
            except (duckdb.Error, RuntimeError) as fault:
                raise _explain(fault) from fault

    def row(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any] | None:
        """The first row, or None."""
        found = self.rows(sql, params)
        return found[0] if found else None

    def batches(self, sql: str, params: Sequence[Any], rows: int) -> Iterator[Any]:
        """Read the events as columns (Arrow's), so many rows at once."""
        with self.aside() as cursor:
            yield from cursor.execute(sql, params).to_arrow_reader(rows)

    def rebuild(self) -> None:
        """Compute the projection anew from the events."""
        self.decide(lambda transaction: [transaction.rows(one) for one in exchange_state.rebuild()])

    def check(self) -> bool:
        """Whether the projection equals what the events say."""
        self._projector.catch_up()
        return all(self.rows(query)[0]["rows"] == 0 for query in exchange_state.differences())

    @property
    def newest(self) -> int:
        """The `seq` of the last event that is committed."""
        return self._projector.noted

    @property
    def lag(self) -> int:
        """How many events pages do not show yet."""
        return self._projector.lag

    def attach(self, name: str, path: Path, prepare: Callable[[Any], bool]) -> None:
        """Let a second file be read and written under `name`: for what can be made anew from the events.

        `prepare(cursor)` makes its tables; where the file is broken or that returns False, it begins empty.
        """
        with self._file.alone():
            if name in self._beside:
                self._connection.execute(f"DETACH {name}")
            self._beside[name] = (path, prepare)
            store_file.remove(store_file.beside(path))  # what a killed refill left
            self._attach(name)

    def renew(self, name: str, fill: Callable[[Any, str], None] | None = None) -> None:
        """Begin an attached file anew: empty, or as `fill(cursor, fresh)` fills the database `fresh`."""
        path, _ = self._beside[name]
        if fill:
            with self.aside() as cursor:
                store_file.fill(cursor, store_file.beside(path), partial(fill, cursor))
        with self._file.alone():
            self._connection.execute(f"DETACH {name}")
            try:
                store_file.remove(path)
                if fill:
                    store_file.put_in_place(store_file.beside(path), path)
            finally:
                self._attach(name)

    @contextmanager
    def aside(self) -> Iterator[Any]:
        """A cursor for an attached file, whose transactions are nobody's business; never for events."""
        with self._file.shared(), self._cursor() as cursor:
            try:
                yield cursor
            except duckdb.Error as fault:
                raise _explain(fault) from fault

    def copy(self, target: Path) -> None:
        """Write all that is in the store now, and nothing that was deleted, to a new file; others go on.

        Raises:
            StoreError: The disk refused.
        """
        with self._file.shared():
            self._projector.catch_up()
            self._rewrite(target)

    def compact(self, look: Callable[[Path], None] = lambda fresh: None) -> None:
        """Rewrite the file without what was deleted, whose words are still in it; everyone else waits.

        `look` may read the new file before it is opened: after that, closing it would let go of the lock.

        Raises:
            StoreError: The disk refused; the file is as it was.
        """
        fresh = store_file.beside(self.path)
        with self._file.alone():
            try:
                self._writer.stop()
                self._projector.stop()
                self._rewrite(fresh)
                look(fresh)
                self._let_go()
                store_file.put_in_place(fresh, self.path)
                migrate.forget(self.path)  # it has what was deleted, too
            finally:
                self._let_go()
                self._open()

    def close(self) -> None:
        """Finish the writes that were accepted and let the file go."""
        with self._file.alone():
            self._writer.stop()
            self._projector.stop()
            self._let_go()

    def _open(self) -> None:
        store_file.beside(self.path).unlink(missing_ok=True)  # what a killed rewrite left
        self._connection = _connect(self.path, self._memory)
        try:
            moved = migrate.migrate(self._connection, self.path)
            self._columns = migrate.columns(self._connection)
            newest = self._newest()
            self._projector = Projector(self._connection.cursor(), _explain)
            self._projector.start(newest, anew=moved)
            self._writer = self._start_writer(newest)
            self._writer.append(self._prepare(schema.SEED))
            for name in self._beside:
                self._attach(name)
        except Exception as fault:
            self._connection.close()
            raise _explain(fault) from fault

    def _attach(self, name: str) -> None:
        path, prepare = self._beside[name]
        with suppress(duckdb.Error):
            self._connection.execute(f"ATTACH {store_file.quoted(path)} AS {name}")
            if prepare(self._connection):
                return
            self._connection.execute(f"DETACH {name}")
        store_file.remove(path)
        self._connection.execute(f"ATTACH {store_file.quoted(path)} AS {name}")
        prepare(self._connection)

    def _let_go(self) -> None:
        self._projector.close()
        self._writer.close()
        self._connection.close()

    def _newest(self) -> int:
        # fetchall, as everywhere here: a result that is not read to its end holds checkpoints up.
        tables = [table for table in self._columns if "id" in self._columns[table]]
        newest = " UNION ALL ".join(f"SELECT max(seq) AS seq FROM {table}" for table in tables)  # noqa: S608
        found = self._connection.execute(f"SELECT coalesce(max(seq), 0) FROM ({newest})").fetchall()  # noqa: S608
        return int(found[0][0])

    def _start_writer(self, newest: int) -> Writer:
        return Writer(
            self._connection.cursor(),
            self._columns,
            self._projector,
            last_seq=newest,
            explain=_explain,
            committed=self._committed,
            changes=self.changes,
            open_transaction=partial(Decided, self._prepare),
            between=store_file.Log(self.path, self._projector.held).empty,
        )

    def _rewrite(self, target: Path) -> None:
        try:
            with self._cursor() as cursor:
                store_file.rewrite(cursor, target)
        except (duckdb.Error, OSError) as fault:
            target.unlink(missing_ok=True)
            raise _explain(fault) from fault

    def _current(self, sql: str, of: Named | None) -> str:
        """The query with a projection that covers all that was acknowledged, or all of what is named.

        Where the disk takes no projection, it is computed within the query: seconds, at a million exchanges.
        """
        if "exchange_state" in sql:
            try:
                self._projector.catch_up(of)
            except StoreError:
                return exchange_state.without_projection(sql)
        return sql

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """The file as it is. A decision, which holds it already, may read here too."""
        if self._writer.is_me():
            yield
        else:
            with self._file.shared():
                yield

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            return self._connection.cursor()

    def _prepare(self, rows: Rows) -> dict[str, list[Row]]:
        known = self._columns
        return {name: [values.encode(name, row, known[name]) for row in new] for name, new in rows.items()}


def _connect(path: Path, memory: str) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(path), config={"memory_limit": memory, **CONFIG})
        connection.execute("SET enable_progress_bar = false")
    except (duckdb.Error, RuntimeError, OSError) as fault:
        raise store_file.cannot_open(path, fault) from fault
    return connection


def _explain(fault: BaseException) -> BaseException:
    """The fault as a person should read it; our own errors, and bugs, pass as they are."""
    said = store_file.first_line(fault)
    if isinstance(fault, duckdb.ConversionException | duckdb.ConstraintException):
        return BadRequest(f"The store refused a value: {said}", "Check the ids and the fields.")
    if isinstance(fault, duckdb.FatalException):
        return StoreError(f"The store failed: {said}", "Start Hone again.")
    if isinstance(fault, duckdb.Error | OSError):
        happened = f"The store failed, and nothing of this was kept: {said}"
        return StoreError(happened, "Check the disk for space, then try again.")
    return fault
