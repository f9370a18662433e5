"""Slows down guessing: passwords are checked few at a time, and ever later for whom they keep failing.

Counted are the failures for a name from an address, of the address, and for the name, so that neither one
address trying many names nor many addresses trying one goes on unhindered. The last two hold up a little
only: others sign in from there, and the name is somebody's.

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
FREE_OF_MANY = 50
LONGEST_OF_MANY = 30.0
FORGET_AFTER = 3600.0
"""Seconds without a failure after which the earlier ones count no more."""
QUEUE = 8
REMEMBERED = 10_000


class Brake:
    """One for the whole server, used from its event loop."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        stopped: Callable[[str, str], object] = lambda who, client: None,
    ) -> None:
        """`stopped` is told for whom and from where tries must wait from now on, once a row of them."""
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="password")
        self._clock = clock
        self._waiting = 0
        self._stopped = stopped
        self._failures: dict[str, tuple[int, float, float]] = {}

    async def check(self, who: str, verify: Callable[[], T], *, client: str = "") -> T:
        """What `verify` answers; a false answer counts as a failure of `who` at `client`.

        Raises:
            TooManyTries: `who` must wait first, or too many wait already.
        """
        self.refuse_early(who, client)
        if self._waiting >= QUEUE:
            raise TooManyTries("Too many people are signing in at once.", "Try again in a moment.", 2)
        self._waiting += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, verify)
        finally:
            self._waiting -= 1
        if answer:
            self._failures.pop(f"both {who}\n{client}", None)
        else:
            self.failed(who, client)
        return answer

    def refuse_early(self, who: str, client: str) -> None:
        """Raises TooManyTries where somebody must wait first."""
        left = max(self._failures.get(key, (0, 0.0, 0.0))[1] for key, _, _ in _counted(who, client))
        left -= self._clock()
        if left > 0:
            raise TooManyTries("Too many wrong passwords.", f"Wait {left:.0f} seconds, then try again.", left)

    def failed(self, who: str, client: str) -> None:
        now = self._clock()
        for key, free, longest in _counted(who, client):
            failed, _, last = self._failures.pop(key, (0, 0.0, now))
            failed = failed + 1 if now - last < FORGET_AFTER else 1
            if len(self._failures) >= REMEMBERED:
                self._failures.pop(next(iter(self._failures)))  # the one that failed longest ago
            wait = min(2.0 ** min(failed - free, 10), longest) if failed >= free else 0.0
            self._failures[key] = (failed, now + wait, now)
            if failed == free and not key.startswith("client "):
                self._stopped(who, client)


def _counted(who: str, client: str) -> list[tuple[str, int, float]]:
    """What is counted of a failure: under which key, how many are free, the longest wait."""
    if not who:  # nobody was named, so there is nobody whose tries these are
        return [(f"client {client}", FREE_OF_MANY, LONGEST_OF_MANY)]
    counted = [(f"both {who}\n{client}", FREE_TRIES, LONGEST_WAIT)]
    if client:
        counted += [(key, FREE_OF_MANY, LONGEST_OF_MANY) for key in (f"client {client}", f"name {who}")]
    return counted
