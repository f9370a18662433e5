"""The single place where an error becomes an HTTP answer: what happened, and what to do next."""

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from feedback.errors import EngineBusy, HoneError


def error_body(error: HoneError) -> dict[str, Any]:
    """OpenAI's error shape, with the advice apart as `todo`."""
    return {"error": {"message": str(error), "type": error.code, "code": error.code, "todo": error.todo}}


def install(app: FastAPI) -> None:
    """Teach an application to answer with Hone's errors; anything else stays a 500 and is logged."""

    @app.exception_handler(HoneError)
    async def known(_: Request, error: HoneError) -> JSONResponse:
        headers = {"retry-after": f"{error.retry_after:.0f}"} if isinstance(error, EngineBusy) else None
        return JSONResponse(error_body(error), error.status, headers)

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
