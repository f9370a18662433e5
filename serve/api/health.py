"""Whether Hone lives, whether it can answer, who you are, and its metrics."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from feedback import review
from feedback.errors import EngineError
from feedback.records import Principal, Role
from serve import gauges
from serve.parts import Parts


def routes(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["health"])
    user = Annotated[Principal, Depends(parts.identity.may(Role.USER))]
    operator = Annotated[Principal, Depends(parts.identity.may(Role.OPERATOR))]
    store, supervisor = parts.store, parts.supervisor

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        """200 while the web process lives."""
        return {"status": "ok"}

    @router.get("/readyz", response_model=None)
    async def ready() -> Response:
        """200 once the engine answers, 503 until then; `hone status` says why."""
        body = {"status": supervisor.state}
        return JSONResponse(body, 200 if supervisor.state == "ready" else 503)

    @router.get("/metrics")
    async def metrics(principal: operator) -> PlainTextResponse:
        """What docs/metrics.md lists, in Prometheus' form, and the engine's own."""
        read = await asyncio.to_thread(gauges.text, parts, gauges.facts(parts))
        try:
            engine = await parts.router.engine.metrics()
        except EngineError:
            engine = ""
        said = parts.metrics.text() + read + engine
        return PlainTextResponse(said, media_type=CONTENT_TYPE_LATEST)

    @router.get("/v1/models")
    async def models(principal: user) -> dict[str, Any]:
        """What can be named as `model`: every assistant, and for operators the loaded versions."""
        known = await asyncio.to_thread(parts.assistants.list)
        found = [{"id": assistant.name, "object": "model", "owned_by": "hone"} for assistant in known]
        if principal.role.covers(Role.OPERATOR):
            loaded = parts.router.status()["loaded"]
            found += [{"id": version, "object": "model", "owned_by": "hone"} for version in loaded]
        return {"object": "list", "data": found}

    @router.get("/v1/me")
    async def me(principal: user) -> dict[str, str]:
        return {"name": principal.name, "role": principal.role}

    @router.post("/v1/rebuild")
    async def rebuild(principal: operator) -> dict[str, bool]:
        """Make the projections anew from the events, and compare."""
        await asyncio.to_thread(store.rebuild)
        return {"equal": await asyncio.to_thread(store.check)}

    @router.get("/v1/status")
    async def status(principal: operator) -> dict[str, Any]:
        """The engine, the routes and the queue at a glance."""
        return {
            "engine": {
                "state": supervisor.state,
                "pid": supervisor.pid,
                "restarts": supervisor.restarts,
                "trouble": supervisor.trouble,
                **supervisor.facts,
            },
            "router": parts.router.status(),
            "notices": parts.notices.told() if parts.notices else {"places": [], "dropped": 0},
            "exchanges": await asyncio.to_thread(review.counts, store),
        }

    return router
