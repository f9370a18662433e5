"""The chat's turns: sending, asking again, stopping; the answer is shown as it is spoken.

What the browser holds is never trusted: the line is read from the store, and a conversation or
exchange that is named must be the visitor's own. Keeps no state between calls.

Trail: serve/pages/chat.py -> here -> serve/conversation.py
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr

from feedback import consent
from feedback.errors import HoneError
from feedback.records import Exchange, Role
from serve.comparing import Two
from serve.pages import choosing
from serve.pages.bubbles import asked, bubbles, speaking, thumbs
from serve.pages.conversations import listed
from serve.pages.handlers import Visit, needs
from serve.pages.learnt import shipped
from serve.pages.thrift import Grown, Settled
from serve.parts import Parts
from serve.turn import Turn

log = logging.getLogger(__name__)

SHOW_EVERY = 0.1
"""Seconds between two views of a growing answer: each costs the server a comparison of the whole chat."""
SHARE = 0.0016
"""Seconds between two views of anybody's: where many answers grow at once, each is shown less often."""
HEARTBEAT = 2.0
"""Seconds after which a silent answer is shown again: only so is a browser that left noticed."""
SETTLE_SECONDS = 5.0


class Turns:
    """Handlers that make an answer, and what they show: the order is `View.answered`'s."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._comparing = parts.comparing
        self._exchanges = parts.exchanges
        self._store = parts.store
        self._growing = 0

    @needs(Role.USER)
    async def send(
        self,
        visit: Visit,
        text: str,
        assistant: str,
        conversation_id: str,
        editing: str,
        training: bool,
        review: bool,
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """The next turn, or, while editing, the last one again in other words."""
        if editing:
            turn: Turn | Two = await self._comparing.again(visit.principal, editing, text)
        else:
            turn = await self._comparing.say(
                visit.principal, assistant, text, conversation_id or None, training=bool(training)
            )
        begun = None if conversation_id or editing else (bool(training), bool(review))
        async with aclosing(self._show(visit, turn, begun)) as views:
            async for view in views:
                yield view

    @needs(Role.USER)
    async def retry(
        self, visit: Visit, history: list[dict[str, Any]], event: gr.RetryData
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Ask one of the line again; it and what came after it leave the line."""
        turn = await self._comparing.again(visit.principal, exchange_at(history, event.index))
        async with aclosing(self._show(visit, turn)) as views:
            async for view in views:
                yield view

    @needs(Role.USER)
    async def stopped(self, visit: Visit, conversation_id: str) -> tuple[Any, ...]:
        """What was said until the stop, as it was recorded."""
        if not conversation_id:
            return gr.skip(), *_buttons(answering=False), *(gr.skip(),) * choosing.COMPARED
        line = await self._line(visit, conversation_id)
        patience = time.monotonic() + SETTLE_SECONDS
        while line and line[-1].finish_reason is None and time.monotonic() < patience:
            await asyncio.sleep(SHOW_EVERY)
            line = await self._line(visit, conversation_id)
        chat, *panel = await self._whole(visit, line)
        return chat, *_buttons(answering=False), *panel

    async def _show(
        self, visit: Visit, turn: Turn | Two, begun: tuple[bool, bool] | None = None
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Views of one turn from its first moment to its recorded end; closes it however that comes.

        `begun` is what a new conversation's author allows, as they sent it: a box that was changed since
        goes back, because nothing was there yet to change.
        """
        rest, still = (gr.skip(),) * 7, (gr.skip(),) * choosing.COMPARED
        turns = (turn.first, turn.second) if isinstance(turn, Two) else (turn,)
        exchange, unkept = turn.exchange, turns[0].unkept
        trouble: dict[str, str] = {}
        try:
            if begun and begun[1] and not unkept:
                await self._share(visit, exchange)
            before = turns[0].before
            learnt, own = await asyncio.to_thread(self._around, visit, turns)
            settled = Settled([*bubbles(before, visit.language, shipped=learnt), asked(exchange)])
            chosen = exchange.conversation_id if before or not unkept else ""
            side = "", "", chosen, own, gr.Row(visible=False)
            chat, *panel = _begun(turns, settled, thumbs(before))
            yield chat, *_buttons(answering=True), *side, *(begun or (gr.skip(), gr.skip())), *panel
            try:
                async with aclosing(self._texts(turns)) as texts:
                    async for said in texts:
                        grown, *panel = _growing(turns, settled, said)
                        yield grown, gr.skip(), gr.skip(), *rest, *panel
            except HoneError as error:
                trouble[exchange.id] = visit.trouble(error)
            except Exception:
                log.exception("An answer could not be shown to its end")
                trouble[exchange.id] = visit.say("unexpected")
        finally:
            await turn.close()
        if unkept:
            visit.warn(" ".join([visit.trouble(unkept), *trouble.values()]))
            spoken = [*settled.messages, speaking(exchange, turns[0].text)]
            yield spoken, *_buttons(answering=False), *rest, *still
            return
        line = await self._line(
            visit, exchange.conversation_id, [one.told() for one in turns if one.recorded]
        )
        whole, *panel = await self._whole(visit, line, trouble)
        yield whole, *_buttons(answering=False), *rest, *panel

    async def _texts(self, turns: Sequence[Turn]) -> AsyncGenerator[list[str]]:
        """All that was said so far, whenever there is more, every `SHOW_EVERY` seconds or as many allow.

        Of two turns one may fail: then what is said is the other's alone.
        """
        listening = [asyncio.create_task(_hear(turn)) for turn in turns]
        shown, shown_at = [""] * len(turns), time.monotonic()
        self._growing += len(turns)
        try:
            while not all(one.done() for one in listening):
                await asyncio.wait(listening, timeout=pace(self._growing))
                said = [turn.text for turn in turns]
                if said != shown or time.monotonic() - shown_at > HEARTBEAT:
                    shown, shown_at = said, time.monotonic()
                    yield shown
            faults = [fault for one in listening if (fault := one.exception())]
            if len(faults) == len(turns):
                raise faults[0]
        finally:
            self._growing -= len(turns)
            for one in listening:
                one.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _share(self, visit: Visit, exchange: Exchange) -> None:
        """Let reviewers read the conversation that this one begins."""
        shown = exchange.conversation_id
        await asyncio.to_thread(consent.allow, self._store, visit.principal, shown, review=True)

    def _around(self, visit: Visit, turns: Sequence[Turn]) -> tuple[dict[str, str], Any]:
        """Which versions learnt from the line before these turns, and the visitor's conversations."""
        own = self._exchanges.conversations(visit.principal.name)
        return shipped(self._store, turns[0].before), listed(own, turns[0].exchange.conversation_id)

    async def _line(
        self, visit: Visit, conversation_id: str, heard: Sequence[Exchange] = ()
    ) -> list[Exchange]:
        """What is on record of a conversation, but for what was `heard` just now."""
        name = visit.principal.name
        return await asyncio.to_thread(self._exchanges.conversation, conversation_id, name, heard=heard)

    async def _whole(
        self, visit: Visit, line: list[Exchange], trouble: dict[str, str] | None = None
    ) -> tuple[Any, ...]:
        return await asyncio.to_thread(choosing.whole, self._parts, visit, line, trouble)


def pace(growing: int) -> float:
    """Seconds between two views of each of so many growing answers."""
    return max(SHOW_EVERY, SHARE * growing)


def _begun(turns: Sequence[Turn], settled: Settled, marks: list[Any]) -> tuple[Any, ...]:
    """The chat with an empty answer and the panel shut; or with two, the chat without and the panel open."""
    if len(turns) > 1:
        chat = gr.Chatbot(value=settled.messages, feedback_value=marks)
        return chat, *choosing.growing([""] * len(turns), begins=True)
    beginning = [*settled.messages, speaking(turns[0].exchange, "")]
    return gr.Chatbot(value=beginning, feedback_value=[*marks, None]), *choosing.closed()


def _growing(turns: Sequence[Turn], settled: Settled, said: Sequence[str]) -> tuple[Any, ...]:
    """The chat with an answer as far as it was said, then the panel; or with two, the panel holding them."""
    if len(turns) > 1:
        return gr.skip(), *choosing.growing(said)
    grown = Grown(settled, speaking(turns[0].exchange, said[0]))
    return grown, *(gr.skip(),) * choosing.COMPARED


async def _hear(turn: Turn) -> None:
    async for _ in turn.pieces:
        pass


def _buttons(*, answering: bool) -> tuple[gr.Button, gr.Button]:
    """Send and stop take each other's place."""
    return gr.Button(visible=not answering), gr.Button(visible=answering)


def exchange_at(history: list[dict[str, Any]], index: int | tuple[int, ...] | list[int]) -> str:
    """The exchange id of a message as the browser tells it: a claim, to be checked by the store."""
    place = index if isinstance(index, int) else index[0]
    message = history[place] if 0 <= place < len(history) else {}
    return str((message.get("metadata") or {}).get("id") or "")
