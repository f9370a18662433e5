"""Causal attention of many texts that stand one after another, none of which sees another.

On a processor, texts of one length go together, as plain matrix products: PyTorch's own kernel is slow in
bfloat16 there (docs/log.md). On a GPU, one call of PyTorch's variable-length attention does all of them.
Knows no model.

Trail: tuner/lean.py -> here
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor

ROWS = 256
"""Tokens that look back at once: what they cannot see is mostly not computed, and little is held."""


def attend(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], scale: float) -> Tensor:
    """`q` (tokens, heads, size), `k` and `v` (tokens, fewer heads, size) become (tokens, heads * size)."""
    if q.device.type == "cuda":
        return _at_once(q, k, v, lengths, scale).flatten(1)
    groups = [(length, len(list(same))) for length, same in groupby(lengths)]
    sizes = [length * count for length, count in groups]
    parts = zip(q.split(sizes), k.split(sizes), v.split(sizes), groups, strict=True)
    return torch.cat([_group(*part, scale) for part in parts])


def _group(q: Tensor, k: Tensor, v: Tensor, group: tuple[int, int], scale: float) -> Tensor:
    """Heads that share a key stand below each other, so that they are one product."""
    length, count = group
    few, size = k.shape[1:]
    q = q.view(count, length, few, -1, size).permute(0, 2, 3, 1, 4).flatten(0, 1)
    k, v = (side.view(count, length, few, size).transpose(1, 2).flatten(0, 1) for side in (k, v))
    seen: Tensor = _Causal.apply(q, k, v, scale)
    return seen.unflatten(0, (count, few)).permute(0, 3, 1, 2, 4).reshape(count * length, -1)


class _Causal(torch.autograd.Function):
    """`q` (texts, shared, length, size), `k` and `v` (texts, length, size) become as `q` is.

    What each token looks at is computed again on the way back. It stays in float32 until it weighs the
    values: logits rounded to bfloat16 taught measurably worse (docs/log.md).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        seen = torch.empty_like(q, memory_format=torch.contiguous_format)
        for begin, end in _blocks(q.shape[2]):
            looks = _looks(q[:, :, begin:end].flatten(1, 2), k[:, :end], begin, scale)
            seen[:, :, begin:end] = (looks.to(v.dtype) @ v[:, :end]).view_as(seen[:, :, begin:end])
        ctx.save_for_backward(q, k, v, seen)
        ctx.scale = scale
        return seen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, seen = ctx.saved_tensors
        to_q, to_k, to_v = torch.empty_like(seen), torch.zeros_like(k), torch.zeros_like(v)
        along = (grads[0].float() * seen).sum(-1)
        for begin, end in _blocks(q.shape[2]):
            rows, grad, part = (side[:, :, begin:end].flatten(1, 2) for side in (q, grads[0], along))
            looks = _looks(rows, k[:, :end], begin, ctx.scale)
            to_v[:, :end] += looks.to(v.dtype).transpose(1, 2) @ grad
            wide = torch.baddbmm(part[..., None], grad.float(), v[:, :end].float().transpose(1, 2), beta=-1)
            to_looks = wide.mul_(looks).mul_(ctx.scale).to(q.dtype)
            to_q[:, :, begin:end] = (to_looks @ k[:, :end]).view_as(to_q[:, :, begin:end])
            to_k[:, :end] += to_looks.transpose(1, 2) @ rows
        return to_q, to_k, to_v, None


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, length, ROWS):
        yield begin, min(begin + ROWS, length)


def _looks(rows: Tensor, k: Tensor, begin: int, scale: float) -> Tensor:
    """How much each row looks at each key, wide; `rows` are those from `begin` on, for each shared head."""
    unseen = _unseen(begin, k.shape[1]).repeat(rows.shape[1] // (k.shape[1] - begin), 1)
    return torch.baddbmm(unseen, rows.float(), k.float().transpose(1, 2), alpha=scale).softmax(-1)


@lru_cache(maxsize=64)
def _unseen(begin: int, end: int) -> Tensor:
    """(end - begin, end) Nothing for what a token may see, less than anything for what comes after it."""
    return torch.full((end - begin, end), float("-inf")).triu_(begin + 1)


def _at_once(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], scale: float) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(q.device, non_blocking=True)
    longest = max(lengths)
    seen: Tensor = varlen_attn(
        *(q, k, v, ends, ends, longest, longest),
        scale=scale,
        window_size=(-1, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return seen
