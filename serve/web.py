"""Puts the web application together: doors, API, pages. The parts come from outside, already built.

Trail: hone/app.py -> here -> serve/doors.py, serve/api/, serve/pages/
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from serve.api import (
    accounts,
    audit,
    chat,
    choices,
    conversations,
    data,
    errors,
    feedback,
    health,
    keys,
    operate,
    quality,
    reviews,
    rollout,
    sign_in,
)
from serve.arrivals import Arrivals
from serve.doors import Doors, EarlyHead
from serve.ended_streams import EndedStreams
from serve.own_streams import OwnStreams
from serve.parts import Parts
from serve.tracing import QUIET

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build(
    parts: Parts,
    *,
    hosts: Sequence[str],
    proxies: Sequence[str],
    lifespan: Lifespan,
    proxy_headers: Sequence[str] = (),
    pages: bool = True,
) -> FastAPI:
    """The whole application; without `pages` only the API, which starts in a moment.

    `proxy_headers` are those in which a proxy names people.
    """
    app = FastAPI(
        title="Hone",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        telemetry=QUIET,
    )
    errors.install(app)
    app.include_router(chat.routes(parts.identity, parts.conversations))
    app.include_router(conversations.routes(parts.identity, parts.store, parts.exchanges))
    app.include_router(feedback.routes(parts.identity, parts.store))
    app.include_router(choices.routes(parts.identity, parts.store))
    app.include_router(
        data.routes(
            *(parts.identity, parts.store, parts.assistants, parts.operations, parts.curation),
            salt=parts.policy.salt,
        )
    )
    app.include_router(quality.routes(parts.identity, parts.store, parts.assistants))
    app.include_router(reviews.routes(parts.identity, parts.store, parts.policy))
    app.include_router(operate.routes(parts.identity, parts.operations, parts.assistants))
    app.include_router(rollout.routes(parts.identity, parts.operations, parts.assistants))
    app.include_router(sign_in.routes(parts))
    app.include_router(accounts.routes(parts))
    app.include_router(keys.routes(parts))
    app.include_router(health.routes(parts))
    app.include_router(audit.routes(parts.identity, parts.store))

    @app.get("/", include_in_schema=False)
    async def front() -> RedirectResponse:
        return RedirectResponse("/chat/")

    build_id = _build_id()
    app.add_middleware(EndedStreams, identity=parts.identity)
    if pages:
        # Importing Gradio takes seconds, which commands that need no page should not pay.
        from serve.pages import mount, snippet

        app.add_middleware(EarlyHead, snippet=snippet(build_id))
        app.add_middleware(OwnStreams, proxy_header=next(iter(proxy_headers), ""))
        # Gradio reflects any origin with credentials unless a CORS middleware of ours stands before it.
        app.add_middleware(CORSMiddleware, allow_origins=[])
        mount(app, parts)
    if proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(proxies))
    app.add_middleware(Doors, hosts=hosts, proxies=proxies, build=build_id, proxy_headers=proxy_headers)
    if pages:
        from serve.pages.error_pages import ErrorPages

        app.add_middleware(ErrorPages)
    app.add_middleware(Arrivals, metrics=parts.metrics)
    return app


def _build_id() -> str:
    """Changes with the pages' source, so that a tab of another build is noticed."""
    pages = Path(__file__).parent.glob("pages/**/*")
    sources = sorted(path for path in pages if path.suffix in (".py", ".js", ".css"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
