"""What a step of a run costs: seconds, processor seconds, memory, tokens answered, energy where it is told.

Processor seconds and memory are of this process and all its children, so of the engine and the training
child too, with the chats answered meanwhile; an engine elsewhere is not in them. Knows no step by name.

Trail: tuner/cycle.py -> here -> tuner/energy.py
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import psutil

from tuner import energy

EVERY = 5.0
"""Seconds between looks at memory and energy."""


class Meter:
    """Runs while its block does; `told` is what it counted."""

    def __init__(self, answered: Callable[[], int], *, every: float = EVERY) -> None:
        """`answered` counts the tokens that the tuner was ever answered with."""
        self._answered, self._every = answered, every
        self._peak = 0
        self._looking = threading.Lock()
        self._joules: float | None = None

    async def __aenter__(self) -> Self:
        self._began, self._tokens = time.monotonic(), self._answered()
        self._counters = await asyncio.to_thread(energy.counters)
        self._cpu = await asyncio.to_thread(self._look)
        self._task = asyncio.create_task(self._keep_looking())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        used = await asyncio.to_thread(self._look)
        self.told: dict[str, Any] = {
            "seconds": round(time.monotonic() - self._began, 3),
            "cpu_seconds": round(max(used - self._cpu, 0.0), 3),
            "peak_bytes": self._peak,
            "tokens": self._answered() - self._tokens,
            "joules": None if self._joules is None else round(self._joules, 1),
        }

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await asyncio.to_thread(self._look)

    def _look(self) -> float:
        """Note memory and energy; processor seconds so far."""
        with self._looking:
            now = energy.counters()
            used = energy.between(self._counters, now)
            self._counters = now
            if used is not None:
                self._joules = (self._joules or 0.0) + used
        held, seconds = 0, 0.0
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            with suppress(psutil.Error):
                held += process.memory_info().rss
                times = process.cpu_times()
                seconds += times.user + times.system + times.children_user + times.children_system
        self._peak = max(self._peak, held)
        return seconds
