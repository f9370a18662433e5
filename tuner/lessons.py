"""Snapshot rows become lessons, lessons become batches, batches become losses.

A lesson is one pair as token ids, and where its response starts: only the response, its stop token
included, carries loss. Pairs that do not fit are skipped and counted, never cut. Knows nothing of
adapters or optimisers.

Trail: feedback/template.py -> here -> tuner/train.py
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from feedback import template
from feedback.errors import BadRequest
from feedback.snapshot import Row

CALL_COST = 64
"""What one more call of the model costs, in tokens: short rows are padded a little to save calls."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One pair as tokens; `ids[start:]` is the response with its stop token."""

    row: Row
    ids: list[int]
    start: int

    @property
    def taught(self) -> int:
        return len(self.ids) - self.start


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons side by side, padded on the right to the longest."""

    lessons: list[Lesson]
    ids: torch.Tensor  # (rows, longest)
    attention: torch.Tensor | None  # (rows, longest), None where nothing is padded
    speaks: torch.Tensor  # (rows, longest), true where the next token carries loss
    targets: torch.Tensor  # (taught tokens,), row by row


def lessons(
    tokenizer: Any, rows: Iterable[Row], stops: Iterable[int], max_tokens: int
) -> tuple[list[Lesson], Counter[str]]:
    """The rows as lessons, and how many were left out for which reason."""
    kept: list[Lesson] = []
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
        kept.append(Lesson(row, labelled.ids, labelled.start))
    return kept, dropped


def steps(taught: Sequence[Lesson], epoch: int, seed: int, pairs_per_step: int) -> list[list[Lesson]]:
    """An epoch's lessons in an order of its own, `pairs_per_step` at a time; the same for the same seed."""
    order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = [taught[i] for i in torch.randperm(len(taught), generator=order).tolist()]
    return [shuffled[i : i + pairs_per_step] for i in range(0, len(shuffled), pairs_per_step)]


def batches(step: Sequence[Lesson], batch_tokens: int) -> list[Batch]:
    """A step's lessons in batches of like lengths: the cheapest split of the lessons sorted by length.

    Cost of a split: padded tokens plus `CALL_COST` per batch. A lesson longer than `batch_tokens`
    makes a batch of its own.
    """
    ordered = sorted(step, key=lambda lesson: len(lesson.ids))
    cheapest = [0]
    begins = [0]
    for end in range(1, len(ordered) + 1):
        longest = len(ordered[end - 1].ids)
        choices = [
            (cheapest[begin] + (end - begin) * longest + CALL_COST, begin)
            for begin in range(end)
            if (end - begin) * longest <= batch_tokens or end - begin == 1
        ]
        cost, begin = min(choices)
        cheapest.append(cost)
        begins.append(begin)
    split: list[Batch] = []
    end = len(ordered)
    while end:
        split.append(batch(ordered[begins[end] : end]))
        end = begins[end]
    return split


def batch(rows: list[Lesson]) -> Batch:
    """Lessons as tensors; the token at position p is taught where position p - 1 speaks."""
    longest = max(len(lesson.ids) for lesson in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    attention = torch.zeros_like(ids)
    speaks = torch.zeros_like(ids, dtype=torch.bool)
    for i, lesson in enumerate(rows):
        length = len(lesson.ids)
        ids[i, :length] = torch.tensor(lesson.ids)
        attention[i, :length] = 1
        speaks[i, lesson.start - 1 : length - 1] = True
    targets = torch.tensor([token for lesson in rows for token in lesson.ids[lesson.start :]])
    return Batch(rows, ids, None if bool(attention.all()) else attention, speaks, targets)


def negative_log_likelihood(model: Any, batch: Batch, device: torch.device) -> torch.Tensor:
    """Natural negative log-probability of each taught token, in float32: shape (taught tokens,).

    The output head sees only the positions that speak, since projecting every position onto the
    vocabulary is a fifth of a small model's work. Gathering them before the head, by a hook, leaves
    whatever the model does to its logits after the head (scaling, soft caps) in place.
    """
    speaks = batch.speaks.to(device)
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, states: (states[0][speaks],))
    try:
        logits = model(
            input_ids=batch.ids.to(device),
            attention_mask=None if batch.attention is None else batch.attention.to(device),
            use_cache=False,
        ).logits
    finally:
        hook.remove()
    return torch.nn.functional.cross_entropy(logits.float(), batch.targets.to(device), reduction="none")


@torch.no_grad()
def log_probabilities(
    model: Any, asked: Sequence[Lesson], batch_tokens: int, device: torch.device
) -> list[list[float]]:
    """Each lesson's log-probabilities of its response's tokens, in the order asked."""
    found: dict[int, list[float]] = {}
    for group in batches(asked, batch_tokens):
        losses = negative_log_likelihood(model, group, device).cpu()
        sizes = [lesson.taught for lesson in group.lessons]
        for lesson, part in zip(group.lessons, losses.split(sizes), strict=True):
            found[id(lesson)] = (-part).tolist()
    return [found[id(lesson)] for lesson in asked]
