"""What crosses from the pairs that teach to those that judge: joined instructions, and words repeated.

An instruction that was taught in nearly the same words judges nothing, and an answer that recites what
another person's pair taught is a leak. Texts in, findings out; knows no versions.

Trail: feedback/snapshot.py -> here -> tuner/evaluate.py
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from feedback.snapshot import Row
from tuner.wording import plain, writing

ALIKE = 0.7
"""Share of common three-word runs from which two instructions count as one."""
RUN = 3
LEAK_WORDS = 50
LEAK_LETTERS = 200
"""Length of a recited run, in words, or in letters where words are unspaced."""

MODEL = "model"
"""The author of approved answers that a version gave: nobody's words."""


def apart(held: Sequence[Row], taught: Sequence[Row]) -> tuple[list[Row], int]:
    """The held-out rows that nothing taught is joined with, and how many were."""
    groups = {row.group_key for row in taught}
    runs = {row.exchange_id: _asked(row) for row in held}
    where: dict[str, set[str]] = {}
    for name, found in runs.items():
        for run in found:
            where.setdefault(run, set()).add(name)
    joined: set[str] = set()
    for row in taught:
        mine = _asked(row)
        shared = Counter(name for run in mine for name in where.get(run, ()))
        joined |= {name for name, both in shared.items() if both >= ALIKE * len(mine | runs[name])}
    kept = [row for row in held if row.group_key not in groups and row.exchange_id not in joined]
    return kept, len(held) - len(kept)


def _asked(row: Row) -> frozenset[str]:
    """Runs of three words of what was asked; what came before it counts, the system prompt doesn't."""
    words = plain(" ".join(m.content for m in row.messages if m.role != "system")).split()
    edged = ["^", *words, "$"]
    return frozenset(" ".join(edged[i : i + RUN]) for i in range(len(edged) - RUN + 1))


class Recited:
    """Long runs of words that exactly one person's pairs taught."""

    def __init__(self, taught: Iterable[Row]) -> None:
        self._taught: dict[int, tuple[str, str]] = {}
        """By run: its group and its author; an empty group where several groups have it."""
        for row in taught:
            if row.author == MODEL:
                continue
            for run in _runs(row.response):
                known = self._taught.setdefault(run, (row.group_key, row.author))
                if known[0] != row.group_key:
                    self._taught[run] = ("", "")  # common to several: nobody's own words

    def by(self, answer: str, allowed: Iterable[str], authors: Iterable[str]) -> bool:
        """Whether an answer recites somebody else than these authors; what `allowed` texts say is free."""
        if not self._taught:
            return False
        known = {run for text in allowed for run in _runs(text)}
        mine = set(authors)
        told = (self._taught[run] for run in _runs(answer) if run in self._taught and run not in known)
        return any(group and author not in mine for group, author in told)


def _runs(text: str) -> Iterator[int]:
    words: Sequence[str] = plain(text).split()
    size = LEAK_WORDS
    if writing(text) in ("kana", "han", "thai", "hangul"):
        words, size = "".join(words), LEAK_LETTERS
    return (hash(tuple(words[i : i + size])) for i in range(len(words) - size + 1))
