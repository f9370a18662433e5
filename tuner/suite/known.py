"""What a base model is known to pass: what was sampled of it before.

`known.jsonl` has, for the model that comes with Hone, how often it passed each item when it was sampled
(`make bench-general BENCH=--known` writes it), so that no first run has to. Another base is sampled once, by
`tuner/examine.py`. Asks nobody.

Trail: tuner/examine.py -> here
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tuner.plan import read_lines

FILE = Path(__file__).with_name("known.jsonl")


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


@cache
def shipped() -> Mapping[tuple[str, str], Passes]:
    """By base and item digest."""
    return {(told["base"], told["item"]): Passes(told["passed"], told["asked"]) for told in read_lines(FILE)}


def lines(base: str, found: Iterable[tuple[str, Passes]]) -> list[dict[str, str | int]]:
    """What `known.jsonl` holds, for a base and its items' digests."""
    return [
        {"base": base, "item": item, "passed": passes.passed, "asked": passes.asked} for item, passes in found
    ]
