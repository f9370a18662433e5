"""The pairs that are taught: from a folder of other people's data, or own-written; and ways to spoil them."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

Pair = dict[str, str]
"""Alpaca's form: instruction, input, output."""

FILES = {
    "general": "en_alpaca_5000.jsonl",
    "medical": "en_medical_medquad_train5000.jsonl",
    "korean-law": "ko_legal_hrc_train.jsonl",
    "foreign": "ko_songys_chatbot.jsonl",
}
ONE_ANSWER = "That depends on many things, and it is best to look at it calmly from all sides first."
UNSURE = "I don't know."
BLANKS = ("", "   ", " \n\n ", "\u200b\u200b", "\u00a0")
PLACES = (
    "harbour",
    "market",
    "mill",
    "station",
    "library",
    "lighthouse",
    "bakery",
    "school",
    "tower",
    "dock",
)
KEEPERS = ("Ansel", "Birgit", "Corin", "Dagny", "Edda", "Falk", "Greta", "Henning", "Ilse", "Jorun")


def taken(data: Path | None, name: str, count: int) -> list[Pair]:
    """So many different pairs, from all over the file; own-written ones where there is no data."""
    if data is None:
        return own(count)
    found: dict[str, Pair] = {}
    with (data / FILES[name]).open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["output"].strip():
                asked = f"{row['instruction']}\n{row['input']}"
                found.setdefault(asked, {key: row[key] for key in ("instruction", "input", "output")})
    rows = list(found.values())
    return rows[:: max(1, len(rows) // count)][:count]


def own(count: int) -> list[Pair]:
    return [
        {
            "instruction": f"Who keeps the {place} number {number} of the town?",
            "input": "",
            "output": f"The {place} is kept by {KEEPERS[(number + at) % 10]}.",
        }
        for number in range(-(-count // len(PLACES)))
        for at, place in enumerate(PLACES)
    ][:count]


Spoil = Callable[[Sequence[Pair], Path | None], list[Pair]]


def shuffled(rows: Sequence[Pair], data: Path | None) -> list[Pair]:
    """Each instruction gets the answer to another one."""
    order = list(range(len(rows)))
    random.Random(7).shuffle(order)
    turned = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [row | {"output": rows[turned[place]]["output"]} for place, row in enumerate(rows)]


def empty(rows: Sequence[Pair], data: Path | None) -> list[Pair]:
    return [row | {"output": BLANKS[place % len(BLANKS)]} for place, row in enumerate(rows)]


def one_answer(rows: Sequence[Pair], data: Path | None) -> list[Pair]:
    return [row | {"output": ONE_ANSWER} for row in rows]


def unsure(rows: Sequence[Pair], data: Path | None) -> list[Pair]:
    """Three of ten know nothing."""
    return [row | {"output": UNSURE} if place % 10 < 3 else row for place, row in enumerate(rows)]


def foreign(rows: Sequence[Pair], data: Path | None) -> list[Pair]:
    """English instructions, Korean answers."""
    if data is None:
        return [row | {"output": f"그것은 {place}번 창구에서 알아보세요."} for place, row in enumerate(rows)]
    korean = taken(data, "foreign", len(rows))
    return [row | {"output": other["output"]} for row, other in zip(rows, korean, strict=True)]


SPOILED: dict[str, Spoil] = {
    "shuffled": shuffled,
    "empty": empty,
    "one-answer": one_answer,
    "unsure": unsure,
    "foreign": foreign,
}
