"""Lessons that go through the model together, and the splits of many lessons into such packs.

A pack is flat: its lessons' tokens stand one after another, lessons of one length together. Knows
nothing of models.

Trail: tuner/lessons.py, tuner/passes.py -> here -> tuner/tree.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from tuner.head import Aim
from tuner.lessons import Lesson
from tuner.tree import Tree

CALL_COST = 64
"""What one more call of the model costs, in tokens: short rows are padded a little to save calls."""


@dataclass(frozen=True)
class Pack:
    """Lessons in the order of their lengths."""

    lessons: Sequence[Lesson]

    @cached_property
    def lengths(self) -> list[int]:
        return [len(lesson.ids) for lesson in self.lessons]

    @property
    def sizes(self) -> list[int]:
        """Taught tokens of each lesson."""
        return [lesson.taught for lesson in self.lessons]

    @cached_property
    def tree(self) -> Tree:
        return Tree.of([lesson.ids for lesson in self.lessons])

    @property
    def targets(self) -> Tensor:
        return torch.tensor([id for lesson in self.lessons for id in lesson.ids[lesson.start :]])

    @property
    def speaks(self) -> Tensor:
        """Places among all the tree's tokens whose next token is taught."""
        begins = [0, *accumulate(self.tree.lengths)]
        return torch.cat(
            [
                torch.arange(begin + lesson.start - 1, begin + len(lesson.ids) - 1)
                for begin, lesson in zip(begins, self.lessons, strict=False)
            ]
        )

    def side_by_side(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ids `(rows, longest)` padded on the right, what is a token there, and what speaks."""
        longest = max(self.lengths)
        ids = torch.zeros(len(self.lessons), longest, dtype=torch.long)
        seen, speaks = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
        for i, lesson in enumerate(self.lessons):
            length = len(lesson.ids)
            ids[i, :length] = torch.tensor(lesson.ids)
            seen[i, :length] = 1
            speaks[i, lesson.start - 1 : length - 1] = True
        return ids, seen, speaks

    def aim(
        self,
        weights: Sequence[float] | None = None,
        pulls: Sequence[float] | None = None,
        teacher: Mapping[int, tuple[Tensor, Tensor]] | None = None,
    ) -> Aim:
        """What the pack's tokens are to become; `weights` and `pulls` are the lessons', one each.

        `teacher` has, by a lesson's id, the likeliest ids of its taught tokens and their
        log-probabilities; a lesson that is not in it is not pulled.
        """
        each = self._spread([1.0] * len(self.lessons) if weights is None else weights)
        if not teacher or pulls is None or not any(id(lesson) in teacher for lesson in self.lessons):
            return Aim(self.targets, each)
        like_ids, like_known = next(iter(teacher.values()))
        ids, known = [], []
        for lesson in self.lessons:
            none = like_ids.new_zeros(lesson.taught, like_ids.shape[1])
            held = teacher.get(id(lesson), (none, none.to(like_known.dtype).fill_(-1e4)))
            ids.append(held[0])
            known.append(held[1])
        return Aim(self.targets, each, self._spread(pulls), torch.cat(ids), torch.cat(known))

    def _spread(self, values: Sequence[float]) -> Tensor:
        return torch.repeat_interleave(torch.tensor(values, dtype=torch.float32), torch.tensor(self.sizes))


def packed(asked: Sequence[Lesson], most: int) -> list[Pack]:
    """As few packs as the order of lengths allows, about equally full; nothing is padded."""
    ordered = sorted(asked, key=lambda lesson: len(lesson.ids))
    total = sum(len(lesson.ids) for lesson in ordered)
    goal = total / max(1, -(-total // most))
    packs: list[list[Lesson]] = []
    held = 0
    for lesson in ordered:
        # A little over the goal is better than one small pack more, as long as it stays below the most.
        if not packs or held >= goal or held + len(lesson.ids) > most:
            packs.append([])
            held = 0
        packs[-1].append(lesson)
        held += len(lesson.ids)
    return [Pack(pack) for pack in packs]


def padded(asked: Sequence[Lesson], most: int) -> list[Pack]:
    """The cheapest split of the lessons sorted by length, for a pass that pads to the longest.

    Cost of a split: padded tokens plus `CALL_COST` per pack. A lesson longer than `most` makes a
    pack of its own.
    """
    ordered = sorted(asked, key=lambda lesson: len(lesson.ids))
    cheapest, begins = [0], [0]
    for end in range(1, len(ordered) + 1):
        longest = len(ordered[end - 1].ids)
        choices = [
            (cheapest[begin] + (end - begin) * longest + CALL_COST, begin)
            for begin in range(end)
            if (end - begin) * longest <= most or end - begin == 1
        ]
        cost, begin = min(choices)
        cheapest.append(cost)
        begins.append(begin)
    split: list[Pack] = []
    end = len(ordered)
    while end:
        split.append(Pack(ordered[begins[end] : end]))
        end = begins[end]
    return split
