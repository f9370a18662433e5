"""The chat's turns: sending, asking again, stopping; the answer is shown as it is spoken.

What the browser holds is never trusted: the line is read from the store, and a conversation or
exchange that is named must be the visitor's own. Keeps no state between calls.

Trail: serve/pages/chat.py -> here -> serve/conversation.py
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from feedback import consent
from feedback.errors import HoneError, NotFound
from feedback.records import Exchange, Role
from serve.conversation import Turn
from serve.pages.bubbles import asked, bubbles, speaking, thumbs
from serve.pages.conversations import listed, shipped
from serve.pages.handlers import Visit, needs
from serve.parts import Parts

log = logging.getLogger(__name__)

SHOW_EVERY = 0.1
"""Seconds between two views of a growing answer: each costs the server a comparison of the whole chat."""
SHARE = 0.003
"""Seconds between two views of anybody's: where many answers grow at once, each is shown less often."""
HEARTBEAT = 2.0
"""Seconds after which a silent answer is shown again: only so is a browser that left noticed."""
SETTLE_SECONDS = 5.0


class Turns:
    """Handlers that make an answer, and what they show: the order is `View.answered`'s."""

    def __init__(self, parts: Parts) -> None:
        self._conversations = parts.conversations
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
            turn = await self._conversations.again(visit.principal, editing, text)
        else:
            turn = await self._conversations.say(
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
        turn = await self._conversations.again(visit.principal, exchange_at(history, event.index))
        async with aclosing(self._show(visit, turn)) as views:
            async for view in views:
                yield view

    @needs(Role.USER)
    async def stopped(self, visit: Visit, conversation_id: str) -> tuple[Any, ...]:
        """What was said until the stop, as it was recorded."""
        if not conversation_id:
            return gr.skip(), *_buttons(answering=False)
        line = await self._line(visit, conversation_id)
        patience = time.monotonic() + SETTLE_SECONDS
        while line and line[-1].finish_reason is None and time.monotonic() < patience:
            await asyncio.sleep(SHOW_EVERY)
            line = await self._line(visit, conversation_id)
        return await self._whole(visit, line), *_buttons(answering=False)

    async def _show(
        self, visit: Visit, turn: Turn, begun: tuple[bool, bool] | None = None
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Views of one turn from its first moment to its recorded end; closes it however that comes.

        `begun` is what a new conversation's author allows, as they sent it: a box that was changed since
        goes back, because nothing was there yet to change.
        """
        rest = (gr.skip(),) * 7
        trouble: dict[str, str] = {}
        try:
            if begun and begun[1] and not turn.unkept:
                await self._share(visit, turn)
            before = await self._before(visit, turn)
            learnt = await asyncio.to_thread(shipped, self._store, before)
            shown = [*bubbles(before, visit.language, shipped=learnt), asked(turn.exchange)]
            beginning = [*shown, speaking(turn.exchange, "")]
            first = gr.Chatbot(value=beginning, feedback_value=[*thumbs(before), None])
            own = await asyncio.to_thread(self._exchanges.conversations, visit.principal.name)
            chosen = turn.exchange.conversation_id if before or not turn.unkept else ""
            side = "", "", chosen, listed(own, chosen), gr.Row(visible=False)
            yield first, *_buttons(answering=True), *side, *(begun or (gr.skip(), gr.skip()))
            try:
                async with aclosing(self._texts(turn)) as texts:
                    async for text in texts:
                        yield [*shown, speaking(turn.exchange, text)], gr.skip(), gr.skip(), *rest
            except HoneError as error:
                trouble[turn.exchange.id] = visit.trouble(error)
            except Exception:
                log.exception("An answer could not be shown to its end")
                trouble[turn.exchange.id] = visit.say("unexpected")
        finally:
            await turn.close()
        if turn.unkept:
            visit.warn(" ".join([visit.trouble(turn.unkept), *trouble.values()]))
            yield [*shown, speaking(turn.exchange, turn.text)], *_buttons(answering=False), *rest
            return
        line = await self._line(visit, turn.exchange.conversation_id)
        yield await self._whole(visit, line, trouble), *_buttons(answering=False), *rest

    async def _texts(self, turn: Turn) -> AsyncGenerator[str]:
        """All that was said so far, whenever there is more, every `SHOW_EVERY` seconds or as many allow."""
        listening = asyncio.create_task(_hear(turn))
        shown, shown_at = "", time.monotonic()
        self._growing += 1
        try:
            while not listening.done():
                await asyncio.wait({listening}, timeout=pace(self._growing))
                if turn.text != shown or time.monotonic() - shown_at > HEARTBEAT:
                    shown, shown_at = turn.text, time.monotonic()
                    yield shown
            await listening
        finally:
            self._growing -= 1
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _share(self, visit: Visit, turn: Turn) -> None:
        """Let reviewers read the conversation that this turn begins."""
        shown = turn.exchange.conversation_id
        await asyncio.to_thread(consent.allow, self._store, visit.principal, shown, review=True)

    async def _before(self, visit: Visit, turn: Turn) -> list[Exchange]:
        """The line before this turn; a conversation that could not be kept has none."""
        try:
            line = await self._line(visit, turn.exchange.conversation_id)
        except NotFound:
            if not turn.unkept:
                raise
            return []
        return [exchange for exchange in line if exchange.id != turn.exchange.id]

    async def _line(self, visit: Visit, conversation_id: str) -> list[Exchange]:
        return await asyncio.to_thread(self._exchanges.conversation, conversation_id, visit.principal.name)

    async def _whole(
        self, visit: Visit, line: list[Exchange], trouble: dict[str, str] | None = None
    ) -> gr.Chatbot:
        learnt = await asyncio.to_thread(shipped, self._store, line)
        return gr.Chatbot(value=bubbles(line, visit.language, trouble, learnt), feedback_value=thumbs(line))


def pace(growing: int) -> float:
    """Seconds between two views of each of so many growing answers."""
    return max(SHOW_EVERY, SHARE * growing)


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
