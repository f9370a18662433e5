"""In which order the queue is worth a reviewer's time: pure but for reading what was asked.

Corrections come first, then thumbs down with reasons, then what people or reviewers see differently,
other thumbs down, topics that are rare among what waits, answers their authors doubted (asked again,
stopped, cut short), a random sample so that nothing is never seen, and the rest. A topic is made of an
instruction's longer words, cut to their stems, and is rare where even its commonest word is; no model is
asked. Nothing of the texts is kept but numbers that mean nothing outside this process.

Trail: feedback/queue.py -> here
"""

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from feedback import lookup
from feedback.records import is_import
from feedback.store import Store

MOST = 2_000
"""How many of the waiting are weighed against each other; the rest keep their order of arrival."""
ENOUGH = 50
"""Exchanges below which no topic is called rare."""
RARE_SHARE = 0.01
SAMPLE = 13
"""Of 256: one in twenty is of the sample."""
_KEPT = 50_000
_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    """about does explain from give have help into make please should some tell that their them there these
    they this what when where which will with would write your""".split()  # noqa: SIM905
)


class Topic(NamedTuple):
    """What an instruction is about, as numbers: itself, and its words' stems."""

    question: int
    stems: frozenset[int]


_topics: dict[str, Topic] = {}
_topics_lock = threading.Lock()


def ranked(store: Store, waiting: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of these rows (`exchange_id, seq, rank, worth, rating, source, finish_reason, begun, doubted`)
    in the order to look at them."""
    kinds: dict[int, Any] = {row["seq"]: _said(row) for row in waiting}
    if None in kinds.values():  # else no topic makes a difference
        kinds |= _weighed(store, waiting, kinds)
    placed = sorted(waiting, key=lambda row: (kinds[row["seq"]], row["rank"], row["seq"]))
    return [row["exchange_id"] for row in placed]


def _weighed(
    store: Store, waiting: Sequence[Mapping[str, Any]], kinds: Mapping[int, int | None]
) -> dict[int, int]:
    """The kind of each that has none yet, by what it is about beside all others."""
    topics = _known(store, [row["exchange_id"] for row in waiting])
    split = _split(waiting, topics)
    seen = Counter(stem for topic in topics.values() for stem in topic.stems)
    limit = max(2, RARE_SHARE * len(topics)) if len(topics) >= ENOUGH else 0
    nothing = Topic(0, frozenset())

    def kind(row: Mapping[str, Any]) -> int:
        about = topics.get(row["exchange_id"], nothing)
        rare = bool(about.stems) and max(seen[stem] for stem in about.stems) <= limit
        return _kind(row, rare, about is not nothing and about.question in split)

    return {row["seq"]: kind(row) for row in waiting if kinds[row["seq"]] is None}


def topic(instruction: str) -> Topic:
    """What an instruction is about; a stem is a word's beginning, shorter in scripts that need less."""
    words = _WORD.findall(unicodedata.normalize("NFC", instruction).casefold())
    stems = {word[:6] if word.isascii() else word[:2] for word in words if _tells(word)}
    return Topic(hash(" ".join(words)), frozenset(map(hash, stems)))


def _tells(word: str) -> bool:
    return len(word) >= (4 if word.isascii() else 2) and word not in _COMMON and not word.isdigit()


def _said(row: Mapping[str, Any]) -> int | None:
    """The kind of what was said clearly, and of what was imported; None where it must be weighed."""
    if row["worth"] >= 3:
        return 4 - int(row["worth"])
    return 8 if is_import(row["source"]) else None


def _kind(row: Mapping[str, Any], rare: bool, split: bool) -> int:
    doubted = row["doubted"] or row["finish_reason"] in ("stopped", "length")
    reasons = (split or row["begun"], row["worth"] == 2, rare, doubted, _sampled(row["exchange_id"]))
    return next((place for place, holds in enumerate(reasons, start=2) if holds), 7)


def _sampled(exchange_id: str) -> bool:
    """By the random end of the id, so that it is the same each time."""
    return int(exchange_id[-2:], 16) < SAMPLE


def _split(waiting: Sequence[Mapping[str, Any]], topics: Mapping[str, Topic]) -> set[int]:
    """The questions whose answers people rated differently."""
    said: dict[int, set[str]] = {}
    for row in waiting:
        if row["rating"] and row["exchange_id"] in topics:
            said.setdefault(topics[row["exchange_id"]].question, set()).add(row["rating"])
    return {question for question, ratings in said.items() if len(ratings) > 1}


def _known(store: Store, ids: Sequence[str]) -> dict[str, Topic]:
    """The topics of these exchanges, read once in the life of the process."""
    missing = [identity for identity in ids if identity not in _topics]
    if missing:
        asked = lookup.by_key(store, "exchanges", "instruction", missing)
        read = {identity: topic(row["instruction"]) for identity, row in asked.items()}
        with _topics_lock:
            if len(_topics) + len(read) > _KEPT:
                _topics.clear()
            _topics.update(read)
    return {identity: _topics[identity] for identity in ids if identity in _topics}
