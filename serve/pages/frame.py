"""Puts the three pages into the application, each behind its own role, with one look.

Three mounts and not one with several routes: Gradio checks a mount's visitor once for all its pages,
and lists every page's handlers to each.
"""

from importlib.resources import files

import gradio as gr
from fastapi import FastAPI, Response

from feedback.records import Role
from serve.pages import chat, operate, review
from serve.pages.handlers import Guard
from serve.pages.heading import Header
from serve.pages.thrift import OneState, Page
from serve.pages.words import LANGUAGES, scripted, translations
from serve.parts import Parts

PAGES = (
    ("chat", Role.USER, chat.build),
    ("review", Role.REVIEWER, review.build),
    ("operate", Role.OPERATOR, operate.build),
)
# Gradio lets 40 calls run at once, silently queueing the rest; an answer holds one for all its time.
CALLS_AT_ONCE = 400
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans KR", "Apple SD Gothic Neo", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")


def mount(app: FastAPI, parts: Parts) -> None:
    """Build the pages and mount them at /chat, /review and /operate."""

    @app.get("/manifest.json", include_in_schema=False)
    async def manifest() -> dict[str, object]:
        # Gradio's pages ask for it at the root, wherever they are mounted.
        told = {"name": "Hone", "short_name": "Hone", "start_url": "/chat/", "display": "standalone"}
        return {**told, "icons": [{"src": "/favicon.ico", "type": "image/svg+xml", "sizes": "any"}]}

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
        OneState(app.routes[-1].app)  # type: ignore[attr-defined]  # Gradio's, which it mounted as the last


def build_pages(parts: Parts) -> dict[str, Page]:
    """Each page by its name, its queue set up."""
    header = Header(parts, [(name, role) for name, role, _ in PAGES])
    built = {}
    for name, role, build in PAGES:
        blocks = build(parts, Guard(parts.identity), header.for_page(name, role))
        blocks.sleep_well(calls=CALLS_AT_ONCE, limit=20)
        built[name] = blocks
    return built


def snippet(build_id: str) -> str:
    """What must run before Gradio's scripts: language, build header, sign-in; what outlives a restart."""
    source = _source("early.js").replace("BUILD_ID", build_id).replace("LANGUAGES", "|".join(LANGUAGES))
    words = ", ".join(f"{name}: {scripted(f'away_{name}')}" for name in ("gone", "starting", "missed", "cut"))
    source += _source("away.js").replace("WORDS", f"{{ {words} }}")
    icon = '<link rel="icon" type="image/svg+xml" href="/favicon.ico">'
    scripts = "".join(map(_source, ("stream.js", "keeping.js", "focus.js", "asking.js")))
    return f"{icon}<style>{_source('away.css')}</style><script>{source}{scripts}</script>"


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(primary_hue="indigo", neutral_hue="slate", font=FONTS, font_mono=MONO)
    # Gradio's own greys are too pale to read on white (2.6 to 1), and too dark on black; its accent too pale
    # for white words on it (4.46 to 1, where 4.5 is asked). The accent on black is in pages.css.
    return theme.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
    )


def _source(name: str) -> str:
    return files("serve.pages").joinpath(name).read_text("utf-8")
