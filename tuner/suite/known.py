"""What a base model is known to pass: names a base by its bytes, and knows what was sampled of it before.

`known.jsonl` has, for the model that comes with Hone, how often it passed each item when it was sampled
(`make bench-general` writes it), so that no first run has to. Another base is sampled once, by
`tuner/examine.py`. Asks nobody.

Trail: tuner/examine.py -> here
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tuner.plan import read_lines

FILE = Path(__file__).with_name("known.jsonl")
SLICE, SLICES = 1 << 16, 32
TOLD_BY = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""Files that decide what the weights are shown; whichever of them there are."""


@dataclass(frozen=True, slots=True)
class Passes:
    """How often a base passed an item, of how many samples."""

    passed: int
    asked: int

    @property
    def share(self) -> float:
        return self.passed / self.asked

    @property
    def always(self) -> bool:
        return self.passed == self.asked

    @property
    def informs(self) -> bool:
        """Whether it passes sometimes: only then can a version be seen to gain or to lose."""
        return 0 < self.passed < self.asked


def base_digest(folder: Path) -> str:
    """Names the model in a folder by its tokenizer and by pieces from all over its weights.

    Reading gigabytes whole would take longer than the examination; a fine-tune changes weights everywhere.
    """
    total = hashlib.sha256()
    for name in TOLD_BY:
        if (folder / name).exists():
            total.update((folder / name).read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        total.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            for place in range(SLICES):
                file.seek(size * place // SLICES)
                total.update(file.read(SLICE))
    return total.hexdigest()[:16]


@cache
def shipped() -> Mapping[tuple[str, str], Passes]:
    """By base and item digest."""
    return {(told["base"], told["item"]): Passes(told["passed"], told["asked"]) for told in read_lines(FILE)}


def lines(base: str, found: Iterable[tuple[str, Passes]]) -> list[dict[str, str | int]]:
    """What `known.jsonl` holds, for a base and its items' digests."""
    return [
        {"base": base, "item": item, "passed": passes.passed, "asked": passes.asked} for item, passes in found
    ]
