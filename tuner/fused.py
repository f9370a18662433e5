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
        scale = wide.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        normed = wide.mul_(scale) if wide is not x else wide * scale
        ctx.save_for_backward(normed.to(x.dtype), scale, weight)
        return weight * normed.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        normed, scale, weight = ctx.saved_tensors
        wide, to_normed = normed.float(), (grad * weight).float()
        along = (to_normed * wide).mean(-1, keepdim=True)
        return (to_normed - wide * along).mul_(scale).to(grad.dtype), None, None


class Rotate(torch.autograd.Function):
    """Rotary positions: `x` (tokens, heads, size), `cosines` and `sines` (tokens, size), halves repeated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        ctx.save_for_backward(cosines, sines)
        return _turned(x, cosines, sines)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cosines, sines = ctx.saved_tensors
        return _turned(grads[0], cosines, -sines), None, None


def _turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    c, s = cosines[:, None, :half], sines[:, None, :half]
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * c - second * s, second * c + first * s), dim=-1)


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
        to_gate = torch.ops.aten.silu_backward(grad * up, gate)
        return torch.cat((to_gate, grad * functional.silu(gate)), dim=-1)
