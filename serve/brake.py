"""Slows down guessing: passwords are checked few at a time, and ever later for whom they keep failing.

Argon2 is slow on purpose, so the checks have threads of their own and a short queue: a flood of
sign-ins must not keep chats from the store. Counts are in memory; a restart forgets them.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from feedback.errors import TooManyTries

T = TypeVar("T")
FREE_TRIES = 5
LONGEST_WAIT = 300.0
"""Seconds; the wait doubles with each failure after the free ones."""
QUEUE = 8
REMEMBERED = 10_000


class Brake:
    """One for the whole server, used from its event loop."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="password")
        self._clock = clock
        self._waiting = 0
        self._failures: dict[str, tuple[int, float]] = {}

    async def check(self, who: str, verify: Callable[[], T]) -> T:
        """What `verify` answers; a false answer counts as a failure of `who`.

        Raises:
            TooManyTries: `who` must wait first, or too many wait already.
        """
        _, until = self._failures.get(who, (0, 0.0))
        left = until - self._clock()
        if left > 0:
            raise TooManyTries("Too many wrong passwords.", f"Wait {left:.0f} seconds, then try again.", left)
        if self._waiting >= QUEUE:
            raise TooManyTries("Too many people are signing in at once.", "Try again in a moment.", 2)
        self._waiting += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, verify)
        finally:
            self._waiting -= 1
        if answer:
            self._failures.pop(who, None)
        else:
            self._failed(who)
        return answer

    def _failed(self, who: str) -> None:
        failed = self._failures.get(who, (0, 0.0))[0] + 1
        if len(self._failures) >= REMEMBERED:
            self._failures.pop(next(iter(self._failures)))
        wait = min(2.0 ** (failed - FREE_TRIES), LONGEST_WAIT) if failed >= FREE_TRIES else 0.0
        self._failures[who] = (failed, self._clock() + wait)
