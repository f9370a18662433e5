"""What every request passes before a route sees it: origin, forwarding, size, and the headers back.

Pure ASGI, so that streams flow through untouched. Refuses requests that a browser was tricked into
sending (cross-origin), forwarded headers from anyone but a configured proxy, oversized bodies, and
clicks from a page of another build (Gradio numbers its handlers by position: an old tab would press
the wrong button), and Host names that are not Hone's (DNS rebinding).
"""

import asyncio
import gzip
import json
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORWARDED = {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
_HOST = re.compile(r"(?:\[([0-9a-f:]+)\]|([^:\[\]\s]+))(?::\d{1,5})?")
BODY_SECONDS = 60.0
"""How long a sender may take over the next part of a body."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (
        # Gradio's templates and plots need unsafe-eval; images stay local so that a model's Markdown
        # cannot call out, and forms stay here so that it cannot phish.
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; base-uri 'self'",
    ),
)


class Doors:
    """Checks each request and refuses in one sentence."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Sequence[str],
        proxies: Sequence[str],
        build: str,
        proxy_headers: Sequence[str] = (),
        max_body: int = 2 * 2**20,
        max_upload: int = 4 * 2**30,
    ) -> None:
        """No `hosts` means any; `max_body` is in bytes, and imports alone may send `max_upload`.

        `proxy_headers` are those in which a proxy names who it let through.
        """
        self.app = app
        self._hosts = {host.lower() for host in hosts}
        self._proxies = set(proxies)
        self._naming = {name.lower().encode() for name in proxy_headers}
        self._build = build.encode()
        self._max_body = max_body
        self._max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal:
            return await _refuse(send, *refusal)
        return await self.app(scope, _bounded(receive, self._limit(scope)), _hardened(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        client = (scope.get("client") or ("", 0))[0]
        if self._hosts and _host_name(headers.get(b"host", b"")) not in self._hosts:
            return 400, (
                "Hone does not answer under this host name. "
                "Use the address it printed, or add the name to web.allowed_hosts."
            )
        if client not in self._proxies and (FORWARDED | self._naming) & headers.keys():
            return 400, (
                "Forwarded headers are believed from configured proxies only. "
                "Add the proxy's address to web.trusted_proxies."
            )
        if self._naming and len([name for name, _ in scope["headers"] if name in self._naming]) > len(
            self._naming & headers.keys()
        ):
            return 400, "The proxy named two people. Let it replace the header that a browser sent."
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            if _cross_origin(headers):
                return 403, "This request comes from another site. Open Hone's own page to do this."
            length = headers.get(b"content-length", b"0")
            if not length.isdigit():
                return 400, "The request's Content-Length is not a number. Send the request again."
            if int(length) > self._limit(scope):
                return 413, f"The request is larger than {self._limit(scope):,} bytes. Send less at once."
            path = scope["path"].rstrip("/")
            acts = path.endswith("/queue/join") or "/gradio_api/call/" in path
            if acts and headers.get(b"x-hone-build", b"") != self._build:
                return 409, "This page is from an older Hone. Reload it."
            if path.endswith(("/gradio_api/upload", "/component_server", "/process_recording")):
                return 404, "Hone takes no uploads here."
        return None

    def _limit(self, scope: Scope) -> int:
        return self._max_upload if scope["path"] == "/v1/imports" else self._max_body


def _host_name(header: bytes) -> str:
    """The name without its port; empty for what is none."""
    found = _HOST.fullmatch(header.decode("latin-1").lower())
    return (found[1] or found[2]) if found else ""


def _cross_origin(headers: dict[bytes, bytes]) -> bool:
    origin = headers.get(b"origin")
    if origin:
        return origin.partition(b"://")[2] != headers.get(b"host", b"")
    return headers.get(b"sec-fetch-site", b"same-origin") in (b"cross-site", b"same-site")


def _bounded(receive: Receive, limit: int) -> Receive:
    """Bodies too long or too slow are cut off, as if the sender had gone."""
    received = 0
    whole = False

    async def counted() -> Message:
        nonlocal received, whole
        try:
            # After the body, the next message is the sender's leaving, which may take as long as it likes.
            message = await asyncio.wait_for(receive(), None if whole else BODY_SECONDS)
        except TimeoutError:
            return {"type": "http.disconnect"}
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return {"type": "http.disconnect"} if received > limit else message

    return counted


def _hardened(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            extra = [pair for pair in SECURITY_HEADERS if pair[0] not in present]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return with_headers


async def _refuse(send: Send, status: int, sentence: str) -> None:
    _, _, todo = sentence.partition(". ")
    body = json.dumps({"error": {"message": sentence, "type": "refused", "code": "refused", "todo": todo}})
    headers = [(b"content-type", b"application/json"), *SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


class EarlyHead:
    """Puts a snippet right after `<head>` of HTML pages: Gradio's own `head=` runs too late for it."""

    def __init__(self, app: ASGIApp, snippet: str) -> None:
        self.app = app
        self._snippet = snippet.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or b"text/html" not in headers.get(b"accept", b""):
            return await self.app(scope, receive, send)
        # A compressed page could not be read here, so it is compressed afterwards: Gradio's is 140 kB long.
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        zips = b"gzip" in headers.get(b"accept-encoding", b"")
        await self.app({**scope, "headers": plain}, receive, _Inserting(send, self._snippet, zips=zips))


class _Inserting:
    """A `send` that holds back an HTML page until it is whole, puts the snippet in, and zips it if asked."""

    def __init__(self, send: Send, snippet: bytes, *, zips: bool) -> None:
        self._send = send
        self._zips = zips
        self._snippet = snippet
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if dict(message["headers"]).get(b"content-type", b"").startswith(b"text/html"):
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = self._body.replace(b"<head>", b"<head>" + self._snippet, 1)
            kept = [(n, v) for n, v in self._start["headers"] if n != b"content-length"]
            if self._zips:
                body = gzip.compress(body, 1)
                kept += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
            length = (b"content-length", str(len(body)).encode())
            await self._send({**self._start, "headers": [*kept, length]})
            message = {"type": "http.response.body", "body": body}
        await self._send(message)
