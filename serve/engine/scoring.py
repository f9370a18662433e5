"""Work on the model that is no answer: log-probabilities of given answers, and embeddings of texts.

Both take turns with the answers. Knows nothing of sampling or HTTP.

Trail: serve/engine/worker.py -> here -> tuner/prove.py
"""

from collections.abc import Callable, Sequence

import torch

from feedback.errors import HoneError
from feedback.template import Labelled
from serve.engine.embedder import Embedder
from serve.engine.generation import CHUNK
from serve.engine.model import Loaded
from serve.engine.protocol import BASE
from serve.engine.refusals import GenerationFailed
from serve.engine.worker import Job

Scores = list[list[float]]
Report = Callable[[Scores | HoneError | None], None]
"""Hears the rows once: all of them, the error, or None for a job that was cancelled."""

BATCH = 16
"""Texts embedded in one turn."""


class _Reported(Job):
    """A job that reports its rows once, at its end."""

    def __init__(self, version: str, report: Report, *, background: bool) -> None:
        super().__init__(version, background=background)
        self._report = report
        self._rows: Scores = []

    def end(self) -> None:
        self._report(self.error or (self._rows if self.outcome == "done" else None))


class Probe(_Reported):
    """Scores each answer's own tokens, stop token included: natural log-probabilities in float32."""

    def __init__(
        self, model: Loaded, version: str, pairs: Sequence[Labelled], report: Report, *, background: bool
    ) -> None:
        super().__init__(version, report, background=background)
        self._model = model
        self._pairs = pairs
        self._at = 0
        self._row: list[float] = []
        self._cache = model.cache()

    def turn(self) -> bool:
        pair = self._pairs[len(self._rows)]
        begin, end = self._at, min(self._at + CHUNK, len(pair.ids) - 1)
        first = max(begin, pair.start - 1)  # the token before the answer is what predicts its first
        logits = self._model.forward(pair.ids[begin:end], self._cache, keep=max(1, end - first))
        if end > first:
            self._row += self._score(logits, pair.ids[first + 1 : end + 1])
        self._at = end
        if end == len(pair.ids) - 1:
            self._rows.append(self._row)
            self._at, self._row, self._cache = 0, [], self._model.cache()
        return len(self._rows) == len(self._pairs)

    def _score(self, logits: torch.Tensor, said: list[int]) -> list[float]:
        """Log-probability of each said token under its row of logits `(tokens, vocabulary)`."""
        wanted = torch.tensor(said, device=logits.device)[:, None]
        scores = torch.log_softmax(logits.float(), dim=-1).gather(1, wanted)[:, 0]
        if not torch.isfinite(scores).all():
            raise GenerationFailed(f"Version {self.version} gives no numbers here.", "Don't roll it out.")
        row: list[float] = scores.tolist()
        return row


class Embedding(_Reported):
    """Embeds texts, a batch a turn."""

    def __init__(self, embedder: Embedder, texts: Sequence[str], report: Report) -> None:
        super().__init__(BASE, report, background=False)
        self._embedder = embedder
        self._texts = texts

    def turn(self) -> bool:
        batch = self._texts[len(self._rows) : len(self._rows) + BATCH]
        self._rows += self._embedder.encode(batch)
        return len(self._rows) == len(self._texts)
