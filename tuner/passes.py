"""How lessons go through the model: the lean pass where it says what transformers' own says, else that one.

Both give the loss of a batch, each token's negative log-likelihood, and what a teacher must leave behind
to be held to. Knows nothing of optimisers.

Trail: tuner/student.py -> here -> tuner/lean.py, tuner/packs.py
"""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from tuner import head
from tuner.head import Aim
from tuner.lean import LeanPass, fits
from tuner.lessons import Lesson
from tuner.packs import Pack, packed, padded

log = logging.getLogger(__name__)

APART = {torch.float32: 1e-3, torch.bfloat16: 0.15}
"""Mean difference, in nats a token, up to which two passes say the same."""
COMPARED = 4
"""Lessons on which the passes are compared."""


class Pass(Protocol):
    """A way through the model."""

    name: str

    def packs(self, asked: Sequence[Lesson], most: int) -> list[Pack]:
        """The lessons in packs of at most `most` tokens, unless one alone has more."""
        ...

    def loss(self, pack: Pack, aim: Aim) -> tuple[Tensor, Tensor]:
        """The loss, and each taught token's negative log-likelihood in nats."""
        ...

    def likeliest(self, pack: Pack, count: int) -> tuple[Tensor, Tensor]:
        """The likeliest ids `(taught, count)` at each taught token, and their log-probabilities."""
        ...


class Lean:
    """The lean pass: no padding at all, and what lessons have in common only once."""

    name = "lean"

    def __init__(self, model: Any, device: torch.device) -> None:
        self._pass, self._device = LeanPass(model), device
        self.frugal = False
        """Whether only the layers' inputs are kept for the way back, and the rest is computed again."""

    def packs(self, asked: Sequence[Lesson], most: int) -> list[Pack]:
        return packed(asked, most)

    def loss(self, pack: Pack, aim: Aim) -> tuple[Tensor, Tensor]:
        return head.loss(self._states(pack), *self._pass.head, aim.to(self._device))

    def likeliest(self, pack: Pack, count: int) -> tuple[Tensor, Tensor]:
        return head.likeliest(self._states(pack), *self._pass.head, count)

    def _states(self, pack: Pack) -> Tensor:
        return self._pass.states(pack.tree, pack.speaks, frugal=self.frugal)


class Whole:
    """transformers' own pass: lessons of like lengths side by side, padded on the right."""

    name = "transformers"

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model, device

    def packs(self, asked: Sequence[Lesson], most: int) -> list[Pack]:
        return padded(asked, most)

    def loss(self, pack: Pack, aim: Aim) -> tuple[Tensor, Tensor]:
        return head.judged(self._logits(pack), aim.to(self._device))

    def likeliest(self, pack: Pack, count: int) -> tuple[Tensor, Tensor]:
        found = self._logits(pack).float().log_softmax(-1).topk(count, dim=-1)
        return found.indices, found.values

    def _logits(self, pack: Pack) -> Tensor:
        """Logits of the speaking tokens alone, in the pack's order.

        They are gathered before the head, by a hook: whatever the model does to its logits after the
        head (scaling, soft caps) stays in place.
        """
        ids, seen, speaks = (each.to(self._device) for each in pack.side_by_side())

        def gather(_: Any, states: tuple[Tensor, ...]) -> tuple[Tensor]:
            return (states[0][speaks],)

        hook = self._model.get_output_embeddings().register_forward_pre_hook(gather)
        try:
            given = {"input_ids": ids, "attention_mask": None if bool(seen.all()) else seen}
            logits: Tensor = self._model(**given, use_cache=False).logits
        finally:
            hook.remove()
        return logits


def choose(model: Any, device: torch.device, lessons: Sequence[Lesson]) -> Pass:
    """The lean pass if it fits this model and agrees with transformers' on some of these lessons."""
    whole = Whole(model, device)
    if not fits(model.config):
        return whole
    try:
        lean = Lean(model, device)
        apart = _apart(lean, whole, lessons[:COMPARED])
    except (RuntimeError, AttributeError, ValueError, TypeError) as odd:
        log.warning("the lean pass does not take this model (%s); transformers' own is used", odd)
        return whole
    # A base in float32 on a GPU may multiply in TF32, which is no more exact than bfloat16.
    allowed = APART.get(model.dtype if device.type == "cpu" else torch.bfloat16, APART[torch.bfloat16])
    if not apart <= allowed:
        log.warning("the lean pass is %.3f nats a token from transformers', which is used instead", apart)
        return whole
    return lean


@torch.no_grad()
def nll(way: Pass, asked: Sequence[Lesson], most: int) -> list[list[float]]:
    """Each lesson's negative log-likelihoods of its taught tokens, in nats, in the order asked."""
    found: dict[int, list[float]] = {}
    for pack in way.packs(asked, most):
        _, each = way.loss(pack, pack.aim())
        for lesson, part in zip(pack.lessons, each.cpu().split(pack.sizes), strict=True):
            found[id(lesson)] = part.tolist()
    return [found[id(lesson)] for lesson in asked]


def _apart(left: Pass, right: Pass, lessons: Sequence[Lesson]) -> float:
    sides = [nll(way, lessons, 1 << 20) for way in (left, right)]
    pairs = [(a, b) for each in zip(*sides, strict=True) for a, b in zip(*each, strict=True)]
    return sum(abs(a - b) for a, b in pairs) / max(len(pairs), 1)
