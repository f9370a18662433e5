"""Candidate and incumbent answer the instructions nobody trained on; what they said becomes a scorecard.

An answer is right if it means what *any* approved response to that instruction means. Answers are
greedy and come through the engine that people talk to; a killed evaluation asks only for the rest.
General items' results are handed in. Knows nothing of what is good enough: that is the gate's.

Trail: tuner/prove.py -> tuner/answers.py, tuner/matching.py, tuner/crossing.py -> here -> tuner/gate.py
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from feedback.records import Message
from feedback.snapshot import Row
from tuner.answers import Answers, Ask, key
from tuner.crossing import Recited, apart
from tuner.languages import Languages
from tuner.matching import Approved, Matching
from tuner.scorecard import GeneralItem, Item, Said, Scorecard
from tuner.server import Server
from tuner.vetoes import ASTRAY, LANGUAGE, LEAK

__all__ = ["GeneralItem", "Item", "Question", "Said", "Scorecard", "evaluate", "questions"]

TEXTS_AT_ONCE = 64
LEAST_TOKENS, MOST_TOKENS = 64, 512
NEARER = 0.05
"""Cosine by which an answer must lie nearer to another instruction's response to count as astray."""

Vectors = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Question:
    """One instruction with every approved response to it."""

    group: str
    messages: tuple[Message, ...]
    exchange_ids: tuple[str, ...]
    references: tuple[str, ...]
    authors: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return key(self.messages)


async def evaluate(
    server: Server,
    candidate: str,
    incumbent: str,
    rows: Sequence[Row],
    scores: Sequence[Mapping[str, Any]],
    kept: Path,
    *,
    incumbent_is_base: bool,
    taught: Sequence[Row] = (),
    model: str = "",
    earlier: Sequence[Path] = (),
    general: Sequence[GeneralItem] = (),
    languages: Languages | None = None,
) -> Scorecard:
    """Ask both versions every held-out instruction and judge what they say.

    Args:
        scores: The training child's held-out losses, one a row; rows without one are too long for the
            model, as are those whose answer the engine has no room for.
        kept: The file in which answers are kept as they arrive.
        taught: The rows that taught the candidate or chose its weights.
        model: Names the base, for the answers of version 0.
        earlier: Files of answers of earlier runs.
        general: What came of the general suite.
        languages: Those at hand, where several evaluations follow each other; else loaded for this one.
    """
    started = time.monotonic()
    losses = {score["exchange_id"]: score for score in scores}
    separate, joined = apart(rows, taught)
    measured = [row for row in separate if row.exchange_id in losses]
    held, versions = questions(measured), (candidate, incumbent)
    rooms = {q.key: _room(losses[name]["tokens"] for name in q.exchange_ids) for q in held}
    # One version after the other: an engine that answers with one at a time is the faster for it.
    asks = [Ask(version, q.messages, rooms[q.key]) for version in versions for q in held]
    answers = await Answers(server, kept, model=model, earlier=earlier).all(asks)
    asked = [q for q in held if all((version, q.key) in answers for version in versions)]
    assessor = Assessor(asked, await _vectors(server, asked, answers), Recited(taught), languages)
    items = []
    for question in asked:
        told = [
            assessor.judge(question, answers[version, question.key], _loss(question, losses, role))
            for version, role in ((candidate, "candidate"), (incumbent, "incumbent"))
        ]
        instruction = question.messages[-1].content
        items.append(Item(question.group, question.exchange_ids, instruction, question.references, *told))
    too_long = len(separate) - sum(len(question.exchange_ids) for question in asked)
    left_out = {"joined": joined, "too_long": too_long}
    return Scorecard(
        candidate,
        incumbent,
        incumbent_is_base,
        tuple(items),
        assessor.matching.wanted,
        round(time.monotonic() - started, 2),
        tuple(general),
        {reason: count for reason, count in left_out.items() if count},
    )


def questions(rows: Sequence[Row]) -> list[Question]:
    """One question per distinct conversation, with all its approved responses."""
    same: dict[tuple[str, tuple[Message, ...]], list[Row]] = {}
    for row in rows:
        same.setdefault((row.group_key, tuple(row.messages)), []).append(row)
    return [
        Question(
            group,
            messages,
            tuple(row.exchange_id for row in found),
            tuple(dict.fromkeys(row.response for row in found)),
            tuple(dict.fromkeys(row.author for row in found)),
        )
        for (group, messages), found in same.items()
    ]


class Assessor:
    """Judges answers to a set of questions, by measures learnt from all their approved responses."""

    def __init__(
        self,
        asked: Sequence[Question],
        vectors: Vectors,
        recited: Recited,
        languages: Languages | None = None,
    ) -> None:
        """`vectors` has one of length 1 for every reference, and for every answer that says something."""
        self._vectors, self._recited, self._languages = vectors, recited, languages or Languages()
        pairs = [(question.key, text) for question in asked for text in question.references]
        self.matching = Matching([Approved(name, text, vectors[text]) for name, text in pairs])
        self._asked = np.asarray([name for name, _ in pairs])
        self._approved = np.asarray([vectors[text] for _, text in pairs])

    def judge(self, question: Question, told: Mapping[str, Any], nll: float | None) -> Said:
        """The best that any reference makes of an answer, and what is wrong with it beside that."""
        text, vector = told["text"], self._vectors.get(told["text"])
        judged = []
        for reference in question.references:
            nearness = _dot(vector, self._vectors[reference]) if vector else 0.0
            judged.append((*self.matching.match(text, reference, nearness), nearness))
        correct, why, _ = max(judged, key=lambda verdict: (verdict[0], verdict[2]))
        nearest = round(max(nearness for _, _, nearness in judged), 4)
        faults = tuple(self._faults(question, text, vector, correct))
        return Said(
            text, told["finish_reason"], told["completion_tokens"], correct, why, nearest, nll, faults
        )

    def _faults(
        self, question: Question, text: str, vector: Sequence[float] | None, correct: bool
    ) -> list[str]:
        found = []
        if not correct and vector and self._astray(question, vector):
            found.append(ASTRAY)
        if self._languages.differ(text, question.references):
            found.append(LANGUAGE)
        allowed = (*question.references, *(message.content for message in question.messages))
        if self._recited.by(text, allowed, question.authors):
            found.append(LEAK)
        return found

    def _astray(self, question: Question, vector: Sequence[float]) -> bool:
        """Whether an answer lies nearer to a response approved for another instruction than to its own."""
        near = self._approved @ np.asarray(vector)
        own = self._asked == question.key
        return bool(near[~own].max(initial=-1.0) > near[own].max() + NEARER)


def _room(tokens: Any) -> int:
    """How long an answer may get: well beyond what was approved, so that rambling shows."""
    return min(max(3 * max(tokens), LEAST_TOKENS), MOST_TOKENS)


async def _vectors(
    server: Server, asked: Sequence[Question], answers: Mapping[tuple[str, str], Mapping[str, Any]]
) -> dict[str, list[float]]:
    """A vector for every reference and every answer that says something."""
    texts = [text for question in asked for text in question.references]
    texts += [told["text"] for told in answers.values() if told["text"].strip()]
    unique = list(dict.fromkeys(texts))
    found: dict[str, list[float]] = {}
    for start in range(0, len(unique), TEXTS_AT_ONCE):
        part = unique[start : start + TEXTS_AT_ONCE]
        found.update(zip(part, await server.embed(part), strict=True))
    return found


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _loss(question: Question, losses: Mapping[str, Mapping[str, Any]], role: str) -> float | None:
    """The mean loss per token over the question's approved responses, where it was measured."""
    told = [losses[exchange_id] for exchange_id in question.exchange_ids]
    tokens = sum(score["tokens"] for score in told)
    return sum(score[role] * score["tokens"] for score in told) / tokens if tokens else None
