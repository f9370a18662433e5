"""Which pairs are fit to learn from, and which belong together: pure, no store, no model.

Pairs of one conversation, and pairs that ask the same thing, form a group, since a split must not put
them on two sides. Several different approved responses of one instruction are all kept. Over-long pairs
are skipped, never cut: half an answer teaches to stop half-way.

Trail: feedback/pairs.py -> here -> feedback/snapshot.py
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from feedback.records import Message, Pair

DUPLICATE = "duplicate"
EMPTY = "empty"
TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Group:
    """Pairs that must stay on one side. `anchors` name what holds it together: questions, conversations."""

    key: str
    pairs: tuple[Pair, ...]
    anchors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Curated:
    """Groups in the order of their first pair, and how many pairs were left out for which reason."""

    groups: tuple[Group, ...]
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(pair for group in self.groups for pair in group.pairs)


def curate(pairs: Iterable[Pair], *, max_tokens: int, count_tokens: Callable[[Pair], int]) -> Curated:
    """Normalise, leave out what cannot be learnt, and group the rest.

    Args:
        max_tokens: The most that a pair, prompt and response together, may count.
        count_tokens: The length of a pair in the tokens of the model that will learn it.
    """
    candidates = [normalise(pair) for pair in pairs]
    kept: list[Pair] = []
    dropped: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for pair in candidates:
        lesson = (question(pair), compared(pair.response))
        reason = _unfit(pair, lesson in seen, max_tokens, count_tokens)
        if reason:
            dropped[reason] += 1
        else:
            seen.add(lesson)
            kept.append(pair)
    return Curated(_groups(kept, candidates), dropped)


def normalise(pair: Pair) -> Pair:
    """The pair with its texts in Unicode NFC, line ends as one newline, and nothing around them."""
    messages = tuple(Message(m.role, _normal(m.content)) for m in pair.messages)
    return replace(pair, messages=messages, response=_normal(pair.response))


def question(pair: Pair) -> str:
    """A digest of what was asked: instruction and context, whatever the spacing and the system prompt."""
    asked = "\x1e".join(f"{m.role}\x1f{compared(m.content)}" for m in pair.messages if m.role != "system")
    return "q:" + hashlib.sha256(asked.encode()).hexdigest()[:32]


def compared(text: str) -> str:
    """The text as it is compared with others: spacing aside."""
    return " ".join(_normal(text).split())


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()


def _unfit(pair: Pair, seen: bool, max_tokens: int, count_tokens: Callable[[Pair], int]) -> str | None:
    if not pair.response or not pair.messages or not pair.messages[-1].content:
        return EMPTY
    if seen:
        return DUPLICATE
    return TOO_LONG if count_tokens(pair) > max_tokens else None


def _groups(kept: Sequence[Pair], candidates: Sequence[Pair]) -> tuple[Group, ...]:
    """Kept pairs, joined wherever they share a question or a conversation (union-find).

    What was left out joins too: a duplicate still ties its conversation to the other one.
    """
    parents: dict[str, str] = {}

    def root(anchor: str) -> str:
        parents.setdefault(anchor, anchor)
        while parents[anchor] != anchor:
            parents[anchor] = parents[parents[anchor]]
            anchor = parents[anchor]
        return anchor

    for pair in candidates:
        parents[root(_conversation(pair))] = root(question(pair))
    members: dict[str, list[Pair]] = {}
    for pair in kept:
        members.setdefault(root(question(pair)), []).append(pair)
    return tuple(_group(joined) for joined in members.values())


def _group(pairs: Sequence[Pair]) -> Group:
    anchors = dict.fromkeys(anchor for pair in pairs for anchor in (question(pair), _conversation(pair)))
    return Group(question(pairs[0]), tuple(pairs), tuple(anchors))


def _conversation(pair: Pair) -> str:
    return f"c:{pair.conversation_id}"
