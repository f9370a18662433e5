"""`/v1/search`: exchanges by their words, one's own or those that reviewers may see, as they see them.

Trail: a client -> here -> feedback/search.py
"""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from feedback import choices, queue
from feedback.errors import NotAllowed
from feedback.policy import Policy
from feedback.records import Principal, Role
from feedback.search import MAX_QUERY, Search
from feedback.store import Store
from serve.api.feedback import own_record
from serve.api.reviews import item_record
from serve.identity import Identity


def routes(identity: Identity, store: Store, policy: Policy, search: Search) -> APIRouter:
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
        page: dict[str, Any] = {"assistant": assistant, "limit": limit, "offset": offset}

        def own() -> list[dict[str, Any]]:
            blind = choices.undecided(store, principal.name)
            return [own_record(e, principal, blind) for e in search.own(q, principal.name, **page)]

        def to_review() -> list[dict[str, Any]]:
            ids = search.to_review(q, principal.name, state=state, **page)
            return [item_record(item) for item in queue.found(store, principal, policy, ids)]

        if among == "reviews" and not principal.role.covers(Role.REVIEWER):
            raise NotAllowed("Only reviewers may search what others wrote.", "Search among your own.")
        found = await asyncio.to_thread(own if among == "own" else to_review)
        return {"data": found, "behind": await asyncio.to_thread(search.behind)}

    return router
