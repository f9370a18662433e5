"""Two bets on the thumbs of a canary, against it and for it, that may be looked at after every one.

Each conversation was put on the canary by a lot, so whether it was is a fair coin of known bias `share`,
tossed anew for each, whoever speaks in it and however harsh they are. A bet on how that coin goes together
with the thumb wins nothing on average where the canary is not worse (or, the other bet, where it is worse
by the margin). Wealth then reaches 1/alpha with a chance of at most alpha, ever (Ville), so that looking
often costs nothing. A user's k-th conversation at a share is staked at 1/k and at most `COUNTED` of them are,
so one user's thumbs multiply the wealth by little, however many they give; anew at each share, or busy
users would have said all they may while few conversations are on the canary. Knows no store and no clock.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024), for
the bets; the lot as the known design in place of a model of the users is the classical randomisation test.

Trail: tuner/canary.py, tuner/drift.py -> here
"""

import math
from collections import Counter
from dataclasses import asdict, dataclass, field

ALPHA = 0.05
BAR = 1 / ALPHA
"""The e-value that is enough."""
STAKES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Shares of the wealth that are bet, side by side with equal parts of it, as no one knows the best."""
COUNTED = 5
"""Conversations of one user that count, at each share."""


class Wealth:
    """What one unit has become by betting; an e-value."""

    def __init__(self) -> None:
        self._logs = [0.0] * len(STAKES)
        self._peak = 0.0

    def bet(self, gain: float) -> None:
        """Take a gain from [-1, 1] whose mean is at most 0 where nothing is to be found."""
        self._logs = [log + math.log1p(stake * gain) for log, stake in zip(self._logs, STAKES, strict=True)]
        self._peak = max(self._peak, self._log())

    @property
    def value(self) -> float:
        return math.exp(min(self._log(), 700.0))

    @property
    def peak(self) -> float:
        """The most it ever was; reaching `BAR` once is enough, whatever followed."""
        return math.exp(min(self._peak, 700.0))

    def _log(self) -> float:
        top = max(self._logs)
        return top + math.log(sum(math.exp(log - top) for log in self._logs) / len(STAKES))


class Weights:
    """What a user's next conversation counts: 1, 1/2, 1/3 and so on, and at last nothing."""

    def __init__(self) -> None:
        self._heard: Counter[tuple[str, float]] = Counter()

    def next(self, user: str, period: float = 0.0) -> float:
        """The weight in this period, such as a stage; each begins anew."""
        self._heard[user, period] += 1
        number = self._heard[user, period]
        return 1 / number if number <= COUNTED else 0.0

    @property
    def users(self) -> int:
        return len({user for user, _ in self._heard})

    @property
    def worth(self) -> float:
        """How many ratings of different users all these are worth."""
        return sum(_worth(min(number, COUNTED)) for number in self._heard.values())


def _worth(conversations: int) -> float:
    weights = [1 / number for number in range(1, conversations + 1)]
    return sum(weights) ** 2 / sum(weight**2 for weight in weights)


@dataclass(slots=True)
class Side:
    """The rated conversations of one side."""

    rated: int = 0
    down: int = 0

    def hear(self, down: bool) -> None:
        self.rated += 1
        self.down += down


@dataclass(slots=True)
class Wager:
    """The two bets on one canary, `margin` being how much more often a thumb down is still no harm."""

    margin: float
    harm: Wealth = field(default_factory=Wealth)
    fine: Wealth = field(default_factory=Wealth)
    canary: Side = field(default_factory=Side)
    control: Side = field(default_factory=Side)
    weights: Weights = field(default_factory=Weights)

    def hear(self, user: str, *, on_canary: bool, down: bool, share: float) -> None:
        """Bet on the first thumb of a conversation that was on the canary with a chance of `share`."""
        expected = (1 + self.canary.down + self.control.down) / (4 + self.rated)
        weight = self.weights.next(user, share)
        widest = max(share, 1 - share)
        gain = weight * (on_canary - share) * (down - expected) / widest
        allowed = weight * share * (1 - share) * self.margin / widest
        self.harm.bet(gain)
        self.fine.bet(allowed - gain)
        (self.canary if on_canary else self.control).hear(down)

    @property
    def rated(self) -> int:
        return self.canary.rated + self.control.rated

    def as_dict(self) -> dict[str, object]:
        return {
            "worse": round(self.harm.value, 4),
            "worse_at_most": round(self.harm.peak, 4),
            "no_worse": round(self.fine.peak, 4),
            "canary": asdict(self.canary),
            "control": asdict(self.control),
            "users": self.weights.users,
        }


def needed(down_rate: float, shares: tuple[float, ...], drop: float = 0.2) -> float:
    """How many users' ratings, spread evenly over these shares, most often find one worse by `drop`.

    The wealth's logarithm grows by half the squared mean of a bet over its variance, which is here
    share * (1 - share) * drop^2 / variance of a thumb; it has to reach log(1/alpha), and three more for
    not knowing the best stake and for luck.
    """
    variance = max(down_rate * (1 - down_rate), 0.09)
    spread = sum(share * (1 - share) for share in shares) / len(shares)
    return (math.log(BAR) + 3) * 2 * variance / (spread * drop**2)
