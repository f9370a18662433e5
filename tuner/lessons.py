"""Snapshot rows become lessons, and lessons become the steps of an epoch.

A lesson is one pair as token ids, and where its response starts: only the response, its stop token
included, carries loss. Pairs that do not fit are skipped and counted, never cut. Knows nothing of
models, adapters or optimisers.

Trail: feedback/template.py -> here -> tuner/packs.py
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from feedback import template
from feedback.errors import BadRequest
from feedback.snapshot import Row


@dataclass(frozen=True, slots=True)
class Lesson:
    """One pair as tokens; `ids[start:]` is the response with its stop token."""

    row: Row
    ids: list[int]
    start: int
    weight: float = 1.0
    """What it counts: several right responses of one instruction share the weight of one."""

    @property
    def taught(self) -> int:
        return len(self.ids) - self.start


def lessons(
    tokenizer: Any, rows: Iterable[Row], stops: Iterable[int], max_tokens: int
) -> tuple[list[Lesson], Counter[str]]:
    """The rows as lessons, and how many were left out for which reason."""
    kept: list[Lesson] = []
    rows = list(rows)
    sharing = Counter(row.messages for row in rows)
    dropped: Counter[str] = Counter()
    for row in rows:
        try:
            labelled = template.label(tokenizer, row.messages, row.response, stops)
        except BadRequest:
            dropped["template"] += 1
            continue
        if len(labelled.ids) > max_tokens:
            dropped["too_long"] += 1
            continue
        kept.append(Lesson(row, labelled.ids, labelled.start, 1 / sharing[row.messages]))
    return kept, dropped


def steps(taught: Sequence[Lesson], epoch: int, seed: int, pairs_per_step: int) -> list[list[Lesson]]:
    """An epoch's lessons in an order of its own, `pairs_per_step` at a time; the same for the same seed."""
    order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = [taught[i] for i in torch.randperm(len(taught), generator=order).tolist()]
    return [shuffled[i : i + pairs_per_step] for i in range(0, len(shuffled), pairs_per_step)]
