"""The rows of keys and values that requests in progress remember, in one block a model.

Rows in use stand together from 0 on, so that a step's attention reads slices and copies nothing; each
head's tokens stand together, for attention reads a head from end to end (docs/log.md). What lies behind
a row's length is stale but always a number: attention masks it, and a mask cannot hide NaN.

Trail: serve/engine/lean.py -> here
"""

import mmap
from math import prod

import torch

from serve.engine.network import Kept


class Arena:
    """`rows` rows of `longest` tokens, `(layers, rows, 2 heads_kv, longest, head_dim)`: keys, then values."""

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        longest: int,
        heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.rows, self.longest = rows, longest
        self.heads, self.head_dim = heads, head_dim
        self._all = _zeros((layers, rows, 2 * heads, longest, head_dim), dtype, device)
        # By row and token for writing, keys and values apart for reading.
        self._tokens = [layer.transpose(1, 2) for layer in self._all]
        self._keys = [layer[:, :heads] for layer in self._all]
        self._values = [layer[:, heads:] for layer in self._all]

    def write(self, layer: int, rows: torch.Tensor, positions: torch.Tensor, kept: torch.Tensor) -> None:
        """Put `(tokens, 2 heads_kv, head_dim)` at these positions of these rows."""
        self._tokens[layer].index_put_((rows, positions), kept)

    def read(self, layer: int, first: int, last: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values `(rows, heads_kv, length, head_dim)` of the rows from `first` up to `last`."""
        return self._keys[layer][first:last, :, :length], self._values[layer][first:last, :, :length]

    def move(self, source: int, target: int, length: int) -> None:
        self._all[:, target, :, :length] = self._all[:, source, :, :length]

    def clear(self, row: int, length: int) -> None:
        """The first tokens back to zeros: after numbers that were none, a mask would not be enough."""
        self._all[:, row, :, :length].zero_()

    def keep(self, row: int, length: int) -> Kept:
        memory = self._all[:, row, :, :length].clone(memory_format=torch.contiguous_format)
        return Kept(length, memory.numel() * memory.element_size(), memory)

    def put(self, row: int, kept: Kept, length: int) -> None:
        self._all[:, row, :, :length] = kept.memory[:, :, :length]


def bytes_a_token(*, layers: int, heads: int, head_dim: int, dtype: torch.dtype) -> int:
    """What one token's keys and values take."""
    return layers * 2 * heads * head_dim * dtype.itemsize


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # The system's zeroed pages cost nothing until they are used, where torch.zeros would write them all;
    # small pages, since one huge page would span a whole row.
    pages = mmap.mmap(-1, prod(shape) * dtype.itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # Linux
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(pages, dtype=torch.uint8).view(dtype).view(shape)
