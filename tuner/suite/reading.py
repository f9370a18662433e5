"""Reads an answer as a person would: past markdown, quotes, and what is said around the thing asked for.

Pure text in, text or values out; knows no rule and decides nothing.
"""

import json
import re
import unicodedata
from datetime import date
from decimal import Decimal
from typing import Any

QUOTES = "\"'“”‘’「」『』«»"
ENDINGS = ".!?,;:…。"
FENCE = re.compile(r"```[\w-]*\n(.*?)```", re.DOTALL)
EMPHASIS = re.compile(r"\*\*|__|`|(?<![\w*])[*_](?=\S)|(?<=\S)[*_](?![\w*])|^#+ ", re.MULTILINE)
BULLET = re.compile(r"^\s*[-*•]\s+(\S.*)$", re.MULTILINE)
NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+(\S.*)$", re.MULTILINE)
WORD = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
DIGITS = re.compile(r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
SENTENCE_END = re.compile(r"(?<=[.!?。])[\"”’')]*(?:\s+|$)|\n+")
HANGUL = re.compile(r"[가-힣]")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_NAMES = "|".join(f"{name}|{name[:3]}" for name in MONTHS)
DATES = re.compile(
    r"(?P<y>\d{4})\s*[-./년]\s*(?P<m>\d{1,2})\s*[-./월]\s*(?P<d>\d{1,2})"
    r"|(?P<km>\d{1,2})월\s*(?P<kd>\d{1,2})일"
    rf"|(?P<un>{_NAMES})\.?\s+(?P<ud>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<uy>\d{{4}}))?"
    rf"|(?P<bd>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<bn>{_NAMES})\.?(?:,?\s+(?P<by>\d{{4}}))?",
    re.IGNORECASE,
)


def bare(text: str) -> str:
    """Without emphasis, code marks, headings, a fence around everything, or quotes around everything."""
    text = unicodedata.normalize("NFC", text).strip()
    fenced = FENCE.fullmatch(text)
    text = EMPHASIS.sub("", fenced[1] if fenced else text).strip()
    while len(text) > 1 and text[0] in QUOTES and text[-1] in QUOTES:
        text = text[1:-1].strip()
    return text


def core(text: str, *, case: bool = False) -> str:
    """What is left for comparing: bare, one space between words, nothing at the end; case only if asked."""
    told = " ".join(bare(text).split())
    told = bare(told.rstrip(ENDINGS + QUOTES + " ").lstrip(QUOTES + " "))
    return told if case else unicodedata.normalize("NFKC", told).casefold()


def words(text: str) -> list[str]:
    return WORD.findall(bare(text))


def sentences(text: str) -> list[str]:
    """What ends with a full stop, a mark, or a line."""
    told = re.sub(r"^\s*(?:\d+[.)]|[-*•])\s+", "", bare(text), flags=re.MULTILINE)
    return [part for part in SENTENCE_END.split(told) if part and WORD.search(part)]


def lines(text: str) -> list[str]:
    return [line.strip() for line in bare(text).splitlines() if line.strip()]


def unmarked(text: str) -> str:
    """Without the marks of a list that is numbered from 1; other numbers at a line's beginning stay."""
    marks = [int(mark) for mark, _ in NUMBERED.findall(text)]
    return NUMBERED.sub(r"\2", text) if marks and marks == list(range(1, len(marks) + 1)) else text


def numbers(text: str) -> list[Decimal]:
    """Numbers in digits in the order in which they are written; list marks are not numbers."""
    told = unmarked(bare(text))
    found = (digits.replace(",", "").replace("−", "-") for digits in DIGITS.findall(told))
    return [Decimal(digits) for digits in found]


def dates(text: str) -> list[tuple[int | None, int, int]]:
    """Year where there is one, month and day, of each date in an English, Korean or ISO form."""
    found = []
    for match in DATES.finditer(bare(text)):
        told = match.groupdict()
        year = told["y"] or told["uy"] or told["by"]
        day = told["d"] or told["kd"] or told["ud"] or told["bd"]
        month = told["m"] or told["km"]
        if not month:
            short = (told["un"] or told["bn"]).lower()[:3]
            month = next(n for n, full in enumerate(MONTHS, 1) if full.startswith(short))
        if _is_date(int(year) if year else 2000, int(month), int(day)):
            found.append((int(year) if year else None, int(month), int(day)))
    return found


def structure(text: str) -> Any:
    """The JSON that an answer is, alone or in one fence; ValueError where it is none."""
    if text.count("```") == 1 and text.lstrip().startswith("```"):
        text += "\n```"  # which it had no room left to write
    fenced = FENCE.search(text)
    alone = text.strip() if fenced is None else fenced[1].strip()
    if fenced and FENCE.sub("", text).strip():
        raise ValueError("there are words around it")
    try:
        return json.loads(alone)
    except RecursionError as deep:
        raise ValueError("it is nested too deeply") from deep


def letters(text: str) -> list[str]:
    """Every letter of an alphabet that has capitals."""
    return [letter for letter in bare(text) if letter.upper() != letter.lower()]


def hangul_share(text: str) -> float:
    """Share of letters that are Hangul; 0 where there are no letters."""
    found = [letter for letter in text if letter.isalpha()]
    return sum(bool(HANGUL.match(letter)) for letter in found) / len(found) if found else 0.0


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
