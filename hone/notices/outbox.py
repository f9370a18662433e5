"""What is still to be told and to whom, in a file that survives a kill; what was told lies behind its cursor.

The file is written before the first try and after each delivery. So a kill loses no notice, and at worst one
is told twice with the same id. It is bounded by number and by age, and what it lets go it counts. A file that
is missing or broken begins at the newest event: the past is not told again.

Trail: hone/notices/keeper.py -> here
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from feedback import whole
from hone.notices.notice import Notice

log = logging.getLogger(__name__)
MOST = 1_000
"""Notices that wait at once."""
KEPT = timedelta(days=1)
"""How long a notice is worth telling."""


class Outbox:
    """The notices of one home; for one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = asyncio.Lock()
        self._waiting: list[tuple[Notice, set[str]]] = []
        self.told_to: int | None = None
        self.signs: dict[str, Any] = {}
        self._read()

    def put(self, notices: Iterable[Notice], places: Sequence[str], now: datetime) -> int:
        """Let them wait for each place; how many were let go, each place of each counted."""
        known = {notice.id for notice, _ in self._waiting}
        for notice in notices:
            if notice.id not in known:
                self._waiting.append((notice, set(places)))
        dropped = 0
        kept = []
        for number, (notice, to) in enumerate(reversed(self._waiting)):
            old = now - datetime.fromisoformat(notice.at) > KEPT
            if number < MOST and not old:
                kept.append((notice, to & set(places)))  # a place that is set no more is told nothing
            else:
                dropped += len(to & set(places))
        self._waiting = [(notice, to) for notice, to in reversed(kept) if to]
        return dropped

    def next(self, place: str) -> Notice | None:
        """The oldest that this place was not told."""
        return next((notice for notice, to in self._waiting if place in to), None)

    def delivered(self, notice: Notice, place: str) -> None:
        for known, to in self._waiting:
            if known.id == notice.id:
                to.discard(place)
        self._waiting = [(known, to) for known, to in self._waiting if to]

    def waiting(self, place: str | None = None) -> int:
        """Deliveries that are still to be made."""
        return sum(len(to) if place is None else place in to for _, to in self._waiting)

    async def save(self) -> None:
        """Put all of it on the disk; where the disk refuses, it stays in memory until the next.

        Whoever stops waiting for it stops no write: two of them never meet.
        """
        await asyncio.shield(self._save())

    async def _save(self) -> None:
        async with self._writing:
            content = json.dumps(
                {
                    "told_to": self.told_to,
                    "signs": self.signs,
                    "waiting": [[notice.as_dict(), sorted(to)] for notice, to in self._waiting],
                }
            )
            try:
                await asyncio.to_thread(whole.write, self._path, content, private=True)
            except OSError as fault:
                log.warning("the outbox of notices could not be written: %s", fault.strerror)

    def _read(self) -> None:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            waiting = [(Notice.from_dict(notice), set(to)) for notice, to in kept["waiting"]]
            for notice, _ in waiting:
                datetime.fromisoformat(notice.at)
            self.told_to, self.signs = int(kept["told_to"]), dict(kept["signs"])
            self._waiting = waiting
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
            log.warning("the outbox of notices is broken and begins anew: %s", type(fault).__name__)
