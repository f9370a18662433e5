"""Every error as an answer in the dialect of the route that was asked.

text-generation-inference's routes answer in its shape and with its statuses, all others in OpenAI's.
Knows nothing of what the routes do.

Trail: serve/engine/server.py -> here -> serve/engine/tgi.py
"""

from collections.abc import Callable
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from feedback.errors import BadRequest, HoneError, NotFound, TryLater
from serve.engine import openai_answers, tgi
from serve.engine.refusals import our_fault

TGI_ROUTES = frozenset(("/", "/generate", "/generate_stream", "/tokenize", "/chat_tokenize", "/info"))

LONGEST_MESSAGE = 2000
"""Characters; what was sent is named in a message, and may be long."""


class NoSuchRoute(NotFound):
    code = "no_such_route"


def answer(path: str, error: HoneError) -> JSONResponse:
    headers = {"Retry-After": str(ceil(error.retry_after))} if isinstance(error, TryLater) else None
    if path in TGI_ROUTES:
        status, body = tgi.error_answer(error)
        return JSONResponse(body, status, headers)
    return JSONResponse(openai_answers.error_body(error), error.status, headers)


def install(app: FastAPI, count: Callable[[HoneError], None]) -> None:
    """Teach an application to answer with our errors; `count` is told of each."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HoneError)
        count(error)
        return answer(request.url.path, error)

    async def malformed(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = "; ".join(_in_words(fault) for fault in error.errors()[:20])
        # Half a surrogate pair may be part of a name that was sent, and cannot be sent back.
        said = faults.encode("utf-8", "replace").decode()[:LONGEST_MESSAGE]
        return await refused(request, BadRequest(f"The request is not right: {said}."))

    async def elsewhere(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:
            return await refused(request, BadRequest("The body is not valid JSON.", "Mend it."))
        missing = NoSuchRoute(f"{error.detail}.", "docs/api.md lists the routes.")
        response = answer(request.url.path, missing)
        response.status_code = error.status_code
        return response

    async def failed(request: Request, error: Exception) -> JSONResponse:
        return await refused(request, our_fault())

    async def gone(_: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it; the number is for logs

    app.add_exception_handler(HoneError, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, elsewhere)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, failed)


def _in_words(fault: dict[str, Any]) -> str:
    place = ".".join(str(part)[:60] for part in fault["loc"][1:])
    return f"{place}: {fault['msg']}" if place else str(fault["msg"])
