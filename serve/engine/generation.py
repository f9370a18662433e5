"""One answer in the making: its own cache, sampler and text, one token a turn.

Knows its model and its caller's `emit`, nothing of other requests.

Trail: serve/engine/worker.py -> here -> serve/engine/sampling.py
"""

import time
from collections.abc import Callable, Sequence

from feedback.errors import HoneError
from serve.engine.model import Loaded
from serve.engine.protocol import Ended, Usage
from serve.engine.sampling import Sampler
from serve.engine.text import Decoder, StopStrings
from serve.engine.worker import Job

CHUNK = 128
"""Prompt tokens a turn, so that a long prompt holds other answers up for a moment and no longer."""


Emit = Callable[[str | Ended | HoneError], None]
"""Hears the answer's text piece by piece, then its end or the error that ended it."""


class Generation(Job):
    """Reads its prompt chunk by chunk, then says one token a turn; `emit` hears of both text and end."""

    def __init__(
        self,
        model: Loaded,
        version: str,
        prompt: list[int],
        *,
        sampler: Sampler,
        max_tokens: int,
        stops: Sequence[str],
        emit: Emit,
        background: bool,
    ) -> None:
        super().__init__(version, background=background)
        self.prompt_tokens = len(prompt)
        self.made = 0
        self.first_token_seconds: float | None = None
        self._model = model
        self._unread = prompt
        self._cache = model.cache()
        self._sampler = sampler
        self._max_tokens = max_tokens
        self._decoder = Decoder(model.decode)
        self._stops = StopStrings(stops)
        self._emit = emit
        self._asked_at = time.perf_counter()
        self._reason = ""

    def turn(self) -> bool:
        step, self._unread = self._unread[:CHUNK], self._unread[CHUNK:]
        logits = self._model.forward(step, self._cache)
        if self._unread:
            return False
        token = self._sampler.choose(logits[-1])
        if self.first_token_seconds is None:
            self.first_token_seconds = time.perf_counter() - self._asked_at
        self.made += 1
        self._unread = [token]
        self._reason = self._say(token)
        return self._reason != ""

    def end(self) -> None:
        del self._cache
        if self.error is not None:
            self._emit(self.error)
        elif self._reason:
            usage = Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self.made)
            self._emit(Ended(self._reason, usage))

    def _say(self, token: int) -> str:
        """Emit what this token adds to the text; returns why the answer ends with it, or nothing."""
        stopped = token in self._model.stops
        full = self.made >= self._max_tokens
        piece = "" if stopped else self._decoder.push(token)
        if stopped or full:
            piece += self._decoder.flush()
        text = self._stops.push(piece)
        if (stopped or full) and not self._stops.met:
            text += self._stops.flush()
        if text:
            self._emit(text)
        if stopped or self._stops.met:
            return "stop"
        return "length" if full else ""
