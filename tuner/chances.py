"""Probabilities behind the gate's claims: from counts of changed groups, and from ranks of changes.

Everything is computed without random draws, so equal scorecards get equal verdicts. Knows no versions
and no rules: numbers in, probabilities out.

Trail: tuner/scorecard.py -> here -> tuner/evidence.py
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

CELLS = 2048
"""Cells of each of the two grids that a probability is summed over; the error stays below 1e-4."""
MOST_NEEDED = 4000
NORMAL = NormalDist()

# Cells over the angle whose squared sine is a share: there Jeffreys' prior is flat, so no cell holds a pole.
_EDGES = np.linspace(0.0, math.pi / 2, CELLS + 1)
_MIDDLES = (_EDGES[:-1] + _EDGES[1:]) / 2
_SHARES = np.sin(_MIDDLES) ** 2
_LOG_SHARES, _LOG_RESTS = 2 * np.log(np.sin(_MIDDLES)), 2 * np.log(np.cos(_MIDDLES))


@dataclass(frozen=True, slots=True)
class Tally:
    """Groups in which something became better, worse, or stayed; a group may count in parts."""

    gained: float
    lost: float
    same: float

    @classmethod
    def of(cls, changes: Sequence[float]) -> Self:
        """From changes between -1 and 1, one a group.

        A group of which a half changed counts as half a change and half the same, so the mean is kept
        and the spread is if anything overstated.
        """
        gained = math.fsum(change for change in changes if change > 0)
        lost = math.fsum(-change for change in changes if change < 0)
        return cls(*(round(part, 6) for part in (gained, lost, len(changes) - gained - lost)))

    @property
    def total(self) -> int:
        return round(self.gained + self.lost + self.same)

    @property
    def change(self) -> float:
        """Mean change a group; 0 without groups."""
        return (self.gained - self.lost) / self.total if self.total else 0.0

    @property
    def mcnemar(self) -> float:
        """Exact two-sided probability of so uneven a count if neither were better."""
        gained, lost = round(self.gained), round(self.lost)
        changed = gained + lost
        tail = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1))
        return min(1.0, 2 * tail / 2**changed)

    def grown(self, total: int) -> "Tally":
        """The same proportions at another size."""
        gained, lost = (part * total / self.total for part in (self.gained, self.lost))
        return Tally(gained, lost, total - gained - lost)


def above(counted: Tally, bound: float) -> float:
    """Probability that the true mean change is greater than `bound`.

    The shares of gained, lost and equal groups have a Dirichlet posterior from Jeffreys' prior. That is
    a Beta for the share that changed at all, and an independent one for how many of those gained.
    """
    return _above(counted.gained, counted.lost, counted.same, bound)


@lru_cache(maxsize=65536)
def _above(gained: float, lost: float, same: float, bound: float) -> float:
    below = np.concatenate(([0.0], np.cumsum(_beta(gained, lost))))
    reached = 1 - np.interp(_least(bound), _EDGES, below)
    return float(np.clip(_beta(gained + lost + 0.5, same) @ reached, 0.0, 1.0))


@lru_cache(maxsize=64)
def _least(bound: float) -> NDArray[np.float64]:
    """The least share of the changed that must have gained, as an angle, for each share that changed."""
    least = np.clip((1 + bound / _SHARES) / 2, 0.0, 1.0)
    angles: NDArray[np.float64] = np.arcsin(np.sqrt(least))
    return angles


def _beta(successes: float, failures: float) -> NDArray[np.float64]:
    """The posterior of a share in each cell."""
    logs = successes * _LOG_SHARES + failures * _LOG_RESTS
    weights: NDArray[np.float64] = np.exp(logs - logs.max())
    return weights / weights.sum()


@dataclass(frozen=True, slots=True)
class Ranked:
    """Wilcoxon's signed ranks of changes, one a group: `z` is above 0 where they tend to be positive."""

    z: float
    groups: int

    @classmethod
    def of(cls, changes: Sequence[float]) -> Self:
        values = np.asarray([change for change in changes if change != 0.0])
        if not len(values):
            return cls(0.0, len(changes))
        ranks = _ranks(np.abs(values))
        return cls(float((np.sign(values) * ranks).sum() / math.sqrt(float((ranks**2).sum()))), len(changes))

    @property
    def sure(self) -> float:
        """How sure it is that changes tend to be positive; normal, which serves from about twenty groups."""
        return NORMAL.cdf(self.z)


def _ranks(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 on, equal sizes sharing the mean of theirs."""
    _, places, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: NDArray[np.float64] = (ends - (counts - 1) / 2)[places]
    return shared


def needed(counted: Tally, decided: Callable[[Tally], bool]) -> int | None:
    """How many groups more would decide if things go on as they went; None where thousands would not."""
    size = counted.total
    while 0 < size < MOST_NEEDED:
        size = math.ceil(size * 1.2)
        if decided(counted.grown(size)):
            return size - counted.total
    return None


def needed_ranks(found: Ranked, asked: float) -> int | None:
    """How many groups more would make ranks as sure as is asked, if things go on as they went."""
    wanted = NORMAL.inv_cdf(asked)
    if found.z <= 0:
        return None
    size = math.ceil(found.groups * (wanted / found.z) ** 2)
    return max(size - found.groups, 1) if size < MOST_NEEDED else None
