"""A turn that was admitted, while it is answered: what was heard so far, when, and how it ended.

Tells what it hears to the metrics, and knows neither the store nor the engine.

Trail: serve/conversation.py -> here -> serve/metrics.py
"""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from opentelemetry.trace import Span

from feedback import spans
from feedback.errors import HoneError, StoreError
from feedback.records import Exchange, FinishReason
from serve.metrics import Metrics

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Turn:
    """Iterate `pieces` once to hear it, and `close` it in any case.

    `unkept` says why nothing of it is recorded, where the store could not; `before` is the line that it
    goes on with. `recorded` says that its end is on record, too.
    """

    exchange: Exchange
    version: str
    pin: ExitStack
    settle: Callable[["Turn"], Awaitable[None]]
    metrics: Metrics
    span: Span
    unkept: StoreError | None = None
    before: Sequence[Exchange] = ()
    pieces: AsyncGenerator[str] = field(init=False)
    text: str = ""
    finish_reason: FinishReason = "stopped"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    trouble: HoneError | None = None
    started: float = field(default_factory=time.monotonic)
    first_token_ms: float | None = None
    settled: bool = False
    recorded: bool = False
    _heard_at: float = 0.0

    async def close(self) -> None:
        """Cancel what has not been said; needed even where `pieces` was never begun."""
        await self.pieces.aclose()
        await self.settle(self)

    def heard(self, text: str) -> None:
        """Add a piece of the answer."""
        now = time.monotonic()
        if self.first_token_ms is None:
            self.first_token_ms = self.age_ms()
            self.metrics.first_token(now - self.started)
            self.span.add_event("first token")
        else:
            self.metrics.gap(now - self._heard_at)
        self._heard_at = now
        self.text += text

    def ended(self) -> None:
        """Let its place go, and tell how it went."""
        self.settled = True
        self.pin.close()
        if self.trouble:
            self.metrics.refused(self.trouble.code)
        if self.unkept:
            self.metrics.unkept()
        self.metrics.ended(
            self.exchange.assistant,
            self.exchange.source,
            self.finish_reason,
            seconds=time.monotonic() - self.started,
            prompt=self.prompt_tokens,
            completion=self.completion_tokens,
        )
        log.info("turn", extra=self.facts())
        spans.tell(self.span, {f"hone.{name}": value for name, value in self.facts().items()})
        if self.trouble:
            spans.failed(self.span, self.trouble)

    def told(self) -> Exchange:
        """The exchange as it ended."""
        tokens = self.prompt_tokens + self.completion_tokens
        return replace(self.exchange, response=self.text, tokens=tokens, finish_reason=self.finish_reason)

    def facts(self) -> dict[str, object]:
        """What may be told of it: ids and numbers, no words and nobody's name."""
        trace = spans.trace_id(self.span)
        return ({"trace": trace} if trace else {}) | {
            "exchange": self.exchange.id,
            "assistant": self.exchange.assistant,
            "version": self.version,
            "source": self.exchange.source,
            "finish": self.finish_reason,
            "error": self.trouble.code if self.trouble else "",
            "kept": self.unkept is None,
            "first_token_ms": self.first_token_ms,
            "total_ms": self.age_ms(),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }

    def age_ms(self) -> float:
        """Milliseconds since it was admitted."""
        return round((time.monotonic() - self.started) * 1000, 1)
