"""Causal attention of many texts that stand one after another, none of which sees another.

On a processor, texts of one length go together and nothing is padded. On a GPU, one call of PyTorch's
variable-length attention does all of them. Knows no model.

Trail: tuner/lean.py -> here
"""

from collections.abc import Sequence
from itertools import accumulate, groupby

import torch
from torch import Tensor
from torch.nn import functional


def attend(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], scale: float) -> Tensor:
    """`q` (tokens, heads, size), `k` and `v` (tokens, fewer heads, size) become (tokens, heads * size)."""
    if q.device.type == "cuda":
        return _at_once(q, k, v, lengths, scale).flatten(1)
    shared = q.shape[1] // k.shape[1]
    if shared > 1:
        k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
    groups = [(length, len(list(same))) for length, same in groupby(lengths)]
    sizes = [length * count for length, count in groups]
    parts = zip(q.split(sizes), k.split(sizes), v.split(sizes), groups, strict=True)
    return torch.cat([_group(*part, scale) for part in parts])


def _group(q: Tensor, k: Tensor, v: Tensor, group: tuple[int, int], scale: float) -> Tensor:
    length, count = group
    q, k, v = (side.view(count, length, *side.shape[1:]).transpose(1, 2) for side in (q, k, v))
    seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    return seen.transpose(1, 2).reshape(length * count, -1)


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
