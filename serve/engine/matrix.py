"""A weight matrix laid out for the processor it is on: oneDNN's packed blocks where they help.

A packed matrix multiplies 1.6 to 2.3 times faster than a plain one on x86 (docs/log.md); PyTorch's compiler
packs the same way, through the operators used here. Elsewhere a matrix stays plain. Knows nothing of
layers or adapters.
"""

from functools import cache

import psutil
import torch
from torch.nn import functional

ROWS = 16
"""The number of rows that a packed layout is chosen for; others run on it too."""


class Matrix:
    """`x -> x W^T + bias` with a fixed `W` of shape `(out, in)`."""

    __slots__ = ("_bias", "_packed", "_plain", "shape")

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.shape = (weight.shape[0], weight.shape[1])
        self._bias = bias
        self._plain: torch.Tensor | None = weight
        self._packed: torch.Tensor | None = None
        if packs(weight.device.type, weight.dtype):
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)
            self._plain = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`(rows, in)` becomes `(rows, out)`."""
        if self._packed is None:
            return functional.linear(x, self.plain(), self._bias)
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self._bias, "none", [], ""
        )
        return product

    def add(self, x: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
        """`to + x W^T`, for a matrix without a bias."""
        if self._packed is None:
            return torch.addmm(to, x, self.plain().t())
        total: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, to, self._packed, None, "add")
        return total

    def plain(self) -> torch.Tensor:
        """The weights as an ordinary `(out, in)` tensor; a copy where they are packed."""
        if self._plain is not None:
            return self._plain
        assert self._packed is not None
        return self._packed.to_dense()

    @property
    def bias(self) -> torch.Tensor | None:
        return self._bias


def free_memory(device: torch.device) -> int:
    """Bytes that matrices and rows may still take."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


@cache
def packs(device: str, dtype: torch.dtype) -> bool:
    """Whether matrices of this dtype can be packed here, and still multiply right."""
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    try:
        made = torch.Generator().manual_seed(0)
        weight = torch.randn(48, 32, generator=made).to(dtype)
        x, to = torch.randn(3, 32, generator=made).to(dtype), torch.randn(3, 48, generator=made).to(dtype)
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
        total = torch.ops.mkldnn._linear_pointwise.binary(x, to, packed, None, "add")
        again = packed.to_dense()
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    near = torch.allclose(total.float(), (to + functional.linear(x, weight)).float(), rtol=0.05, atol=0.1)
    return near and torch.equal(again, weight)
