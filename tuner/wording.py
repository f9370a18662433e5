"""How alike two texts are in letters and words, and what a text is written in. Knows no meaning.

chrF is Popović's (2015) character n-gram F-score, ROUGE-L is Lin's (2004) longest common subsequence.

Trail: tuner/matching.py -> here -> tuner/scorecard.py
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

LONGEST_GRAM = 6
RECALL = 2.0
"""How many times more recall counts than precision in chrF."""
WRITINGS = (
    ("hangul", re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")),
    ("kana", re.compile(r"[\u3040-\u30ff]")),
    ("han", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("cyrillic", re.compile(r"[\u0400-\u052f]")),
    ("greek", re.compile(r"[\u0370-\u03ff]")),
    ("arabic", re.compile(r"[\u0600-\u06ff]")),
    ("hebrew", re.compile(r"[\u0590-\u05ff]")),
    ("devanagari", re.compile(r"[\u0900-\u097f]")),
    ("thai", re.compile(r"[\u0e00-\u0e7f]")),
    ("latin", re.compile(r"[A-Za-z\u00c0-\u024f]")),
)
JAPANESE = 0.1
"""Share of kana among letters from which a text counts as Japanese, however much of it is Han."""


def plain(text: str) -> str:
    """Case, punctuation and spacing taken away, for comparing words."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+(?:[.,]\d+)*", folded))


def writing(text: str) -> str:
    """The script that most of a text's letters belong to; empty where it has none."""
    counts = {name: len(letters.findall(text)) for name, letters in WRITINGS}
    total = sum(counts.values())
    if not total:
        return ""
    if counts["kana"] >= JAPANESE * total:
        return "kana"
    return max(counts, key=lambda name: counts[name])


def chrf(answer: str, reference: str) -> float:
    """Character n-gram F-score between 0 and 1, spaces left out."""
    scores = []
    for said, meant in zip(_grams(answer), _grams(reference), strict=True):
        if not said or not meant:
            continue
        shared = sum((said & meant).values())
        precision, recall = shared / said.total(), shared / meant.total()
        weighted = RECALL**2 * precision + recall
        scores.append((1 + RECALL**2) * precision * recall / weighted if weighted else 0.0)
    return sum(scores) / len(scores) if scores else 0.0


@lru_cache(maxsize=4096)
def _grams(text: str) -> tuple[Counter[str], ...]:
    letters = "".join(text.casefold().split())
    return tuple(
        Counter(letters[i : i + size] for i in range(len(letters) - size + 1))
        for size in range(1, LONGEST_GRAM + 1)
    )


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words; of letters in writing without spaces."""
    said, meant = _pieces(answer), _pieces(reference)
    if not said or not meant:
        return 0.0
    shared = _common(said, meant)
    return 2 * shared / (len(said) + len(meant))


def _pieces(text: str) -> Sequence[str]:
    words = plain(text).split()
    return list("".join(words)) if writing(text) in ("kana", "han", "thai") else words


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row at a time as bits of one number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, piece in enumerate(one):
        places[piece] = places.get(piece, 0) | 1 << place
    full = (1 << len(one)) - 1
    row = full
    for piece in other:
        matched = row & places.get(piece, 0)
        row = ((row + matched) | (row - matched)) & full
    return len(one) - row.bit_count()
