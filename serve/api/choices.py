"""`/v1/feedback/choices`: two answers that wait for a choice of one's own, and choosing.

Which version said which is told once it was chosen.

Trail: a client -> here -> feedback/choices.py
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback import choices, lookup
from feedback.choices import Comparison
from feedback.errors import NotFound
from feedback.records import Principal, Role
from feedback.store import Store
from serve.api.errors import Body
from serve.identity import Identity


class Chosen(Body):
    """A choice; the same one again changes nothing, another is refused."""

    comparison_id: str
    choice: choices.Choice = Field(description="first, second, tie, neither (both bad) or skipped")


def routes(identity: Identity, store: Store) -> APIRouter:
    router = APIRouter(tags=["feedback"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]

    @router.get("/v1/feedback/choices/{conversation_id}")
    async def waiting(conversation_id: str, principal: user) -> dict[str, Any]:
        """The two answers that wait for a choice in a conversation of one's own, without their versions."""
        return await asyncio.to_thread(_waiting, store, principal, conversation_id)

    @router.post("/v1/feedback/choices")
    async def choose(body: Chosen, principal: user) -> dict[str, Any]:
        """Choose between two answers of one's own; tells which stands, and which version said which."""
        ended = await asyncio.to_thread(choices.choose, store, principal, body.comparison_id, body.choice)
        return _ended(ended)

    return router


def _waiting(store: Store, principal: Principal, conversation_id: str) -> dict[str, Any]:
    found = choices.waiting(store, principal.name, conversation_id)
    sides = lookup.load(store, [found.first, found.second]) if found else []
    if found is None or len(sides) < 2:
        # Somebody else's looks like one that is not there.
        raise NotFound("No choice waits in that conversation.", "Two answers come now and then.")
    told = {
        name: {"exchange_id": exchange.id, "response": exchange.response}
        for name, exchange in zip(("first", "second"), sides, strict=True)
    }
    return {"comparison_id": found.id, "conversation_id": found.conversation_id, **told}


def _ended(ended: Comparison) -> dict[str, Any]:
    return {
        "comparison_id": ended.id,
        "conversation_id": ended.conversation_id,
        "choice": ended.choice,
        "stands": ended.stands,
        "first": {"exchange_id": ended.first, "version": ended.first_version},
        "second": {"exchange_id": ended.second, "version": ended.second_version},
    }
