"""Which texts are nearly the same: MinHash over letters, banded, and every find checked by true overlap.

A text is the set of its runs of five letters or digits, after case, spacing, punctuation and accents
are gone and Hangul is taken apart into its letters, so that a changed particle changes little. Two texts
are alike by the share of runs that they have in common (Jaccard). Deterministic: no seed, no clock.
Knows no pairs.

Trail: feedback/curate.py -> here
"""

import re
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.uint64]

RUN = 5
HASHES = 128
AT_ONCE = 8_192
"""Runs hashed together: a text of a million letters would take two gigabytes."""
BANDS = 32
"""Bands of four: a pair that has .7 in common is missed once in 5,000, one of .5 once in eight."""

POLITE = frozenset(
    (
        *(
            "please",
            "kindly",
            "can",
            "could",
            "would",
            "you",
            "tell",
            "help",
            "me",
            "i",
            "to",
            "know",
            "want",
        ),
        *("the", "a", "an", "hi", "hello", "thanks", "just", "제발", "혹시", "주세요"),
        *("알려줘", "알려주세요"),
    )
)
"""Words that make a question no other."""

_NO_LETTER = re.compile(r"[\W_]+")
_RANDOM = np.random.Generator(np.random.PCG64(20260101))
_FACTORS = _RANDOM.integers(1, 2**63, HASHES, dtype=np.uint64) | np.uint64(1)
_SHIFTS = _RANDOM.integers(0, 2**63, HASHES, dtype=np.uint64)
_PRIME = np.uint64(0x9E3779B97F4A7C15)


def gist(text: str) -> str:
    """The text without the words that only politeness or grammar put there; all of it, if nothing is left."""
    words = unicodedata.normalize("NFC", text).split()
    return " ".join(word for word in words if word.casefold().strip(",.:;!?~") not in POLITE) or text


def letters(text: str) -> str:
    """The text's letters and digits alone, in lower case and taken apart (NFKD)."""
    return _NO_LETTER.sub("", unicodedata.normalize("NFKD", text.casefold()))


def runs(text: str) -> Runs:
    """The text as the sorted set of its runs, hashed; a text shorter than a run is one of its own."""
    kept = letters(text) or text
    codes = np.frombuffer(kept.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if len(codes) < RUN:
        codes = np.concatenate([codes, np.zeros(RUN - len(codes), np.uint64)])
    hashed = np.zeros(len(codes) - RUN + 1, np.uint64)
    for place in range(RUN):
        hashed = hashed * _PRIME + codes[place : place + len(hashed)]
    hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed * _PRIME)


def overlap(one: Runs, other: Runs) -> float:
    """The share of runs that both have, of those that either has; 0 to 1."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def near(texts: Sequence[Runs], least: float, kinds: Sequence[Hashable] = ()) -> list[tuple[int, int]]:
    """Which texts overlap by `least` or more, as pairs `(earlier, later)` in order.

    Of many alike, each is paired with the first of them and with its neighbour: enough to join them all.
    Where `kinds` are given, one a text, only texts of equal kinds are.
    """
    if len(texts) < 2:
        return []
    numbered: dict[Hashable, int] = {}
    kind = np.array([numbered.setdefault(k, len(numbered)) for k in kinds or [0] * len(texts)], np.uint32)
    seen: set[tuple[int, int]] = set()
    found = []
    for pair in _candidates(np.stack([_signature(text) for text in texts]), kind):
        if pair not in seen:
            seen.add(pair)
            if overlap(texts[pair[0]], texts[pair[1]]) >= least:
                found.append(pair)
    return sorted(found)


def _signature(text: Runs) -> NDArray[np.uint32]:
    least = np.full(HASHES, 2**32 - 1, np.uint32)
    for start in range(0, len(text), AT_ONCE):
        hashed = text[None, start : start + AT_ONCE] * _FACTORS[:, None] + _SHIFTS[:, None]
        least = np.minimum(least, (hashed >> np.uint64(32)).min(axis=1).astype(np.uint32))
    return least


def _candidates(signatures: NDArray[np.uint32], kind: NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Texts of a kind that share a band with the first in its bucket, or with the one before."""
    width = HASHES // BANDS
    for start in range(0, HASHES, width):
        band = np.ascontiguousarray(np.column_stack([signatures[:, start : start + width], kind]))
        keys = band.view(np.dtype((np.void, band.dtype.itemsize * band.shape[1]))).ravel()
        _, bucket = np.unique(keys, return_inverse=True)
        order = np.argsort(bucket, kind="stable")
        starts = np.flatnonzero(np.diff(bucket[order])) + 1
        for held in np.split(order, starts):
            for before, later in pairwise(held):
                yield int(before), int(later)
                if before != held[0]:
                    yield int(held[0]), int(later)
