"""`/v1/proposals`: operators have answers proposed, reviewers tick every one that is right.

Trail: a client -> here -> hone/proposing.py, feedback/proposals.py
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback import proposals, queue
from feedback.records import Principal, Role
from serve.api.errors import Body
from serve.api.reviews import item_record
from serve.parts import Parts


class Proposing(Protocol):
    """What gathers proposals."""

    async def propose(
        self, principal: Principal, assistant: str, *, limit: int, samples: int, ask_teacher: bool
    ) -> dict[str, Any]: ...


class ProposalRequest(Body):
    assistant: str = "general"
    limit: int = Field(10, ge=1, le=100, description="Questions to propose answers to")
    samples: int = Field(4, ge=1, le=8, description="Answers that the live version draws for each")
    teacher: bool = Field(False, description="Ask the teacher instead of the live version")


class Ticks(Body):
    """The proposals that are right, all of them; the others wait unless `reject_rest`."""

    right: list[str] = Field(max_length=100)
    reject_rest: bool = False
    reason: str = ""


def routes(parts: Parts, proposing: Proposing) -> APIRouter:
    router = APIRouter(tags=["proposals"])
    reviewer = Annotated[Principal, Depends(parts.identity.may(Role.REVIEWER))]
    operator = Annotated[Principal, Depends(parts.identity.may(Role.OPERATOR))]
    store = parts.store

    def _told(principal: Principal, ids: Sequence[str]) -> list[dict[str, Any]]:
        """As this reviewer sees them in the queue: an edit shows its words, people are pseudonyms."""
        return [item_record(item) for item in queue.found(store, principal, parts.policy, ids)]

    @router.post("/v1/proposals")
    async def propose(body: ProposalRequest, principal: operator) -> dict[str, Any]:
        """Gather proposed answers to disliked and rare questions; they wait for review."""
        await asyncio.to_thread(parts.assistants.get, body.assistant)
        return await proposing.propose(
            principal, body.assistant, limit=body.limit, samples=body.samples, ask_teacher=body.teacher
        )

    @router.get("/v1/proposals/{exchange_id}")
    async def proposed(exchange_id: str, principal: reviewer) -> dict[str, Any]:
        """An exchange with the answers proposed to it; `agree` is how many samples meant the same."""
        told = await asyncio.to_thread(proposals.of, store, exchange_id)
        agree = {one.id: agree for one, agree in told["proposals"]}
        found = await asyncio.to_thread(_told, principal, list(agree))
        origin = await asyncio.to_thread(queue.item, store, principal, parts.policy, told["origin"].id)
        return {
            "origin": item_record(origin),
            "data": [{**record, "agree": agree[record["id"]]} for record in found],
        }

    @router.post("/v1/proposals/{exchange_id}")
    async def tick(exchange_id: str, body: Ticks, principal: reviewer) -> dict[str, Any]:
        """Approve the proposals that are right as they were proposed; one that was edited since is a 409."""
        judged = await asyncio.to_thread(
            proposals.tick,
            *(store, principal, exchange_id, body.right),
            reject_rest=body.reject_rest,
            reason=body.reason,
            policy=parts.policy,
        )
        return {"data": await asyncio.to_thread(_told, principal, [one.id for one in judged])}

    return router
