"""One of several engines, and what Hone knows of it: in or out, how busy, which versions it holds.

Trail: serve/engines/replicas.py -> here -> serve/engines/base.py
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from serve.engines.base import HttpEngine

LONGEST_REST = 60.0
"""Seconds at most between tries to take a replica back."""


class Replica:
    """It takes requests while it `is_in`."""

    def __init__(self, engine: HttpEngine) -> None:
        self.engine = engine
        self.is_in = False
        self.in_flight = 0
        self.trouble = "not looked at yet"
        self.held: set[str] = set()
        self.refused: dict[str, str] = {}
        self.owes: set[str] = set()
        self._failures = 0
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether it failed so lately that it is not worth a look."""
        return not self.is_in and time.monotonic() < self._rests_until

    def let_in(self) -> None:
        self.is_in, self.trouble, self._failures = True, "; ".join(self.refused.values()), 0

    def drop(self, why: Exception) -> None:
        """No more requests, from now on."""
        self.is_in = False
        self.trouble = str(why) or type(why).__name__

    def rest(self) -> None:
        """Wait longer after each failure in a row."""
        self._rests_until = time.monotonic() + min(2.0**self._failures, LONGEST_REST)
        self._failures += 1

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A request that runs on it."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def refresh(self) -> list[dict[str, Any]]:
        """What it holds, the base first."""
        told = await self.engine.models()
        self.held = {model["id"] for model in told[1:]}
        return told

    async def give(self, version: str, folder: Path, *, drain: float | None) -> None:
        """Load a version; with `drain`, in seconds, first let its requests end elsewhere."""
        async with self._emptied(drain):
            await self.engine.load(version, folder)
        await self.refresh()

    async def settle(self) -> None:
        """Have it drop what it keeps of those whose words are to be forgotten."""
        for owner in tuple(self.owes):
            await self.engine.forget(owner)
            self.owes.discard(owner)

    async def take(self, version: str, *, drain: float | None) -> None:
        async with self._emptied(drain):
            await self.engine.unload(version)
        self.held.discard(version)

    @asynccontextmanager
    async def _emptied(self, drain: float | None) -> AsyncIterator[None]:
        if drain is None:
            yield
            return
        was_in, self.is_in = self.is_in, False
        try:
            until = time.monotonic() + drain
            while self.in_flight and time.monotonic() < until:
                await asyncio.sleep(0.05)
            yield
        finally:
            self.is_in = was_in
