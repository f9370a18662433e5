"""What a training will hold in memory, so that it starts smaller, or not at all, where there is too little.

An estimate from the shapes, on the safe side of what was measured (docs/log.md). Knows nothing of steps.

Trail: tuner/train.py -> here
"""

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from feedback.errors import TrainingFailed
from tuner.head import CHUNKS

OVERHEAD = 500 * 2**20
"""The libraries, their kernels, and what the allocator cannot give back."""
LIMIT = Path("/sys/fs/cgroup/memory.max")
STATUS = Path("/proc/self/status")
IN_USE = Path("/sys/fs/cgroup/memory.current")
SHARE = 0.9
"""How much of what is free a training may take."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the memory of a training."""

    base: int
    """Bytes of the frozen base."""
    learnt: int
    """Numbers that are learnt, in float32 beside their gradient and two moments."""
    layers: int
    hidden: int
    inner: int
    vocabulary: int
    item: int
    """Bytes of one number of the frozen base."""
    lean: bool

    def bytes(self, tokens: int, *, frugal: bool, device: str) -> int:
        """For packs of so many tokens; `frugal` keeps only the layers' inputs and computes the rest again."""
        layer = (8 * self.hidden + 3 * self.inner) * (1 if self.lean else 3)
        kept = self.layers * self.hidden + layer if frugal else self.layers * layer
        head = CHUNKS.get(device, CHUNKS["cpu"]) if self.lean else tokens
        return (
            OVERHEAD
            + self.base
            + self.learnt * (16 + 2 * self.item)
            + tokens * kept * self.item
            + head * self.vocabulary * 4 * 4
        )


@dataclass(frozen=True, slots=True)
class Room:
    """What was decided before the first step, and is kept by every later start of the same run."""

    batch_tokens: int
    frugal: bool
    needs: int
    """Bytes, as estimated."""
    free: int
    """Bytes, when the run began."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan(shape: Shape, *, most: int, longest: int, free: int, device: str) -> Room:
    """The largest packs, from `most` tokens down to the longest lesson alone, that fit what is free (bytes).

    Raises:
        TrainingFailed: Not even the longest lesson alone fits.
    """
    sizes = [most]
    while sizes[-1] > longest:
        sizes.append(max(longest, sizes[-1] // 2))
    tries = [(size, False) for size in sizes]
    tries += [(size, True) for size in sizes if shape.lean]
    for size, frugal in tries:
        # A lesson longer than a pack makes a pack of its own.
        needs = shape.bytes(max(size, longest), frugal=frugal, device=device)
        if needs <= free * SHARE:
            return Room(size, frugal, needs, free)
    raise TrainingFailed(
        f"Training needs about {needs / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free.",
        "Close other programs, lower tuner.max_tokens, set a smaller model, or give it quiet hours.",
    )


def most_held() -> int:
    """Most bytes that this process ever held resident; 0 where the system does not tell."""
    with suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def free(device: torch.device) -> int:
    """Bytes that this process may still take: of the GPU, of the machine, or of its control group."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    left = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):
        left = min(left, int(LIMIT.read_text()) - int(IN_USE.read_text()))
    return left
