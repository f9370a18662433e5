"""What finished rows remembered, kept so that a conversation's next turn reads only what is new.

A prefix is found again only by the same version and the same owner: shared between people, it would
tell one, by how fast the answer begins, what another wrote. Bounded in bytes; the least lately used go
first. Only the worker's thread calls it; the counts may be read from any.

Trail: serve/engine/worker.py -> here
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from serve.engine.network import Kept

SHORTEST = 32
"""Tokens below which keeping costs more than reading again."""


@dataclass(frozen=True, slots=True)
class _Prefix:
    version: str
    owner: str
    tokens: tuple[int, ...]
    kept: Kept


class Prefixes:
    def __init__(self, limit: int) -> None:
        """`limit` is in bytes; 0 keeps nothing."""
        self._limit = limit
        self._all: OrderedDict[int, _Prefix] = OrderedDict()
        self._owned: dict[tuple[str, str], list[int]] = {}
        self._next = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._all)

    def wants(self, owner: str, length: int) -> bool:
        """Whether a row of this length is worth taking out of the arena."""
        return bool(owner) and length >= SHORTEST and self._limit > 0

    def find(self, version: str, owner: str, tokens: Sequence[int]) -> tuple[Kept, int] | None:
        """The memory that begins like these tokens, and for how many; at least one is left to read."""
        best, longest = None, 0
        for key in self._owned.get((version, owner), ()):
            shared = min(_shared(self._all[key].tokens, tokens), len(tokens) - 1)
            if shared > longest:
                best, longest = key, shared
        if best is None or longest < SHORTEST:
            return None
        self._all.move_to_end(best)
        return self._all[best].kept, longest

    def keep(self, version: str, owner: str, tokens: Sequence[int], kept: Kept) -> None:
        """Remember a row; what it goes on from is let go, and the oldest where the limit is passed."""
        told = tuple(tokens[: kept.length])
        for key in list(self._owned.get((version, owner), ())):
            earlier = self._all[key].tokens
            if told[: len(earlier)] == earlier:
                self._remove(key)
        if kept.size > self._limit:
            return
        self._all[self._next] = _Prefix(version, owner, told, kept)
        self._owned.setdefault((version, owner), []).append(self._next)
        self._next += 1
        self.size += kept.size
        while self.size > self._limit:
            self._remove(next(iter(self._all)))

    def forget(self, owner: str) -> int:
        """Drop all that is kept of an owner; how many there were."""
        return self._drop([key for key, prefix in self._all.items() if prefix.owner == owner])

    def drop(self, version: str) -> None:
        """Drop all that a version remembered."""
        self._drop([key for key, prefix in self._all.items() if prefix.version == version])

    def _drop(self, keys: list[int]) -> int:
        for key in keys:
            self._remove(key)
        return len(keys)

    def _remove(self, key: int) -> None:
        gone = self._all.pop(key)
        self.size -= gone.kept.size
        mine = self._owned[gone.version, gone.owner]
        mine.remove(key)
        if not mine:
            del self._owned[gone.version, gone.owner]


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens the two begin with alike."""
    return next(
        (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )
