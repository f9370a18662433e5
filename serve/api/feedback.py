"""`/v1/feedback`, what a person allows and signals, and operators' imports and exports.

Trail: a client -> here -> feedback/ratings.py, feedback/consent.py, feedback/imports.py
"""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from feedback import consent, imports, ratings, signals
from feedback.assistants import Assistants
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


def routes(identity: Identity, store: Store, assistants: Assistants) -> APIRouter:
    router = APIRouter(tags=["feedback"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.post("/v1/feedback")
    async def rate(body: Feedback, principal: user) -> dict[str, Any]:
        """Say what was good or bad about an exchange of one's own, and what it should have been."""
        details = body.model_dump(exclude={"exchange_id"})
        rated = await asyncio.to_thread(ratings.rate, store, principal, body.exchange_id, **details)
        return exchange_record(rated)

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

    @router.post("/v1/imports")
    async def take_in(
        request: Request, principal: operator, assistant: str, approve: bool = False, source: str = "import"
    ) -> dict[str, Any]:
        """Take in JSON lines (Alpaca, chat messages, prompt/completion): all of them or none."""
        await asyncio.to_thread(assistants.get, assistant)
        text = (await request.body()).decode("utf-8", errors="surrogateescape")
        rows = await asyncio.to_thread(imports.read, text)
        kept = await asyncio.to_thread(
            imports.save, store, principal, assistant, rows, approve=approve, source=source
        )
        return {"imported": kept, "approved": kept if approve else 0, "assistant": assistant}

    @router.get("/v1/exports")
    async def give_out(principal: operator, assistant: str) -> StreamingResponse:
        """An assistant's approved pairs as chat-message JSON lines, which an import takes back."""
        await asyncio.to_thread(assistants.get, assistant)
        lines: Iterator[str] = imports.export(store, assistant)
        return StreamingResponse((f"{line}\n" for line in lines), media_type="application/x-ndjson")

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
