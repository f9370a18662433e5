"""What speaks for a version and what against it, as claims: a sentence, how sure it is, how sure it must be.

Right answers come first, the loss on approved responses behind them, general items beside both. Every
formula of the gate is here; what follows from them is not.

Trail: tuner/chances.py -> here -> tuner/gate.py
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from tuner.chances import Ranked, Tally, above, needed, needed_ranks
from tuner.judge import CRITERIA, changes
from tuner.scorecard import GeneralItem, Item, Said, Scorecard
from tuner.told import Told


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of a version; shares are between 0 and 1."""

    minimum: int = 20
    """Groups, and general items, below which nothing but a veto is decided."""
    margin: float = 0.05
    """Share of right answers that a version may lose to the incumbent and still count as not worse."""
    confidence: float = 0.90
    """How sure "not worse" and "worse" must be at the first look; the k-th asks 1 - (1 - this) / k."""
    gain_confidence: float = 0.80
    """How sure a gain must be at the first look; the k-th asks 1 - (1 - this) / k²."""
    loss_margin: float = 0.02
    """Share by which the loss on approved responses may rise."""
    general_margin: float = 0.05
    """Share of general items that a version may lose to the *base*, however many versions lie between."""
    general_confidence: float = 0.80
    """How sure "not worse than the base" must be."""

    def asked(self, look: float) -> float:
        """Losing ground is tested anew with each version, so later looks pay in proportion."""
        return 1 - (1 - self.confidence) / look

    def asked_of_gain(self, look: float) -> float:
        """Gains are what repeated tries would fish for: over any number of looks no more than
        1.65 (pi² / 6) times the first look's error is spent."""
        return 1 - (1 - self.gain_confidence) / look**2


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement about a version, how sure it is, and how sure it must be."""

    words: str
    sure: float
    asked: float
    more: int | None = None
    """How many separate instructions more would decide, at this rate; None where none would."""

    @property
    def met(self) -> bool:
        return self.sure >= self.asked

    @property
    def told(self) -> Told:
        return Told("claim", words=self.words, sure=_percent(self.sure), asked=_percent(self.asked))

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def right(_: Item, said: Said) -> float:
    return float(said.correct)


@dataclass(frozen=True, slots=True)
class Answers:
    """Right answers beside the incumbent's. P(change > bound) is `chances.above`."""

    counted: Tally
    before: float
    """Share that the incumbent gets right."""
    not_worse: Claim
    worse: Claim
    better: Claim
    blind: bool
    """The incumbent gets so little right that losing could not be seen: then only winning shows anything."""

    @classmethod
    def of(cls, card: Scorecard, rules: Rules, look: float, *, alone: bool) -> "Answers":
        """`alone` where no loss was measured; else two ways to gain are tried, and each is asked for more."""
        counted, before = card.tally(right), card.share(right, "incumbent")
        blind = before < 2 * rules.margin
        asked = rules.asked(look)
        asked_of_gain = rules.asked_of_gain(look)
        if blind:  # beyond what an unfit match of meaning lets through by accident
            bound, gain = 2 * rules.margin, asked
        else:
            bound, gain = 0.0, asked_of_gain if alone else half(asked_of_gain)
        points = f"{rules.margin:.0%}"
        not_worse = Told("claim_not_worse", share=points, incumbent=card.incumbent)
        worse = Told("claim_worse", share=points)
        better = Told("claim_better_by", share=f"{bound:.0%}") if bound else Told("claim_better")
        return cls(
            counted,
            before,
            _claim(counted, -rules.margin, asked, not_worse),
            Claim(worse, 1 - above(counted, -rules.margin), asked),
            _claim(counted, bound, gain, better),
            blind,
        )


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss on approved responses in nats per token, group by group, by signed ranks of its changes."""

    before: float
    change: float
    """On average."""
    lower: Claim
    bearable: Claim
    higher: Claim

    @classmethod
    def of(cls, card: Scorecard, rules: Rules, look: float) -> "Loss | None":
        """None where it was measured in fewer than two groups."""
        pairs = [[loss for item in group if (loss := _losses(item))] for group in card.groups.values()]
        measured = [group for group in pairs if group]
        if len(measured) < 2:
            return None
        before = fmean(fmean(then for _, then in group) for group in measured)
        changes = [fmean(now - then for now, then in group) for group in measured]
        allowed = rules.loss_margin * abs(before)
        fell = Ranked.of([-change for change in changes])
        gain = half(rules.asked_of_gain(look))
        over = Ranked.of([change - allowed for change in changes])
        share = f"{rules.loss_margin:.0%}"
        return cls(
            before,
            fmean(changes),
            Claim(Told("claim_likelier"), fell.sure, gain, needed_ranks(fell, gain)),
            Claim(Told("claim_loss_bearable", share=share), 1 - over.sure, rules.gain_confidence),
            Claim(Told("claim_loss_higher", share=share), over.sure, half(rules.asked(look))),
        )

    @property
    def gains(self) -> bool:
        """On average too: many small gains must not outvote a few great losses."""
        return self.lower.met and self.change < 0


@dataclass(frozen=True, slots=True)
class General:
    """General items beside the base, so that small losses of many versions cannot add up."""

    counted: Tally
    kept: Tally
    """Items that the base always passes: no version can gain on them, and losing them is forgetting."""
    not_worse: Claim
    worse: Claim
    forgets: Claim
    behind: Claim
    """Behind the incumbent."""
    enough: bool

    @classmethod
    def of(cls, card: Scorecard, rules: Rules) -> "General | None":
        """None where no general items were asked."""
        if not card.general:
            return None
        counting = [item for item in card.general if item.counts]
        counted = _beside(counting, "base")
        kept = _beside([item for item in card.general if item.base_share == 1.0], "base")
        rest = counted if counted.total >= rules.minimum else kept
        bound, surely = -rules.general_margin, rules.confidence
        points = f"{rules.general_margin:.0%}"
        not_worse = Told("claim_general_not_worse", share=points)
        worse = Told("claim_general_worse", share=points)
        behind = Told("claim_behind", share=points, incumbent=card.incumbent)
        return cls(
            counted,
            kept,
            _claim(rest, bound, rules.general_confidence, not_worse),
            Claim(worse, 1 - above(counted, bound), surely),
            Claim(Told("claim_forgets"), 1 - above(kept, bound), half(surely)),
            Claim(
                behind,
                1 - above(_beside(counting, "incumbent"), bound),
                half(surely),
            ),
            rest.total >= rules.minimum,
        )


@dataclass(frozen=True, slots=True)
class Preferred:
    """What a judge that is proven to agree with people holds against a version, by criterion."""

    worse: tuple[Claim, ...]

    @classmethod
    def of(cls, card: Scorecard, rules: Rules) -> "Preferred | None":
        """None where no judge was asked, or where its agreement with people is not proven."""
        if not card.judged.get("proven"):
            return None
        bound, asked = -2 * rules.margin, 1 - (1 - rules.confidence) / len(CRITERIA)
        told = {criterion: Tally.of(changes(card.judged, criterion)) for criterion in CRITERIA}
        worse = [
            Claim(
                Told("claim_judge", criterion=Told(f"judged_{criterion}")), 1 - above(counted, bound), asked
            )
            for criterion, counted in told.items()
            if counted.total >= rules.minimum
        ]
        return cls(tuple(worse))


def half(asked: float) -> float:
    """How sure each must be where either of two claims would do."""
    return 1 - (1 - asked) / 2


def _claim(counted: Tally, bound: float, asked: float, words: str) -> Claim:
    sure = above(counted, bound)
    more = None if sure >= asked else needed(counted, lambda grown: above(grown, bound) >= asked)
    return Claim(words, sure, asked, more)


def _beside(items: Sequence[GeneralItem], other: str) -> Tally:
    return Tally.of([float(item.candidate) - float(getattr(item, other)) for item in items])


def _losses(item: Item) -> tuple[float, float] | None:
    now, then = item.candidate.nll, item.incumbent.nll
    if now is None or then is None or not (math.isfinite(now) and math.isfinite(then)):
        return None
    return now, then


def _percent(share: float) -> str:
    """Rounded so that what was not reached never looks reached."""
    return f"{min(share, 0.999):.1%}" if share > 0.9 else f"{share:.0%}"
