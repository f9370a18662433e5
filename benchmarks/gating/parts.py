"""What a part of the gate's benchmark is told, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from benchmarks.serving.verdict import Bar


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    cards: int
    """Scorecards for each world and version at 100 instructions."""
    fewer: int
    """... at the other sizes."""
    sizes: tuple[int, ...]
    """The other numbers of instructions."""
    chains: int
    """Chains of versions for each world."""
    spoilt: int
    """Scorecards of each way of spoiling, for each field and each share that the live version knows."""
    real_embedder: bool
    seed: int
    general: int
    """General items that count."""


@dataclass(frozen=True)
class Found:
    """Bars, tables to show, and figures to keep."""

    bars: Mapping[str, Bar]
    tables: tuple[Table, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)


def at_most(value: float, goal: float) -> Bar:
    return Bar(round(value, 4), goal, value <= goal)


def at_least(value: float, goal: float) -> Bar:
    return Bar(round(value, 4), goal, value >= goal)
