"""Whether what was asked otherwise is found again: questions varied by rule, among all the others.

A variant has its question's answer and must be found beside it; a changed number, a negation or another
last word makes another lesson, which must never be left out. Precision counts every other tie as false,
and so is a lower bound: the data hold near duplicates of their own.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.curating.rows import Told
from feedback.agree import numbers
from feedback.alike import gist, near, runs
from feedback.curate import SAME_QUESTION, Curated, curate
from feedback.records import Message, Pair, new_id
from feedback.screen import Policy

_SYNONYMS = {
    **{"create": "make", "generate": "produce", "describe": "explain", "list": "name", "write": "compose"},
    **{"give": "provide", "find": "identify", "rewrite": "rephrase", "best": "ideal", "short": "brief"},
}
_KOREAN = {
    "을 ": "를 ",
    "는 ": "은 ",
    "에서 ": "에 ",
    "어떻게": "어떡해",
    "싶어": "싶다",
    "나요": "나",
    "까요": "까",
}


def _synonym(text: str) -> str:
    swapped = re.sub(r"[A-Za-z]+", lambda word: _SYNONYMS.get(word[0].lower(), word[0]), text)
    return f"Please: {swapped}" if swapped == text else swapped


def _without_articles(text: str) -> str:
    return re.sub(r"\b(?:the|a|an) ", "", text, flags=re.I)


def _particles(text: str) -> str:
    for old, new in _KOREAN.items():
        text = text.replace(old, new)
    return f"혹시 {text}"


VARIANTS: dict[str, dict[str, Callable[[str], str]]] = {
    "en": {
        "whitespace": lambda text: "  " + text.replace(" ", "\u00a0 ") + "\r\n",
        "case": str.swapcase,
        "punctuation": lambda text: text.replace(",", "").replace(".", "!").replace("?", " ??"),
        "politeness": lambda text: f"Could you please help me: {text} Thanks.",
        "articles": _without_articles,
        "synonyms": _synonym,
    },
    "ko": {
        "whitespace": lambda text: text.replace(" ", ""),
        "decomposition": lambda text: unicodedata.normalize("NFD", text),
        "punctuation": lambda text: f"{text} ~!!",
        "politeness": lambda text: f"혹시 {text} 알려줘",
        "particles": _particles,
    },
}


@dataclass(frozen=True)
class Found:
    """Shares of variants tied to their question, and of ties that are such; other lessons left out."""

    recall: dict[str, float]
    precision: float
    ties: int
    wrongly_left_out: int
    changed: int


def measure(language: str, told: list[Told]) -> Found:
    recall, true, ties = {}, 0, 0
    for name, vary in VARIANTS[language].items():
        texts = [question for question, _ in told] + [vary(question) for question, _ in told]
        found = set(
            near([runs(gist(text)) for text in texts], SAME_QUESTION, [numbers(text) for text in texts])
        )
        right = sum((place, place + len(told)) in found for place in range(len(told)))
        recall[name] = right / len(told)
        true, ties = true + right, ties + len(found)
    changed = [(other, answer) for question, answer in told for other in _changed(question)]
    return Found(recall, true / ties if ties else 1.0, ties, _left_out(told, changed), len(changed))


def left_out(language: str, told: list[Told]) -> dict[str, float]:
    """For each variant: the share of pairs that curation leaves out when all are given twice, so varied."""
    shares = {}
    for name, vary in VARIANTS[language].items():
        curated = _curated([*told, *((vary(question), answer) for question, answer in told)])
        again = curated.dropped["near_duplicate"] + curated.dropped["duplicate"]
        shares[name] = again / len(told)
    return shares


def _changed(question: str) -> list[str]:
    """Questions that look alike and are others: another number, a negation."""
    changed = []
    if re.search(r"\d", question):
        changed.append(re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), question, count=1))
    if re.search(r"\b(?:is|are|can|should|do|does)\b", question):
        changed.append(re.sub(r"\b(is|are|can|should|do|does)\b", r"\1 not", question, count=1))
    return changed


def _left_out(told: list[Told], changed: list[Told]) -> int:
    """Changed questions that fell out beside their originals (and would not without them)."""
    words = {question for question, _ in changed}

    def gone(given: list[Told]) -> int:
        curated = _curated(given)
        return sum(out.pair.messages[0].content in words for out in curated.left_out)

    return gone([*told, *changed]) - gone(changed)


def _curated(told: list[Told]) -> Curated:
    pairs = [
        Pair(
            exchange_id=new_id(),
            review_id=new_id(),
            assistant="general",
            conversation_id=new_id(),
            messages=(Message("user", question),),
            response=answer,
            author="model",
            reviewer="operator",
            source="import:benchmark",
            at=datetime(2026, 1, 1, tzinfo=UTC),
            contributor="operator",
        )
        for question, answer in told
    ]
    policy = Policy(block=frozenset())
    return curate(pairs, max_tokens=10**9, count_tokens=lambda _: 0, policy=policy)
