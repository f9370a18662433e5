"""Candidate and incumbent answer the instructions nobody trained on; what they said becomes a scorecard.

An answer is right if it means what *any* approved response to that instruction means. Answers are
greedy, come through the engine that people talk to, and are kept as they arrive, so a killed
evaluation asks only for the rest. Knows nothing of what is good enough: that is the gate's.

Trail: tuner/prove.py -> here -> tuner/gate.py
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from feedback.records import Message
from feedback.snapshot import Row
from tuner import meaning
from tuner.plan import append_line, read_lines
from tuner.server import Server

AT_ONCE = 4
"""Answers asked for at the same time."""
TEXTS_AT_ONCE = 64
LEAST_TOKENS, MOST_TOKENS = 64, 512


@dataclass(frozen=True, slots=True)
class Question:
    """One instruction with every approved response to it."""

    group: str
    messages: tuple[Message, ...]
    exchange_ids: tuple[str, ...]
    references: tuple[str, ...]

    @property
    def key(self) -> str:
        told = json.dumps([m.as_dict() for m in self.messages], ensure_ascii=False)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


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
class Scorecard:
    """Everything the gate looks at, and everything a person may want to see of it."""

    candidate: str
    incumbent: str
    incumbent_is_base: bool
    items: tuple[Item, ...]
    nearness_wanted: float | None
    """Least cosine that counted as the same meaning; None where only words and numbers were compared."""
    seconds: float

    @property
    def look(self) -> str:
        """Names the very set of instructions looked at, so that a second look can be told."""
        groups = sorted({item.group for item in self.items})
        return hashlib.sha256("\n".join(groups).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "look": self.look}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        items = tuple(
            Item(
                item["group"],
                tuple(item["exchange_ids"]),
                item["instruction"],
                tuple(item["references"]),
                Said(**item["candidate"]),
                Said(**item["incumbent"]),
            )
            for item in told["items"]
        )
        rest = {key: value for key, value in told.items() if key not in ("items", "look")}
        return cls(items=items, **rest)


async def evaluate(
    server: Server,
    candidate: str,
    incumbent: str,
    rows: Sequence[Row],
    scores: Sequence[Mapping[str, Any]],
    kept: Path,
    *,
    incumbent_is_base: bool,
) -> Scorecard:
    """Ask both versions every held-out instruction and judge what they say.

    `scores` are the training child's held-out losses, one a row; rows without one are too long for
    the model and are left out. `kept` is the file in which answers are kept as they arrive.
    """
    started = time.monotonic()
    losses = {score["exchange_id"]: score for score in scores}
    asked = questions([row for row in rows if row.exchange_id in losses])
    answers = await _answers(server, (candidate, incumbent), asked, losses, kept)
    vectors = await _vectors(server, asked, answers)
    wanted = _nearness_wanted(asked, vectors)
    items = []
    for question in asked:
        told = [
            _judge(question, answers[version, question.key], vectors, wanted, _loss(question, losses, role))
            for version, role in ((candidate, "candidate"), (incumbent, "incumbent"))
        ]
        instruction = question.messages[-1].content
        items.append(Item(question.group, question.exchange_ids, instruction, question.references, *told))
    seconds = round(time.monotonic() - started, 2)
    return Scorecard(candidate, incumbent, incumbent_is_base, tuple(items), wanted, seconds)


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
        )
        for (group, messages), found in same.items()
    ]


async def _answers(
    server: Server,
    versions: Sequence[str],
    asked: Sequence[Question],
    losses: Mapping[str, Mapping[str, Any]],
    kept: Path,
) -> dict[tuple[str, str], dict[str, Any]]:
    """Every version's answer to every question: from the file where it has been given, else by asking."""
    found = {(told["version"], told["key"]): told for told in read_lines(kept)}
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask(version: str, question: Question) -> None:
        async with turn:
            room = _room(losses[exchange_id]["tokens"] for exchange_id in question.exchange_ids)
            answer = await server.answer(version, question.messages, max_tokens=room)
        told = {"version": version, "key": question.key, **asdict(answer)}
        append_line(kept, told)
        found[version, question.key] = told

    missing = [(v, question) for question in asked for v in versions if (v, question.key) not in found]
    try:
        async with asyncio.TaskGroup() as group:
            for version, question in missing:
                group.create_task(ask(version, question))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return found


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


def _nearness_wanted(asked: Sequence[Question], vectors: Mapping[str, list[float]]) -> float | None:
    pairs = [(vectors[text], question.key) for question in asked for text in question.references]
    return meaning.calibrate([vector for vector, _ in pairs], [key for _, key in pairs])


def _judge(
    question: Question,
    told: Mapping[str, Any],
    vectors: Mapping[str, list[float]],
    wanted: float | None,
    nll: float | None,
) -> Said:
    """The best that any reference makes of an answer."""
    vector = vectors.get(told["text"])
    judged = []
    for reference in question.references:
        nearness = sum(a * b for a, b in zip(vector, vectors[reference], strict=True)) if vector else 0.0
        judged.append((*meaning.means(told["text"], reference, nearness, wanted), nearness))
    correct, why, _ = max(judged, key=lambda verdict: (verdict[0], verdict[2]))
    nearest = max(nearness for _, _, nearness in judged)
    return Said(
        told["text"], told["finish_reason"], told["completion_tokens"], correct, why, round(nearest, 4), nll
    )


def _loss(question: Question, losses: Mapping[str, Mapping[str, Any]], role: str) -> float | None:
    """The mean loss per token over the question's approved responses, where it was measured."""
    told = [losses[exchange_id] for exchange_id in question.exchange_ids]
    tokens = sum(score["tokens"] for score in told)
    return sum(score[role] * score["tokens"] for score in told) / tokens if tokens else None
