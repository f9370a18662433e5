"""The demo's words as rows of the store: which events there would be, had these people been here.

Ids are derived from a row's place in its file and times count back from now, so that the same demo is
the same rows. Pure: writes nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid5

from feedback.exchanges import answer_id, as_row
from feedback.records import BASE_NUMBER, Exchange, Message, Sampling

Row = dict[str, Any]

SPACE = UUID("5f0b1c52-6f0e-5d0c-9d9e-3a2f7c1b8e40")
WRITERS = {"helpdesk": "demo.noor", "leases": "demo.vera"}
REVIEWERS = ("demo.ines", "demo.karl", "demo.sora")
SPAN = timedelta(days=12)
BEGAN = timedelta(days=14)


def batch(owner: str, at: datetime) -> dict[str, list[Row]]:
    """Every row of the demo by table, as of `at`; `owner` gets some conversations of their own.

    Ratings come before reviews, because a rating that arrives later would ask for another verdict.
    """
    assistants = [_assistant(told, at) for told in told_in("assistants")]
    prompts = {row["name"]: row["system_prompt"] for row in assistants}
    tables: dict[str, list[Row]] = {"assistants": assistants}
    for name in ("conversations", "consents", "exchanges", "answers", "ratings", "reviews"):
        tables[name] = []
    for table, row in (*_pairs(prompts, at), *_conversations(owner, prompts, at)):
        tables[table].append(row)
    for rows in tables.values():
        rows.sort(key=lambda row: row["at"])
    return tables


def told_in(name: str) -> list[Row]:
    """The objects of one of the demo's files."""
    text = files("hone.demo").joinpath(f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _id(*place: str | int) -> str:
    return str(uuid5(SPACE, "/".join(str(part) for part in place)))


def _assistant(told: Row, at: datetime) -> Row:
    return {"id": _id("assistant", told["name"]), "at": at, "principal": "hone", "ended": False, **told}


def _pairs(prompts: dict[str, str], at: datetime) -> Iterator[tuple[str, Row]]:
    """Approved pairs, as an operator's import leaves them: each a conversation of its own."""
    for assistant, writer in WRITERS.items():
        told = told_in(assistant)
        for place, pair in enumerate(told):
            asked = Exchange(
                id=_id("pair", assistant, place),
                at=at - BEGAN + SPAN * place / len(told),
                principal=writer,
                conversation_id=_id("pair", assistant, place, "conversation"),
                assistant=assistant,
                version=f"{assistant}@{BASE_NUMBER}",
                context=_context(prompts.get(assistant, ""), pair.get("context", ())),
                instruction=pair["instruction"],
                source="demo",
            )
            said = {"verdict": "approve", "by": REVIEWERS[place % len(REVIEWERS)], "reason": ""}
            yield "exchanges", as_row(asked)
            yield "answers", _answer(asked, pair, asked.at)
            yield "reviews", _review(asked, said, pair["response"], writer)


def _conversations(owner: str, prompts: dict[str, str], at: datetime) -> Iterator[tuple[str, Row]]:
    for told in told_in("exchanges"):
        who = told["owner"] or owner
        begun = at - timedelta(days=told["days_ago"])
        identity = _id("conversation", who, told["key"])
        event = {"at": begun, "principal": who}
        kept = {"owner": who, "assistant": told["assistant"], "title": told["title"]}
        yield "conversations", {"id": identity, **event, **kept}
        if not told.get("training", True):
            consent = {"conversation_id": identity, "training": False}
            yield "consents", {"id": _id(identity, "consent"), **event, **consent}
        yield from _turns(told, who, identity, begun, prompts.get(told["assistant"], ""))


def _turns(told: Row, who: str, conversation: str, begun: datetime, prompt: str) -> Iterator[tuple[str, Row]]:
    """A conversation's exchanges; a retry takes the place of the turn it names and of all after it."""
    line: list[Row] = []
    for place, turn in enumerate(told["turns"]):
        retried = turn.get("retry_of")
        if retried is not None:
            line = line[:retried]
        before = [message for earlier in line for message in _spoken(earlier)]
        asked = Exchange(
            id=_id(conversation, place),
            at=begun + timedelta(minutes=3 * place),
            principal=who,
            conversation_id=conversation,
            assistant=told["assistant"],
            version=f"{told['assistant']}@{BASE_NUMBER}",
            context=_context(prompt, before),
            instruction=turn["instruction"],
            sampling=asdict(Sampling()),
            replaces=None if retried is None else _id(conversation, retried),
        )
        line.append(turn)
        yield "exchanges", as_row(asked)
        yield "answers", {**_answer(asked, turn, asked.at + timedelta(seconds=9)), **_measured(turn)}
        yield from _said(asked, turn)


def _said(asked: Exchange, turn: Row) -> Iterator[tuple[str, Row]]:
    """What its author and a reviewer said of an exchange."""
    rating, review = turn.get("rating"), turn.get("review")
    if rating:
        event = {"id": _id(asked.id, "rating"), "at": asked.at + timedelta(minutes=2)}
        yield "ratings", {**event, "principal": asked.principal, "exchange_id": asked.id, **rating}
    if review:
        correction = (rating or {}).get("correction")
        author = review["by"] if review["verdict"] == "edit" else asked.principal if correction else "model"
        yield "reviews", _review(asked, review, correction or turn["response"], author)


def _answer(asked: Exchange, told: Row, at: datetime) -> Row:
    return {
        "id": answer_id(asked.id),
        "at": at,
        "principal": asked.principal,
        "exchange_id": asked.id,
        "response": told["response"],
        "finish_reason": told.get("finish_reason", "stop"),
        "version": asked.version,
        "error": told.get("error", ""),
    }


def _measured(turn: Row) -> Row:
    """What an engine on a small machine would have counted; a turn without an answer has nothing to count."""
    tokens = len(turn["response"]) // 4
    if not tokens:
        return {}
    return {"completion_tokens": tokens, "first_token_ms": 220.0, "total_ms": 220.0 + 30.0 * tokens}


def _review(asked: Exchange, said: Row, proposed: str, author: str) -> Row:
    rejected = said["verdict"] == "reject"
    return {
        "id": _id(asked.id, "review"),
        "at": asked.at + timedelta(hours=6),
        "principal": said["by"],
        "exchange_id": asked.id,
        "verdict": said["verdict"],
        "response": None if rejected else said.get("response") or proposed,
        "author": None if rejected else author,
        "reason": said["reason"],
        "own": author == said["by"] and not rejected,
    }


def _spoken(turn: Row) -> list[Row]:
    if not turn["response"]:
        return []
    return [
        {"role": "user", "content": turn["instruction"]},
        {"role": "assistant", "content": turn["response"]},
    ]


def _context(prompt: str, before: Any) -> tuple[Message, ...]:
    orders = (Message("system", prompt),) if prompt else ()
    return (*orders, *(Message(message["role"], message["content"]) for message in before))
