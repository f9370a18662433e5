"""Binds the pages' streams to whoever opened them, and closes what Gradio offers and no page uses.

Gradio lets each browser choose the name of its session and hands that session's events to whoever names
it. Here the name that Gradio sees is made from the browser's and what the browser signs in with, so that
naming somebody else's leads to an empty session of one's own. Keeps nothing, so a restart changes nothing.
"""

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.identity import COOKIE

# A line's end too: routes are matched as if it were not there.
_PAGE = re.compile(r"/(?:chat|review|operate)(/.*)", re.DOTALL)
_API = "/gradio_api"
_QUERY = f"{_API}/queue/data"
_BODIES = frozenset({f"{_API}/queue/join", f"{_API}/cancel", f"{_API}/reset"})
_OPEN = frozenset({"", "/config", "/theme.css", "/favicon.ico", "/manifest.json"}) | {
    f"{_API}/{name}" for name in ("startup-events", "theme.css", "app_id")
}
_FOLDERS = ("/static/", "/assets/")


class OwnStreams:
    """Stands before the pages; everything else passes untouched."""

    def __init__(self, app: ASGIApp, proxy_header: str = "") -> None:
        """`proxy_header` is the one in which a proxy names people, if it does."""
        self.app = app
        self._naming = proxy_header.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PAGE.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            return await self.app(scope, receive, send)
        part = found[1].rstrip("/")
        owner = self._owner(scope)
        if part == _QUERY:
            scope = {**scope, "query_string": _bound_query(scope["query_string"], owner)}
        elif part in _BODIES:
            receive = await _bound_body(receive, owner)
        elif part not in _OPEN and not part.startswith(_FOLDERS):
            return await _closed(send)
        await self.app(scope, receive, send)

    def _owner(self, scope: Scope) -> bytes:
        """What this browser, or program, signs in with."""
        headers = dict(scope["headers"])
        if self._naming and self._naming in headers:
            return b"named " + headers[self._naming]
        if b"authorization" in headers:
            return b"token " + headers[b"authorization"]
        cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        return b"session " + cookies.get(COOKIE, "").encode("latin-1", "replace")


def _bound(name: str, owner: bytes) -> str:
    return hashlib.sha256(owner + b"\0" + name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _bound_query(query: bytes, owner: bytes) -> bytes:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode(
        [(key, _bound(value, owner) if key == "session_hash" else value) for key, value in pairs]
    ).encode()


async def _bound_body(receive: Receive, owner: bytes) -> Receive:
    """The body with its session's name replaced; what is no JSON goes on as it is, to be refused there."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":  # the sender has gone
            return _one(message, receive)
        body += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        told: Any = json.loads(body)
        if isinstance(told, dict) and isinstance(told.get("session_hash"), str):
            body = json.dumps(told | {"session_hash": _bound(told["session_hash"], owner)}).encode()
    except (ValueError, RecursionError):
        pass
    return _one({"type": "http.request", "body": body}, receive)


def _one(message: Message, then: Receive) -> Receive:
    """The message, and then what comes."""
    waiting = [message]

    async def receive() -> Message:
        return waiting.pop() if waiting else await then()

    return receive


async def _closed(send: Send) -> None:
    text = {"message": "No page of Hone uses this.", "type": "not_found", "code": "not_found", "todo": ""}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": text}).encode()})
