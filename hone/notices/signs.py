"""Notices of what is no event: an engine that is away, a queue that grows; and many erasures as one.

What was told is kept in the outbox's `signs`, so that a restart does not tell it again. Sends nothing.

Trail: hone/notices/keeper.py -> here
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from feedback.happenings import Happening
from hone.notices.notice import Notice, of, of_state

BETWEEN = timedelta(hours=1)
"""How long erasures are gathered after some were told."""


class Signs:
    """Looks at what goes on; `kept` is what it remembers."""

    def __init__(self, kept: dict[str, Any], *, engine_seconds: float, queue: int) -> None:
        self._kept = kept
        self._patience = timedelta(seconds=engine_seconds)
        self._queue = queue
        self._away_since: datetime | None = None

    def engine(self, up: bool, now: datetime) -> Iterator[Notice]:
        """Down once it was away for long enough, and back when it is."""
        down = self._kept.get("engine_down")
        if up:
            self._away_since = None
            if down:
                del self._kept["engine_down"]
                yield of_state("engine_back", now)
            return
        self._away_since = self._away_since or now
        if not down and now - self._away_since >= self._patience:
            self._kept["engine_down"] = self._away_since.isoformat()
            yield of_state("engine_down", self._away_since)

    def queue(self, waiting: int, now: datetime) -> Iterator[Notice]:
        """Told at the limit and each time it has doubled since; forgotten at half the limit."""
        told = int(self._kept.get("queue", 0))
        if told and waiting < self._queue / 2:
            del self._kept["queue"]
        elif waiting >= max(self._queue, 2 * told):
            self._kept["queue"] = waiting
            yield of_state("queue_growing", now, count=waiting)

    def gathered(self, found: Sequence[Happening], now: datetime) -> Iterator[Notice]:
        """Those that happened, with the erasures of an hour as one: their number is theirs who ask."""
        for one in found:
            if one.kind != "erasure_asked":
                yield of(one)
                continue
            held = self._kept.setdefault("erasures", {"id": one.id, "at": one.at.isoformat(), "count": 0})
            held["count"] += 1
        told = self._kept.get("erasures_told")
        due = not told or now - datetime.fromisoformat(told) >= BETWEEN
        if "erasures" in self._kept and due:
            held = self._kept.pop("erasures")
            self._kept["erasures_told"] = now.isoformat()
            yield Notice(held["id"], "erasure_asked", held["at"], count=held["count"])
