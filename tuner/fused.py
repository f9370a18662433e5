"""The differentiable pieces of a decoder layer, each with its gradient by hand.

Automatic differentiation keeps more and launches more than these need: the frozen weights get no
gradient, a norm keeps one tensor, a gate recomputes its sigmoid. Knows no model and no adapter.

Trail: tuner/lean.py -> here
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class LoraLinear(torch.autograd.Function):
    """`y = x W^T + bias + (x A^T) B^T` with a frozen `W`.

    Shapes: `x` (tokens, in), `weight` (out, in), `down` (ranks, in), `up` (out, ranks), scaled already.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor) -> Tensor:
        h = x @ down.t()
        ctx.save_for_backward(x, h, weight, down, up)
        return functional.linear(x, weight, bias).addmm_(h, up.t())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, h, weight, down, up = ctx.saved_tensors
        through = grad @ up
        to_x = (grad @ weight).addmm_(through, down) if ctx.needs_input_grad[0] else None
        return to_x, None, None, through.t() @ x, grad.t() @ h


class RmsNorm(torch.autograd.Function):
    """Root-mean-square norm over the last dimension, computed in float32, with a frozen weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.float()
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normed = (wide * scale).to(x.dtype)
        ctx.save_for_backward(normed, scale, weight)
        return weight * normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        normed, scale, weight = ctx.saved_tensors
        wide, to_normed = normed.float(), (grad * weight).float()
        along = (to_normed * wide).mean(-1, keepdim=True)
        return to_normed.addcmul_(wide, along, value=-1).mul_(scale).to(grad.dtype), None, None


class Rotate(torch.autograd.Function):
    """Rotary positions of the first so many heads: `x` (tokens, heads, size), the rest stays as it is.

    `cosines` and `sines` are (tokens, size), halves repeated.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosines: Tensor, sines: Tensor, heads: int) -> Tensor:
        ctx.save_for_backward(cosines, sines)
        ctx.heads = heads
        return _turned(x, cosines, sines, heads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cosines, sines = ctx.saved_tensors
        return _turned(grads[0], cosines, -sines, ctx.heads), None, None, None


def _turned(x: Tensor, cosines: Tensor, sines: Tensor, heads: int) -> Tensor:
    half = x.shape[-1] // 2
    c, s = cosines[:, None, :half], sines[:, None, :half]
    turned = x.clone(memory_format=torch.contiguous_format)
    first, second = x[:, :heads, :half], x[:, :heads, half:]
    turned[:, :heads, :half].mul_(c).addcmul_(second, s, value=-1)
    turned[:, :heads, half:].mul_(c).addcmul_(first, s)
    return turned


class Gated(torch.autograd.Function):
    """`silu(gate) * up` of both side by side: (tokens, 2 width) becomes (tokens, width)."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, dim=-1)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        (both,) = ctx.saved_tensors
        gate, up = both.chunk(2, dim=-1)
        to_both = torch.empty_like(both)
        to_gate, to_up = to_both.chunk(2, dim=-1)
        torch.mul(grad, functional.silu(gate), out=to_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=to_gate)
        return to_both
