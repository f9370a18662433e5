"""Thumbs in the chat and the second, optional word on them: reasons, a comment, a better answer.

A thumb is saved at once; everything else may follow or not. Only the store decides whose exchange it
is: the id comes from the browser.

Trail: serve/pages/chat.py -> here -> feedback/ratings.py
"""

import asyncio
from typing import Any, Literal

import gradio as gr

from feedback import lineage, ratings
from feedback.errors import BadRequest, HoneError, NotAllowed
from feedback.records import REASONS_DOWN, REASONS_UP, Exchange, Role
from serve.pages import fates
from serve.pages.bubbles import thumbs
from serve.pages.handlers import Visit, needs
from serve.pages.turns import exchange_at
from serve.pages.words import reason_choices
from serve.parts import Parts


class Rating:
    """Handlers of the thumbs and of the panel under the chat."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._exchanges = parts.exchanges

    @needs(Role.USER)
    async def thumb(
        self, visit: Visit, history: list[dict[str, Any]], conversation_id: str, event: gr.LikeData
    ) -> tuple[Any, ...]:
        """Save a thumb, or withdraw it where it was pressed again; then the panel, then the chat's marks."""
        exchange_id = exchange_at(history, event.index)
        try:
            rated = await asyncio.to_thread(self._rate, visit, exchange_id, event.liked)
        except HoneError as error:
            visit.warn(visit.trouble(error))
            # The browser drew its mark, and forgets it only if it was told that mark before another.
            drawn = "Like" if event.liked is True else "Dislike"
            marks = await asyncio.to_thread(self._marks, visit, conversation_id)
            return *closed(), gr.Chatbot(feedback_value=list((marks | {exchange_id: drawn}).values()))
        if rated.rating is None:
            visit.toast("rate_cleared")
            return *closed(), gr.skip()
        return *_opened(visit, rated), gr.skip()

    @needs(Role.USER)
    def marks(self, visit: Visit, conversation_id: str) -> gr.Chatbot:
        """The marks as they are kept, after whatever the browser drew."""
        return gr.Chatbot(feedback_value=list(self._marks(visit, conversation_id).values()))

    @needs(Role.USER)
    def save(
        self, visit: Visit, exchange_id: str, reasons: list[str], comment: str, correction: str
    ) -> tuple[Any, ...]:
        """Add the second word to a rating; a correction equal to the answer is none."""
        exchange = self._own(visit, exchange_id)
        better = "" if correction.strip() == (exchange.response or "").strip() else correction
        ratings.rate(
            self._store,
            visit.principal,
            exchange_id,
            rating=exchange.rating,
            reasons=reasons,
            comment=comment,
            correction=better,
        )
        visit.toast("rate_thanks")
        return closed()

    @needs(Role.USER)
    def close(self, visit: Visit) -> tuple[Any, ...]:
        return closed()

    @needs(Role.USER)
    def more(self, visit: Visit, conversation_id: str, wanted: str = "") -> tuple[Any, ...]:
        """Open the panel again for the rated answer that is wanted, else for the conversation's last."""
        line = self._exchanges.conversation(conversation_id, visit.principal.name) if conversation_id else []
        rated = [exchange for exchange in line if exchange.rating]
        if not rated:
            visit.warn(visit.say("rate_none"))
            return closed()
        shown = next((exchange for exchange in rated if exchange.id == wanted), rated[-1])
        told = lineage.fate(self._store, visit.principal, shown.id)
        return _opened(visit, shown, fates.fate(told["where"], visit.language))

    def _rate(self, visit: Visit, exchange_id: str, liked: bool | str) -> Exchange:
        exchange = self._own(visit, exchange_id)
        if exchange.finish_reason is not None and not exchange.response:
            raise BadRequest(visit.say("nothing_to_rate"))
        # Gradio sends an empty string for a thumb that was pressed again.
        thumb: Literal["up", "down"] | None = None if liked == "" else "up" if liked is True else "down"
        return ratings.rate(self._store, visit.principal, exchange_id, rating=thumb)

    def _own(self, visit: Visit, exchange_id: str) -> Exchange:
        exchange = self._exchanges.get(exchange_id)
        if exchange.principal != visit.principal.name:
            raise NotAllowed("That exchange is someone else's.", "Only its author can rate it.")
        return exchange

    def _marks(self, visit: Visit, conversation_id: str) -> dict[str, str | None]:
        """The mark of each exchange of one's own conversation, in their order."""
        if not conversation_id:
            return {}
        line = self._exchanges.conversation(conversation_id, visit.principal.name)
        return dict(zip((exchange.id for exchange in line), thumbs(line), strict=True))


def closed() -> tuple[Any, ...]:
    """The panel shut and empty."""
    return gr.Column(visible=False), gr.skip(), gr.CheckboxGroup(value=[]), "", "", "", ""


def _opened(visit: Visit, exchange: Exchange, fate: str = "") -> tuple[Any, ...]:
    down = exchange.rating == "down"
    keys = REASONS_DOWN if down else REASONS_UP
    head = f"**{visit.say(f'rate_saved_{exchange.rating}')}** {visit.say('rate_optional')}"
    return (
        gr.Column(visible=True),
        head,
        gr.CheckboxGroup(choices=reason_choices(visit.language, keys), value=list(exchange.reasons)),
        exchange.comment,
        gr.Textbox(value=exchange.correction or exchange.response or ""),
        exchange.id,
        fate,
    )
