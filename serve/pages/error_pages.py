"""What a person sees where a page cannot be had: what happened and what to do, in their language.

Stands before everything else, since refusals come from many places: the doors, a route, Gradio's own. What
programs ask for is left as it is. Decides nothing.

Trail: serve/web.py -> here
"""

import json
import logging
from html import escape

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.doors import SECURITY_HEADERS
from serve.pages.words import Language, language_of, say

log = logging.getLogger(__name__)
KNOWN = {
    **{400: "bad", 401: "signed_out", 403: "closed", 404: "missing", 405: "missing", 409: "stale"},
    **{413: "long", 429: "busy", 502: "away", 503: "away", 504: "away"},
}
"""Status -> the error's name among the texts; any other is Hone's own fault."""
LIMIT = 64 * 2**10
"""Bytes of a refusal that are read for its sentence."""
STYLE = """:root { color-scheme: light dark; font: 16px/1.6 system-ui, "Noto Sans KR", sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; color: #1e293b; background: #fff }
main { width: min(30rem, 88vw); padding: 2rem 0 }
h1 { font-size: 1.35rem; margin: 0 0 .5rem } p { margin: 0 0 1rem } small { color: #475569 }
b { color: #4f46e5; letter-spacing: .01em }
a { display: inline-block; margin: .25rem .75rem 1rem 0; padding: .45rem 1rem; border-radius: .5rem;
  text-decoration: none; color: #fff; background: #4f46e5 }
a + a { color: inherit; background: none; outline: 1px solid #94a3b8 }
a:focus-visible { outline: 2px solid #4f46e5; outline-offset: 2px }
@media (prefers-color-scheme: dark) { body { color: #e2e8f0; background: #0f172a }
  small { color: #cbd5e1 } b { color: #a5b4fc } }"""


class ErrorPages:
    """Puts a page in the place of a refusal that a browser would show as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _opened_by_a_person(scope):
            return await self.app(scope, receive, send)
        language = language_of(Request(scope))
        page = _Replacing(send, language)
        try:
            await self.app(scope, receive, page)
        except Exception:
            if page.begun:
                raise
            log.exception("A page could not be made")
            await page.fail()


class _Replacing:
    """A `send` that holds back a refusal until it is whole, and sends a page instead."""

    def __init__(self, send: Send, language: Language) -> None:
        self._send, self._language = send, language
        self._refusal: Message | None = None
        self._said = b""
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = dict(message["headers"]).get(b"content-type", b"")
            if message["status"] >= 400 and not kind.startswith(b"text/html"):
                self._refusal = message
                return
        elif self._refusal is not None:
            self._said += message.get("body", b"")[: LIMIT - len(self._said)]
            if not message.get("more_body"):
                await self._page(self._refusal, _sentence(self._said))
            return
        self.begun = True
        await self._send(message)

    async def fail(self) -> None:
        await self._page({"status": 500, "headers": list(SECURITY_HEADERS)}, "")

    async def _page(self, refusal: Message, said: str) -> None:
        self.begun = True
        body = page(refusal["status"], self._language, said).encode()
        dropped = (b"content-type", b"content-length", b"content-encoding")
        headers = [(name, value) for name, value in refusal["headers"] if name.lower() not in dropped]
        headers += [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": refusal["status"], "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def page(status: int, language: Language, said: str = "") -> str:
    """The page for a status; `said` is the refusal's own sentence."""
    name = KNOWN.get(status, "broken")
    title, told = say(language, f"error_{name}"), say(language, f"error_{name}_told")
    way = ("/login", "sign_in") if name == "signed_out" else ("/chat/", "to_chat")
    links = f'<a href="{way[0]}">{say(language, way[1])}</a>'
    if name in ("away", "busy", "broken", "stale"):
        again = say(language, "try_again")
        links = f'<a href="" onclick="location.reload(); return false">{again}</a>{links}'
    own = f'<p><small lang="en">{escape(said)}</small></p>' if said else ""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>Hone · {title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" type="image/svg+xml" href="/favicon.ico"><style>{STYLE}</style></head>'
        f"<body><main><p><b>Hone</b></p><h1>{title}</h1><p>{told}</p><p>{links}</p>{own}</main></body></html>"
    )


def _opened_by_a_person(scope: Scope) -> bool:
    """Whether the answer is for a browser's window, and not for a program or a page's script."""
    headers = dict(scope["headers"])
    return b"text/html" in headers.get(b"accept", b"") and not scope["path"].startswith("/v1/")


def _sentence(said: bytes) -> str:
    """The sentence in a refusal, as Hone or Gradio writes it; empty where there is none."""
    try:
        told = json.loads(said)
        error = told.get("error", told.get("detail", ""))
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, AttributeError, KeyError):
        return ""
