"""Chooses each row's next token from a step's logits, with a random generator of the row's own.

Rows are computed together but never mixed, so what one request draws does not depend on its
neighbours, and a seed means the same answer again. Knows nothing of models or text.

Trail: serve/engine/drawing.py -> here
"""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from serve.engine.asking import Drawing

LIKELY = 1024
"""How many of the likeliest tokens are sorted first; nearly always enough to fill the nucleus."""


COLDEST = 1e-6
"""The smallest temperature that float32 can still divide by; it draws the likeliest token."""


class Drawer:
    """One row's way of drawing: its generator, and what it must remember for its penalties."""

    def __init__(self, drawing: Drawing, prompt: Sequence[int]) -> None:
        self.drawing = drawing
        self.seed = secrets.randbits(53) if drawing.seed is None else drawing.seed
        self._generator = torch.Generator().manual_seed(self.seed)
        self._prompt = frozenset(prompt) if drawing.repetition_penalty != 1 else frozenset[int]()
        self._made: Counter[int] = Counter()

    @property
    def greedy(self) -> bool:
        return self.drawing.temperature == 0

    @property
    def penalises(self) -> bool:
        asked = self.drawing
        return asked.repetition_penalty != 1 or asked.presence_penalty != 0 or asked.frequency_penalty != 0

    def heard(self, token: int) -> None:
        """Count a token that was chosen."""
        if self.penalises:
            self._made[token] += 1

    def chance(self) -> float:
        """A number between 0 and 1 from this row's own generator."""
        return float(torch.rand(1, generator=self._generator))

    def penalised(self, logits: torch.Tensor) -> torch.Tensor:
        """A row of logits less what its penalties take: repetition as in CTRL, the others as OpenAI's."""
        asked, logits = self.drawing, logits.clone()
        said = torch.tensor(sorted(self._made), dtype=torch.long, device=logits.device)
        if asked.repetition_penalty != 1 and (self._prompt or self._made):
            seen = torch.tensor(
                sorted(self._prompt | set(self._made)), dtype=torch.long, device=logits.device
            )
            found = logits[seen]
            factor = asked.repetition_penalty
            logits[seen] = torch.where(found > 0, found / factor, found * factor)
        if len(said):
            counts = torch.tensor([self._made[t] for t in said.tolist()], device=logits.device)
            logits[said] -= asked.presence_penalty + asked.frequency_penalty * counts
        return logits


@dataclass(frozen=True, slots=True)
class Likely:
    """A token's log-probability and rank, and the likeliest tokens, under the unaltered logits."""

    logprob: float
    rank: int
    top: list[tuple[int, float]]


def choose(logits: torch.Tensor, drawers: Sequence[Drawer]) -> list[int | None]:
    """The next token of each row of logits `(rows, vocabulary)`; None where they are not numbers."""
    highest, likeliest = logits.max(dim=-1)
    sound = torch.isfinite(highest).tolist()
    chosen: list[int | None] = likeliest.tolist()
    drawn = [i for i, drawer in enumerate(drawers) if not drawer.greedy or drawer.penalises]
    drawn = [i for i in drawn if sound[i]]
    if drawn:
        rows = logits[torch.tensor(drawn, device=logits.device)]
        for i, token in zip(drawn, _draw(rows, [drawers[i] for i in drawn]), strict=True):
            chosen[i] = token
    return [token if fine else None for token, fine in zip(chosen, sound, strict=True)]


def likelihood(logits: torch.Tensor, tokens: Sequence[int], top: int) -> list[Likely]:
    """Of each row of logits `(rows, vocabulary)`, the given token's log-probability and the `top` best."""
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    own = logprobs.gather(1, torch.tensor(tokens, device=logits.device)[:, None])
    ranks = (logprobs > own).sum(dim=-1) + 1
    values, ids = logprobs.topk(min(top, logprobs.shape[-1]))
    each = zip(own[:, 0].tolist(), ranks.tolist(), ids.tolist(), values.tolist(), strict=True)
    return [Likely(p, rank, list(zip(best, theirs, strict=True))) for p, rank, best, theirs in each]


def _draw(logits: torch.Tensor, drawers: Sequence[Drawer]) -> list[int]:
    logits = logits.float()
    for i, drawer in enumerate(drawers):
        if drawer.penalises:
            logits[i] = drawer.penalised(logits[i])
    highest, likeliest = logits.max(dim=-1, keepdim=True)
    # The highest logit becomes 0 first, so that a tiny temperature cannot overflow.
    warmth = torch.tensor([[drawer.drawing.temperature or 1.0] for drawer in drawers], device=logits.device)
    shares = torch.softmax((logits - highest) / warmth.clamp(min=COLDEST), dim=-1)
    values, ids = shares.topk(min(LIKELY, shares.shape[-1]))
    best: list[int] = likeliest[:, 0].tolist()
    return [
        best[i] if drawer.greedy else _pick(shares[i], values[i], ids[i], drawer)
        for i, drawer in enumerate(drawers)
    ]


def _pick(shares: torch.Tensor, values: torch.Tensor, ids: torch.Tensor, drawer: Drawer) -> int:
    """Draw from one row of shares; `values` and `ids` are its likeliest, in order."""
    asked = drawer.drawing
    if asked.top_p >= 1 and not asked.top_k and not asked.min_p:
        return _at(shares, drawer.chance())
    if _tail_counts(values, asked):
        values, ids = shares.sort(descending=True)
    # In transformers' order: first top_k, then top_p of what that left, then min_p.
    if asked.top_k:
        values = values[: asked.top_k]
    if asked.top_p < 1:
        whole = values.sum() if asked.top_k else 1.0
        before = values.cumsum(0) - values
        values = values[: max(1, int((before < asked.top_p * whole).sum()))]
    if asked.min_p:
        values = values[: max(1, int((values >= asked.min_p * values[0]).sum()))]
    return int(ids[_at(values, drawer.chance())])


def _tail_counts(values: torch.Tensor, asked: Drawing) -> bool:
    """Whether tokens beyond the likeliest may still be drawn."""
    if asked.top_k:
        return asked.top_k > len(values)
    if asked.top_p < 1:
        return float(values.sum()) < asked.top_p
    return bool(values[-1] >= asked.min_p * values[0])


def _at(shares: torch.Tensor, chance: float) -> int:
    """The place at which the running sum of the shares passes this part of their whole."""
    running = shares.cumsum(0)
    place = int(torch.searchsorted(running, running[-1] * chance, right=True))
    return place if place < len(shares) else int(shares.nonzero()[-1])
