"""What an engine refuses, in the dialects of ours, vLLM, TGI and of what stands before them."""

import json

import httpx2
import pytest

from feedback.errors import (
    BadRequest,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    HoneError,
    PromptTooLong,
    UnknownVersion,
)
from serve.engines.refusals import translated


async def said(status: int, body: object = "", **headers: str) -> HoneError:
    text = body if isinstance(body, str) else json.dumps(body)
    return await translated(httpx2.Response(status, text=text, headers=headers))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("99999", 600.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0)],
)
async def test_a_full_engine_says_when_to_come_back_in_seconds_or_as_a_date(
    header: str, seconds: float
) -> None:
    busy = await said(429, "", **{"retry-after": header})
    assert isinstance(busy, EngineBusy)
    assert busy.retry_after == seconds


@pytest.mark.parametrize("status", [502, 504])
async def test_a_proxy_that_cannot_reach_the_engine_makes_it_unavailable(status: int) -> None:
    lost = await said(status, "<html><h1>Bad Gateway</h1></html>")
    assert isinstance(lost, EngineUnavailable)
    assert str(status) in lost.what


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, {"error": {"message": "no such", "code": "unknown_version"}}, UnknownVersion, "no such"),
        (404, {"error": {"message": "gone", "type": "NotFoundError"}}, UnknownVersion, "gone"),
        (400, {"error": {"message": "This model's maximum context length is 8"}}, PromptTooLong, "length"),
        (422, {"error": "bad", "error_type": "validation"}, BadRequest, "bad"),
        (401, {"error": "Unauthorized"}, EngineError, "Hone's key"),
        (503, {}, EngineUnavailable, "loading"),
        (500, "no json at all", EngineError, "status 500"),
        (500, [1, 2], EngineError, "status 500"),
        (404, {"detail": "Not Found"}, EngineError, "Not Found"),
    ],
)
async def test_each_dialect_becomes_one_of_hones_errors(
    status: int, body: object, kind: type[HoneError], words: str
) -> None:
    refused = await said(status, body)
    assert type(refused) is kind
    assert words in str(refused)
