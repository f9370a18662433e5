"""What the worker needs of a model: rows of memory, a forward pass over spans of them, and versions.

Two networks keep this contract: `lean.py` for the common families, `whole.py` for all the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from serve.engine.lora import Delta


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens that one row reads in one pass: `ids` stand at positions `start`, `start + 1`, ...

    `wanted` says which of their logits are needed: of the last, of all, or none.
    """

    row: int
    start: int
    ids: Sequence[int]
    version: str
    wanted: Literal["last", "all", "none"] = "last"

    @property
    def logits(self) -> int:
        """How many rows of logits it wants."""
        return {"last": 1, "all": len(self.ids), "none": 0}[self.wanted]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a row remembered of `length` tokens, outside of any row; `size` is in bytes."""

    length: int
    size: int
    memory: Any


class Network(Protocol):
    """A model in memory. One thread calls it; only `add` may be called from any."""

    rows: int
    longest: int
    dtype: torch.dtype
    device: torch.device
    shapes: Mapping[str, tuple[int, int]]
    """`(out, in)` of every linear layer that a version may change, by module name."""

    def forward(self, spans: Sequence[Span]) -> torch.Tensor:
        """Logits `(wanted, vocabulary)` of the spans in their order; their rows then hold their tokens."""
        ...

    def move(self, source: int, target: int, length: int) -> None:
        """Make one row remember what another does, and the other nothing."""
        ...

    def free(self, row: int, *, spoiled: int) -> None:
        """Forget a row; its first `spoiled` tokens may be numbers that are none."""
        ...

    def keep(self, row: int, length: int) -> Kept | None:
        """What a row remembers of its first tokens; None where this model cannot take it out."""
        ...

    def put(self, row: int, kept: Kept, length: int) -> None:
        """Make a free row remember the first `length` tokens of what was kept."""
        ...

    def add(self, version: str, deltas: Mapping[str, Delta]) -> None:
        """Make a version usable. Any thread may call."""
        ...

    def drop(self, version: str) -> None:
        """Forget a version that no span will name again."""
        ...

    def settle(self, versions: frozenset[str]) -> bool:
        """Prepare a little for batches of just these, the base perhaps among them; to be called each step.

        True once there is nothing left to prepare.
        """
        ...
