"""Looking for words where a home can hold them: proof that none of what was erased is left.

Texts are cut into fragments without line ends, quotes or backslashes, which every format would write in
its own way, and looked for in UTF-8, in UTF-16 and as JSON escapes; Parquet is read, the store is read and
its file looked through as well. A text shorter than `SHORTEST` cannot be told from chance and is counted
apart. Removes nothing.

Trail: feedback/erasure.py -> here -> feedback/receipt.py
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ahocorasick_rs import BytesAhoCorasick

from feedback import snapshot, words
from feedback.store import Store

WINDOW = 48
"""Characters of a fragment: what is left of a text shows if it is at least twice as long as this."""
SHORTEST = 16
"""Bytes of UTF-8 below which a text is not looked for."""
PIECE = 8 << 20
"""Bytes read at once."""

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
    """Fragments to look for, in every way in which they may be written."""

    def __init__(self, looked_for: Sequence[str]) -> None:
        self.fragments = list(looked_for)
        spelled = [(form, i) for i, text in enumerate(looked_for) for form in _spellings(text)]
        self._of = [i for _, i in spelled]
        self._patterns = [form for form, _ in spelled]
        self.longest = max(map(len, self._patterns), default=0)
        self._automaton = BytesAhoCorasick(self._patterns) if spelled else None

    def __bool__(self) -> bool:
        return self._automaton is not None

    def spans(self, data: bytes) -> list[tuple[int, int, int]]:
        """Every find as (fragment, start, end) in bytes, overlapping ones too."""
        if self._automaton is None:
            return []
        matches = self._automaton.find_matches_as_indexes(data, overlapping=True)
        return [(self._of[pattern], start, end) for pattern, start, end in matches]

    def inside(self, data: bytes) -> set[int]:
        """Which fragments are in these bytes."""
        return {fragment for fragment, _, _ in self.spans(data)}

    def touches(self, text: str) -> bool:
        return bool(self.spans(text.encode()))

    def without(self, some: Collection[int]) -> "Needles":
        return Needles([text for i, text in enumerate(self.fragments) if i not in some])


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


def in_file(path: Path, needles: Needles) -> set[int]:
    """Which fragments are in a file's bytes."""
    inside: set[int] = set()
    kept = b""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            piece = kept + piece
            inside |= needles.inside(piece)
            kept = piece[-needles.longest :] if needles.longest else b""
    return inside


def in_parquet(path: Path, needles: Needles) -> set[int]:
    """Which fragments are in a snapshot's texts, however they are compressed; or in its bytes if broken."""
    inside: set[int] = set()
    try:
        whole = pq.ParquetFile(path)
        said = [name for name in snapshot.TEXTS if name in whole.schema_arrow.names]
        for batch in whole.iter_batches(batch_size=words.ROWS_AT_ONCE, columns=said):
            for column in batch.columns:
                inside |= needles.inside(_joined(column.to_pylist()))
    except (pa.ArrowException, OSError):
        return in_file(path, needles)
    return inside


def said_elsewhere(store: Store, needles: Needles, erased: Collection[str]) -> dict[int, set[str]]:
    """Fragments that others said too, with the exchanges and assistants that say them.

    `erased` are the exchanges whose words were taken; those of all others stay, and are no find.
    """
    elsewhere: dict[int, set[str]] = {}
    tables = {**{table: key for table, (key, _) in words.WORDS.items()}, "conversations": "id"}
    for table, key in {**tables, "assistants": "name"}.items():
        for row in words.kept(store, table, key):
            if row[key] not in erased:
                for fragment in needles.inside(_joined(list(row.values()))):
                    elsewhere.setdefault(fragment, set()).add(str(row[key]))
    return elsewhere


def in_store(store: Store, needles: Needles, runs: Collection[str]) -> tuple[Found, set[int]]:
    """Where the store's columns of words hold any fragment, and which fragments its other columns hold.

    Of scorecards only those of `runs` can hold what was erased. The rest are names, states and receipts:
    a fragment that stands there too stays in the store's file, and is nobody's words.
    """
    found, facts = Found(), needles.inside(_joined(words.schema(store)))
    for table in words.columns(store):
        if (
            table.startswith("exchange_state") or table == "hone_schema"
        ):  # their names and states are in the others too
            continue
        quoting = table in words.RUN_WORDS
        for row in words.kept(store, table, "run_id" if quoting else "id"):
            own = words.said(table) if not quoting or row["run_id"] in runs else frozenset()
            facts |= needles.inside(_joined([value for name, value in row.items() if name not in own]))
            if inside := needles.inside(_joined([row[name] for name in own])):
                place = f"store: {table}"
                found.where[place] = found.where.get(place, 0) + len(inside)
    return found, facts


def _joined(values: Sequence[object]) -> bytes:
    texts = [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False, default=str) for v in values]
    return "\x00".join(texts).encode()


def _spellings(fragment: str) -> Iterator[bytes]:
    yield fragment.encode()
    yield fragment.encode("utf-16-le")
    yield fragment.encode("utf-16-be")
    if not fragment.isascii():
        escaped = json.dumps(fragment)[1:-1]
        yield escaped.encode()
        yield re.sub(r"\\u([0-9a-f]{4})", lambda m: "\\u" + m[1].upper(), escaped).encode()
