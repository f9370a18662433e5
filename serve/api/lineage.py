"""`/v1/versions/{version}/rows` and `/v1/exchanges/{id}/fate`: from a version back, and from words forward.

Trail: a client -> here -> feedback/lineage.py
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from feedback import lineage
from feedback.records import Principal, Role
from feedback.store import Store
from serve.identity import Identity


def routes(identity: Identity, store: Store) -> APIRouter:
    router = APIRouter(tags=["lineage"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.get("/v1/versions/{version}/rows")
    async def rows(
        version: str,
        principal: operator,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        """The rows that a version learnt from and was judged by, each with who said what and when."""
        found = await asyncio.to_thread(lineage.rows, store, version, limit=limit, offset=offset)
        return {"version": version, "data": found}

    @router.get("/v1/exchanges/{exchange_id}/fate")
    async def fate(exchange_id: str, principal: user) -> dict[str, Any]:
        """What became of an exchange of one's own; operators may ask about any."""
        return await asyncio.to_thread(lineage.fate, store, principal, exchange_id)

    return router
