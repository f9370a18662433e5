"""Sees every request come and its answer go: one count, and one line for those who read logs by machine.

Pure ASGI and outermost, so that what the doors refuse is seen too. Tells the route's pattern and never the
path, the query or the body, where people's words are.

Trail: serve/web.py -> here -> serve/metrics.py
"""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.metrics import Metrics

log = logging.getLogger(__name__)

PAGES = ("chat", "review", "operate")
"""Of a page's many addresses, which Gradio makes, only the page is told."""
GONE = 499
"""Where whoever asked was gone before there was an answer, as nginx says it."""


class Arrivals:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status, head = time.monotonic(), GONE, 0.0

        async def watched(message: Message) -> None:
            nonlocal status, head
            if message["type"] == "http.response.start":
                status, head = message["status"], time.monotonic() - began
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            status = 500
            raise
        finally:
            self._tell(scope, status, head, time.monotonic() - began)

    def _tell(self, scope: Scope, status: int, head: float, whole: float) -> None:
        route = route_of(scope)
        self._metrics.answered(route, area_of(route), status, head or whole)
        told = {"route": route, "method": _method(scope), "status": status}
        log.info("request", extra=told | {"head_ms": _ms(head), "total_ms": _ms(whole)})


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered: as many as there are routes, whatever is asked."""
    first = scope["path"].split("/", 2)[1:2]
    if first and first[0] in PAGES:
        return f"/{first[0]}/"
    return getattr(scope.get("route"), "path", "none")


def area_of(route: str) -> str:
    area = route.split("/", 2)[1:2]
    return {"v1": "api", **{page: page for page in PAGES}}.get(area[0] if area else "", "other")


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
