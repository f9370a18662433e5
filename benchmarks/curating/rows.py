"""The rows that are measured on: from a folder of data, or own-written ones where there is none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.curating.cases import QUESTIONS

Told = tuple[str, str]
"""A question and its answer."""


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def asked(data: Path | None, count: int) -> dict[str, list[Told]]:
    """English and Korean questions with their answers, none of them twice."""
    if data is None:
        korean = [told for told in QUESTIONS if any("가" <= letter <= "힣" for letter in told[0])]
        return {"en": [told for told in QUESTIONS if told not in korean], "ko": korean}
    return {
        "en": _distinct(data / "en_alpaca_5000.jsonl", count),
        "ko": _distinct(data / "ko_songys_chatbot.jsonl", count),
    }


def _distinct(path: Path, count: int) -> list[Told]:
    """Every so-many-th row, so that all of the file is seen."""
    found: dict[str, str] = {}
    for row in lines(path):
        found.setdefault(f"{row['instruction']}\n{row['input']}".strip(), row["output"])
    told = [(question, answer) for question, answer in found.items() if answer.strip()]
    return told[:: max(1, len(told) // count)][:count]
