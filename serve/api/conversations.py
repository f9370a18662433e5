"""`/v1/conversations`: one's own, listed, read, given another title, and taken along as a file.

Trail: a client -> here -> feedback/conversations.py, feedback/exchanges.py
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import Field

from feedback import choices, conversations
from feedback.conversations import MAX_TITLE
from feedback.exchanges import Exchanges
from feedback.records import Exchange, Principal, Role
from feedback.store import Store
from serve.api.errors import Body
from serve.api.feedback import own_record
from serve.identity import Identity


class Title(Body):
    title: str = Field(max_length=4 * MAX_TITLE)


def routes(identity: Identity, store: Store, exchanges: Exchanges) -> APIRouter:
    router = APIRouter(tags=["conversations"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]

    @router.get("/v1/conversations")
    async def listed(
        principal: user,
        called: Annotated[str, Query(max_length=MAX_TITLE)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> dict[str, Any]:
        """One's own, the last spoken in first; `called` is looked for in their titles."""
        found = await asyncio.to_thread(exchanges.conversations, principal.name, limit, called=called)
        return {"data": found}

    def read(conversation_id: str, principal: Principal) -> tuple[list[Exchange], set[str]]:
        line = exchanges.conversation(conversation_id, principal.name)
        return line, choices.undecided(store, principal.name)

    @router.get("/v1/conversations/{conversation_id}")
    async def one(conversation_id: str, principal: user) -> dict[str, Any]:
        """What is still in its line, oldest first."""
        line, blind = await asyncio.to_thread(read, conversation_id, principal)
        return {"id": conversation_id, "exchanges": [own_record(said, principal, blind) for said in line]}

    @router.patch("/v1/conversations/{conversation_id}")
    async def rename(conversation_id: str, body: Title, principal: user) -> dict[str, str]:
        title = await asyncio.to_thread(
            conversations.rename, store, conversation_id, principal.name, body.title
        )
        return {"id": conversation_id, "title": title}

    @router.get("/v1/conversations/{conversation_id}/file")
    async def file(conversation_id: str, principal: user) -> Response:
        """The conversation as people read it, in Markdown."""
        line, blind = await asyncio.to_thread(read, conversation_id, principal)
        name = f"hone-{line[0].at:%Y-%m-%d}-{line[0].conversation_id[-6:]}.md" if line else "hone-empty.md"
        kept = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(markdown(line, blind), media_type="text/markdown; charset=utf-8", headers=kept)

    return router


def markdown(line: Sequence[Exchange], blind: Collection[str] = ()) -> str:
    """Who said what, in order; of those that are `blind` the version is not told."""
    parts = []
    for exchange in line:
        version = exchange.assistant if exchange.id in blind else exchange.version
        parts += [f"## {exchange.principal}, {exchange.at:%Y-%m-%d %H:%M} UTC", exchange.instruction]
        parts += [f"## {version}", exchange.response or "(no answer)"]
        if exchange.correction:
            parts += [f"### better, says {exchange.principal}", exchange.correction]
    return "\n\n".join(parts) + "\n"
