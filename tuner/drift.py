"""Whether a live version is thumbed down more often than the one before it was.

The two did not answer side by side, so this says that something got worse, not that the version did it.
The bet is against the highest rate that the earlier version's thumbs leave likely, each user counting as
one observation there; too few of them, and that is so high that no alarm comes. Pure.

Trail: tuner/watch.py -> here -> tuner/wager.py
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from feedback.rollouts import Thumb
from tuner.wager import BAR, Wealth, Weights

Z = 1.645
"""The quantile of a one-sided 95 % bound."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What a live version's thumbs say beside the earlier version's."""

    worse: float
    """The e-value, at its highest."""
    rate: float | None
    before: float | None
    bound: float
    """The rate that the bet was against."""
    rated: int

    @property
    def alarm(self) -> bool:
        return self.worse >= BAR

    def as_dict(self) -> dict[str, object]:
        rates = {"rate": self.rate, "before": self.before, "bound": self.bound}
        rounded = {name: None if rate is None else round(rate, 4) for name, rate in rates.items()}
        return {"worse": round(self.worse, 4), **rounded, "rated": self.rated, "alarm": self.alarm}

    def __str__(self) -> str:
        if self.rate is None or self.before is None:
            return "There are too few thumbs to compare."
        return (
            f"{self.rate:.0%} of {self.rated} rated conversations are thumbed down, {self.before:.0%} were "
            f"with the version before (evidence {self.worse:.3g}, {BAR:.0f} suffice)"
        )


def drift(live: Sequence[Thumb], before: Sequence[Thumb]) -> Drift:
    """Bet that the live version's thumbs, in their order, are worse than the earlier version's."""
    past, bound = highest(before)
    wealth, weights = Wealth(), Weights()
    for thumb in live:
        wealth.bet(weights.next(thumb.user) * (thumb.down - bound))
    rate = sum(thumb.down for thumb in live) / len(live) if live else None
    return Drift(wealth.peak, rate, past, bound, len(live))


def highest(thumbs: Sequence[Thumb]) -> tuple[float | None, float]:
    """The rate of thumbs down, and the upper end of Wilson's interval for it.

    All thumbs of a user are one observation, as if they always said the same, so that a few busy users
    never make it sure.
    """
    if not thumbs:
        return None, 1.0
    weights = Weights()
    given: dict[str, float] = defaultdict(float)
    down: dict[str, float] = defaultdict(float)
    for thumb in thumbs:
        weight = weights.next(thumb.user)
        given[thumb.user] += weight
        down[thumb.user] += weight * thumb.down
    total = sum(given.values())
    rate = sum(down.values()) / total
    users = total**2 / sum(weight**2 for weight in given.values())
    centre = rate + Z**2 / (2 * users)
    width = Z * math.sqrt(rate * (1 - rate) / users + Z**2 / (4 * users**2))
    return rate, min(1.0, (centre + width) / (1 + Z**2 / users))
