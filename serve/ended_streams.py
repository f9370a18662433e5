"""Ends a stream whose opener may not hear it any more: suspended, signed out, or with a key that was revoked.

A request is checked when it comes, but an answer goes on for minutes and a page's own stream for days. So
who opened it is asked anew while it speaks, every few seconds; one that is silent tells nothing.

Trail: serve/web.py -> here -> serve/identity.py
"""

import asyncio
import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feedback.errors import HoneError
from serve.identity import Identity

SECONDS = 2.0
"""How long somebody may still hear what was begun before."""


class EndedStreams:
    """Stands before routes and pages alike."""

    def __init__(self, app: ASGIApp, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._identity = identity
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._identity.login_needed:
            return await self.app(scope, receive, send)
        asked: float | None = None
        ended = False

        async def watched(message: Message) -> None:
            nonlocal asked, ended
            if message["type"] == "http.response.start" and _is_stream(message):
                asked = self._clock()
            elif asked is not None and (ended or self._clock() - asked >= SECONDS):
                asked = self._clock()
                if ended or not await self._may_hear(Request(scope)):
                    ended = True
                    raise OSError("The stream is nobody's any more.")  # as a server says that nobody listens
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except (OSError, ClientDisconnect):
            if not ended:
                raise
        if ended:
            await send({"type": "http.response.body", "body": b""})

    async def _may_hear(self, request: Request) -> bool:
        if self._identity.sure(request):  # type: ignore[arg-type]
            return True
        return await asyncio.to_thread(self._looked_up, request)

    def _looked_up(self, request: Request) -> bool:
        try:
            return self._identity.principal(request) is not None  # type: ignore[arg-type]
        except HoneError:
            return False


def _is_stream(message: Message) -> bool:
    return dict(message["headers"]).get(b"content-type", b"").startswith(b"text/event-stream")
