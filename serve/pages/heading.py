"""What every page has: where one can go, in which language, who one is; its name; how it goes on.

The name is the first heading, which is heard and not seen, and the window's title.

Trail: serve/pages/frame.py -> here
"""

import html
from collections.abc import Callable, Sequence

import gradio as gr

from feedback.records import Role
from serve.pages.handlers import QUIET, Guard, Visit, needs
from serve.parts import Parts

_MENU = '<button type="button" id="menu" aria-label="{name}" onclick="honeMenu()">☰</button>'
RETURN = "() => { honeReturn(); }"
"""What a page ends its loading with: what was being written before it was loaded anew (keeping.js)."""
_TITLE = "() => { document.title = document.querySelector('#header h1')?.textContent || document.title; }"


def draw(page: gr.Blocks, guard: Guard, header: Callable[[Visit], str], place: gr.HTML) -> None:
    """Let a page show its header when it is opened."""
    page.load(guard(header), None, place, **QUIET).then(None, None, None, js=_TITLE)


def resume() -> gr.Button:
    """A button for nobody: away.js presses it when Hone is back, to bring the page up to date."""
    return gr.Button("catch-up", visible="hidden", elem_id="catch-up")


class Header:
    """Makes the handler that draws it, for each page."""

    def __init__(self, parts: Parts, pages: Sequence[tuple[str, Role]]) -> None:
        self._login_needed = parts.identity.login_needed
        self._pages = pages

    def for_page(self, current: str, role: Role) -> Callable[[Visit], str]:
        @needs(role)
        def header(visit: Visit) -> str:
            return self._html(visit, current)

        return header

    def _html(self, visit: Visit, current: str) -> str:
        links = [
            f'<a href="/{name}/"{" aria-current=page" if name == current else ""}>{visit.say(name)}</a>'
            for name, role in self._pages
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
        name = f'<h1 class="unseen">Hone · {visit.say(current)}</h1>'
        return f'{name}<nav>{menu}<b>Hone</b>{"".join(links)}<span class="grow"></span>{who}{switch}</nav>'
