"""The processes that train one adapter together, each on its share of every step; one alone is a team too.

`accelerate launch` starts them; all hold the same weights, add up their gradients, and take the same
optimiser step. Only the first writes files. Knows nothing of what is learnt.

Trail: tuner/train.py -> here
"""

import os
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")
SIZE = "WORLD_SIZE"
"""The variable by which `accelerate launch` tells how many they are."""


class Team:
    """This process's place among those that train together."""

    def __init__(self) -> None:
        self.size = int(os.environ.get(SIZE, "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.size > 1:
            from accelerate import PartialState

            PartialState(cpu=not torch.cuda.is_available())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, all_of_them: Sequence[T]) -> Sequence[T]:
        """This process's part; the heavier end of a sorted list is dealt out as evenly as the other."""
        there_and_back = [*range(self.size), *reversed(range(self.size))]
        turns = {at for at, rank in enumerate(there_and_back) if rank == self.rank}
        return [one for at, one in enumerate(all_of_them) if at % len(there_and_back) in turns]

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the team."""
        if self.size == 1:
            return
        held = list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in held])
        distributed.all_reduce(flat)
        sizes = [tensor.numel() for tensor in held]
        for tensor, part in zip(held, flat.split(sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

    def as_first(self, value: T) -> T:
        """What the first process has, so that all decide alike."""
        if self.size == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held)
        return held[0]

    def part(self) -> None:
        """Wait for everyone's end."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()
