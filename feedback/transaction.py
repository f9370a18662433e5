"""What a decision is handed, and what rows are on their way to the file.

Knows no thread and no SQL of its own.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from feedback import values
from feedback.projection import Named

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
Columns = Mapping[str, Mapping[str, str]]
"""For each table, its columns and their types."""


EVERY = ""


class Changes:
    """How often each table may have been changed since the start: the same number, the same rows.

    A change is counted when it can be read, and before whoever asked for it is answered.
    """

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def of(self, *tables: str) -> int:
        return sum(self._times[table] for table in (EVERY, *tables))

    @contextmanager
    def counted(self, rows: Sequence[Rows], decided: Sequence["Decided"] = ()) -> Iterator[None]:
        """Count what the block changes, at its end: rows added, and what decisions change themselves."""
        try:
            yield
        finally:
            self._times.update({table for batch in rows for table in batch})
            if any(one.changed for one in decided):
                self._times[EVERY] += 1


class Transaction(Protocol):
    """What a decision may do: read what is committed, change it, and add rows that are written at the end.

    It reads all that was committed, whatever `of` would let be older for a reader.
    """

    def rows(self, sql: str, params: Sequence[Any] = (), of: Named | None = None) -> list[dict[str, Any]]: ...

    def row(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any] | None: ...

    def append(self, rows: Rows) -> None: ...


class Decided:
    """The writer's connection as a decision sees it: a `Transaction`.

    `changed` says whether it has changed rows itself, which are changed for all that share its commit.
    """

    def __init__(
        self,
        prepare: Callable[[Rows], dict[str, list[Row]]],
        connection: Any,
        added: list[Rows],
        projected: bool,
    ) -> None:
        self.changed = False
        self._projected = projected
        self._connection = connection
        self._added = added
        self._prepare = prepare

    def rows(self, sql: str, params: Sequence[Any] = (), of: Named | None = None) -> list[dict[str, Any]]:
        assert self._projected or "exchange_state" not in sql, "the projection was not made for this decision"
        (statement,) = self._connection.extract_statements(sql)
        self.changed = self.changed or statement.type.name != "SELECT"
        return values.read(self._connection, statement, params)

    def row(self, sql: str, params: Sequence[Any] = ()) -> dict[str, Any] | None:
        found = self.rows(sql, params)
        return found[0] if found else None

    def append(self, rows: Rows) -> None:
        self._added.append(self._prepare(rows))
