"""The engine's app: the guard, the errors, the routes that every engine of this kind has.

Imports no model library, so that it listens seconds before there is a model to ask. The dialects'
routes are in `routes.py`; what the engine does is the engine's own.

Trail: serve/engines/ -> here -> serve/engine/routes.py
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from feedback.errors import HoneError
from serve.engine import faults, protocol, routes
from serve.engine.delivery import while_connected
from serve.engine.guard import Guard
from serve.engine.refusals import StillLoading
from serve.release import RELEASE

if TYPE_CHECKING:
    from serve.engine.engine import Engine


class Readiness:
    """Holds the engine once there is one."""

    def __init__(self) -> None:
        self.loaded: Engine | None = None

    @property
    def engine(self) -> "Engine":
        if self.loaded is None:
            raise StillLoading("The engine is still loading its model.", "Try again in a few seconds.")
        return self.loaded

    def count(self, error: HoneError) -> None:
        if self.loaded is not None:
            self.loaded.metrics.errors.labels(error.code).inc()


def create_app(readiness: Readiness, secret: str) -> FastAPI:
    """The app; every route but `/health` wants `Authorization: Bearer <secret>`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if readiness.loaded is not None:
            await asyncio.to_thread(readiness.loaded.close)

    app = FastAPI(title="Hone engine", lifespan=lifespan, openapi_url=None)
    app.add_middleware(Guard, secret=secret)
    faults.install(app, readiness.count)
    _add_health(app, readiness)
    routes.add_openai(app, readiness)
    routes.add_tgi(app, readiness)
    _add_measures(app, readiness)
    _add_versions(app, readiness)
    return app


def _add_health(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/health")
    async def health() -> JSONResponse:
        if readiness.loaded is None:
            loading = {"status": "loading", "error": "unhealthy", "error_type": "healthcheck"}
            return JSONResponse(loading, 503)
        model = readiness.engine.model
        return JSONResponse(
            {
                "status": "ok",
                "release": RELEASE,
                "base": model.name,
                "folder": str(model.folder),
                "dtype": model.dtype_name,
                "device": str(model.device),
                "max_context": model.longest,
            }
        )

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(readiness.engine.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_measures(app: FastAPI, readiness: Readiness) -> None:
    @app.post("/v1/embeddings")
    async def embeddings(asked: protocol.EmbeddingsRequest, request: Request) -> dict[str, Any]:
        vectors = await while_connected(request, readiness.engine.embed(asked.input))
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(vectors)]
        return {"object": "list", "model": "all-MiniLM-L6-v2", "data": data}

    @app.post("/v1/probe")
    async def probe(asked: protocol.ProbeRequest, request: Request) -> dict[str, Any]:
        rows = await while_connected(request, readiness.engine.probe(asked))
        return {"model": asked.model, "data": [{"logprobs": row, "tokens": len(row)} for row in rows]}

    @app.post("/v1/forget")
    async def forget(asked: protocol.ForgetRequest) -> dict[str, int]:
        return {"forgotten": await readiness.engine.forget(asked.cache_salt)}


def _add_versions(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        engine = readiness.engine
        return {
            "object": "list",
            "data": [
                {
                    "id": name,
                    "object": "model",
                    "created": 0,
                    "owned_by": "hone",
                    "root": folder,
                    "parent": None if name == protocol.BASE else protocol.BASE,
                    "max_model_len": engine.model.longest,
                }
                for name, folder in engine.versions().items()
            ],
        }

    @app.post("/v1/load_lora_adapter")
    async def load(asked: protocol.LoadRequest) -> dict[str, str]:
        await readiness.engine.load(asked.lora_name, Path(asked.lora_path))
        return {"status": "loaded", "id": asked.lora_name}

    @app.post("/v1/unload_lora_adapter")
    async def unload(asked: protocol.UnloadRequest) -> dict[str, str]:
        await readiness.engine.unload(asked.lora_name)
        return {"status": "unloaded", "id": asked.lora_name}
