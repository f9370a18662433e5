"""`/v1/reviews/agreement` and `/v1/reviews/golds`: how far reviewers can be relied on, for operators.

Trail: a client -> here -> feedback/agreement.py, feedback/golds.py
"""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback import agreement, golds
from feedback.assistants import Assistants
from feedback.records import Principal, Role
from feedback.store import Store
from serve.api.errors import Body
from serve.identity import Identity


class Gold(Body):
    """An item whose right verdict is known: what was asked, answered and said of it, and that verdict."""

    assistant: str
    instruction: str = Field(min_length=1)
    response: str = Field(min_length=1)
    expected: Literal["approve", "edit", "reject"]
    rating: Literal["up", "down"]
    reasons: tuple[str, ...] = ()
    comment: str = ""
    correction: str = ""
    note: str = ""


def routes(identity: Identity, store: Store, assistants: Assistants) -> APIRouter:
    """To be included before the routes that take an exchange's id at the same place."""
    router = APIRouter(prefix="/v1/reviews", tags=["reviews"])
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.get("/agreement")
    async def agreed(principal: operator, assistant: str | None = None) -> dict[str, Any]:
        """Krippendorff's alpha of blind opinions, each reviewer's share of agreement, and their accuracy."""
        told = await asyncio.to_thread(agreement.figures, store, assistant)
        return told | {"accuracy": await asyncio.to_thread(golds.accuracy, store)}

    @router.get("/golds")
    async def listed(principal: operator) -> dict[str, Any]:
        """The gold items with what each reviewer thought of them."""
        return {"data": await asyncio.to_thread(golds.listed, store)}

    @router.post("/golds", status_code=201)
    async def add(body: Gold, principal: operator) -> dict[str, Any]:
        """Put an item with a known verdict among the others; nothing is ever learnt from it."""
        await asyncio.to_thread(assistants.get, body.assistant)
        details = body.model_dump(exclude={"assistant", "instruction", "response", "expected"})
        identity = await asyncio.to_thread(
            golds.add,
            store,
            principal,
            body.assistant,
            body.instruction,
            body.response,
            expected=body.expected,
            **details,
        )
        return {"exchange_id": identity}

    @router.delete("/golds/{exchange_id}", status_code=204)
    async def retire(exchange_id: str, principal: operator) -> None:
        """Take a gold item out of the queue; what was thought of it still counts."""
        await asyncio.to_thread(golds.retire, store, principal, exchange_id)

    return router
