"""Imports and exports, and what curation makes of the approved pairs.

Trail: a client -> here -> feedback/imports.py, feedback/exports.py, feedback/screen.py
"""

import asyncio
import tempfile
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from feedback import audit, exports, imports, rounds, snapshot
from feedback.assistants import Assistants
from feedback.records import Principal, Role
from feedback.screen import Policy, found_in
from feedback.store import Store
from serve.identity import Identity
from serve.operations import Operations


def routes(
    identity: Identity,
    store: Store,
    assistants: Assistants,
    operations: Operations,
    policy: Policy,
    *,
    salt: str,
) -> APIRouter:
    router = APIRouter(tags=["data"])
    reviewer = Annotated[Principal, Depends(identity.may(Role.REVIEWER))]
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.post("/v1/imports")
    async def take_in(
        request: Request,
        principal: operator,
        assistant: str,
        approve: bool = False,
        source: Annotated[str, Query(max_length=255)] = "import",
    ) -> dict[str, Any]:
        """Take in a file of any form (JSON lines, JSON, CSV, Parquet); bad rows are told and left out."""
        await asyncio.to_thread(assistants.get, assistant)
        with tempfile.TemporaryFile() as file:
            await _spool(request, file)
            rows = imports.read(file, name=source)
            options: dict[str, Any] = {"approve": approve, "source": source, "salt": salt}
            report = await asyncio.to_thread(imports.save, store, principal, assistant, rows, **options)
        told = report.as_dict()
        counts = {name: count for name, count in told.items() if isinstance(count, int)}
        await asyncio.to_thread(audit.record, store, principal.name, "data.imported", assistant, **counts)
        return {**told, "assistant": assistant}

    @router.get("/v1/exports")
    async def give_out(
        principal: operator, assistant: str, form: str = "messages", kind: str = "jsonl"
    ) -> StreamingResponse:
        """Approved pairs, comparisons or thumbs as a file, which an import takes back word for word."""
        await asyncio.to_thread(assistants.get, assistant)
        pieces = exports.export(store, assistant, form, kind)
        told = {"form": form, "as": kind}
        await asyncio.to_thread(audit.record, store, principal.name, "data.exported", assistant, **told)
        return StreamingResponse(pieces, media_type=exports.MEDIA[kind])

    @router.get("/v1/curation")
    async def curation(principal: operator, assistant: str) -> dict[str, Any]:
        """What a run would learn from now: counts by reason, flag and script, and each pair left out."""
        await asyncio.to_thread(assistants.get, assistant)
        return await operations.curation(assistant)

    @router.get("/v1/exchanges/{exchange_id}/finds")
    async def finds(exchange_id: str, principal: reviewer) -> dict[str, Any]:
        """What is private or suspicious in an exchange, by character, and why runs left it out."""
        stand = await asyncio.to_thread(rounds.standing, store, exchange_id, principal)
        found = await asyncio.to_thread(found_in, stand.exchange, policy)
        left_out = await asyncio.to_thread(snapshot.left_out, store, exchange_id)
        if not principal.role.covers(Role.OPERATOR):
            # The detail may name a contributor, who is a pseudonym to reviewers.
            left_out = [{**row, "detail": ""} for row in left_out]
        return {**found, "left_out": left_out}

    return router


async def _spool(request: Request, file: BinaryIO) -> None:
    """Put the body on the disk, where it may be as large as it is."""
    async for piece in request.stream():
        await asyncio.to_thread(file.write, piece)
    file.seek(0)
