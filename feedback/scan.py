"""Looking for words where a home can hold them: proof that none of what was erased is left.

Texts are cut into fragments without line ends, quotes or backslashes, which every format would write in
its own way, and looked for in UTF-8, in UTF-16 and as JSON escapes; Parquet is read, column by column. A
text shorter than `SHORTEST` cannot be told from chance and is counted apart. Removes nothing.

Trail: feedback/purge.py, feedback/store_scan.py -> here
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ahocorasick_rs import BytesAhoCorasick

from feedback import snapshot
from feedback.store import Store

WINDOW = 48
"""Characters of a fragment: what is left of a text shows if it is at least twice as long as this."""
SHORTEST = 16
"""Bytes of UTF-8 below which a text is not looked for."""
PIECE = 1 << 20
"""Bytes read at once."""
RUN = 1 << 18
"""Bytes of rows gone through at once: a letter written on and on is found at each of its places."""
ROWS_AT_ONCE = 2_048
"""Rows of a column that are read at once."""

_BREAKS = re.compile(r"[\x00-\x1f\x7f\"'\\<>&\u2028\u2029]+")


def fragments(texts: Iterable[str]) -> list[str]:
    """What to look for, each once: the runs of a text whole, or where they are long in windows."""
    found: dict[str, None] = {}
    for text in texts:
        for run in _BREAKS.split(text):
            for piece in _windows(run.strip()):
                if len(piece.encode()) >= SHORTEST:
                    found[piece] = None
    return list(found)


def looked_for(store: Store, texts: Iterable[str]) -> list[str]:
    """The fragments of these texts, without those of assistants' prompts, which every context begins with."""
    prompts = store.rows("SELECT system_prompt FROM assistants WHERE system_prompt <> ''")
    ours = set(fragments(row["system_prompt"] for row in prompts))
    return [fragment for fragment in fragments(texts) if fragment not in ours]


def too_short(texts: Iterable[str]) -> int:
    """How many texts hold no run that is long enough to be looked for."""
    return sum(not fragments([text]) for text in texts)


def _windows(run: str) -> Iterator[str]:
    for start in range(0, max(len(run) - WINDOW, 0) + 1, WINDOW):
        yield run[start : start + WINDOW]
    if len(run) > WINDOW and len(run) % WINDOW:
        yield run[-WINDOW:]


class Needles:
    """Fragments to look for, in every way in which they may be written; costly only once they are used."""

    def __init__(self, looked_for: Sequence[str]) -> None:
        self.fragments = list(looked_for)

    @classmethod
    def together(cls, several: Iterable["Needles"]) -> "Needles":
        return cls(list(dict.fromkeys(text for some in several for text in some.fragments)))

    def __bool__(self) -> bool:
        return bool(self.fragments)

    @property
    def longest(self) -> int:
        """Bytes of the longest spelling."""
        return max((len(form) for form, _ in self._spelled), default=0)

    def spans(self, data: bytes) -> list[tuple[int, int, int]]:
        """Every find as (place among the fragments, start, end) in bytes, overlapping ones too."""
        if not self.fragments:
            return []
        matches = self._automaton.find_matches_as_indexes(data, overlapping=True)
        return [(self._spelled[form][1], start, end) for form, start, end in matches]

    def inside(self, data: bytes) -> set[str]:
        """Which fragments are in these bytes."""
        return {self.fragments[found] for found, _, _ in self.spans(data)}

    def in_column(self, column: pa.Array) -> set[tuple[int, str]]:
        """Which fragments are in which rows of a column of texts; many rows at once, as one run of bytes.

        What begins in one row and ends in another is in neither.
        """
        texts = column.cast(pa.large_string())
        _, ends, data = texts.buffers()
        if not len(texts) or data is None or not self.fragments:
            return set()
        starts = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        inside: set[tuple[int, str]] = set()
        first = 0
        while first < len(texts):
            reach = int(np.searchsorted(starts, starts[first] + RUN, side="right")) - 1
            last = max(first + 1, reach)
            inside |= self._in_rows(data, starts, first, last)
            first = last
        return inside

    def _in_rows(self, data: pa.Buffer, starts: Any, first: int, last: int) -> set[tuple[int, str]]:
        spans = self.spans(data.slice(starts[first], starts[last] - starts[first]).to_pybytes())
        if not spans:
            return set()
        found, begin, end = np.array(spans).T
        rows = np.searchsorted(starts, starts[first] + begin, side="right") - 1
        whole = starts[first] + end <= starts[rows + 1]
        pairs = zip(rows[whole].tolist(), found[whole].tolist(), strict=True)
        return {(row, self.fragments[fragment]) for row, fragment in pairs}

    def touches(self, text: str) -> bool:
        return bool(self.spans(text.encode()))

    def without(self, some: Collection[str]) -> "Needles":
        return Needles([text for text in self.fragments if text not in some])

    @cached_property
    def _spelled(self) -> list[tuple[bytes, int]]:
        return [(form, place) for place, text in enumerate(self.fragments) for form in _spellings(text)]

    @cached_property
    def _automaton(self) -> BytesAhoCorasick:
        return BytesAhoCorasick([form for form, _ in self._spelled])


@dataclass(slots=True)
class Found:
    """What a look through files came to; `where` has each place with how many fragments it holds."""

    files: int = 0
    bytes: int = 0
    where: dict[str, int] = field(default_factory=dict)

    def add(self, folder: str, other: "Found") -> None:
        """Count what a look through a folder inside this one came to."""
        self.files += other.files
        self.bytes += other.bytes
        self.where.update({f"{folder}/{place}": count for place, count in other.where.items()})


def through(folder: Path, paths: Iterable[Path], needles: Needles) -> Found:
    """Look through these files under the folder; of Parquet through the values, if it can be read."""
    found = Found()
    for path in paths:
        try:
            inside = in_parquet(path, needles) if path.suffix == ".parquet" else in_file(path, needles)
            found.bytes += path.stat().st_size
        except FileNotFoundError:  # one that came and went meanwhile
            continue
        found.files += 1
        if inside:
            found.where[str(path.relative_to(folder))] = len(inside)
    return found


def in_file(path: Path, needles: Needles) -> set[str]:
    """Which fragments are in a file's bytes."""
    inside: set[str] = set()
    kept = b""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            piece = kept + piece
            inside |= needles.inside(piece)
            kept = piece[-needles.longest :] if needles.longest else b""
    return inside


def in_parquet(path: Path, needles: Needles) -> set[str]:
    """Which fragments are in a snapshot's texts, however they are compressed; or in its bytes if broken."""
    inside: set[str] = set()
    try:
        whole = pq.ParquetFile(path)
        said = [name for name in snapshot.TEXTS if name in whole.schema_arrow.names]
        for batch in whole.iter_batches(batch_size=ROWS_AT_ONCE, columns=said):
            for column in batch.columns:
                inside |= {fragment for _, fragment in needles.in_column(column)}
    except (pa.ArrowException, OSError):
        return in_file(path, needles)
    return inside


def _spellings(fragment: str) -> Iterator[bytes]:
    yield fragment.encode()
    yield fragment.encode("utf-16-le")
    yield fragment.encode("utf-16-be")
    if not fragment.isascii():
        escaped = json.dumps(fragment)[1:-1]
        yield escaped.encode()
        yield re.sub(r"\\u([0-9a-f]{4})", lambda m: "\\u" + m[1].upper(), escaped).encode()
