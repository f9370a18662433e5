"""How many requests one account may send a minute, so that a program gone wild keeps nobody else waiting.

A bucket for each account fills evenly, and holds a minute's worth. In memory; a restart fills them all.
"""

import time
from collections.abc import Callable

from feedback.errors import TryLater

REMEMBERED = 10_000


class Pace:
    """One for the whole server."""

    def __init__(self, a_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`a_minute` 0 is no limit."""
        self._a_minute = a_minute
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, who: str) -> None:
        """Count one request. Raises TryLater where there were too many."""
        if not self._a_minute:
            return
        now = self._clock()
        held, at = self._left.pop(who, (float(self._a_minute), now))
        held = min(held + (now - at) * self._a_minute / 60, self._a_minute)
        if len(self._left) >= REMEMBERED:
            self._left.pop(next(iter(self._left)))  # the one that asked longest ago
        self._left[who] = (max(held - 1, 0) if held >= 1 else held, now)
        if held < 1:
            wait = (1 - held) * 60 / self._a_minute
            raise TryLater(
                f"You sent more than {self._a_minute:,} requests in a minute.",
                f"Wait {wait:.0f} seconds, or ask for a higher auth.requests_per_minute.",
                wait,
            )
