"""Tells operators what happened: reads the events, keeps what is to be told, and sends it until it arrives.

One task looks every few seconds, one for each place sends; no request and no loop waits for them. Decides
nothing of what it tells.

Trail: hone/app.py -> here -> feedback/happenings.py, hone/notices/outbox.py, hone/notices/webhook.py
"""

import asyncio
import copy
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from feedback import happenings, queue
from feedback.errors import Conflict
from feedback.records import now
from feedback.store import Store
from hone.notices.checks import password, signing_key
from hone.notices.mail import Mail
from hone.notices.notice import Notice, of_test
from hone.notices.outbox import Outbox
from hone.notices.signs import Signs
from hone.notices.webhook import Undelivered, Webhook
from hone.sections import Notices as NoticeSettings
from serve.metrics import Metrics

log = logging.getLogger(__name__)
Place = Webhook | Mail
EVERY = 2.0
"""Seconds between two looks."""
QUEUE_EVERY = 30
"""Looks between two at the queue."""
WAITS = (2.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds until the next try, by the number of failures in a row."""


class Keeper:
    """The notices of one home, from `start` to `stop`."""

    def __init__(
        self,
        settings: NoticeSettings,
        store: Store,
        path: Path,
        *,
        engine_up: Callable[[], bool],
        metrics: Metrics,
        clock: Callable[[], datetime] = now,
        every: float = EVERY,
        waits: Sequence[float] = WAITS,
    ) -> None:
        """`path` is the outbox's file."""
        self._settings, self._store, self._path = settings, store, path
        self._engine_up, self._metrics, self._clock = engine_up, metrics, clock
        self._every, self._waits = every, waits
        self.places = _places(settings)
        self._told: dict[str, dict[str, Any]] = {
            place.id: {"delivered_at": "", "kind": "", "failed_at": "", "fault": ""} for place in self.places
        }
        self._dropped = 0
        self._outbox: Outbox | None = None
        self._wake = {place.id: asyncio.Event() for place in self.places}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        if not self.places:
            # Where nobody is told, nothing is kept to be told once somebody is.
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
            return
        outbox = self._outbox = await asyncio.to_thread(Outbox, self._path)
        signs = Signs(outbox.signs, engine_seconds=self._settings.engine_seconds, queue=self._settings.queue)
        self._tasks = [asyncio.create_task(self._look_on(outbox, signs), name="notices")]
        self._tasks += [
            asyncio.create_task(self._serve(place, outbox), name=f"notices to {place.name}")
            for place in self.places
        ]

    async def stop(self) -> None:
        """What was not told yet is in the file."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._outbox:
            await self._outbox.save()

    def told(self) -> dict[str, Any]:
        outbox = self._outbox
        return {
            "places": [
                {
                    "channel": place.channel,
                    "name": place.name,
                    "waiting": outbox.waiting(place.id) if outbox else 0,
                    **self._told[place.id],
                }
                for place in self.places
            ],
            "dropped": self._dropped,
        }

    async def test(self) -> list[dict[str, Any]]:
        if not self.places:
            raise Conflict(
                "Nobody is told anything: no place for notices is set.",
                "Set notices.webhooks, or notices.mail_to and notices.smtp_host, and start Hone again.",
            )
        notice = of_test()
        faults = await asyncio.gather(*(self._sent(place, notice) for place in self.places))
        return [
            {"channel": place.channel, "name": place.name, "fault": str(fault or "")}
            for place, fault in zip(self.places, faults, strict=True)
        ]

    async def _look_on(self, outbox: Outbox, signs: Signs) -> None:
        looks = 0
        while True:
            try:
                await self._look(outbox, signs, queue_too=looks % QUEUE_EVERY == 0)
            except Exception:
                log.exception("what is to be told could not be read")
            looks += 1
            await asyncio.sleep(self._every)

    async def _look(self, outbox: Outbox, signs: Signs, *, queue_too: bool) -> None:
        """Put what is new into the outbox, on the disk, and only then let it be sent."""
        before, at = copy.deepcopy(outbox.signs), self._clock()
        newest = self._store.newest
        first = outbox.told_to is None or outbox.told_to > newest
        # A store that was put back to an earlier day has fewer events than were told of.
        after = newest if outbox.told_to is None else min(outbox.told_to, newest)
        found: list[happenings.Happening] = []
        if newest > after:
            found = await asyncio.to_thread(happenings.since, self._store, after, newest)
        waiting = (await asyncio.to_thread(queue.counts, self._store))["pending"] if queue_too else None
        outbox.told_to = newest
        notices = [*signs.gathered(found, at), *signs.engine(self._engine_up(), at)]
        notices += signs.queue(waiting, at) if waiting is not None else []
        wanted = [notice for notice in notices if notice.kind in self._settings.kinds]
        dropped = outbox.put(wanted, [place.id for place in self.places], at)
        if dropped:
            self._drop("old or too many", dropped)
        if wanted or dropped or first or outbox.signs != before:
            await outbox.save()
        for waker in self._wake.values():
            waker.set()

    async def _serve(self, place: Place, outbox: Outbox) -> None:
        """Send what waits for a place, the oldest first, and each until it arrives or is let go."""
        wake, failures, tried = self._wake[place.id], 0, ("", 0)
        while True:
            notice = outbox.next(place.id)
            if notice is None:
                await wake.wait()
                wake.clear()
                continue
            fault = await self._sent(place, notice)
            tried = (notice.id, tried[1] + 1 if tried[0] == notice.id else 1)
            if fault is None or (fault.tries and tried[1] >= fault.tries):
                if fault:
                    self._drop(f"not taken by {place.name}: {fault}", 1)
                outbox.delivered(notice, place.id)
                await outbox.save()
                failures = 0
                continue
            if not failures:
                log.warning("notices to %s do not arrive: %s", place.name, fault)
            await asyncio.sleep(self._waits[min(failures, len(self._waits) - 1)])
            failures += 1

    async def _sent(self, place: Place, notice: Notice) -> Undelivered | None:
        """Send it once; the fault, where it did not arrive."""
        told = self._told[place.id]
        try:
            await place.send(notice)
        except Undelivered as fault:
            told.update(failed_at=self._clock().isoformat(), fault=str(fault))
            self._metrics.noticed(place.channel, "failed")
            return fault
        except Exception as fault:
            log.exception("a notice could not be sent")
            told.update(failed_at=self._clock().isoformat(), fault=type(fault).__name__)
            self._metrics.noticed(place.channel, "failed")
            return Undelivered(type(fault).__name__)
        told.update(delivered_at=self._clock().isoformat(), kind=notice.kind, fault="")
        self._metrics.noticed(place.channel, "delivered")
        return None

    def _drop(self, why: str, count: int) -> None:
        self._dropped += count
        log.warning("%d notices were let go: %s", count, why)
        for place in self.places[:1]:
            self._metrics.noticed(place.channel, "dropped", count)


def _places(settings: NoticeSettings) -> list[Place]:
    """Where notices go; secrets are read here, once."""
    shown: dict[str, Any] = {"language": settings.language, "public_url": settings.public_url}
    places: list[Place] = []
    if settings.webhooks:
        key = signing_key(settings)
        places += [Webhook(url, key, **shown) for url in settings.webhooks]
    if settings.mail_to:
        places.append(
            Mail(
                settings.smtp_host,
                settings.smtp_port,
                security=settings.smtp_security,
                user=settings.smtp_user,
                password=password(settings) if settings.smtp_user else "",
                sender=settings.mail_from,
                to=settings.mail_to,
                **shown,
            )
        )
    return places
