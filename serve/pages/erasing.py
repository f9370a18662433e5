"""Erasing what is one's own from the chat: a conversation, all chats, or the account with them.

What would go is said before anything does, as the record has it; where everything goes, one's name is asked
for. Whose it is the layer below decides.

Trail: serve/pages/chat.py -> here -> hone/erasing.py
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from html import escape
from typing import Any

import gradio as gr

from feedback.errors import BadRequest, HoneError
from feedback.reach import Scope
from feedback.records import Role
from serve.pages.conversations import Lines
from serve.pages.handlers import Visit, needs
from serve.pages.words import Language, say
from serve.parts import Parts

CONVERSATION, CHATS, ACCOUNT = "conversation", "chats", "account"
PANEL, OPENED = 7, 16
"""How many things the panel sets, and how many a conversation that is opened."""
REST = (gr.skip(),) * OPENED
COUNTED = ("exchanges", "conversations", "ratings", "reviews")


class Erase:
    """Handlers of the erasing panel; each answers in the order of `View.erasure`."""

    def __init__(self, parts: Parts) -> None:
        self._erasing = parts.erasing
        self._login_needed = parts.identity.login_needed
        self._lines = Lines(parts)

    @needs(Role.USER)
    async def open(self, visit: Visit, conversation_id: str) -> tuple[Any, ...]:
        """The panel, with what can be erased and what the first of it would take."""
        scopes = [CONVERSATION] if conversation_id else []
        scopes += [CHATS, ACCOUNT] if self._login_needed else [CHATS]
        choices = [(visit.say(f"erase_{scope}"), scope) for scope in scopes]
        radio = gr.Radio(choices=choices, value=scopes[0], visible=True)
        return gr.Column(visible=True), radio, *await self._asked(visit, scopes[0], conversation_id)

    @needs(Role.USER)
    async def choose(self, visit: Visit, scope: str, conversation_id: str) -> tuple[Any, ...]:
        return gr.skip(), gr.skip(), *await self._asked(visit, scope, conversation_id)

    @needs(Role.USER)
    def close(self, visit: Visit) -> tuple[Any, ...]:
        return closed(visit)

    @needs(Role.USER)
    async def erase(
        self, visit: Visit, scope: str, name: str, target: str, assistant: str
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Erase what was told of, and say what was done beside a new chat; without an account, sign in."""
        if scope != CONVERSATION and name.strip() != visit.principal.name:
            raise BadRequest(visit.say("erase_name_wrong", name=visit.principal.name))
        yield *_running(visit), gr.skip(), *REST
        try:
            meant = _meant(visit, scope, target)
            done = await self._erasing.erase(visit.principal, *meant, account=scope == ACCOUNT)
        except HoneError as refused:
            visit.warn(visit.trouble(refused))
            yield *closed(visit), gr.skip(), *REST
            return
        if scope == ACCOUNT:
            yield *(gr.skip(),) * PANEL, "/login", *REST
            return
        fresh = await asyncio.to_thread(self._lines.fresh, visit, assistant)
        yield *_finished(visit, _done(done, visit.language)), gr.skip(), *fresh

    async def _asked(self, visit: Visit, scope: str, conversation_id: str) -> tuple[Any, ...]:
        account = scope == ACCOUNT
        meant = _meant(visit, scope, conversation_id)
        would = await self._erasing.preview(visit.principal, *meant, account=account)
        told = _would(would, visit.principal.name if account else "", visit.language)
        named = gr.Textbox(value="", visible=scope != CONVERSATION)
        return told, named, gr.Button(interactive=True, visible=True), _keep(visit, "erase_keep"), meant[1]


def closed(visit: Visit) -> tuple[Any, ...]:
    """The panel shut, its buttons as they were."""
    able = gr.Button(interactive=True, visible=True)
    name = gr.Textbox(value="", visible=False)
    return gr.Column(visible=False), gr.skip(), "", name, able, _keep(visit, "erase_keep"), ""


def _running(visit: Visit) -> tuple[Any, ...]:
    waiting = f'<p role="status">{visit.say("erase_running")}</p>'
    held = gr.Button(interactive=False)
    return gr.skip(), gr.Radio(visible=False), waiting, gr.Textbox(visible=False), held, held, gr.skip()


def _finished(visit: Visit, told: str) -> tuple[Any, ...]:
    gone = gr.Button(visible=False)
    return gr.skip(), gr.skip(), told, gr.skip(), gone, _keep(visit, "rate_close"), ""


def _keep(visit: Visit, key: str) -> gr.Button:
    return gr.Button(value=visit.say(key), interactive=True)


def _meant(visit: Visit, scope: str, conversation_id: str) -> tuple[Scope, str]:
    return ("conversation", conversation_id) if scope == CONVERSATION else ("user", visit.principal.name)


def _would(told: Mapping[str, Any], account: str, language: Language) -> str:
    """What an erasure would take, what that means, and what becomes of versions that learnt from it."""
    counts = {name: told["removes"].get(name, 0) for name in COUNTED}
    said = [say(language, "erase_takes", **counts), say(language, "erase_means")]
    learnt = [version["version"] for version in told["versions"] if version["learnt"]]
    if learnt:
        names = ", ".join(learnt)
        said.append(say(language, f"erase_versions_{told['policy']}", versions=names))
    if account:
        said.append(say(language, "erase_account_means", name=account))
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in said)


def _done(receipt: Mapping[str, Any], language: Language) -> str:
    """What was erased, whether anything of it was found afterwards, and where the receipt is."""
    counts = {name: receipt["removed"].get(name, 0) for name in COUNTED}
    proof = receipt["proof"]
    clean = say(language, "erase_clean" if proof["clean"] else "erase_not_clean", files=proof["files"])
    address = f"/v1/erasures/{escape(receipt['erasure'])}"
    link = f'<a href="{address}" target="_blank">{say(language, "erase_receipt")}</a>'
    done = escape(say(language, "erase_done", **counts))
    return f'<p role="status"><b>{done}</b> {escape(clean)} {link}</p>'
