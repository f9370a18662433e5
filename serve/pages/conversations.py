"""The chat's conversations: restoring one after a reload, picking one, beginning anew, consents.

A conversation that is named by the browser is opened only if it is the visitor's own. Answers
nothing itself.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from typing import Any

import gradio as gr

from feedback import consent, conversations
from feedback.errors import BadRequest, NotAllowed, NotFound
from feedback.records import Assistant, Exchange, Role
from feedback.search import MAX_QUERY
from serve.pages.bubbles import inert
from serve.pages.choosing import COMPARED, whole
from serve.pages.handlers import Visit, needs
from serve.pages.words import assistant_choices
from serve.parts import Parts

UNTITLED = "…"
UNMARKED = "-"
"""A mark that draws nothing, and that no answer has."""
NEW = True, False
"""What a new conversation's author allows: that it is learnt from, and not that reviewers read it."""


class Lines:
    """Handlers that bring a conversation, or none, onto the page."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._exchanges = parts.exchanges
        self._assistants = parts.assistants
        self._search = parts.search
        self._packaged = parts.packaged_model

    @needs(Role.USER)
    def restore(self, visit: Visit, conversation_id: str) -> tuple[Any, ...]:
        """The page as it was: the conversation in its address, else a new one. Opens the page for use.

        Last whose page it is, by which the browser knows the message that was being written.
        """
        ready = gr.Button(interactive=True), gr.Textbox(interactive=True)
        return *ready, *self._open(visit, conversation_id), visit.principal.name

    @needs(Role.USER)
    def pick(self, visit: Visit, conversation_id: str | None) -> tuple[Any, ...]:
        return self._open(visit, conversation_id or "")

    @needs(Role.USER)
    def find(self, visit: Visit, words: str, conversation_id: str) -> Any:
        """The conversations that have the words in their title or in what was said, or all of them."""
        called, owner = words.strip()[:MAX_QUERY], visit.principal.name
        said: list[str] = []
        if called and self._search:
            with suppress(BadRequest):  # nothing in it is a word: only titles can have it
                said = self._search.own_conversations(called, owner)
        found = self._exchanges.conversations(owner, called=called, among=said)
        return listed(found, conversation_id, stays=bool(called))

    @needs(Role.USER)
    def rename(self, visit: Visit, conversation_id: str, title: str) -> tuple[Any, ...]:
        if not conversation_id:
            raise BadRequest(visit.say("nothing_to_rename"))
        conversations.rename(self._store, conversation_id, visit.principal.name, title)
        return "", listed(self._exchanges.conversations(visit.principal.name), conversation_id)

    @needs(Role.USER)
    def fresh(self, visit: Visit, assistant: str) -> tuple[Any, ...]:
        """An empty page with an assistant's greeting."""
        known = self._assistants.get(assistant)
        return self._opened(visit, "", (), known, NEW)

    @needs(Role.USER)
    def consent(self, visit: Visit, conversation_id: str, training: bool) -> None:
        """Whether this conversation may be learnt from; before its first message nothing is stored yet."""
        if conversation_id:
            self._exchanges.set_training(conversation_id, visit.principal.name, bool(training))
        visit.toast("training_on" if training else "training_off")

    @needs(Role.USER)
    def share(self, visit: Visit, conversation_id: str, review: bool, training: bool) -> None:
        """Whether reviewers may read what is unrated in this conversation; a new one is not stored yet."""
        if conversation_id:
            consent.allow(self._store, visit.principal, conversation_id, review=bool(review))
        shown = "share_on" if training else "share_unlearnt"
        visit.toast(shown if review else "share_off")

    @needs(Role.USER)
    async def edit(self, visit: Visit, conversation_id: str) -> tuple[Any, ...]:
        """The last message back in the box; what is sent next takes its place."""
        line: Sequence[Exchange] = ()
        if conversation_id:
            line = await asyncio.to_thread(
                self._exchanges.conversation, conversation_id, visit.principal.name
            )
        if not line:
            visit.warn(visit.say("nothing_to_edit"))
            return gr.skip(), gr.skip(), gr.skip()
        return line[-1].instruction, line[-1].id, gr.Row(visible=True)

    @needs(Role.USER)
    def cancel_edit(self, visit: Visit) -> tuple[Any, ...]:
        return "", "", gr.Row(visible=False)

    @needs(Role.USER)
    def example(self, visit: Visit, event: gr.SelectData) -> str:
        return str(event.value.get("text", "")) if isinstance(event.value, dict) else ""

    @needs(Role.USER)
    def resume(self, visit: Visit, conversation_id: str, text: str, editing: str) -> tuple[Any, ...]:
        """What is open as the record has it, after Hone was away; what is written stays, unless it arrived.

        No mark is drawn: the browser's own are forgotten only so, and those that are kept are told next.
        """
        try:
            line = self._line(visit, conversation_id) if conversation_id else self._unheard(visit, text)
        except (NotFound, NotAllowed):
            return gr.skip(), *self._open(visit, "")[1:]
        if not line:
            ready = gr.Button(visible=True, interactive=True), gr.Button(visible=False)
            return *(gr.skip(),) * 8, *ready, *(gr.skip(),) * (1 + COMPARED)
        unmarked = [UNMARKED for _ in line]
        _, *shown = self._open(visit, line[-1].conversation_id, unmarked)
        if editing == line[-1].id:
            shown[5:7] = gr.skip(), gr.skip()
            return gr.skip(), *shown
        return "" if _arrived(line, text) else gr.skip(), *shown

    def _line(self, visit: Visit, conversation_id: str) -> Sequence[Exchange]:
        return self._exchanges.conversation(conversation_id, visit.principal.name)

    def _unheard(self, visit: Visit, text: str) -> Sequence[Exchange]:
        """The conversation that a message began whose sender never heard of it."""
        own = self._exchanges.conversations(visit.principal.name, 1)
        line = self._line(visit, str(own[0]["id"])) if own else ()
        return line if len(line) == 1 and _arrived(line, text) else ()

    def _open(
        self, visit: Visit, conversation_id: str, marks: Sequence[str] | None = None
    ) -> tuple[Any, ...]:
        assistants = list(self._assistants.list())
        chosen, allowed = assistants[0], NEW
        line: Sequence[Exchange] = ()
        if conversation_id:
            try:
                line = self._line(visit, conversation_id)
            except (NotFound, NotAllowed):
                # An old address, or someone else's: it opens as a new conversation and tells nothing.
                conversation_id = ""
        if conversation_id:
            # Of its own, since it may be too old to be listed.
            (row,) = conversations.listed(self._store, visit.principal.name, 1, only=conversation_id)
            conversation_id = str(row["id"])
            chosen = next((a for a in assistants if a.name == row["assistant"]), chosen)
            allowed = bool(row["training"]), bool(row["review"])
        dropdown = gr.Dropdown(choices=assistant_choices(assistants), value=chosen.name)
        return dropdown, *self._opened(visit, conversation_id, line, chosen, allowed, marks)

    def _opened(
        self,
        visit: Visit,
        conversation_id: str,
        line: Sequence[Exchange],
        known: Assistant,
        allowed: tuple[bool, bool],
        marks: Sequence[str] | None = None,
    ) -> tuple[Any, ...]:
        greeting = f"## {inert(known.greeting or visit.say('greeting'))}"
        greeting += f"\n\n{visit.say('packaged_model')}" if self._packaged else ""
        examples = [{"text": text} for text in known.examples]
        around: dict[str, Any] = {"placeholder": greeting, "examples": examples or None}
        chatbot, *panel = whole(self._parts, visit, line, marks=marks, **around)
        own = listed(self._exchanges.conversations(visit.principal.name), conversation_id)
        send, stop = gr.Button(visible=True, interactive=True), gr.Button(visible=False)
        buttons = gr.Row(visible=False), send, stop
        notice = gr.HTML(value=f"<p>{escape(known.notice)}</p>", visible=bool(known.notice))
        return chatbot, own, conversation_id, *allowed, "", *buttons, notice, *panel


def _arrived(line: Sequence[Exchange], text: str) -> bool:
    """Whether what is still in the box is the message whose answer was cut off."""
    return line[-1].finish_reason == "cut" and line[-1].instruction.strip() == text.strip()


def listed(own: Sequence[dict[str, Any]], chosen: str, *, stays: bool = False) -> gr.Radio:
    """A visitor's conversations as the list beside the chat, one of them chosen.

    An empty one is shown only if it `stays`.
    """
    choices = [(str(row["title"] or UNTITLED), str(row["id"])) for row in own]
    known = {identity for _, identity in choices}
    return gr.Radio(
        choices=choices, value=chosen if chosen in known else None, visible=stays or bool(choices)
    )
