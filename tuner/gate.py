"""The verdict on a version: a pure function of its scorecard, with every reason in words.

PASS: not worse than what is live (margin .05), better in some way, and nothing broken. REFUSE: clearly
worse, or broken. ABSTAIN: the evidence does not decide; how much more would is said. Instructions of
one group (a conversation, near-duplicates) are one piece of evidence. Knows no files and no server.

Trail: tuner/evaluate.py -> here -> tuner/rollout.py
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any, Self

import numpy as np

from tuner.evaluate import Item, Scorecard
from tuner.vetoes import vetoes

RESAMPLES = 4000
DRAWS = 100_000
SEED = 7
MOST_NEEDED = 2000


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of a version; shares are between 0 and 1."""

    minimum: int = 20
    """Groups below which nothing but a veto is decided."""
    margin: float = 0.05
    """Share of right answers that a version may lose and still count as not worse."""
    confidence: float = 0.90
    """Probability asked of a claim at the first look; the k-th look asks 1 - (1 - this) / k."""
    nll_margin: float = 0.02
    """Share by which the loss on approved responses may rise."""

    def asked(self, look: int) -> float:
        return 1 - (1 - self.confidence) / look


class Decision(StrEnum):
    PASS = "pass"  # noqa: S105
    ABSTAIN = "abstain"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided, why, and the numbers it rests on."""

    decision: Decision
    reasons: list[str]
    numbers: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tally:
    """Groups in which the candidate did better, worse, or the same."""

    gained: int
    lost: int
    same: int

    @property
    def total(self) -> int:
        return self.gained + self.lost + self.same

    @property
    def mcnemar(self) -> float:
        """Exact two-sided probability of so uneven a count if neither were better."""
        changed = self.gained + self.lost
        tail = sum(math.comb(changed, k) for k in range(min(self.gained, self.lost) + 1))
        return min(1.0, 2 * tail / 2**changed)

    def grown(self, total: int) -> "Tally":
        """The same proportions at another size."""
        gained, lost = (round(part * total / self.total) for part in (self.gained, self.lost))
        return Tally(gained, lost, total - gained - lost)


def gate(card: Scorecard, rules: Rules | None = None, *, look: int = 1) -> Verdict:
    """Judge a scorecard; `look` counts the looks taken at these very instructions, this one included."""
    rules = rules or Rules()
    case = Case.of(card, rules, look)
    broken = vetoes(card.items)
    if broken:
        return Verdict(Decision.REFUSE, broken, case.numbers)
    if case.counted.total < rules.minimum:
        return Verdict(Decision.ABSTAIN, [case.too_few()], case.numbers)
    worse = case.harms()
    if worse:
        return Verdict(Decision.REFUSE, worse, case.numbers)
    doubts = case.doubts()
    if doubts:
        return Verdict(Decision.ABSTAIN, doubts, case.numbers)
    return Verdict(Decision.PASS, case.merits(), case.numbers)


@dataclass(frozen=True, slots=True)
class Case:
    """What speaks for a version and what against it; correctness first, loss behind it."""

    card: Scorecard
    rules: Rules
    counted: Tally
    asked: float
    """Probability asked of a claim at this look."""
    not_worse: float
    better: float
    loss: "LossChange | None"
    look: int

    @classmethod
    def of(cls, card: Scorecard, rules: Rules, look: int) -> Self:
        counted, asked = tally(card.items), rules.asked(look)
        chance = chances(counted, rules.margin)
        return cls(card, rules, counted, asked, *chance, loss_change(card.items, _half(asked)), look)

    @property
    def numbers(self) -> dict[str, Any]:
        told = {**asdict(self.counted), "groups": self.counted.total, "mcnemar": self.counted.mcnemar}
        told |= {"look": self.look, "asked": self.asked}
        told |= {"chance_not_worse": self.not_worse, "chance_better": self.better}
        return told | (
            {f"loss_{key}": value for key, value in asdict(self.loss).items()} if self.loss else {}
        )

    @property
    def score(self) -> str:
        return (
            f"Of {self.counted.total} separate instructions it got {self.counted.gained} right "
            f"that {self.card.incumbent} got wrong, and lost {self.counted.lost}"
        )

    @property
    def wins(self) -> bool:
        """Better by correctness alone; two ways to gain are tried, so each is asked for more."""
        return self.better >= _half(self.asked)

    @property
    def gains(self) -> bool:
        """Better by loss; a line's first version need only be better in both on average."""
        if self.loss is None:
            return False
        first = self.card.incumbent_is_base and self.counted.gained > self.counted.lost
        return self.loss.high < 0 or (first and self.loss.mean < 0)

    def harms(self) -> list[str]:
        """Why it is clearly worse."""
        if 1 - self.not_worse >= self.asked:
            return [f"{self.score}: it is worse by more than {self.rules.margin:.0%}."]
        if self.loss and not self.wins and self.loss.low > self.rules.nll_margin * self.loss.before:
            return [f"{self.score}.", "Approved responses became clearly less likely to it."]
        return []

    def doubts(self) -> list[str]:
        """Why it cannot pass yet, with what would decide."""
        found = []
        if self.not_worse < self.asked:
            more = _needed(self.counted, lambda grown: chances(grown, self.rules.margin)[0] >= self.asked)
            sure = f"that it is not worse is {self.not_worse:.0%} sure, and {self.asked:.0%} is asked."
            found.append(f"{self.score}: {sure} {more}")
        if self.loss and not self.wins and self.loss.high > self.rules.nll_margin * self.loss.before:
            found.append("Approved responses may have become less likely to it.")
        if not self.wins and not self.gains:
            more = _needed(self.counted, lambda grown: chances(grown, 0)[1] >= _half(self.asked))
            found.append(f"{self.score}: no gain is shown yet. {more}")
        return found

    def merits(self) -> list[str]:
        """Why it passes."""
        sure = f"It is {self.not_worse:.0%} sure to be no more than {self.rules.margin:.0%} worse."
        likelier = (
            ["Approved responses became more likely to it."] if self.loss and self.loss.mean < 0 else []
        )
        return [f"{self.score}.", sure, *likelier]

    def too_few(self) -> str:
        missing = self.rules.minimum - self.counted.total
        return (
            f"Only {self.counted.total} separate instructions are kept back for judging, and "
            f"{self.rules.minimum} are needed: {missing} more would let it decide. "
            "A person may promote it with a reason."
        )


def tally(items: Sequence[Item]) -> Tally:
    """Compare group by group: the share of right answers in each."""
    changes = [
        fmean(item.candidate.correct - item.incumbent.correct for item in group) for group in _groups(items)
    ]
    gained, lost = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    return Tally(gained, lost, len(changes) - gained - lost)


def chances(counted: Tally, margin: float) -> tuple[float, float]:
    """Probability that the version is at most `margin` worse, and that it is better.

    The shares of gained, lost and equal groups have a Dirichlet posterior from Jeffreys' prior, drawn
    with a fixed seed, so that equal scorecards get equal verdicts.
    """
    draws = np.random.default_rng(SEED).dirichlet(
        (counted.gained + 0.5, counted.lost + 0.5, counted.same + 0.5), DRAWS
    )
    change = draws[:, 0] - draws[:, 1]
    return float((change > -margin).mean()), float((change > 0).mean())


@dataclass(frozen=True, slots=True)
class LossChange:
    """How the loss on approved responses changed, in nats per token; the bounds are one-sided."""

    before: float
    mean: float
    low: float
    high: float


def loss_change(items: Sequence[Item], level: float) -> LossChange | None:
    """The mean change with bounds by resampling groups; None where it was measured in fewer than two."""
    pairs = [[loss for item in group if (loss := _losses(item))] for group in _groups(items)]
    measured = [group for group in pairs if group]
    if len(measured) < 2:
        return None
    changes = np.asarray([fmean(now - before for now, before in group) for group in measured])
    resampled = np.random.default_rng(SEED).choice(changes, (RESAMPLES, len(changes))).mean(axis=1)
    low, high = (float(bound) for bound in np.quantile(resampled, [1 - level, level]))
    before = fmean(fmean(then for _, then in group) for group in measured)
    return LossChange(before, float(changes.mean()), low, high)


def _losses(item: Item) -> tuple[float, float] | None:
    now, before = item.candidate.nll, item.incumbent.nll
    if now is None or before is None or not (math.isfinite(now) and math.isfinite(before)):
        return None
    return now, before


def _groups(items: Sequence[Item]) -> list[list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.group, []).append(item)
    return list(found.values())


def _half(asked: float) -> float:
    """The probability asked where either of two claims would do."""
    return 1 - (1 - asked) / 2


def _needed(counted: Tally, decided: Callable[[Tally], bool]) -> str:
    """How many separate instructions would decide if things go on as they went, in a sentence."""
    size = counted.total
    while size < MOST_NEEDED:
        size = math.ceil(size * 1.25)
        if decided(counted.grown(size)):
            return (
                f"About {size - counted.total} more instructions for judging would decide, if it goes on so."
            )
    return "More instructions of this kind would not decide; the two are too much alike or it is too close."
