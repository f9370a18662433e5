"""What a running Hone does for its store: the search index kept up, old exchanges let go at night, and the
routes by which commands ask for a backup or a smaller file. Decides nothing of what may go.

Trail: hone/app.py -> here -> feedback/retention.py, feedback/search.py, hone/backups.py
"""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from feedback import audit, retention, store_file
from feedback.records import Principal, Role
from feedback.search import Search
from feedback.store import Store
from hone import backups
from hone.home import Home
from serve.api.errors import Body
from serve.identity import Identity

log = logging.getLogger(__name__)


class BackupRequest(Body):
    folder: str


class Housekeeping:
    """The keeping of one store, from `start` to `stop`."""

    def __init__(self, home: Home, store: Store, *, unrated_days: int, hour: int) -> None:
        """With `unrated_days` of 0 nothing is let go; `hour` is of the local day."""
        self.search = Search(store, home.words)
        self._home = home
        self._store = store
        self._unrated_days = unrated_days
        self._hour = hour
        self._nightly: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.search.start()
        if self._unrated_days:
            self._nightly = asyncio.create_task(self._every_night())

    async def stop(self) -> None:
        if self._nightly:
            self._nightly.cancel()
            with suppress(asyncio.CancelledError):
                await self._nightly
        await asyncio.to_thread(self.search.stop)

    def tidy(self) -> int:
        """Let old unrated exchanges go, their words in file and index too; how many went."""
        gone = retention.forget_unrated(self._store, self._unrated_days)
        if gone:
            self._store.compact()
            self.search.forget()
        return gone

    async def _every_night(self) -> None:
        while True:
            await asyncio.sleep(_seconds_until(self._hour, datetime.now().astimezone()))
            try:
                gone = await asyncio.to_thread(self.tidy)
                log.info("%d unrated exchanges of more than %d days went away", gone, self._unrated_days)
            except Exception:
                log.exception("old exchanges stay for another day")

    def routes(self, identity: Identity) -> APIRouter:
        router = APIRouter(tags=["keeping"])
        admin = Annotated[Principal, Depends(identity.may(Role.ADMIN))]

        @router.post("/v1/backups", status_code=201)
        async def back_up(body: BackupRequest, principal: admin) -> dict[str, Any]:
            """Copy the home to a new folder of the server's machine."""
            target = Path(body.folder)
            manifest = await asyncio.to_thread(backups.back_up, self._home, self._store, target)
            files = manifest["files"].values()
            told: dict[str, Any] = {"files": len(files), "bytes": sum(one["bytes"] for one in files)}
            await asyncio.to_thread(
                audit.record, self._store, principal.name, "home.backed_up", str(target), **told
            )
            return {"folder": str(target), **told}

        @router.post("/v1/compact")
        async def compact(principal: admin) -> dict[str, int]:
            """Rewrite the store's file without what was deleted; everyone waits for it."""
            before = store_file.size(self._home.store)
            await asyncio.to_thread(self._store.compact)
            told: dict[str, Any] = {"before": before, "after": store_file.size(self._home.store)}
            await asyncio.to_thread(audit.record, self._store, principal.name, "home.compacted", **told)
            return told

        return router


def _seconds_until(hour: int, now: datetime) -> float:
    """Until that hour of the local day comes next; at least a minute."""
    today = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    coming = today if today > now + timedelta(minutes=1) else today + timedelta(days=1)
    return (coming - now).total_seconds()
