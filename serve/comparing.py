"""Now and then two answers to one message, of two versions or two draws of one, for a person to choose from.

Only where the conversation may be learnt from, and where there is room for the second: else there is one
answer, as always. Both turns are on record as any other; which was whose is told once it was chosen. Knows no
page.

Trail: serve/pages/turns.py -> here -> serve/conversation.py, feedback/choices.py
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from feedback import choices, consent
from feedback.errors import HoneError, StoreError
from feedback.records import Exchange, Principal, Sampling, new_id
from feedback.store import Store
from feedback.transaction import Rows
from serve.conversation import Conversations
from serve.router import Router
from serve.turn import Turn

log = logging.getLogger(__name__)
SEEDS = 2**31


@dataclass(slots=True)
class Two:
    """Two turns as they are shown, the first called A. Iterate both, and `close` it in any case."""

    store: Store
    id: str
    first: Turn
    second: Turn
    closed: bool = False

    @property
    def exchange(self) -> Exchange:
        """The one that stands until something is chosen."""
        return self.first.exchange

    @property
    def fit(self) -> bool:
        """Whether a person can be asked: both came whole and are on record, and they differ."""
        turns = self.first, self.second
        texts = [turn.text.strip() for turn in turns]
        whole = all(turn.recorded and turn.finish_reason in choices.WHOLE for turn in turns)
        return whole and all(texts) and texts[0] != texts[1]

    async def close(self) -> None:
        """Close both turns; where nobody can be asked, that is kept, or else found as the person goes on."""
        if not self.closed:
            self.closed = True
            # A cancelled task must not leave a choice open that nobody can make.
            await asyncio.shield(self._ended())

    async def _ended(self) -> None:
        await asyncio.gather(self.first.close(), self.second.close())
        if self.fit:
            return
        try:
            await asyncio.to_thread(choices.unfit, self.store, self.id)
        except StoreError as full:
            log.warning("nobody is asked about %s, which could not be kept: %s", self.id, full)


class Comparing:
    """Takes turns for the chat page, a share of them twice."""

    def __init__(
        self,
        store: Store,
        conversations: Conversations,
        router: Router,
        *,
        share: float,
        before: Callable[[str], Sequence[str]] = lambda assistant: (),
        chance: random.Random | None = None,
    ) -> None:
        """`before` tells which versions of an assistant were live, the last first."""
        self._store = store
        self._conversations = conversations
        self._router = router
        self._share = share
        self._before = before
        self._chance = chance or random.SystemRandom()

    async def say(
        self,
        principal: Principal,
        assistant: str,
        instruction: str,
        conversation_id: str | None,
        *,
        training: bool = True,
    ) -> Turn | Two:
        """The next turn of a conversation, or two of them; what waited for a choice there is skipped."""
        if conversation_id:
            await asyncio.to_thread(choices.go_on, self._store, principal.name, conversation_id)
        drawn = self._chance.random() < self._share
        twice = drawn and await asyncio.to_thread(self._may, conversation_id, training)
        sampling = self._seeded() if twice else None
        turn = await self._conversations.say(
            principal, assistant, instruction, conversation_id, training=training, sampling=sampling
        )
        if not twice or turn.unkept:
            return turn
        try:
            return await self._beside(principal, turn) or turn
        except HoneError as refused:
            log.info("one answer where two were meant: %s", refused)
            return turn
        except BaseException:
            await turn.close()
            raise

    async def again(self, principal: Principal, exchange_id: str, instruction: str | None = None) -> Turn:
        """Ask one of the line again; what waited for a choice in its conversation is skipped."""
        old = await asyncio.to_thread(self._conversations.exchanges.get, exchange_id)
        await asyncio.to_thread(choices.go_on, self._store, principal.name, old.conversation_id)
        return await self._conversations.again(principal, exchange_id, instruction)

    def _may(self, conversation_id: str | None, training: bool) -> bool:
        """Whether what is chosen may be learnt from: of what is not, nobody is asked."""
        return consent.training(self._store, conversation_id) if conversation_id else training

    def _seeded(self) -> Sampling:
        return replace(self._conversations.sampling, seed=self._chance.randrange(SEEDS))

    async def _beside(self, principal: Principal, turn: Turn) -> Two | None:
        """The turn with another beside it, in an order drawn by lot; None where both would be the same."""
        before = await asyncio.to_thread(self._before, turn.exchange.assistant)
        other = self._router.beside(turn.exchange.assistant, turn.version, before)
        sampling = self._seeded()
        if other is None and sampling.temperature == 0:
            return None
        ahead, identity = self._chance.random() < 1 / 2, new_id()

        def told(exchange: Exchange) -> Rows:
            sides = (turn.exchange, exchange) if ahead else (exchange, turn.exchange)
            return choices.beside(*sides, identity)

        version = other or turn.version
        second = await self._conversations.beside(principal, turn, version, sampling, told)
        if second.unkept:
            await second.close()
            return None
        return Two(self._store, identity, *((turn, second) if ahead else (second, turn)))
