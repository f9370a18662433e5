"""Keeps `exchange_state` what the events say, shortly after they were written and before anyone reads it.

A write is acknowledged when its events are on the disk. The exchanges it touched are noted, and computed
anew by whoever needs them first: a reader, a decision, or the thread that otherwise does it a moment later,
many at once. The watermark `projected` is kept beside, so that after a crash exactly what is missing is made.
Knows no table's meaning; the SQL is `exchange_state.py`'s.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from feedback import exchange_state, queue_tables

LINGER = 0.2
"""Seconds in which touched exchanges gather before they are computed unasked: many take hardly longer."""
REST = 4
"""Times as long as the last computing took is waited where that is longer: many writers need the machine."""
LONGEST_REST = 2.0
FOLD_EVERY = 1_000
"""Computings after which the rows of the counts are made few again."""
PATIENCE = 5.0
"""Seconds until computing is tried again after it failed."""
MANY = 50_000
"""Touched exchanges from which on computing all of them is the faster."""

Named = Mapping[str, Collection[str]]
"""Ids by kind: of each `exchange` and each `conversation`."""

log = logging.getLogger(__name__)


class Projector:
    """Owns `connection`. The lock that `held` takes guards every write to `exchange_state`."""

    def __init__(self, connection: Any, explain: Callable[[BaseException], BaseException]) -> None:
        self._connection = connection
        self._explain = explain
        self._table = threading.RLock()
        self._notes = threading.Lock()
        self._touched = self._taken = _nothing()
        self._computed = count(1)
        self._noted = self._made = self._read("SELECT seq FROM projected")
        self._stirred = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="store-projector", daemon=True)

    def start(self, last_seq: int, *, anew: bool) -> None:
        """Make what was committed before the process ended, or all of it `anew`, and go on from there.

        Of a projection that a migration emptied all is missing, whoever did that and was killed.
        """
        if anew or self._made == 0:
            self._compute(exchange_state.rebuild(), [], last_seq)
        elif last_seq > self._made:
            self._note_since(self._made)
            self._noted = last_seq
            self.catch_up()
        self._made = self._noted = last_seq
        self._thread.start()

    @property
    def noted(self) -> int:
        """The newest committed event's `seq`."""
        return self._noted

    @property
    def lag(self) -> int:
        """How many events are committed and not in the projection yet."""
        return self._noted - self._made

    def note(self, written: Mapping[str, Iterable[Mapping[str, Any]]], seq: int) -> None:
        """These rows are committed, and `seq` is their newest."""
        with self._notes:
            for table, rows in written.items():
                if known := exchange_state.TOUCHES.get(table):
                    kind, column = known
                    self._touched[kind].update(str(row[column]) for row in rows)
            if self._made == self._noted and not any(self._touched.values()):
                self._made = seq
            self._noted = seq
        if self._made < seq:
            self._stirred.set()

    def catch_up(self, of: Named | None = None) -> None:
        """Make the projection cover everything noted before this call, or all that was of what is named.

        To compute it takes tens of milliseconds however little there is, so who asks of few waits for those.
        """
        if self._made < self._noted and (of is None or self._behind(of)):
            with self.held():
                pass

    @contextmanager
    def held(self) -> Iterator[None]:
        """The projection as it should be, and nobody else writes to it meanwhile."""
        with self._table:
            if self._made < self._noted:
                try:
                    self._refresh()
                except BaseException as fault:
                    raise self._explain(fault) from fault
            yield

    def stop(self) -> None:
        """Make what is missing, if that can be done, and end the thread."""
        self._closed.set()
        self._stirred.set()
        if self._thread.ident:
            self._thread.join()
        with suppress(Exception):
            self.catch_up()

    def close(self) -> None:
        """Let the connection go, once stopped."""
        self._connection.close()

    def _work(self) -> None:
        took = 0.0
        while not self._closed.is_set():
            self._stirred.wait()
            self._closed.wait(max(LINGER, min(REST * took, LONGEST_REST)))
            self._stirred.clear()
            began = time.monotonic()
            try:
                self.catch_up()
            except Exception as fault:
                log.warning("the projection waits: %s", fault)
                self._closed.wait(PATIENCE)
                self._stirred.set()
            took = time.monotonic() - began

    def _refresh(self) -> None:
        with self._notes:
            touched, self._touched = self._touched, _nothing()
            self._taken = touched
            seq = self._noted
        try:
            ids = self._with_proposals(self._exchanges(touched))
            self._compute(_statements(len(ids), next(self._computed)), list(ids), seq)
        except BaseException:
            with self._notes:
                for kind, names in touched.items():
                    self._touched[kind] |= names
            raise
        self._made = seq
        self._taken = _nothing()

    def _behind(self, of: Named) -> bool:
        """Whether something was said of what is named, or of a reviewer, that the projection lacks."""
        with self._notes:
            return any(
                lacking["reviewer"] or any(not lacking[kind].isdisjoint(ids) for kind, ids in of.items())
                for lacking in (self._touched, self._taken)
            )

    def _exchanges(self, touched: Mapping[str, set[str]]) -> set[str]:
        """Those that were touched themselves, and those of what else was."""
        exchanges = set(touched["exchange"])
        for kind, query in exchange_state.TOUCHED.items():
            if touched[kind]:
                found = self._connection.execute(query, [list(touched[kind])]).fetchall()
                exchanges |= {str(row[0]) for row in found}
        return exchanges

    def _with_proposals(self, exchanges: set[str]) -> set[str]:
        if not exchanges:
            return set()
        found = self._connection.execute(exchange_state.PROPOSED, [list(exchanges)]).fetchall()
        return exchanges | {str(identity) for row in found for identity in row}

    def _compute(self, statements: Sequence[str], ids: list[str], seq: int) -> None:
        self._connection.execute("BEGIN TRANSACTION")
        try:
            for statement in statements:
                self._connection.execute(statement, [ids] if "$1" in statement else [])
            self._connection.execute(exchange_state.MARK, [seq])
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(Exception):
                self._connection.execute("ROLLBACK")
            raise

    def _note_since(self, seq: int) -> None:
        """Note what the events after `seq` touch."""
        for table, (kind, column) in exchange_state.TOUCHES.items():
            found = self._connection.execute(
                f"SELECT DISTINCT {column} FROM {table} WHERE seq > $1",  # noqa: S608
                [seq],
            ).fetchall()
            self._touched[kind].update(str(row[0]) for row in found)

    def _read(self, sql: str) -> int:
        return int(self._connection.execute(sql).fetchall()[0][0])


def _nothing() -> dict[str, set[str]]:
    return {"exchange": set(), **{kind: set() for kind in exchange_state.TOUCHED}}


def _statements(touched: int, computed: int) -> Sequence[str]:
    if touched > MANY:
        return exchange_state.rebuild()
    fold = queue_tables.FOLD if computed % FOLD_EVERY == 0 else ()
    return (*exchange_state.refresh(), *fold) if touched else ()
