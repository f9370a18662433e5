"""The single place where an error becomes an HTTP answer: what happened, and what to do next."""

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from feedback.errors import HoneError, NotFound, TryLater


class Body(BaseModel):
    """What a request may say; a field that Hone doesn't know is refused, since it is most often a slip."""

    model_config = ConfigDict(extra="forbid")


def error_body(error: HoneError) -> dict[str, Any]:
    """OpenAI's error shape, with the advice apart as `todo`."""
    # What was sent may be quoted, and half a surrogate pair cannot be sent back.
    message, todo = (text.encode("utf-8", "replace").decode() for text in (str(error), error.todo))
    return {"error": {"message": message, "type": error.code, "code": error.code, "todo": todo}}


def install(app: FastAPI) -> None:
    """Teach an application to answer with Hone's errors; anything else stays a 500 and is logged."""

    @app.exception_handler(HoneError)
    async def known(_: Request, error: HoneError) -> JSONResponse:
        headers = {}
        if isinstance(error, TryLater):
            headers["retry-after"] = f"{max(1, error.retry_after):.0f}"
        return JSONResponse(error_body(error), error.status, headers)

    @app.exception_handler(HTTPException)
    async def elsewhere(_: Request, error: HTTPException) -> JSONResponse:
        what = {404: "There is nothing at this address.", 405: "This address takes another method."}
        said = NotFound(what.get(error.status_code, str(error.detail)), "docs/api.md lists every route.")
        return JSONResponse(error_body(said), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [_in_words(fault) for fault in error.errors()[:20]]
        message = f"The request is not usable: {'; '.join(faults)}. Mend it and send it again."
        body = {"message": message, "type": "bad_request", "code": "bad_request", "todo": "Mend the request."}
        return JSONResponse({"error": body}, 400)


def _in_words(fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part != "body")
    if fault["type"] == "json_invalid":
        return f"the body is not valid JSON ({json.dumps(fault.get('ctx', {}).get('error', ''))})"
    return f"{place or 'body'}: {fault['msg'].lower()}"
