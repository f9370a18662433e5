"""How much agreement an exchange needs before its verdict holds: pure rules, no store.

An opinion is what one reviewer thinks; the verdict is what opinions settle into. Two are needed where
the contributor is new, where something in the words calls for a second look, for a random share, and
wherever a reviewer wrote the words: nobody's own words are approved by themselves alone.

Trail: feedback/rounds.py -> here
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from feedback.records import Exchange

SKIP = "skip"
Outcome = Literal["waiting", "disputed", "settled"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may set of reviewing. `salt` keeps pseudonyms and samples from being guessed."""

    lease: timedelta = timedelta(minutes=10)
    """How long a claim lasts without a sign of life."""
    trusted_after: int = 10
    """Approved pairs after which a contributor is no longer new."""
    second_share: float = 0.0
    """Share of exchanges that get two opinions whatever they are."""
    salt: str = field(default="", repr=False)

    def pseudonym(self, name: str) -> str:
        """What reviewers see instead of a contributor's name: the same for the same person."""
        return f"contributor-{hmac.new(self.salt.encode(), name.encode(), hashlib.sha256).hexdigest()[:8]}"

    def sampled(self, exchange_id: str) -> bool:
        """Whether this exchange is of the share that two reviewers see only so that they can be compared."""
        drawn = hmac.new(self.salt.encode(), exchange_id.encode(), hashlib.sha256).digest()
        return int.from_bytes(drawn[:8], "big") < self.second_share * 2**64


@dataclass(frozen=True, slots=True)
class Opinion:
    """One reviewer's, in one round. `blind`: given without any sign of what others thought."""

    id: str
    principal: str
    verdict: str
    response: str | None
    author: str | None
    reason: str
    blind: bool
    at: datetime

    @property
    def stance(self) -> tuple[str, str]:
        """What must be equal for two opinions to agree: the verdict, and the words it is about."""
        return ("reject", "") if self.verdict == "reject" else ("approve", self.response or "")


@dataclass(frozen=True, slots=True)
class Wording:
    """The words an approval would teach now, and who wrote them (`model`, or somebody's name)."""

    text: str
    author: str
    edited: bool = False


def outcome(opinions: Sequence[Opinion], needed: int) -> Outcome:
    """What the newest opinion of each reviewer comes to; skips say nothing."""
    stances = [opinion.stance for opinion in opinions if opinion.verdict != SKIP]
    if len(set(stances)) > 1:
        return "disputed"
    return "settled" if len(stances) >= max(1, needed) else "waiting"


def wording(exchange: Exchange, opinions: Sequence[Opinion]) -> Wording:
    """The newest edit of this round, else the correction, else the answer."""
    edits = [opinion for opinion in opinions if opinion.verdict == "edit"]
    if edits:
        return Wording(edits[-1].response or "", edits[-1].author or edits[-1].principal, edited=True)
    written = exchange.correction or exchange.imported
    return Wording(exchange.proposed, exchange.principal if written else "model")


# Bounded wherever the next character may begin again: what people write must not take its length squared.
_ADDED = {
    "link": re.compile(r"(?:https?://|www\.)\S+|[\w-]{1,63}\.(?:com|net|org|io|ru|cn|kr|xyz|info)\b", re.I),
    "address": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.\w{1,63}"),
    "number": re.compile(r"(?:\+?\d[\s().-]?){7,}"),
    "command": re.compile(r"\b(?:curl|wget|sudo|chmod|rm -rf|powershell|pip install|npm install)\b", re.I),
    "markup": re.compile(r"<\s*(?:script|iframe|img|object|embed|svg)\b|javascript:", re.I),
}


# What none of these can be without: a queue is looked through with every page, and most words hold none.
_SIGNS = {
    "link": re.compile(r"://|\.\S"),
    "address": re.compile("@"),
    "number": re.compile(r"\d"),
    "markup": re.compile("[<:]"),
}


def flags(exchange: Exchange, words: str) -> tuple[str, ...]:
    """Why somebody else should look too: `unsafe` was said, or the words bring what nobody asked about.

    `link`, `address`, `number`, `command` and `markup` are raised by words that stand in neither the
    conversation nor the answer that was given.
    """
    raised = ["unsafe"] if "unsafe" in exchange.reasons else []
    known = "\n".join([*(m.content for m in exchange.messages), exchange.response or ""])
    for name, pattern in _ADDED.items():
        if name in _SIGNS and not _SIGNS[name].search(words):
            continue
        if any(found.group().strip() not in known for found in pattern.finditer(words)):
            raised.append(name)
    return tuple(raised)
