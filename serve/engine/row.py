"""One request in the making: the tokens it has read and said, its sampler, its text, its end.

Driven by the worker, which gives it a place in the network's memory and its share of each step. Tells
its caller what it says through `emit`. Knows nothing of other requests.

Trail: serve/engine/worker.py -> here -> serve/engine/sampling.py, serve/engine/text.py
"""

import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Literal

import torch

from feedback.errors import HoneError
from serve.engine.asking import Ask, Ended, Piece, Token
from serve.engine.network import Span
from serve.engine.refusals import GenerationFailed
from serve.engine.sampling import Drawer, Likely, likelihood
from serve.engine.spelling import Spelling
from serve.engine.text import Decoder, StopStrings

Emit = Callable[[Piece | Ended | HoneError], None]
"""Hears the answer piece by piece, then its end or the error that ended it."""


class Row:
    """A request; any thread may set `cancelled`, the rest is the worker's."""

    def __init__(
        self,
        ask: Ask,
        prompt: Sequence[int],
        *,
        limit: int,
        spelling: Spelling,
        emit: Emit,
        seconds: float,
        asked_at: float | None = None,
        scored_from: int | None = None,
    ) -> None:
        """`limit` is how many tokens it may say; with 0 it only scores its prompt, from a token on.

        `seconds` is its deadline, from when it was asked (on the monotonic clock; else now).
        """
        self.version, self.owner, self.background = ask.version, ask.owner, ask.background
        self.tokens = list(prompt)
        self.prompt_tokens = len(prompt)
        self.read = 0
        self.cached = 0
        self.limit = limit
        self.cancelled = False
        self.error: HoneError | None = None
        self.outcome: Literal["done", "failed", "cancelled"] = "cancelled"
        self.waited_seconds: float | None = None
        self.first_token_seconds: float | None = None
        self.gaps: list[float] = []
        self._said_at = 0.0
        self.asked_at = time.monotonic() if asked_at is None else asked_at
        self.deadline = self.asked_at + seconds
        self.drawer = Drawer(ask.drawing, self.tokens)
        self.details = ask.top_logprobs
        self.scored_from = scored_from
        self._spelling = spelling
        self._emit = emit
        self._decoder = Decoder(spelling.text)
        self._stops = StopStrings(ask.drawing.stop)
        # Nothing predicts the first token of all, which is told for completeness.
        self._scores = [spelling.plain(prompt[0])] if limit and scored_from == 1 else []
        self._unsaid: list[Token] = []
        self._reason = ""

    @property
    def made(self) -> int:
        return len(self.tokens) - self.prompt_tokens

    @property
    def answering(self) -> bool:
        """Whether it goes on by single tokens, its prompt being read."""
        return self.made > 0 and self.read == len(self.tokens) - 1

    def begun(self) -> None:
        """Note that it has waited long enough: from now on it has a place."""
        self.waited_seconds = self.age()

    def age(self) -> float:
        """Seconds since it was asked."""
        return time.monotonic() - self.asked_at

    @property
    def unread(self) -> int:
        return len(self.tokens) - self.read

    @property
    def reusable(self) -> bool:
        """Whether it may begin from memory: what is to be scored has to be read."""
        return bool(self.owner) and self.scored_from is None

    def span(self, place: int, budget: int) -> Span:
        """Its next tokens, at most `budget`."""
        end = min(len(self.tokens), self.read + budget)
        wanted: Literal["last", "all", "none"] = "last" if end == len(self.tokens) and self.limit else "none"
        if self.scored_from is not None and self.read < self.prompt_tokens and end >= self.scored_from:
            wanted = "all"
        return Span(place, self.read, self.tokens[self.read : end], self.version, wanted)

    def speaks(self, span: Span) -> bool:
        """Whether this span is the last of what it has to read before it says a token."""
        return self.limit > 0 and span.start + len(span.ids) == len(self.tokens)

    def took(self, span: Span, logits: torch.Tensor) -> None:
        """Note that a span was read, with the logits `(wanted, vocabulary)` it asked for."""
        self.read = span.start + len(span.ids)
        if span.wanted == "all":
            self._score(span.start, logits)

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do."""
        return self._reason != "" or (not self.limit and self.read == len(self.tokens))

    @property
    def sound(self) -> bool:
        """Whether what it remembers is known to be numbers: it led to a token, or to scores."""
        return self.error is None and (self.made > 0 or self.complete)

    def say(self, token: int, likely: Likely | None, stop_tokens: frozenset[int]) -> None:
        """Add a token that was drawn, and tell what it adds to the text."""
        now = time.monotonic()
        if self.first_token_seconds is None:
            self.first_token_seconds = now - self.asked_at
        else:
            self.gaps.append(now - self._said_at)
        self._said_at = now
        self.tokens.append(token)
        self.drawer.heard(token)
        stopped = token in stop_tokens and not self.drawer.drawing.ignore_stop_token
        text = self._shown(token, stopped, full=self.made >= self.limit)
        if likely is not None:
            self._unsaid.append(self._spelling.token(token, likely))
        if text or self._unsaid:
            self._emit(Piece(text, tuple(self._unsaid)))
            self._unsaid.clear()

    def end(self) -> None:
        """Tell whoever waits how it went."""
        if self.error is not None:
            self._emit(self.error)
        elif self.outcome == "done":
            self._emit(
                Ended(
                    self._reason or "length",
                    self.prompt_tokens,
                    self.made,
                    cached_tokens=self.cached,
                    stopped_by=self._stops.met,
                    seed=self.drawer.seed,
                    prompt=tuple(self._scores),
                )
            )

    def _shown(self, token: int, stopped: bool, *, full: bool) -> str:
        """The text that became certain with this token; settles why the answer ends, if it does."""
        piece = "" if stopped else self._decoder.push(token)
        if stopped or full:
            piece += self._decoder.flush()
        text = self._stops.push(piece)
        if (stopped or full) and not self._stops.met:
            text += self._stops.flush()
        if stopped or self._stops.met:
            self._reason = "stop"
        elif full:
            self._reason = "length"
        return text

    def _score(self, begin: int, logits: torch.Tensor) -> None:
        """Keep the log-probabilities of the prompt's tokens that these logits predict."""
        assert self.scored_from is not None
        first = max(begin, self.scored_from - 1)  # the token before the first is what predicts it
        last = min(self.read, self.prompt_tokens - 1)
        if first >= last:
            return
        said = self.tokens[first + 1 : last + 1]
        found = likelihood(logits[first - begin : last - begin], said, self.details or 0)
        if not all(isfinite(likely.logprob) for likely in found):
            raise GenerationFailed(f"Version {self.version} gives no numbers here.", "Don't roll it out.")
        self._scores += [self._spelling.token(t, likely) for t, likely in zip(said, found, strict=True)]
