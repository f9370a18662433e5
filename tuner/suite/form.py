"""Checks of an answer's form: lengths, words, cases, lists, JSON. An empty answer has no form at all.

Each takes the answer and its options and says what is wrong with it, or nothing. What an answer means is
not asked here.

Trail: tuner/suite/marking.py -> here -> tuner/suite/reading.py
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.suite import reading


def words(answer: str, *, least: int = 1, most: int = 10_000) -> str:
    return _within(len(reading.words(answer)), least, most, "words")


def sentences(answer: str, *, least: int = 1, most: int = 10_000) -> str:
    return _within(len(reading.sentences(answer)), least, most, "sentences")


def characters(answer: str, *, least: int = 1, most: int = 10_000) -> str:
    """Letters, digits and marks; spaces are not counted."""
    return _within(len("".join(reading.bare(answer).split())), least, most, "characters")


def lines(answer: str, *, count: int) -> str:
    return _within(len(reading.lines(answer)), count, count, "lines")


def bullets(answer: str, *, count: int) -> str:
    return _within(len(reading.BULLET.findall(answer)), count, count, "bullet points")


def numbered(answer: str, *, count: int) -> str:
    """A list numbered 1 to `count`."""
    marks = [int(mark) for mark, _ in reading.NUMBERED.findall(answer)]
    return "" if marks == list(range(1, count + 1)) else f"is not numbered 1 to {count}"


def commas(answer: str, *, count: int) -> str:
    """So many things in one line, between commas; an `and` may stand for the last comma."""
    said = re.sub(r"\s+(?:and|그리고|및)\s+", ", ", reading.core(answer.strip()))
    parts = [part.strip() for part in said.split(",") if part.strip()]
    if len(reading.lines(answer)) > 1 or any(len(part.split()) > 4 for part in parts):
        return "is not one line of things between commas"
    return _within(len(parts), count, count, "things")


def has(answer: str, *, texts: Sequence[str]) -> str:
    """Contains every text; a Latin one as whole words."""
    missing = [text for text in texts if not _found(text, answer)]
    return f"lacks “{missing[0]}”" if missing else ""


def lacks(answer: str, *, texts: Sequence[str]) -> str:
    """Says something, and none of these texts."""
    if not reading.words(answer):
        return "says nothing"
    there = [text for text in texts if _found(text, answer)]
    return f"has “{there[0]}”" if there else ""


def begins(answer: str, *, text: str) -> str:
    told = re.match(rf"{re.escape(reading.core(text))}(?![a-z0-9])", reading.core(answer))
    return "" if told else f"does not begin with “{text}”"


def ends(answer: str, *, text: str) -> str:
    return "" if reading.core(answer).endswith(reading.core(text)) else f"does not end with “{text}”"


def upper(answer: str) -> str:
    return _case(answer, lambda letter: letter == letter.upper(), "capitals")


def lower(answer: str) -> str:
    return _case(answer, lambda letter: letter == letter.lower(), "small letters")


def json_object(answer: str, *, keys: Sequence[str] = (), values: Mapping[str, Any] | None = None) -> str:
    """A JSON object and nothing else, with exactly these keys, or with exactly these keys and values."""
    try:
        told = reading.structure(answer)
    except ValueError as bad:
        return f"is not JSON: {bad}"
    if not isinstance(told, dict):
        return "is not a JSON object"
    wanted = set(keys) | set(values or {})
    if set(told) != wanted:
        return f"has the keys {sorted(told)}, not {sorted(wanted)}"
    wrong = [key for key, value in (values or {}).items() if not _equal(told[key], value)]
    return f"has {told[wrong[0]]!r} under “{wrong[0]}”" if wrong else ""


def json_list(
    answer: str, *, count: int | None = None, values: Sequence[Any] | None = None, kind: str = ""
) -> str:
    """A JSON list and nothing else: of so many `string`s or `number`s, or of exactly these values."""
    try:
        told = reading.structure(answer)
    except ValueError as bad:
        return f"is not JSON: {bad}"
    if not isinstance(told, list):
        return "is not a JSON list"
    if values is not None:
        same = len(told) == len(values) and all(map(_equal, told, values))
        return "" if same else f"is {told}, not {list(values)}"
    if kind and not all(_is_kind(value, kind) for value in told):
        return f"has what is no {kind}"
    return _within(len(told), count or 0, count or 0, "values")


def language(answer: str, *, name: str) -> str:
    """Written in `ko` or `en`; a foreign name among the words does no harm."""
    share = reading.hangul_share(answer)
    if not reading.words(answer):
        return "says nothing"
    right = share >= 0.6 if name == "ko" else share <= 0.1
    return "" if right else f"is not in {'Korean' if name == 'ko' else 'English'}"


def _within(found: int, least: int, most: int, what: str) -> str:
    if least <= found <= most:
        return ""
    wanted = str(least) if least == most else f"{least} to {most}" if most < 10_000 else f"at least {least}"
    return f"has {found} {what}, not {wanted}"


def _found(text: str, answer: str) -> bool:
    whole = re.escape(text.casefold())
    if re.fullmatch(r"[\w' -]+", text, re.ASCII):
        whole = rf"(?<![a-z0-9]){whole}(?![a-z0-9])"
    return bool(re.search(whole, reading.bare(answer).casefold()))


def _case(answer: str, right: Any, what: str) -> str:
    letters = reading.letters(answer)
    if len(letters) < 2:
        return "has no letters"
    return "" if all(map(right, letters)) else f"is not all in {what}"


def _equal(told: Any, wanted: Any) -> bool:
    """Equal as a person sees it: "30" and 30 are, True and 1 are not."""
    if isinstance(told, bool) or isinstance(wanted, bool):
        return told is wanted
    if isinstance(wanted, int | float):
        return str(told).strip() in (str(wanted), f"{wanted}.0")
    if isinstance(told, str) and isinstance(wanted, str):
        return reading.core(told) == reading.core(wanted)
    return bool(told == wanted)


def _is_kind(value: Any, kind: str) -> bool:
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) and bool(value.strip())
