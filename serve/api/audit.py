"""`/v1/audit`: who did what, for operators; who came in and who may, for admins.

Trail: a client -> here -> feedback/audit.py
"""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from feedback import audit
from feedback.errors import BadRequest
from feedback.records import Principal, Role
from feedback.store import Store
from serve.identity import Identity


def routes(identity: Identity, store: Store) -> APIRouter:
    router = APIRouter(tags=["audit"])
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.get("/v1/audit")
    async def entries(
        principal: operator,
        before: Annotated[int | None, Query(ge=1, lt=2**62)] = None,
        by: Annotated[str | None, Query(max_length=64)] = None,
        kind: Annotated[str | None, Query(max_length=40)] = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    ) -> dict[str, Any]:
        """The newest first; `next` is the `before` of the page after, null where there is none."""
        asked: dict[str, Any] = {"principal": by, "kind": kind, "since": _utc(since), "until": _utc(until)}
        found = await asyncio.to_thread(
            audit.listed, store, before=before, without=audit.hidden(principal), limit=limit + 1, **asked
        )
        page = found[:limit]
        more = page[-1].seq if len(found) > limit else None
        return {"data": [asdict(entry) for entry in page], "next": more}

    return router


def _utc(moment: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise BadRequest("That time is none in UTC.", "Give one between the years 2 and 9998.") from None
