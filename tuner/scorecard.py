"""A scorecard: everything that the gate looks at, and everything a person may want to see of it.

Field items are instructions with approved responses; general items are verifiable questions outside the
field, answered by the base as well. Groups are the units of evidence: a conversation, near-duplicates.
Plain data that survives JSON; measures nothing and decides nothing.

Trail: tuner/evaluate.py -> here -> tuner/gate.py
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Self

from tuner.chances import Tally
from tuner.wording import rouge_l

LENGTHS = ((40, "to 40 characters"), (160, "to 160"), (640, "to 640"))
LONGEST = "longer"


@dataclass(frozen=True, slots=True)
class Said:
    """One version's answer, judged. `nll` is its loss on the approved responses, in nats per token."""

    text: str
    finish_reason: str
    tokens: int
    correct: bool
    why: str
    """Why it is not right, in words; empty where it is."""
    nearness: float
    """Cosine to the nearest reference."""
    nll: float | None
    faults: tuple[str, ...] = ()
    """What only a look at other texts can tell: names from `tuner/vetoes.py`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One instruction, what was approved, and what each version said."""

    group: str
    exchange_ids: tuple[str, ...]
    instruction: str
    references: tuple[str, ...]
    candidate: Said
    incumbent: Said


@dataclass(frozen=True, slots=True)
class GeneralItem:
    """One verifiable question outside the field, and who passed it."""

    id: str
    candidate: bool
    base: bool
    incumbent: bool
    base_share: float | None = None
    """Share of *other* answers of the base, sampled, that passed; None where it was asked only once.

    Not of the answer compared here: choosing items by it would turn its luck into losses.
    """

    @property
    def counts(self) -> bool:
        """What the base always or never passes decides nothing."""
        return self.base_share is None or 0 < self.base_share < 1


@dataclass(frozen=True)
class Scorecard:
    """What both versions said of every instruction kept back, and how that was measured."""

    candidate: str
    incumbent: str
    incumbent_is_base: bool
    items: tuple[Item, ...]
    nearness_wanted: Mapping[str, float | None]
    """By writing, the least cosine that counted as the same meaning; None where letters were compared."""
    seconds: float
    general: tuple[GeneralItem, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Held-out pairs that were not judged, by reason."""
    judged: Mapping[str, Any] = field(default_factory=dict)
    """What a configured judge preferred (`tuner/judge.py`); empty where there is none."""

    @property
    def look(self) -> str:
        """Names the very set of instructions looked at."""
        return hashlib.sha256("\n".join(sorted(self.groups)).encode()).hexdigest()[:16]

    @cached_property
    def groups(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.group, []).append(item)
        return found

    def tally(self, mark: Callable[[Item, Said], float]) -> Tally:
        """Group by group, where the candidate has more of a mark than the incumbent, and where less."""
        return Tally.of(
            [
                sum(mark(item, item.candidate) - mark(item, item.incumbent) for item in group) / len(group)
                for group in self.groups.values()
            ]
        )

    def share(self, mark: Callable[[Item, Said], float], side: str) -> float:
        """The mean of a mark over groups for `candidate` or `incumbent`; 0 without items."""
        groups = self.groups.values()
        return fmean(fmean(mark(i, getattr(i, side)) for i in g) for g in groups) if groups else 0.0

    def rouge(self) -> list[dict[str, Any]]:
        """ROUGE-L (F1 to the best reference) by length of the approved response; reported, never judged."""
        told: dict[str, list[tuple[float, float]]] = {}
        for item in self.items:
            both = (_best(item, item.candidate), _best(item, item.incumbent))
            told.setdefault(_length(item.references), []).append(both)
        names = [name for _, name in LENGTHS] + [LONGEST]
        return [
            {"length": name, "items": len(told[name])}
            | {
                side: round(fmean(both[place] for both in told[name]), 4)
                for place, side in enumerate(("candidate", "incumbent"))
            }
            for name in names
            if name in told
        ]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "look": self.look, "rouge_l": self.rouge()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        rest = {key: value for key, value in told.items() if key not in ("look", "rouge_l")}
        rest["items"] = tuple(map(_item, told["items"]))
        rest["general"] = tuple(GeneralItem(**item) for item in told.get("general", ()))
        return cls(**rest)


def seen(items: Sequence[Mapping[str, Any]]) -> set[str]:
    """The groups of a recorded scorecard's items."""
    return {str(item["group"]) for item in items}


def _item(told: Mapping[str, Any]) -> Item:
    return Item(
        told["group"],
        tuple(told["exchange_ids"]),
        told["instruction"],
        tuple(told["references"]),
        _said(told["candidate"]),
        _said(told["incumbent"]),
    )


def _said(told: Mapping[str, Any]) -> Said:
    return Said(**{**told, "faults": tuple(told.get("faults", ()))})


def _best(item: Item, said: Said) -> float:
    return max(rouge_l(said.text, reference) for reference in item.references)


def _length(references: Sequence[str]) -> str:
    longest = max(map(len, references))
    return next((name for limit, name in LENGTHS if longest <= limit), LONGEST)
