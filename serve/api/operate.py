"""`/v1/runs`, `/v1/versions` and `/v1/assistants`: what operators start, watch, promote and roll back.

Trail: a client -> here -> serve/operations.py -> tuner/cycle.py, tuner/rollout.py
"""

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback.assistants import MAX_CHARACTERS, MAX_EXAMPLE, MAX_EXAMPLES, Assistants
from feedback.records import Assistant, Principal, Role, Run, Version
from serve.api.errors import Body
from serve.identity import Identity
from serve.operations import Operations


class RunRequest(Body):
    assistant: str = "general"


class Reason(Body):
    reason: str = Field("", max_length=2000)


class AssistantFields(Body):
    """What can be said of an assistant; what is left out stays as it is."""

    title: str | None = Field(None, max_length=MAX_CHARACTERS["title"])
    system_prompt: str | None = Field(None, max_length=MAX_CHARACTERS["system_prompt"])
    domain: str | None = Field(None, max_length=MAX_CHARACTERS["domain"])
    greeting: str | None = Field(None, max_length=MAX_CHARACTERS["greeting"])
    notice: str | None = Field(None, max_length=MAX_CHARACTERS["notice"])
    examples: list[Annotated[str, Field(max_length=MAX_EXAMPLE)]] | None = Field(
        None, max_length=MAX_EXAMPLES
    )


class NewAssistant(AssistantFields):
    name: str


def routes(identity: Identity, operations: Operations, assistants: Assistants) -> APIRouter:
    router = APIRouter(tags=["operate"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    async def known(name: str | None) -> None:
        if name is not None:
            await asyncio.to_thread(assistants.get, name)

    @router.post("/v1/runs", status_code=201)
    async def start_run(body: RunRequest, principal: operator) -> dict[str, Any]:
        """Tune an assistant now, whatever the schedule says."""
        await known(body.assistant)
        return run_record(await operations.start_run(body.assistant, principal))

    @router.get("/v1/runs")
    async def runs(principal: operator, assistant: str | None = None) -> dict[str, Any]:
        await known(assistant)
        return {"data": [run_record(run) for run in await operations.runs(assistant)]}

    @router.get("/v1/runs/{run_id}")
    async def run(run_id: str, principal: operator) -> dict[str, Any]:
        """One run: its state, its progress, and the gate's verdict with reasons."""
        return await operations.run(run_id)

    @router.get("/v1/versions")
    async def versions(principal: operator, assistant: str | None = None) -> dict[str, Any]:
        await known(assistant)
        return {"data": [version_record(v) for v in await operations.versions(assistant)]}

    @router.post("/v1/versions/{version}/promote")
    async def promote(version: str, body: Reason, principal: operator) -> dict[str, Any]:
        """Let a version take its assistant's traffic; the reason is kept for ever."""
        return version_record(await operations.promote(version, principal, body.reason))

    @router.get("/v1/assistants")
    async def list_assistants(principal: user) -> dict[str, Any]:
        found = await asyncio.to_thread(assistants.list)
        return {"data": [assistant_record(assistant) for assistant in found]}

    @router.post("/v1/assistants", status_code=201)
    async def add_assistant(body: NewAssistant, principal: operator) -> dict[str, Any]:
        wanted = replace(Assistant(body.name), **_fields(body))
        return assistant_record(await asyncio.to_thread(assistants.add, wanted, principal.name))

    @router.patch("/v1/assistants/{name}")
    async def edit_assistant(name: str, body: AssistantFields, principal: operator) -> dict[str, Any]:
        """Change some fields of an assistant; a new system prompt is an event of its own."""
        wanted = replace(await asyncio.to_thread(assistants.get, name), **_fields(body))
        return assistant_record(await asyncio.to_thread(assistants.edit, wanted, principal.name))

    @router.post("/v1/assistants/{name}/rollback")
    async def roll_back(name: str, body: Reason, principal: operator) -> dict[str, Any]:
        """End the canary; without one, give the assistant's traffic back to the version before."""
        await known(name)
        return version_record(await operations.roll_back(name, principal, body.reason))

    @router.get("/v1/assistants/{name}/decisions")
    async def decisions(name: str, principal: operator) -> dict[str, Any]:
        """Why the tuner did or didn't run, newest first."""
        await known(name)
        return {"data": list(await operations.decisions(name))}

    return router


def _fields(body: AssistantFields) -> dict[str, Any]:
    given = body.model_dump(exclude_none=True)
    return given | ({"examples": tuple(given["examples"])} if "examples" in given else {})


def run_record(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "assistant": run.assistant,
        "number": run.number,
        "state": run.state,
        "step": run.step,
        "version": run.version,
        "reason": run.reason,
        "started_at": run.started_at.isoformat(),
        "changed_at": run.changed_at.isoformat(),
        "principal": run.principal,
    }


def version_record(version: Version) -> dict[str, Any]:
    return {
        "version": version.version,
        "assistant": version.assistant,
        "number": version.number,
        "state": version.state,
        "created_at": version.created_at.isoformat(),
        "digest": version.digest,
        "run_id": version.run_id,
        "reason": version.reason,
        "changed_by": version.changed_by,
        "by_hand": version.by_hand,
    }


def assistant_record(assistant: Assistant) -> dict[str, Any]:
    return {
        "name": assistant.name,
        "title": assistant.title,
        "system_prompt": assistant.system_prompt,
        "domain": assistant.domain,
        "greeting": assistant.greeting,
        "notice": assistant.notice,
        "examples": list(assistant.examples),
    }
