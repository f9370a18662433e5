"""`/v1/search`: exchanges by their words, one's own or those that reviewers may see.

Trail: a client -> here -> feedback/search.py
"""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from feedback.errors import NotAllowed
from feedback.records import Principal, Role
from feedback.search import MAX_QUERY, Search
from serve.api.feedback import exchange_record
from serve.identity import Identity


def routes(identity: Identity, search: Search) -> APIRouter:
    router = APIRouter(tags=["search"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]

    @router.get("/v1/search")
    async def find(
        principal: user,
        q: Annotated[str, Query(min_length=1, max_length=MAX_QUERY)],
        among: Literal["own", "reviews"] = "own",
        state: Literal["pending", "approved", "rejected"] | None = None,
        assistant: str | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Exchanges with all the words of `q`, the newest first; `behind` counts events not indexed yet."""
        page = {"assistant": assistant, "limit": limit, "offset": offset}
        if among == "own":
            found = await asyncio.to_thread(search.own, q, principal.name, **page)  # type: ignore[arg-type]
        elif principal.role.covers(Role.REVIEWER):
            found = await asyncio.to_thread(search.to_review, q, state=state, **page)  # type: ignore[arg-type]
        else:
            raise NotAllowed("Only reviewers may search what others wrote.", "Search among your own.")
        behind = await asyncio.to_thread(search.behind)
        return {"data": [exchange_record(exchange) for exchange in found], "behind": behind}

    return router
