"""From the states that speak to the loss: the output head in chunks, so that no large table is kept.

Each chunk's logits are made, judged, turned into the states' gradient and forgotten. Beside the
cross-entropy it can hold a distribution close to a teacher's, of which the likeliest tokens are known.

Trail: tuner/lean.py -> here
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNKS = {"cpu": 64, "cuda": 1024}
"""States whose logits are held at once."""
LEAST = 1e-6
"""The least share that is left for all tokens a teacher did not name."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What the tokens are to become; the first dimension of each is the taught tokens, in their order."""

    targets: Tensor
    """Token ids."""
    weights: Tensor
    """What each token's negative log-likelihood counts in the loss."""
    pulls: Tensor | None = None
    """What each token's divergence from the teacher counts in the loss."""
    named: Tensor | None = None
    """(tokens, k) The teacher's likeliest ids."""
    known: Tensor | None = None
    """(tokens, k) Their log-probabilities."""

    @property
    def places(self) -> Tensor:
        """(tokens, 1 or 1 + k) The ids whose log-probabilities the loss hangs on, the target first."""
        target = self.targets[:, None]
        return target if self.named is None else torch.cat((target, self.named), dim=1)

    def part(self, of: slice) -> "Aim":
        return Aim(*(None if each is None else each[of] for each in self._all()))

    def to(self, device: torch.device) -> "Aim":
        moved = (None if each is None else each.to(device, non_blocking=True) for each in self._all())
        return Aim(*moved)

    def _all(self) -> tuple[Tensor | None, ...]:
        return self.targets, self.weights, self.pulls, self.named, self.known


def judged(logits: Tensor, aim: Aim) -> tuple[Tensor, Tensor]:
    """The loss, and each token's negative log-likelihood in nats; logits are `(tokens, vocabulary)`."""
    return _weighed(logits.float().log_softmax(-1).gather(1, aim.places), aim)


def _weighed(known: Tensor, aim: Aim) -> tuple[Tensor, Tensor]:
    """As `judged`, of the log-probabilities at the aim's places."""
    nll = -known[:, 0]
    loss = (aim.weights * nll).sum()
    if aim.pulls is not None and aim.known is not None:
        loss = loss + (aim.pulls * _divergence(aim.known, known[:, 1:])).sum()
    return loss, nll.detach()


def _divergence(known: Tensor, ours: Tensor) -> Tensor:
    """KL(teacher || ours) in nats, all tokens that the teacher did not name taken as one."""
    theirs = known.exp()
    rest, our_rest = ((1 - part.exp().sum(-1)).clamp_min(LEAST) for part in (known, ours))
    return (theirs * (known - ours)).sum(-1) + rest * (rest.log() - our_rest.log())


class _Head(torch.autograd.Function):
    """The loss of states, whose gradient is made chunk by chunk on the way forward.

    The loss hangs on a few log-probabilities of each token; the gradient of the rest of the vocabulary is the
    softmax times what theirs add up to.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, aim: Aim) -> Any:
        losses, nlls, to_states = [], [], torch.empty_like(states)
        for chunk in _chunks(states):
            part = aim.part(chunk)
            known = functional.linear(states[chunk], weight, bias).float().log_softmax(-1)
            with torch.enable_grad():
                leaf = known.gather(1, part.places).requires_grad_()
                loss, nll = _weighed(leaf, part)
            (grad,) = torch.autograd.grad(loss, leaf)
            to_logits = known.exp_().mul_(-grad.sum(-1, keepdim=True)).scatter_add_(1, part.places, grad)
            to_states[chunk] = to_logits.to(weight.dtype) @ weight
            losses.append(loss.detach())
            nlls.append(nll)
        ctx.save_for_backward(to_states)
        nll = torch.cat(nlls)
        ctx.mark_non_differentiable(nll)
        return torch.stack(losses).sum(), nll

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        (to_states,) = ctx.saved_tensors
        return to_states * given[0].to(to_states.dtype), None, None, None


def loss(states: Tensor, weight: Tensor, bias: Tensor | None, aim: Aim) -> tuple[Tensor, Tensor]:
    """As `judged`, of states `(tokens, hidden)` and the output head's weight `(vocabulary, hidden)`."""
    if torch.is_grad_enabled() and states.requires_grad:
        total, nll = _Head.apply(states, weight, bias, aim)
        return total, nll
    parts = [judged(functional.linear(states[c], weight, bias), aim.part(c)) for c in _chunks(states)]
    return torch.stack([total for total, _ in parts]).sum(), torch.cat([nll for _, nll in parts])


def likeliest(states: Tensor, weight: Tensor, bias: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """The `count` likeliest ids after each state, and their log-probabilities in float32."""
    ids, known = [], []
    for chunk in _chunks(states):
        logits = functional.linear(states[chunk], weight, bias).float().log_softmax(-1)
        values, places = logits.topk(count, dim=-1)
        ids.append(places)
        known.append(values)
    return torch.cat(ids), torch.cat(known)


def _chunks(states: Tensor) -> Iterator[slice]:
    size = CHUNKS.get(states.device.type, CHUNKS["cpu"])
    for begin in range(0, len(states), size):
        yield slice(begin, begin + size)
