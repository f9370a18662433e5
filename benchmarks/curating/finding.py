"""How much of the private data in marked texts is found, how much else is, and what hostile text costs."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.curating import cases
from benchmarks.curating.rows import lines
from feedback.private import KINDS, Span, find
from feedback.suspect import FLAGS, flags

PRESIDIO = {
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "PHONE_NUMBER": "phone",
    "US_SSN": "national_id",
    "IP_ADDRESS": "ip",
}
HOSTILE = (
    "1",
    "1-",
    "(0",
    "a@",
    "a.",
    "DE89 ",
    "ignore all ",
    "<a ",
    "![",
    "죄송 ",
    "-----BEGIN PRIVATE KEY-----",
)
HOSTILE_LENGTH = 50_000

Marked = Iterable[tuple[str, tuple[Span, ...]]]


@dataclass
class Score:
    """Of one kind: how many there are, how many of them were found, how many finds were of nothing."""

    there: int = 0
    found: int = 0
    false: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float | None:
        return self.found / self.there if self.there else None

    @property
    def precision(self) -> float | None:
        finds = self.found + self.false
        return self.found / finds if finds else None


def score(texts: Marked) -> dict[str, Score]:
    """A find counts where it is of the right kind and touches the marked place."""
    scores: dict[str, Score] = defaultdict(Score)
    for text, marks in texts:
        finds = find(text)
        for mark in marks:
            hit = any(s.kind == mark.kind and s.start < mark.end and mark.start < s.end for s in finds)
            scores[mark.kind].there += 1
            scores[mark.kind].found += hit
            if not hit and mark.kind in KINDS:
                scores[mark.kind].missed.append(text[mark.start : mark.end])
        for span in finds:
            of_something = any(
                m.kind == span.kind and span.start < m.end and m.start < span.end for m in marks
            )
            scores[span.kind].false += not of_something
    return dict(sorted(scores.items()))


def presidio(data: Path) -> Iterator[tuple[str, tuple[Span, ...]]]:
    for told in lines(data / "hostile_pii_presidio1500_half.jsonl"):
        spans = (
            Span(PRESIDIO.get(s["entity_type"], s["entity_type"]), s["start_position"], s["end_position"])
            for s in told["spans"]
        )
        yield told["instruction"], tuple(spans)


def korean() -> list[tuple[str, tuple[Span, ...]]]:
    return [cases.marked(text) for text in cases.KOREAN]


def ordinary(data: Path) -> dict[str, dict[str, Any]]:
    """Of real texts that were not made to hold private data: the share of rows that any kind is found in."""
    names = (
        "en_alpaca_5000",
        "en_gsm8k_train",
        "ko_songys_chatbot",
        "ko_legal_hrc_train",
        "en_medical_medquad_train5000",
    )
    return {name: _shares(lines(data / f"{name}.jsonl")) for name in names}


def suspicious(data: Path) -> dict[str, dict[str, Any]]:
    """The share of rows that is flagged, in hostile prompts and in ordinary ones."""
    names = (
        "hostile_garak_jailbreak_injection_half",
        "hostile_blns_half",
        "en_alpaca_5000",
        "ko_songys_chatbot",
    )
    told = {}
    for name in names:
        counts: Counter[str] = Counter()
        rows = 0
        for row in lines(data / f"{name}.jsonl"):
            rows += 1
            counts.update(flags(f"{row['instruction']}\n{row['input']}", row["output"]))
        told[name] = {"rows": rows, **{flag: counts[flag] / rows for flag in FLAGS}}
    return told


def hostile_seconds() -> float:
    """The longest that one text of 50,000 characters, made to make patterns backtrack, takes."""
    longest = 0.0
    for piece in HOSTILE:
        text = piece * (HOSTILE_LENGTH // len(piece))
        began = time.process_time()
        find(text)
        flags(text, text)
        longest = max(longest, time.process_time() - began)
    return longest


def _shares(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    total = 0
    for row in rows:
        total += 1
        counts.update({span.kind for span in find(f"{row['instruction']}\n{row['input']}\n{row['output']}")})
    return {"rows": total, **{kind: counts[kind] / total for kind in KINDS}}
