"""One turn without a page: check it, pin a version, record it, stream it, close its record.

The row of an exchange is durable before the first token is asked for, and closed however the turn
ends: finished, stopped by its author, or cut by a failure. Where the disk takes no row, people are
answered all the same and told that it was not kept. Knows nothing of HTTP or Gradio.

Trail: serve/pages/turns.py, serve/comparing.py, serve/api/chat.py -> here -> feedback/exchanges.py,
serve/router.py
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import asdict, replace

from opentelemetry.trace import Span

from feedback import spans
from feedback.assistants import Assistants
from feedback.errors import BadRequest, EngineBusy, HoneError, NotAllowed, StoreError
from feedback.exchanges import Exchanges
from feedback.records import (
    Assistant,
    Exchange,
    Message,
    Principal,
    Role,
    Sampling,
    is_id,
    new_id,
    now,
)
from feedback.transaction import Rows
from serve import prompts
from serve.metrics import Metrics
from serve.router import Router
from serve.turn import Turn

log = logging.getLogger(__name__)


class Conversations:
    """Takes turns for the chat page and the API alike."""

    def __init__(
        self,
        exchanges: Exchanges,
        assistants: Assistants,
        router: Router,
        *,
        sampling: Sampling,
        max_prompt_chars: int,
        max_running: int,
        metrics: Metrics | None = None,
    ) -> None:
        """`max_running` answers at once are one person's; operators' programs are not limited."""
        self.exchanges = exchanges
        self.assistants = assistants
        self._router = router
        self.sampling = sampling
        self.max_prompt_chars = max_prompt_chars
        self._max_running = max_running
        self._running: Counter[str] = Counter()
        self._metrics = metrics or Metrics()

    async def assistant(self, name: str) -> Assistant:
        return await asyncio.to_thread(self.assistants.get, name)

    async def say(
        self,
        principal: Principal,
        assistant: str,
        instruction: str,
        conversation_id: str | None,
        *,
        training: bool = True,
        sampling: Sampling | None = None,
    ) -> Turn:
        """The next turn of a conversation of one's own, or the first of a new one; `training` is for that."""
        self.check_text(instruction)
        known = await self.assistant(assistant)
        line: Sequence[Exchange] = ()
        if conversation_id:
            line = await asyncio.to_thread(self.exchanges.conversation, conversation_id, principal.name)
        turn = await self.begin(
            principal,
            assistant,
            prompts.context(known, line),
            instruction,
            conversation_id=conversation_id,
            begins=not conversation_id,
            training=training,
            sampling=sampling,
        )
        turn.before = line
        return turn

    async def again(self, principal: Principal, exchange_id: str, instruction: str | None = None) -> Turn:
        """Ask an exchange of one's own again, or with other words; it and all after it leave the line."""
        old = await asyncio.to_thread(self.exchanges.get, exchange_id)
        if old.principal != principal.name:
            raise NotAllowed("That exchange is someone else's.", "Only its author can ask it again.")
        text = old.instruction if instruction is None else instruction
        known = await self.assistant(old.assistant)
        before = await asyncio.to_thread(
            self.exchanges.conversation, old.conversation_id, principal.name, replacing=old.id
        )
        turn = await self.begin(
            principal,
            old.assistant,
            prompts.context(known, before),
            text,
            conversation_id=old.conversation_id,
            replaces=old.id,
        )
        turn.before = before
        return turn

    async def begin(
        self,
        principal: Principal,
        assistant: str,
        context: Sequence[Message],
        instruction: str,
        *,
        conversation_id: str | None,
        begins: bool = False,
        training: bool = True,
        sampling: Sampling | None = None,
        version: str | None = None,
        replaces: str | None = None,
        source: str = "chat",
    ) -> Turn:
        """Admit a turn: the version is pinned and the row is durable when this returns.

        Where it `begins` a conversation, that is kept with the turn and not before, of that id or a new one;
        `training` is for that.

        Raises:
            NotAllowed: The conversation is someone else's, or an exact `version` was asked for by someone who
                is not an operator.
            UnknownVersion: That version is not being served.
        """
        self.check_text(instruction, context)
        if version and not principal.role.covers(Role.OPERATOR):
            raise NotAllowed("Only operators may ask an exact version.", f"Use the assistant {assistant}.")
        if conversation_id and begins and not is_id(conversation_id):
            raise BadRequest("The conversation_id is not a UUID.", "Leave it out to begin a conversation.")
        exchange = Exchange(
            id=new_id(),
            at=now(),
            principal=principal.name,
            conversation_id=conversation_id or new_id(),
            assistant=assistant,
            version=version or "",
            context=tuple(context),
            instruction=instruction,
            source=source,
            replaces=replaces,
        )
        return await self._admit(principal, exchange, sampling or self.sampling, begins, training)

    async def beside(
        self,
        principal: Principal,
        turn: Turn,
        version: str,
        sampling: Sampling,
        told: Callable[[Exchange], Rows],
    ) -> Turn:
        """Another answer to what a turn asked, in its conversation; `told` makes the events kept with it."""
        exchange = replace(turn.exchange, id=new_id(), at=now(), version=version)
        other = await self._admit(principal, exchange, sampling, told=told)
        other.before = turn.before
        return other

    async def _admit(
        self,
        principal: Principal,
        exchange: Exchange,
        drawn: Sampling,
        begins: bool = False,
        training: bool = True,
        told: Callable[[Exchange], Rows] = lambda exchange: {},
    ) -> Turn:
        """Pin an exchange to the version that it names, or to the one that is its conversation's."""
        pin, span = ExitStack(), spans.begin("turn")
        try:
            pin.enter_context(self._place(principal))
            pinned = pin.enter_context(
                self._router.admitted(
                    exchange.assistant, exchange.version or None, conversation_id=exchange.conversation_id
                )
            )
            exchange = replace(exchange, version=pinned, sampling=asdict(drawn))
            with spans.within(span), spans.span("admit"):
                unkept = await self._open(exchange, begins, training, told(exchange))
        except BaseException as refusal:
            self._refused(pin, span, refusal)
            raise
        turn = Turn(exchange, pinned, pin, self._settle, self._metrics, span, unkept)
        turn.pieces = self._speak(turn, drawn)
        return turn

    def _refused(self, pin: ExitStack, span: Span, refusal: BaseException) -> None:
        pin.close()
        spans.failed(span, refusal)
        span.end()
        if isinstance(refusal, HoneError):
            self._metrics.refused(refusal.code)

    async def _open(
        self, exchange: Exchange, begins: bool, training: bool, beside: Rows
    ) -> StoreError | None:
        """Record the admission; why it could not be, where the store failed."""
        try:
            keep = self.exchanges.open
            await asyncio.to_thread(keep, exchange, begins=begins, training=training, beside=beside)
        except StoreError as full:
            log.error("a turn is answered and not kept: %s", full)
            return full
        return None

    @contextmanager
    def _place(self, principal: Principal) -> Iterator[None]:
        """One of the answers that a person may have running, so that nobody fills the engine alone."""
        limited = not principal.role.covers(Role.OPERATOR)
        if limited and self._running[principal.name] >= self._max_running:
            raise EngineBusy(
                f"{self._max_running} of your answers are running.", "Wait for one to end, or stop it.", 5
            )
        self._running[principal.name] += 1
        try:
            yield
        finally:
            self._running[principal.name] -= 1

    async def _speak(self, turn: Turn, sampling: Sampling) -> AsyncGenerator[str]:
        try:
            spoken = self._router.stream(
                turn.version, turn.exchange.messages, sampling, owner=turn.exchange.principal
            )
            async with aclosing(spoken) as pieces:  # type: ignore[type-var]
                async for piece in spans.begun_within(turn.span, pieces):
                    if piece.text:
                        turn.heard(piece.text)
                        yield piece.text
                    if piece.finish_reason:
                        turn.finish_reason = piece.finish_reason  # type: ignore[assignment]
                        turn.prompt_tokens = piece.prompt_tokens
                        turn.completion_tokens = piece.completion_tokens
        except HoneError as trouble:
            turn.trouble = trouble
            turn.finish_reason = "cut" if turn.text else "error"
            raise
        finally:
            await self._settle(turn)

    async def _settle(self, turn: Turn) -> None:
        if turn.settled:
            return
        turn.ended()
        if turn.unkept:
            turn.span.end()
            return
        # A cancelled task must not leave its row open, so the write goes on without it.
        await asyncio.shield(asyncio.to_thread(self._record_end, turn))

    def _record_end(self, turn: Turn) -> None:
        """Durable when this returns; the turn's span ends with it."""
        try:
            with spans.within(turn.span), spans.span("commit"):
                self._close(turn)
                turn.recorded = True
        finally:
            turn.span.end()

    def _close(self, turn: Turn) -> None:
        self.exchanges.close(
            turn.exchange.id,
            response=turn.text,
            finish_reason=turn.finish_reason,
            version=turn.version,
            prompt_tokens=turn.prompt_tokens,
            completion_tokens=turn.completion_tokens,
            first_token_ms=turn.first_token_ms,
            total_ms=turn.age_ms(),
            error=str(turn.trouble or ""),
            principal=turn.exchange.principal,
        )

    def check_text(self, instruction: str, context: Sequence[Message] = ()) -> None:
        """Refuse what cannot be asked before anything is recorded of it."""
        try:
            prompts.check(instruction, context, self.max_prompt_chars)
        except HoneError as refusal:
            self._metrics.refused(refusal.code)
            raise
