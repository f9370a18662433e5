"""Texts that begin alike as one tree of tokens, so that what they share goes through a model once.

A token's states depend on nothing but what stands before it, so equal beginnings have equal states, and the
gradient of a shared token is the sum over its texts. All pairs of an assistant share its system prompt; the
turns of a conversation share what was said before. Knows no model.

Trail: tuner/packs.py, tuner/lean.py -> here
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

STEP = 16
"""Lengths are multiples of this: each new shape of a product costs a millisecond on a processor."""


@dataclass(frozen=True)
class Tree:
    """Many texts' tokens, each beginning once; a node is a token with all that stands before it."""

    lengths: Sequence[int]
    """Tokens of each text, rounded up, so that many texts are of one length; nothing comes of what fills."""
    ids: Tensor
    """(nodes,) Token ids."""
    places: Tensor
    """(nodes,) Places in the text."""
    nodes: Tensor
    """(tokens,) The node of each token, text after text; a text's last node fills it up to its length."""
    firsts: Tensor
    """(nodes,) The first token of each node."""
    shared: Tensor
    """(shared,) Nodes of several tokens."""
    repeats: Tensor
    """(repeats,) The tokens of those nodes."""

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> "Tree":
        known: dict[tuple[int, int], int] = {}
        ids: list[int] = []
        places: list[int] = []
        firsts: list[int] = []
        nodes: list[int] = []
        tokens: dict[int, list[int]] = defaultdict(list)
        for text in texts:
            node = -1
            for place, token in enumerate(text):
                node = known.setdefault((node, token), len(ids))
                if node == len(ids):
                    ids.append(token)
                    places.append(place)
                    firsts.append(len(nodes))
                tokens[node].append(len(nodes))
                nodes.append(node)
            nodes += [node] * (-len(text) % STEP)
        shared = {node: same for node, same in tokens.items() if len(same) > 1}
        told = ids, places, nodes, firsts, list(shared), [token for same in shared.values() for token in same]
        lengths = [len(text) + -len(text) % STEP for text in texts]
        return cls(lengths, *(torch.tensor(each, dtype=torch.long) for each in told))

    def to(self, device: torch.device) -> "Tree":
        moved = ("ids", "places", "nodes", "firsts", "shared", "repeats")
        return replace(self, **{name: getattr(self, name).to(device) for name in moved})

    def spread(self, x: Tensor) -> Tensor:
        """`(nodes, ...)` becomes `(tokens, ...)`."""
        spread: Tensor = _Spread.apply(x, self)
        return spread

    def gather(self, x: Tensor) -> Tensor:
        """`(tokens, ...)`, equal where they are one node's, becomes `(nodes, ...)`."""
        return x.index_select(0, self.firsts)


class _Spread(torch.autograd.Function):
    """Rows of nodes as rows of tokens, whose gradients a product adds up: precisely, and in one order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tree: Tree) -> Tensor:
        ctx.tree = tree
        return x.index_select(0, tree.nodes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), tree = grads, ctx.tree
        to_x = grad.index_select(0, tree.firsts)
        adds = (tree.nodes[tree.repeats] == tree.shared[:, None]).to(grad.dtype)
        added = adds @ grad.index_select(0, tree.repeats).flatten(1)
        return to_x.index_copy_(0, tree.shared, added.view(-1, *grad.shape[1:])), None
