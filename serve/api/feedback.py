"""`/v1/feedback` and `/v1/reviews`: what people say of answers, and reviewers' verdicts.

Trail: a client -> here -> feedback/ratings.py, feedback/review.py
"""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from feedback import ratings, review
from feedback.records import Exchange, Principal, Role
from feedback.store import Store
from serve.api.errors import Body
from serve.identity import Identity


class Feedback(Body):
    """A rating; a field that is left out keeps its value while the thumb stays the same."""

    exchange_id: str
    rating: Literal["up", "down"] | None
    reasons: list[str] | None = Field(None, max_length=20)
    comment: str | None = None
    correction: str | None = None
    id: str | None = Field(None, description="UUIDv7 of this write; sent again, it is the same write")


class Verdict(Body):
    """A review; `approve` takes the exchange's `proposed` answer, `edit` the `response` given here."""

    exchange_id: str
    verdict: Literal["approve", "edit", "reject"]
    response: str | None = None
    reason: str = ""
    id: str | None = None


def routes(identity: Identity, store: Store) -> APIRouter:
    router = APIRouter(tags=["feedback"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]
    reviewer = Annotated[Principal, Depends(identity.may(Role.REVIEWER))]

    @router.post("/v1/feedback")
    async def rate(body: Feedback, principal: user) -> dict[str, Any]:
        """Say what was good or bad about an exchange of one's own, and what it should have been."""
        details = body.model_dump(exclude={"exchange_id"})
        rated = await asyncio.to_thread(ratings.rate, store, principal, body.exchange_id, **details)
        return exchange_record(rated)

    @router.get("/v1/reviews")
    async def queue(
        principal: reviewer,
        state: Literal["pending", "approved", "rejected"] = "pending",
        assistant: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Exchanges in a state, most valuable first; `counts` has the number in each state."""
        found = await asyncio.to_thread(
            review.pending, store, state=state, assistant=assistant, limit=limit, offset=offset
        )
        counts = await asyncio.to_thread(review.counts, store, assistant)
        return {"data": [exchange_record(exchange) for exchange in found], "counts": counts}

    @router.post("/v1/reviews")
    async def judge(body: Verdict, principal: reviewer) -> dict[str, Any]:
        """Approve an answer as a pair, approve an edit of it, or reject it."""
        details = body.model_dump(exclude={"exchange_id", "verdict"})
        judged = await asyncio.to_thread(
            review.review, store, principal, body.exchange_id, body.verdict, **details
        )
        return exchange_record(judged)

    return router


def exchange_record(exchange: Exchange) -> dict[str, Any]:
    """An exchange as programs see it."""
    return {
        "id": exchange.id,
        "created_at": exchange.at.isoformat(),
        "assistant": exchange.assistant,
        "version": exchange.version,
        "conversation_id": exchange.conversation_id,
        "principal": exchange.principal,
        "messages": [message.as_dict() for message in exchange.messages],
        "response": exchange.response,
        "finish_reason": exchange.finish_reason,
        "rating": exchange.rating,
        "reasons": list(exchange.reasons),
        "comment": exchange.comment,
        "correction": exchange.correction,
        "proposed": exchange.proposed,
        "state": exchange.state,
        "verdict": exchange.verdict,
        "approved_response": exchange.approved_response,
        "reviewed_by": exchange.reviewed_by,
        "source": exchange.source,
    }
