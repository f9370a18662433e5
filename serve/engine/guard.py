"""Stands before every route: the per-start secret, and bodies no larger than a megabyte or slower than
half a minute.

Reads the whole body before anything parses it, so that a body without a declared length is bounded
too. Knows nothing of what the routes do.
"""

import asyncio
import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feedback.errors import HoneError, NotSignedIn
from serve.engine.faults import answer
from serve.engine.refusals import BodyTooLarge, BodyTooSlow

LONGEST_BODY = 1_000_000
"""Bytes; some four times the longest conversation that a 128k context holds in English."""

BODY_SECONDS = 30.0
"""How long a body may take to arrive."""

OPEN = "/health"


class Guard:
    """ASGI middleware that lets a request in, whole and authorised, or answers it itself."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == OPEN:
            await self._app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            self._require_secret(headers)
            body = await _in_time(headers, receive)
        except HoneError as error:
            await answer(scope["path"], error)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        await self._app(scope, _replay(body, receive), send)

    def _require_secret(self, headers: Mapping[str, str]) -> None:
        given = headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._expected):
            raise NotSignedIn("The engine's secret is missing or wrong.", "Only Hone itself may ask here.")


async def _in_time(headers: Mapping[str, str], receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _whole_body(headers, receive)
    except TimeoutError:
        raise BodyTooSlow(
            f"The request's body took longer than {BODY_SECONDS:.0f} seconds.", "Send it faster."
        ) from None


async def _whole_body(headers: Mapping[str, str], receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > LONGEST_BODY:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > LONGEST_BODY:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"A request may have {LONGEST_BODY:,} bytes at most.", "Shorten the conversation.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever the connection says next: that the client is gone."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
