"""The engine's HTTP surface: OpenAI's and vLLM's routes, their errors, and the guard before them.

Imports no model library, so that it listens seconds before there is a model to ask. Knows how
requests and answers look on the wire, and leaves the rest to the engine.

Trail: serve/engines/ -> here -> serve/engine/engine.py
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from uuid6 import uuid7

from feedback.errors import BadRequest, EngineBusy, HoneError
from serve.engine import protocol
from serve.engine.guard import Guard
from serve.engine.protocol import DONE, Ended, chunk, completion, event
from serve.engine.refusals import GenerationFailed, StillLoading

if TYPE_CHECKING:
    from serve.engine.engine import Engine, Stream

T = TypeVar("T")


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
    app.state.readiness = readiness
    app.add_middleware(Guard, secret=secret)
    app.add_exception_handler(HoneError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)
    _add_health(app, readiness)
    _add_answers(app, readiness)
    _add_versions(app, readiness)
    return app


def _add_health(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/health")
    async def health() -> JSONResponse:
        if readiness.loaded is None:
            return JSONResponse({"status": "loading"}, 503)
        model = readiness.engine.model
        return JSONResponse(
            {
                "status": "ok",
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


def _add_answers(app: FastAPI, readiness: Readiness) -> None:
    @app.post("/v1/chat/completions")
    async def chat(asked: protocol.ChatRequest, request: Request) -> Response:
        stream = await readiness.engine.chat(asked)
        answer_id = f"chatcmpl-{uuid7()}"
        if asked.stream:
            return Streaming(stream, _events(readiness, stream, answer_id, asked.model))
        text, ended = await _while_connected(request, _whole(stream))
        return JSONResponse(completion(answer_id, asked.model, text, ended.reason, ended.usage))

    @app.post("/v1/embeddings")
    async def embeddings(asked: protocol.EmbeddingsRequest, request: Request) -> dict[str, Any]:
        vectors = await _while_connected(request, readiness.engine.embed(asked.input))
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(vectors)]
        return {"object": "list", "model": "all-MiniLM-L6-v2", "data": data}

    @app.post("/v1/probe")
    async def probe(asked: protocol.ProbeRequest, request: Request) -> dict[str, Any]:
        rows = await _while_connected(request, readiness.engine.probe(asked))
        return {"model": asked.model, "data": [{"logprobs": row, "tokens": len(row)} for row in rows]}


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


class Streaming(StreamingResponse):
    """An event stream that cancels its answer however the response ends, even before it began."""

    def __init__(self, stream: "Stream", events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.cancel()


async def _events(
    readiness: Readiness, stream: "Stream", answer_id: str, version: str
) -> AsyncIterator[bytes]:
    """The answer as server-sent events; a failure in the middle is an event too."""
    yield event(chunk(answer_id, version, {"role": "assistant", "content": ""}))
    try:
        async for part in stream:
            if isinstance(part, str):
                yield event(chunk(answer_id, version, {"content": part}))
            else:
                yield event(chunk(answer_id, version, {}, part.reason, part.usage))
    except HoneError as error:
        readiness.count(error)
        yield event(protocol.error_body(error))
    yield DONE


async def _whole(stream: "Stream") -> tuple[str, Ended]:
    pieces: list[str] = []
    try:
        async for part in stream:
            if not isinstance(part, str):
                return "".join(pieces), part
            pieces.append(part)
    finally:
        stream.cancel()
    raise AssertionError("an answer ends with its end")


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; the work is cancelled when the client goes away first."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HoneError)
    request.app.state.readiness.count(error)
    headers = {"Retry-After": str(ceil(error.retry_after))} if isinstance(error, EngineBusy) else None
    return JSONResponse(protocol.error_body(error), error.status, headers)


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in error.errors()
    ]
    return await _refused(request, BadRequest(f"The request is not right: {'; '.join(faults)}."))


async def _no_route(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = {"message": str(error.detail), "type": "invalid_request_error", "code": "no_such_route"}
    return JSONResponse({"error": kind}, error.status_code)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return await _refused(
        request, GenerationFailed("The engine failed on this request.", "Its log says why.")
    )


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; the number is for logs
