"""`/v1/reviews`: the queue, verdicts one by one and in bulk, claims, drafts, disputes, reopening.

A contributor is a pseudonym here, and nobody learns what others thought before their own opinion counts.

Trail: a client -> here -> feedback/queue.py, feedback/review.py, feedback/disputes.py
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from feedback import claims, disputes, drafts, queue, review
from feedback.claims import Claim
from feedback.errors import HoneError
from feedback.policy import Policy
from feedback.queue import Item
from feedback.records import Principal, Role
from feedback.store import Store
from serve.api.errors import Body, error_body
from serve.api.feedback import exchange_record
from serve.identity import Identity

QueueName = Literal["pending", "waiting", "skipped", "disputed", "approved", "rejected"]


class Verdict(Body):
    """`approve` takes the exchange's `proposed` answer, `edit` the `response` given here."""

    exchange_id: str
    verdict: Literal["approve", "edit", "reject", "skip"]
    response: str | None = Field(None, description="With approve: the words that were shown")
    reason: str = ""
    id: str | None = Field(None, description="UUIDv7 of this write; sent again, it is the same write")
    claim: str | None = Field(None, description="The claim it was judged under; refused when it has ended")


class Bulk(Body):
    """Many verdicts, each of which stands or falls alone."""

    verdicts: list[Verdict] = Field(min_length=1, max_length=100)


class Adjudication(Body):
    """The end of a dispute: `response` is the text to approve, one of those on the table."""

    verdict: Literal["approve", "reject"]
    reason: str
    response: str | None = None
    id: str | None = None
    claim: str | None = None


class Wanted(Body):
    """Which exchange to claim; without one, the most valuable that nobody holds."""

    exchange_id: str | None = None
    assistant: str | None = None


class Why(Body):
    reason: str


class Draft(Body):
    response: str


def routes(identity: Identity, store: Store, policy: Policy) -> APIRouter:
    router = APIRouter(prefix="/v1/reviews", tags=["reviews"])
    reviewer = Annotated[Principal, Depends(identity.may(Role.REVIEWER))]

    async def shown(principal: Principal, exchange_id: str) -> dict[str, Any]:
        return item_record(await asyncio.to_thread(queue.item, store, principal, policy, exchange_id))

    @router.get("")
    async def waiting(
        principal: reviewer,
        state: QueueName = "pending",
        assistant: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Exchanges in a state, as this reviewer sees it, most valuable first; `counts` has all states."""
        chosen: dict[str, Any] = {"state": state, "assistant": assistant, "limit": limit, "offset": offset}
        found = await asyncio.to_thread(queue.items, store, principal, policy, **chosen)
        counts = await asyncio.to_thread(queue.counts, store, assistant, principal.name)
        return {"data": [item_record(item) for item in found], "counts": counts}

    @router.post("")
    async def judge(body: Verdict, principal: reviewer) -> dict[str, Any]:
        """Approve an answer as a pair, approve an edit of it, reject it, or leave it to others."""
        await asyncio.to_thread(_judge, store, principal, policy, body)
        return await shown(principal, body.exchange_id)

    @router.post("/bulk")
    async def judge_many(body: Bulk, principal: reviewer) -> dict[str, Any]:
        """Each verdict by itself, in their order: `{exchange_id, ok, state}` or `{..., error}`."""

        def results() -> list[dict[str, Any]]:
            return [_attempt(store, principal, policy, verdict) for verdict in body.verdicts]

        return {"data": await asyncio.to_thread(results)}

    @router.post("/claims")
    async def claim(body: Wanted, principal: reviewer) -> dict[str, Any]:
        """Claim an exchange for some minutes, so that nobody judges it meanwhile."""
        take: Callable[..., Claim] = claims.take if body.exchange_id else queue.claim_next
        given = (body.exchange_id, policy) if body.exchange_id else (policy, body.assistant)
        held = await asyncio.to_thread(take, store, principal, *given)
        return claim_record(held) | {"exchange": await shown(principal, held.exchange_id)}

    @router.post("/claims/{claim_id}/beat")
    async def beat(claim_id: str, principal: reviewer) -> dict[str, Any]:
        """Say that the claimed exchange is still open in front of somebody."""
        return claim_record(await asyncio.to_thread(claims.beat, store, principal, claim_id, policy))

    @router.delete("/claims/{claim_id}", status_code=204)
    async def release(claim_id: str, principal: reviewer) -> None:
        """Give a claim up; operators may end anybody's."""
        await asyncio.to_thread(claims.release, store, principal, claim_id)

    @router.get("/{exchange_id}")
    async def one(exchange_id: str, principal: reviewer) -> dict[str, Any]:
        """One exchange with one's own draft."""
        draft = await asyncio.to_thread(drafts.read, store, principal, exchange_id)
        return await shown(principal, exchange_id) | {"draft": draft}

    @router.put("/{exchange_id}/draft", status_code=204)
    async def keep(exchange_id: str, body: Draft, principal: reviewer) -> None:
        """Keep one's unfinished edit; an empty one forgets it."""
        await asyncio.to_thread(drafts.save, store, principal, exchange_id, body.response)

    @router.post("/{exchange_id}/reopen")
    async def reopen(exchange_id: str, body: Why, principal: reviewer) -> dict[str, Any]:
        """Send a judged exchange back to the queue, with the reason for whoever judges it next."""
        await asyncio.to_thread(disputes.reopen, store, principal, exchange_id, body.reason)
        return await shown(principal, exchange_id)

    @router.post("/{exchange_id}/adjudicate")
    async def adjudicate(exchange_id: str, body: Adjudication, principal: reviewer) -> dict[str, Any]:
        """Settle what reviewers disagree on, as somebody who had no part in it."""
        details = body.model_dump()
        await asyncio.to_thread(disputes.adjudicate, store, principal, exchange_id, **details)
        return await shown(principal, exchange_id)

    return router


def item_record(item: Item) -> dict[str, Any]:
    """An exchange as a reviewer sees it."""
    return exchange_record(item.exchange) | {
        "proposed": item.proposed,
        "edited": item.edited,
        "flags": list(item.flags),
        "reopened": item.reopened,
        "opinions": [
            {
                "by": opinion.principal,
                "verdict": opinion.verdict,
                "response": opinion.response,
                "reason": opinion.reason,
            }
            for opinion in item.opinions
        ],
        "claim": claim_record(item.claim) if item.claim else None,
        "held_until": item.held.until.isoformat() if item.held else None,
    }


def claim_record(held: Claim) -> dict[str, Any]:
    return {"id": held.id, "exchange_id": held.exchange_id, "until": held.until.isoformat()}


def _judge(store: Store, principal: Principal, policy: Policy, body: Verdict) -> str:
    details = body.model_dump(exclude={"exchange_id", "verdict"})
    return review.review(store, principal, body.exchange_id, body.verdict, policy=policy, **details).state


def _attempt(store: Store, principal: Principal, policy: Policy, body: Verdict) -> dict[str, Any]:
    try:
        state = _judge(store, principal, policy, body)
    except HoneError as refused:
        return {"exchange_id": body.exchange_id, "ok": False, **error_body(refused)}
    return {"exchange_id": body.exchange_id, "ok": True, "state": state}
