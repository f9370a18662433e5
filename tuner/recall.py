"""What the base itself says to general questions, asked once and kept for every run on that base.

Training repeats a little of it beside the pairs, so that what they do not touch stays as it was. Knows
nothing of training.

Trail: tuner/steps.py -> here -> tuner/replay.py
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feedback.records import Message
from tuner.plan import append_line, read_lines
from tuner.server import Server

AT_ONCE = 8
"""Answers asked for at the same time."""
LONGEST = 96
"""Tokens of an answer; one that goes on is not repeated, since it has no end to learn."""
TEMPERATURE = 0.7
GENERAL = Path(__file__).with_name("general.jsonl")


def questions() -> list[str]:
    """General questions of many kinds, in English and Korean."""
    return [str(json.loads(line)["prompt"]) for line in GENERAL.read_text("utf-8").splitlines()]


async def recall(server: Server, base: str, wanted: Sequence[str], kept: Path) -> list[dict[str, Any]]:
    """The base's finished answers to the questions: `messages` and `response` of each, in their order.

    `kept` is the file of those given before; it grows by each answer as it comes, so a killed run asks
    only for the rest.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    known = {line["prompt"]: line for line in read_lines(kept)}
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(place: int, question: str) -> None:
        async with places:
            said = await server.answer(
                base,
                (Message("user", question),),
                max_tokens=LONGEST,
                temperature=TEMPERATURE,
                seed=place,
            )
        line = {"prompt": question, "response": said.text, "finished": said.finish_reason == "stop"}
        known[question] = line
        append_line(kept, line)

    missing = [(place, question) for place, question in enumerate(wanted) if question not in known]
    try:
        async with asyncio.TaskGroup() as group:
            for place, question in missing:
                group.create_task(ask(place, question))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [
        {"messages": [Message("user", question).as_dict()], "response": known[question]["response"]}
        for question in wanted
        if known[question]["finished"] and known[question]["response"].strip()
    ]
