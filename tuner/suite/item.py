"""One general item: what is asked, how long the answer may get, and the rules that it must keep.

Items are data, so that they have digests: one of what is asked, by which answers are kept, and one of
the whole, by which a suite has a version. Knows no check by name and asks nobody.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from feedback.records import Message

Language = Literal["en", "ko"]
Row = TypeVar("Row")
SHORT, MEDIUM, LONG = 16, 40, 96
"""Tokens of room: a word or number, a sentence, a list or an object. Korean takes about twice as many."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A check by its name in `tuner/suite/marking.py`, with its options."""

    check: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """One question whose answer can be verified without a judge; all its rules must be kept."""

    id: str
    """Stable for ever: `en.sort.numbers.3` is language, kind, template and number."""
    messages: tuple[Message, ...]
    rules: tuple[Rule, ...]
    max_tokens: int

    @property
    def language(self) -> Language:
        return "ko" if self.id.startswith("ko.") else "en"

    @property
    def kind(self) -> str:
        return self.id.split(".")[1]

    @property
    def asked(self) -> str:
        """Digest of what is asked: equal ones get equal answers from one version."""
        return _digest([[message.as_dict() for message in self.messages], self.max_tokens])

    @property
    def digest(self) -> str:
        """Digest of the whole item, its rules included."""
        rules = [[rule.check, dict(rule.options)] for rule in self.rules]
        return _digest([self.id, self.asked, rules])


@dataclass(frozen=True, slots=True)
class Draft:
    """An item that has no name yet."""

    messages: tuple[Message, ...]
    rules: tuple[Rule, ...]
    max_tokens: int


def rule(check: str, **options: Any) -> Rule:
    return Rule(check, options)


def ask(instruction: str, *rules: Rule, room: int = MEDIUM, system: str = "") -> Draft:
    """A draft of one turn."""
    return talk([instruction], *rules, room=room, system=system)


def talk(turns: Iterable[str], *rules: Rule, room: int = MEDIUM, system: str = "") -> Draft:
    """A draft of several turns: a person's first and last, the assistant's between them."""
    said = [Message("assistant" if n % 2 else "user", text) for n, text in enumerate(turns)]
    begun = [Message("system", system)] if system else []
    return Draft((*begun, *said), rules, room)


def series(stem: str, rows: Iterable[Row], draft: Callable[[Row], Draft]) -> Iterator[Item]:
    """An item for each row of values, named by the stem and the row's place."""
    for place, row in enumerate(rows):
        made = draft(row)
        room = made.max_tokens * 2 if stem.startswith("ko.") else made.max_tokens
        yield Item(f"{stem}.{place}", made.messages, made.rules, room)


def _digest(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]
