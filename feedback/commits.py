"""What waits to be written, and which of it may share a commit. Writes nothing.

Trail: feedback/writer.py -> here
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from feedback.awaited import Awaited
from feedback.transaction import Rows

ROWS_A_COMMIT = 5_000
DECISIONS_A_COMMIT = 16
"""Each reads for some milliseconds, for which everyone else waits."""


@dataclass(slots=True)
class Batch:
    rows: Rows
    done: Awaited = field(default_factory=Awaited)


@dataclass(slots=True)
class Decision:
    decide: Callable[[Any], Any]
    about: str | None
    projected: bool = True
    done: Awaited = field(default_factory=Awaited)

    def __post_init__(self) -> None:
        # What a browser sent may be a list: that fails here, not in the thread that writes for all.
        hash(self.about)


def grouped(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """The batches in commits of a bounded size."""
    group: list[Batch] = []
    size = 0
    for batch in batches:
        group.append(batch)
        size += sum(len(rows) for rows in batch.rows.values())
        if size >= ROWS_A_COMMIT:
            yield group
            group, size = [], 0
    if group:
        yield group


def independent(decisions: Sequence[Decision]) -> Iterator[list[Decision]]:
    """The decisions in groups of which no two are about the same."""
    group: dict[str, Decision] = {}
    for decision in decisions:
        if decision.about is None or decision.about in group or len(group) == DECISIONS_A_COMMIT:
            if group:
                yield list(group.values())
            group = {}
        if decision.about is None:
            yield [decision]
        else:
            group[decision.about] = decision
    if group:
        yield list(group.values())
