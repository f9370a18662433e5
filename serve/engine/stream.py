"""Answers on their way from the model's thread to the event loop: one post a step, for all rows.

Trail: serve/engine/row.py -> here -> serve/engine/delivery.py
"""

import asyncio
from collections.abc import AsyncIterator

from feedback.errors import HoneError
from serve.engine.asking import Ended, Piece
from serve.engine.row import Row

Event = Piece | Ended | HoneError


class Stream:
    """One answer as it comes: iterate for its pieces and its end; cancel it when nobody listens.

    What waits for a slow listener is bounded by the tokens its request may make.
    """

    def __init__(self, outbox: "Outbox") -> None:
        self.loop = asyncio.get_running_loop()
        self._outbox = outbox
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._row: Row | None = None

    def follow(self, row: Row) -> None:
        self._row = row

    def emit(self, event: Event) -> None:
        """Called from the model's thread."""
        self._outbox.put(self, event)

    def deliver(self, event: Event) -> None:
        self._events.put_nowait(event)

    def cancel(self) -> None:
        """The row is gone by the next step; cancelling one that has ended does nothing."""
        if self._row is not None:
            self._row.cancelled = True

    async def __aiter__(self) -> AsyncIterator[Piece | Ended]:
        while True:
            event = await self._events.get()
            if isinstance(event, HoneError):
                raise event
            yield event
            if isinstance(event, Ended):
                return


class Outbox:
    """Gathers a step's events. Waking the event loop costs more than an event, so it is woken once."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Stream, Event]] = []

    def put(self, stream: Stream, event: Event) -> None:
        self._waiting.append((stream, event))

    def flush(self) -> None:
        """Hand everything on, in order."""
        waiting, self._waiting = self._waiting, []
        for loop in {stream.loop for stream, _ in waiting}:
            mine = [(stream, event) for stream, event in waiting if stream.loop is loop]
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, mine)


def _deliver(events: list[tuple[Stream, Event]]) -> None:
    for stream, event in events:
        stream.deliver(event)
