"""Two answers side by side on the chat page: while they grow, while a choice waits, and once it is made.

Which version said which is in nothing that the browser gets before the choice. Whose choice it is the store
decides: the id comes from the browser.

Trail: serve/pages/chat.py, serve/pages/turns.py -> here -> feedback/choices.py
"""

import asyncio
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from feedback import choices, lookup
from feedback.choices import CHOICES, Choice, Comparison
from feedback.errors import Conflict
from feedback.records import Exchange, Role
from feedback.store import Store
from serve import prompts
from serve.pages.bubbles import WAITING, bubbles, inert, thumbs
from serve.pages.handlers import Visit, needs
from serve.pages.learnt import shipped
from serve.parts import Parts

COMPARED = 6
"""How many things the panel sets: `View.compared`."""


class Choosing:
    """A handler for each choice; each answers with the chat, then in the order of `View.compared`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._exchanges = parts.exchanges
        self.handlers = {choice: self._choosing(choice) for choice in CHOICES}

    def _choosing(self, choice: Choice) -> Callable[..., Any]:
        @needs(Role.USER)
        async def choose(visit: Visit, comparison_id: str, conversation_id: str) -> tuple[Any, ...]:
            return await asyncio.to_thread(self._choose, visit, comparison_id, conversation_id, choice)

        return choose

    def _choose(
        self, visit: Visit, comparison_id: str, conversation_id: str, choice: Choice
    ) -> tuple[Any, ...]:
        told = ""
        try:
            ended = choices.choose(self._store, visit.principal, comparison_id, choice)
            conversation_id, told = ended.conversation_id, _told(visit, ended)
        except Conflict as stale:  # another tab was quicker: what stands is shown
            visit.warn(visit.trouble(stale))
        line = self._exchanges.conversation(conversation_id, visit.principal.name)
        chat, *panel = whole(self._parts, visit, line)
        return chat, *panel[:-1], told


def whole(
    parts: Parts,
    visit: Visit,
    line: Sequence[Exchange],
    trouble: dict[str, str] | None = None,
    marks: Sequence[str] | None = None,
    **around: Any,
) -> tuple[Any, ...]:
    """The chat with its line, then the panel: open where the last of it waits for a choice.

    `marks` are drawn instead of those that are kept; `around` is what else the chat is told.
    """
    store = parts.store
    waits = _waiting(store, visit, line)
    unchosen = waits.first if waits else None
    full = prompts.fullness(line, parts.most_tokens, parts.conversations.max_prompt_chars)
    shown = bubbles(line, visit.language, trouble, shipped(store, line), unchosen, full)
    drawn = thumbs(line[:-1] if waits else line) if marks is None else list(marks)
    return gr.Chatbot(value=shown, feedback_value=drawn, **around), *_panel(store, waits)


def _waiting(store: Store, visit: Visit, line: Sequence[Exchange]) -> Comparison | None:
    """The choice that the last of a line waits for."""
    if not line:
        return None
    found = choices.waiting(store, visit.principal.name, line[-1].conversation_id)
    return found if found and found.first == line[-1].id else None


def _panel(store: Store, waits: Comparison | None) -> tuple[Any, ...]:
    """The panel as it waits for a choice, or shut."""
    sides = lookup.load(store, [waits.first, waits.second]) if waits else []
    if waits is None or len(sides) < len("AB"):
        return closed()
    texts = [inert(exchange.response or "") for exchange in sides]
    return gr.Column(visible=True), *texts, gr.Row(visible=True), waits.id, ""


def growing(texts: Sequence[str], *, begins: bool = False) -> tuple[Any, ...]:
    """The panel while both answers are given, with nothing to press."""
    shown = [inert(text) or WAITING for text in texts]
    around = (gr.Column(visible=True), gr.Row(visible=False), "", "") if begins else (gr.skip(),) * 4
    return around[0], *shown, *around[1:]


def closed() -> tuple[Any, ...]:
    """The panel shut and empty."""
    return gr.Column(visible=False), "", "", gr.Row(visible=False), "", ""


def _told(visit: Visit, ended: Comparison) -> str:
    """Which version was which, once that can sway nobody."""
    said = visit.say(f"chose_{ended.choice}")
    names = visit.say("compare_told", first=ended.first_version, second=ended.second_version)
    return f'<p role="status">{escape(said)} {escape(names)}</p>'
