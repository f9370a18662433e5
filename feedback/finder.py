"""Finds thousands of byte strings in one pass over many bytes, every occurrence of each.

Of each string a few grams are kept, from its middle, one for every way in which it can lie across words of
four bytes; so one of them begins at a whole word wherever the string stands. The grams at all whole words
are hashed at once (numpy), and only where a hash is known the bytes are compared. Nothing is missed, and
nothing is taken for a find that is not the very bytes. Knows nothing of texts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

WORD = 4
"""Bytes between the places that are looked at."""
SIZES = (8, 4, 3, 2)
"""Words of a gram: as many as are whole in a string wherever it stands, because long grams are rarer."""
SHORTEST = SIZES[-1] * WORD + WORD - 1
"""Bytes of the shortest string that can be found."""
PIECE = 1 << 15
"""Words that are hashed at once: few enough for a core's cache."""

_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64)

Span = tuple[int, int, int]


class Finder:
    """What finds these strings, each by its number; building it takes some microseconds a string."""

    def __init__(self, numbers: Mapping[bytes, int]) -> None:
        assert all(len(string) >= SHORTEST for string in numbers), "too short to be found"
        self._numbers = numbers
        sized: dict[int, list[bytes]] = {}
        for string in numbers:
            size = next(size for size in SIZES if len(string) >= size * WORD + WORD - 1)
            sized.setdefault(size, []).append(string)
        self._grams = {size: _Grams(size, strings) for size, strings in sized.items()}

    def spans(self, data: bytes) -> Iterator[Span]:
        """Every find as (number, start, end)."""
        words = np.frombuffer(data, np.uint32, len(data) // WORD)
        for first in range(0, len(words) - 1 if self._grams else 0, PIECE):
            hashes = _hashed(words[first : first + PIECE + SIZES[0] - 1])
            for size, grams in self._grams.items():
                for at, before, length in grams.likely(hashes[size][:PIECE]):
                    start = (first + at) * WORD - before
                    end = start + length
                    number = self._numbers.get(data[start:end]) if start >= 0 and end <= len(data) else None
                    if number is not None:
                        yield number, start, end


class _Grams:
    """The grams of one size, by their hashes: where in a string of what length each may be."""

    def __init__(self, size: int, strings: Sequence[bytes]) -> None:
        middles = [(string, (len(string) - size * WORD - WORD + 1) // 2) for string in strings]
        cuts = [(string, middle + n) for string, middle in middles for n in range(WORD)]
        grams = b"".join(string[before : before + size * WORD] for string, before in cuts)
        hashes = _hashed(np.frombuffer(grams, np.uint32))[size][::size]
        where = np.array([before << 32 | len(string) for string, before in cuts], np.int64)
        order = np.lexsort((where, hashes))
        hashes, where = hashes[order], where[order]
        other = np.append(True, (hashes[1:] != hashes[:-1]) | (where[1:] != where[:-1]))
        self._where = where[other]
        self._hashes, first = np.unique(hashes[other], return_index=True)
        self._first = np.append(first, len(self._where))
        bits = max(16, (16 * len(self._hashes)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._known = np.zeros(1 << bits, bool)
        self._known[self._hashes >> self._shift] = True

    def likely(self, hashes: Any) -> Iterator[tuple[int, int, int]]:
        """The places of known hashes, with how far before a string may begin and how long it would be."""
        places = np.flatnonzero(self._known[hashes >> self._shift])
        which = np.searchsorted(self._hashes[:-1], hashes[places])
        known = self._hashes[which] == hashes[places]
        which = which[known]
        found = zip(
            places[known].tolist(), self._first[which].tolist(), self._first[which + 1].tolist(), strict=True
        )
        for at, first, last in found:
            for where in self._where[first:last].tolist():
                yield at, where >> 32, where & 0xFFFFFFFF


def _hashed(words: Any) -> dict[int, Any]:
    """For each size, the hashes of so many words in a row, at every word that has so many."""
    single = words.astype(np.uint64)
    pairs = single[:-1] * _ODD[0] + single[1:] * _ODD[1]
    fours = pairs[:-2] + pairs[2:] * _ODD[2]
    return {2: pairs, 3: pairs[:-1] + single[2:] * _ODD[2], 4: fours, 8: fours[:-4] + fours[4:] * _ODD[3]}
