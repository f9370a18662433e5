"""How near an answer must lie to count as meaning the same, learnt from a deployment's own responses.

Approved responses to *other* instructions are impostors: at most one in twenty may come through. Where the
embedder would need too much nearness for that, or turns away the other approved responses to the very same
instruction, it cannot separate meanings in that writing and is not used: likeness of letters (chrF) is,
held to the same test, and failing that too only equal words and numbers count. Knows no versions.

Trail: tuner/evaluate.py -> here -> tuner/meaning.py, tuner/wording.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner import meaning
from tuner.wording import chrf, writing

FEWEST = 8
"""Instructions in one writing below which its measure is taken from all texts together."""
GENUINE = 8
"""Pairs of approved responses to one instruction from which they can speak against a measure."""
TURNED_AWAY = 0.5
"""Share of those that a measure may miss."""
LEAST_LETTERS, MOST_LETTERS = 0.45, 0.80
"""Bounds of the chrF that can be asked for."""
MOST_PAIRS = 2000
"""Pairs of impostors that chrF is measured on."""


@dataclass(frozen=True, slots=True)
class Approved:
    """One approved response: which instruction it answers, its text, its vector."""

    question: str
    text: str
    vector: Sequence[float]


@dataclass(frozen=True, slots=True)
class Measure:
    """The least cosine, or else the least chrF, that counts as the same meaning; None where neither does."""

    cosine: float | None
    letters: float | None = None


class Matching:
    """The measures of one evaluation, by writing."""

    def __init__(self, approved: Sequence[Approved]) -> None:
        self._all = _measure(approved)
        self._measures: dict[str, Measure] = {}
        for name in {writing(one.text) for one in approved}:
            own = [one for one in approved if writing(one.text) == name]
            enough = len({one.question for one in own}) >= FEWEST
            self._measures[name] = _measure(own) if enough else self._all

    @property
    def wanted(self) -> Mapping[str, float | None]:
        """The least cosine by writing."""
        return {name: measure.cosine for name, measure in sorted(self._measures.items())}

    def match(self, answer: str, reference: str, nearness: float) -> tuple[bool, str]:
        """Whether the answer means the reference, and if not, why; `nearness` is their cosine."""
        measure = self._measures.get(writing(reference), self._all)
        right, why = meaning.means(answer, reference, nearness, measure.cosine)
        if right or measure.cosine is not None or measure.letters is None:
            return right, why
        if meaning.conflict(answer, reference):
            return False, why
        alike = chrf(answer, reference)
        return (True, "") if alike >= measure.letters else (False, f"too far in wording ({alike:.2f})")


def _measure(approved: Sequence[Approved]) -> Measure:
    """What separates these responses: the embedder where it can, else letters, else nothing."""
    cosine = meaning.calibrate([one.vector for one in approved], [one.question for one in approved])
    genuine = _genuine(approved)
    nearness = [float(np.dot(one.vector, other.vector)) for one, other in genuine]
    if cosine is not None and not _turns_away(nearness, cosine):
        return Measure(cosine)
    impostors = [chrf(one.text, other.text) for one, other in _impostors(approved)]
    letters = max(LEAST_LETTERS, float(np.quantile(impostors, 1 - meaning.FALSE_ACCEPTS)) if impostors else 0)
    alike = [chrf(one.text, other.text) for one, other in genuine]
    useless = letters > MOST_LETTERS or _turns_away(alike, letters)
    return Measure(None, None if useless else letters)


def _turns_away(genuine: Sequence[float], least: float) -> bool:
    missed = sum(value < least for value in genuine)
    return len(genuine) >= GENUINE and missed > TURNED_AWAY * len(genuine)


def _genuine(approved: Sequence[Approved]) -> list[tuple[Approved, Approved]]:
    """Different approved responses to one instruction that do not contradict each other."""
    same: dict[str, list[Approved]] = {}
    for one in approved:
        same.setdefault(one.question, []).append(one)
    return [
        (one, other)
        for found in same.values()
        for place, one in enumerate(found)
        for other in found[place + 1 :]
        if one.text != other.text and not meaning.conflict(one.text, other.text)
    ]


def _impostors(approved: Sequence[Approved]) -> list[tuple[Approved, Approved]]:
    """Pairs across instructions, spread evenly over all where there are too many."""
    size = len(approved)
    pairs = size * (size - 1) // 2
    step = max(pairs // MOST_PAIRS, 1)
    found = []
    for place in range(0, pairs, step):
        one, other = _pair(place)
        if approved[one].question != approved[other].question:
            found.append((approved[one], approved[other]))
    return found


def _pair(place: int) -> tuple[int, int]:
    """The pair at a place when pairs (later, earlier) are counted row by row."""
    later = int((1 + (1 + 8 * place) ** 0.5) / 2)
    return later, place - later * (later - 1) // 2
