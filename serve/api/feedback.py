"""`/v1/feedback`: what people say of answers, and what a person allows and signals.

Trail: a client -> here -> feedback/ratings.py, feedback/consent.py, feedback/signals.py
"""

import asyncio
from collections.abc import Collection
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback import consent, ratings, signals
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


class Consent(Body):
    """What the owner of a conversation allows; a field that is left out stays as it is."""

    conversation_id: str
    training: bool | None = Field(None, description="Whether the tuner may learn from it")
    review: bool | None = Field(None, description="Whether reviewers may read what is unrated in it")


class Signal(Body):
    """Something done to an answer of one's own that is no rating."""

    exchange_id: str
    kind: Literal["retry", "stop", "copy", "edit"]


def routes(identity: Identity, store: Store) -> APIRouter:
    router = APIRouter(tags=["feedback"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]

    @router.post("/v1/feedback")
    async def rate(body: Feedback, principal: user) -> dict[str, Any]:
        """Say what was good or bad about an exchange of one's own, and what it should have been."""
        details = body.model_dump(exclude={"exchange_id"})
        rated = await asyncio.to_thread(ratings.rate, store, principal, body.exchange_id, **details)
        return own_record(rated, principal)

    @router.put("/v1/feedback/consent")
    async def allow(body: Consent, principal: user) -> dict[str, Any]:
        """Say what may be done with a conversation of one's own, backwards too; tells how it stands."""
        details = body.model_dump(exclude={"conversation_id"})
        stands = await asyncio.to_thread(consent.allow, store, principal, body.conversation_id, **details)
        return {"conversation_id": body.conversation_id, **stands}

    @router.post("/v1/feedback/signals", status_code=204)
    async def signal(body: Signal, principal: user) -> None:
        """Note a weak sign, which is never learnt from."""
        await asyncio.to_thread(signals.record, store, principal, body.exchange_id, body.kind)

    return router


def own_record(exchange: Exchange, principal: Principal, blind: Collection[str] = ()) -> dict[str, Any]:
    """An exchange as its author sees it: who judged it is for operators to know.

    Of those that are `blind` the version is told once they were chosen between.
    """
    told = exchange_record(exchange) | ({"version": None} if exchange.id in blind else {})
    return told if principal.role.covers(Role.OPERATOR) else told | {"reviewed_by": None}


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
