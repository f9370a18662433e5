"""The requests that wait for a row: people's before background work, each in the order they came.

Called under the worker's lock. Knows nothing of models.

Trail: serve/engine/worker.py -> here
"""

from collections import deque
from collections.abc import Iterator

from feedback.errors import EngineBusy
from serve.engine.row import Row

BACKGROUND_SHARE = 4
"""While people wait, one in so many steps and admissions is for background work: slow, but never starved."""


class Queue:
    """Two lines, each of a bounded length.

    Background work may take at most half of the rows; the only row there is, when nobody waits.
    """

    def __init__(self, *, rows: int, longest: int) -> None:
        """`rows` is how many are answered at once, `longest` how many more may wait in each line."""
        self._rows, self._longest = rows, longest
        self._passed = 0
        self._normal: deque[Row] = deque()
        self._background: deque[Row] = deque()

    def __len__(self) -> int:
        return len(self._normal) + len(self._background)

    def __iter__(self) -> Iterator[Row]:
        yield from self._normal
        yield from self._background

    def join(self, row: Row, working: int) -> None:
        """Wait behind those of its kind; `working` is how many rows are in use.

        Raises:
            EngineBusy: The line is full.
        """
        line = self._background if row.background else self._normal
        free = max(0, self._rows - working)
        if len(line) >= self._longest + free:
            raise EngineBusy(
                f"{working} requests are being answered and {len(line)} wait already.",
                "Try again in a moment.",
            )
        line.append(row)

    def next(self, working: list[Row]) -> Row | None:
        """The one that may begin now."""
        if len(working) >= self._rows:
            return None
        if self._background and self._background_may(working):
            self._passed = 0
            return self._background.popleft()
        if not self._normal:
            return None
        self._passed += 1
        return self._normal.popleft()

    def _background_may(self, working: list[Row]) -> bool:
        """Whether it is background work's turn, and its share is not used up."""
        busy = sum(row.background for row in working)
        if not self._normal:
            return busy < max(1, self._rows // 2)
        return busy < self._rows // 2 and self._passed >= BACKGROUND_SHARE - 1

    def leave(self, now: float) -> list[Row]:
        """Take out those that were cancelled or whose deadline has passed."""
        gone = [row for row in self if row.cancelled or row.deadline < now]
        for row in gone:
            (self._background if row.background else self._normal).remove(row)
        return gone

    def empty(self) -> list[Row]:
        left = list(self)
        self._normal.clear()
        self._background.clear()
        return left
