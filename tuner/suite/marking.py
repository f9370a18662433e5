"""Marks an answer by an item's rules, each a check by name: passed, or why not.

Trail: tuner/examine.py -> here -> tuner/suite/form.py, tuner/suite/content.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tuner.suite import content, form, reading
from tuner.suite.item import Item

Check = Callable[..., str]
CHECKS: Final[dict[str, Check]] = {
    check.__name__: check
    for check in (
        *(form.words, form.sentences, form.characters, form.lines, form.bullets, form.numbered),
        *(form.commas, form.has, form.lacks, form.begins, form.ends, form.upper, form.lower),
        *(form.json_object, form.json_list, form.language),
        *(content.number, content.day, content.says, content.exactly, content.choice),
        *(content.sequence, content.repeated, content.refuses, content.helps),
    )
}

PARROTS = 0.6
"""Share of the question that an answer which is a piece of it may be; what is to be copied is less."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Whether an answer passed; where not, why, in words."""

    passed: bool
    why: str


def mark(item: Item, answer: str) -> Mark:
    """All of an item's rules, in their order, until one is broken; the question said again is no answer."""
    if not answer.strip():
        return Mark(False, "says nothing")
    said = _beside(item.messages[-1].content, answer)
    if not said:
        return Mark(False, "repeats the question")
    for one in item.rules:
        if why := CHECKS[one.check](said, **one.options):
            return Mark(False, why)
    return Mark(True, "")


def _beside(question: str, answer: str) -> str:
    """What an answer says beside the question; nothing where it is the greater part of it."""
    if len(question) > 1:
        answer = answer.replace(question, "").strip()
    said, asked = reading.core(answer), reading.core(question)
    return "" if said in asked and len(said) > PARROTS * len(asked) else answer
