"""The verdict on a version: a pure function of its scorecard, with every reason in words.

PASS: not worse than what is live in its field, not worse than the base outside it, better in some way,
and nothing broken. REFUSE: clearly worse, or broken. ABSTAIN: the evidence does not decide; how much
more would is said. The claims are in `tuner/evidence.py`. Knows no files and no server.

Trail: tuner/evaluate.py -> tuner/evidence.py, tuner/vetoes.py -> here -> tuner/launch.py
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from tuner.evidence import Answers, Claim, General, Loss, Preferred, Rules
from tuner.scorecard import Scorecard, seen
from tuner.told import Told, coded
from tuner.vetoes import vetoes
from tuner.wording import plain

__all__ = ["Decision", "Rules", "Verdict", "gate", "looks"]

ALL_ALIKE = 0.9
"""Share of separate instructions with one and the same approved response from which right shows nothing."""


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

    def noting(self, said: str) -> "Verdict":
        """The same verdict with one more sentence."""
        return replace(self, reasons=[*self.reasons, said])

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "coded": self.coded}

    @property
    def coded(self) -> list[dict[str, Any]]:
        """The reasons by their codes, for whoever reads another language."""
        return [coded(reason) for reason in self.reasons]


def gate(card: Scorecard, rules: Rules | None = None, *, look: float = 1) -> Verdict:
    """Judge a scorecard; `look` is which look at these instructions this is (see `looks`)."""
    rules = rules or Rules()
    case = Case.of(card, rules, look)
    found = vetoes(card)
    if found.broken:
        return Verdict(Decision.REFUSE, list(found.broken), case.numbers)
    forgotten = case.forgets()
    if case.answers.counted.total < rules.minimum:
        told = [*forgotten, case.too_few()]
        return Verdict(Decision.REFUSE if forgotten else Decision.ABSTAIN, told, case.numbers)
    worse = case.harms() + forgotten + case.outjudged()
    if worse:
        return Verdict(Decision.REFUSE, worse, case.numbers)
    doubts = case.doubts() + list(found.doubts)
    if doubts:
        return Verdict(Decision.ABSTAIN, doubts, case.numbers)
    return Verdict(Decision.PASS, case.merits(), case.numbers)


def looks(groups: Sequence[str], earlier: Sequence[Sequence[Mapping[str, Any]]]) -> float:
    """Which look at these groups this is: 1 + how often each was looked at before, on average.

    `earlier` are the items of earlier scorecards of the same assistant. Fresh groups make it smaller, so
    neither one new pair nor a few old ones decide what later looks pay.
    """
    if not groups:
        return 1.0
    before = [seen(items) for items in earlier]
    return 1.0 + sum(group in known for known in before for group in groups) / len(groups)


@dataclass(frozen=True, slots=True)
class Case:
    """All claims about one version, and the sentences that follow from them."""

    card: Scorecard
    rules: Rules
    look: float
    answers: Answers
    loss: Loss | None
    general: General | None
    preferred: Preferred | None

    @classmethod
    def of(cls, card: Scorecard, rules: Rules, look: float) -> Self:
        loss = Loss.of(card, rules, look)
        answers = Answers.of(card, rules, look, alone=loss is None)
        return cls(card, rules, look, answers, loss, General.of(card, rules), Preferred.of(card, rules))

    @property
    def numbers(self) -> dict[str, Any]:
        """Counts, shares and every claim, for the record and for the page."""
        counted = self.answers.counted
        told: dict[str, Any] = {**asdict(counted), "groups": counted.total, "mcnemar": counted.mcnemar}
        told |= {"look": self.look, "right_before": self.answers.before, "claims": self._claims()}
        if self.loss:
            told |= {"loss_before": self.loss.before, "loss_change": self.loss.change}
        if self.general:
            told |= {"general": asdict(self.general.counted), "general_kept": asdict(self.general.kept)}
        return told

    def _claims(self) -> dict[str, dict[str, Any]]:
        parts = {"answers": self.answers, "loss": self.loss, "general": self.general}
        return {
            f"{name}_{key}": claim.as_dict()
            for name, part in parts.items()
            if part
            for key in part.__slots__
            if isinstance(claim := getattr(part, key), Claim)
        }

    @property
    def score(self) -> Told:
        counted = self.answers.counted
        gained, lost = f"{counted.gained:.3g}", f"{counted.lost:.3g}"
        return Told("score", total=counted.total, gained=gained, lost=lost, incumbent=self.card.incumbent)

    def harms(self) -> list[str]:
        """Why it is clearly worse in its field."""
        if self.answers.worse.met:
            return [Told("worse", score=self.score, margin=f"{self.rules.margin:.0%}")]
        if self.loss and self.loss.higher.met and not self.answers.better.met:
            return [Told("score_alone", score=self.score), Told("loss_up")]
        return []

    def forgets(self) -> list[str]:
        """Why it is clearly worse outside its field."""
        if not self.general:
            return []
        found = (self.general.worse, self.general.forgets, self.general.behind)
        return [Told("outside", claim=claim.told) for claim in found if claim.met]

    def outjudged(self) -> list[str]:
        """Why a judge that agrees with people is against it."""
        claims = self.preferred.worse if self.preferred else ()
        return [Told("that", claim=claim.told) for claim in claims if claim.met]

    def doubts(self) -> list[str]:
        """Why it cannot pass yet, with what would decide."""
        found = (self._standing(), self._bearing(), self._gain(), self._telling(), self._outside())
        return [said for said in found if said]

    def _standing(self) -> str:
        claim = self.answers.not_worse
        return "" if claim.met else self._unsure("not_sure", claim)

    def _bearing(self) -> str:
        if not self.loss or self.loss.bearable.met or self.answers.better.met:
            return ""
        return Told("loss_may_be_up")

    def _gain(self) -> str:
        if self.answers.better.met or (self.loss and self.loss.gains and not self.answers.blind):
            return ""
        claim = self.answers.better
        if self.answers.blind:
            share = f"{self.answers.before:.0%}"
            return self._unsure("blind", claim, incumbent=self.card.incumbent, before=share)
        chosen = self.loss.lower if self.loss and _sooner(self.loss.lower, claim) else claim
        return self._unsure("no_gain", chosen)

    def _unsure(self, code: str, claim: Claim, **more: str) -> Told:
        return Told(code, score=self.score, claim=claim.told, more=_more(claim), **more)

    def _telling(self) -> str:
        """Where nearly everything has one approved response, saying it blindly looks as good as knowing."""
        groups = self.card.groups.values()
        approved = Counter(
            said for group in groups for said in {plain(t) for i in group for t in i.references}
        )
        ((_, count),) = approved.most_common(1)
        if count < ALL_ALIKE * len(groups):
            return ""
        return Told("alike", count=count, total=len(groups))

    def _outside(self) -> str:
        if not self.general or (self.general.enough and self.general.not_worse.met):
            return ""
        if not self.general.enough:
            return Told("outside_too_few", total=self.general.counted.total, minimum=self.rules.minimum)
        claim = self.general.not_worse
        return Told("outside_not_sure", claim=claim.told, more=_more(claim, "of_general"))

    def merits(self) -> list[str]:
        """Why it passes."""
        claim = self.answers.not_worse
        told: list[str] = [Told("score_alone", score=self.score), Told("that", claim=claim.told)]
        if self.loss and self.loss.gains:
            told.append(Told("loss_down"))
        if self.general:
            told.append(Told("outside", claim=self.general.not_worse.told))
        else:
            told.append(Told("outside_unknown"))
        return told

    def too_few(self) -> str:
        total = self.answers.counted.total
        minimum = self.rules.minimum
        return Told("too_few", total=total, minimum=minimum, more=minimum - total)


def _sooner(one: Claim, other: Claim) -> bool:
    return one.more is not None and (other.more is None or one.more < other.more)


def _more(claim: Claim, what: str = "of_instructions") -> Told:
    if claim.more is None:
        return Told("more_none", what=Told(what))
    return Told("more", count=claim.more, what=Told(what))
