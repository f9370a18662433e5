"""The base's own answers, learnt beside the pairs so that what they do not touch stays as it was.

A small share of each step repeats what the base said to general questions, and is held close to the
distribution that the base had at each of its tokens. Knows nothing of optimisers.

Trail: tuner/train.py -> here -> tuner/passes.py
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tuner.lessons import Lesson
from tuner.passes import Pass

NAMED = 64
"""How many of the base's likeliest tokens are remembered at each place."""


@dataclass(frozen=True)
class Replay:
    """What may be repeated, and how much of it."""

    lessons: Sequence[Lesson] = ()
    teacher: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    share: float = 0.0
    seed: int = 0

    def beside(self, step: int, taught: int) -> list[Lesson]:
        """What step number `step` repeats beside so many taught tokens; the same whenever it is asked."""
        wanted = self.share / (1 - self.share) * taught
        if not self.lessons or wanted <= 0:
            return []
        order = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        chosen: list[Lesson] = []
        held = 0
        for place in torch.randperm(len(self.lessons), generator=order).tolist():
            lesson = self.lessons[place]
            # Whichever of taking it or leaving it comes closer.
            if held + lesson.taught / 2 > wanted:
                break
            chosen.append(lesson)
            held += lesson.taught
        return chosen


@torch.no_grad()
def remember(
    way: Pass,
    lessons: Sequence[Lesson],
    bare: AbstractContextManager[object],
    *,
    most: int,
    share: float,
    seed: int,
) -> Replay:
    """Replay of these lessons, with what the base thinks of each token; `bare` makes the pass the base's."""
    teacher: dict[int, tuple[Tensor, Tensor]] = {}
    with bare:
        for pack in way.packs(lessons, most):
            ids, known = way.likeliest(pack, NAMED)
            parts = zip(pack.lessons, ids.cpu().split(pack.sizes), known.cpu().split(pack.sizes), strict=True)
            teacher |= {id(lesson): (part, log) for lesson, part, log in parts}
    return Replay(lessons, teacher, share, seed)
