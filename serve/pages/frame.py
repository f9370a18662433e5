"""Puts the three pages into the application, each behind its own role, with one look.

Three mounts and not one with several routes: Gradio checks a mount's visitor once for all its pages,
and lists every page's handlers to each.
"""

import html
from collections.abc import Callable
from importlib.resources import files

import gradio as gr
from fastapi import FastAPI, Response

from feedback.records import Role
from serve.pages import chat, operate, review
from serve.pages.handlers import Guard, Visit, needs
from serve.pages.words import LANGUAGES, translations
from serve.parts import Parts

PAGES = (
    ("chat", Role.USER, chat.build),
    ("review", Role.REVIEWER, review.build),
    ("operate", Role.OPERATOR, operate.build),
)
# Gradio lets 40 calls run at once, silently queueing the rest; an answer holds one for all its time.
CALLS_AT_ONCE = 400
IDLE_SECONDS = 0.02
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans KR", "Apple SD Gothic Neo", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")

_MENU = '<button type="button" id="menu" aria-label="{name}" onclick="honeMenu()">☰</button>'


def mount(app: FastAPI, parts: Parts) -> None:
    """Build the pages and mount them at /chat, /review and /operate."""

    @app.get("/manifest.json", include_in_schema=False)
    async def manifest() -> dict[str, str]:
        # Gradio's pages ask for it at the root, wherever they are mounted.
        return {"name": "Hone", "short_name": "Hone", "start_url": "/chat/", "display": "standalone"}

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return Response(_source("icon.svg"), media_type="image/svg+xml")

    roles = {name: role for name, role, _ in PAGES}
    for name, blocks in build_pages(parts).items():
        gr.mount_gradio_app(
            app,
            blocks,
            path=f"/{name}",
            auth_dependency=parts.identity.page(roles[name]),
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            show_error=False,
            ssr_mode=False,
            max_file_size="1kb",
            i18n=translations,
            theme=_theme(),
            css=_source("pages.css"),
        )


def build_pages(parts: Parts) -> dict[str, gr.Blocks]:
    """Each page by its name, its queue set up."""
    header = Header(parts)
    built = {}
    for name, role, build in PAGES:
        blocks = build(parts, Guard(parts.identity), header.for_page(name, role))
        # Before queue(), which reads it once.
        blocks.max_threads = CALLS_AT_ONCE
        blocks.queue(default_concurrency_limit=20, max_size=CALLS_AT_ONCE, api_open=False)
        blocks._queue.sleep_when_free = IDLE_SECONDS
        built[name] = blocks
    return built


def snippet(build_id: str) -> str:
    """What must run before Gradio's scripts: language, build header, reload, sign-in; a stream that lasts."""
    source = _source("early.js").replace("BUILD_ID", build_id).replace("LANGUAGES", "|".join(LANGUAGES))
    return f"<script>{source}{_source('stream.js')}</script>"


class Header:
    """What stands above every page: where one can go, in which language, and who one is."""

    def __init__(self, parts: Parts) -> None:
        self._login_needed = parts.identity.login_needed

    def for_page(self, current: str, role: Role) -> Callable[[Visit], str]:
        @needs(role)
        def header(visit: Visit) -> str:
            return self._html(visit, current)

        return header

    def _html(self, visit: Visit, current: str) -> str:
        links = [
            f'<a href="/{name}/"{" aria-current=page" if name == current else ""}>{visit.say(name)}</a>'
            for name, role, _ in PAGES
            if visit.principal.role.covers(role)
        ]
        other = "en" if visit.language == "ko" else "ko"
        switch = (
            f'<button type="button" lang="{other}" onclick="honeLanguage(\'{other}\')">'
            f"{visit.say('other_language')}</button>"
        )
        who = f'<a href="/account">{html.escape(visit.principal.name)}</a>'
        if self._login_needed:
            out = visit.say("sign_out")
            who += f'<form method="post" action="/logout"><button title="{out}">{out}</button></form>'
        menu = _MENU.format(name=visit.say("conversations")) if current == "chat" else ""
        return f'<nav>{menu}<b>Hone</b>{"".join(links)}<span class="grow"></span>{who}{switch}</nav>'


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(primary_hue="indigo", neutral_hue="slate", font=FONTS, font_mono=MONO)
    # Gradio's own greys are too pale to read on white (2.6 to 1), and too dark on black.
    return theme.set(
        body_text_color_subdued="*neutral_500",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )


def _source(name: str) -> str:
    return files("serve.pages").joinpath(name).read_text("utf-8")
