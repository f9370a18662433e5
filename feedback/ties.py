"""Which pairs belong together: what joins two of them keeps them on one side of a split.

A pair that would join what teaches to what judges joins nothing: else whoever repeats, in one conversation,
what others asked would pull all of it out of the gate. Pure; knows names, and sides as it is told them.

Trail: feedback/curate.py -> here
"""

from collections.abc import Callable, Iterable, Sequence

Held = Callable[[str], str | None]
"""The side that a question or a conversation, by its name, was settled on earlier."""


class Ties:
    """Names as they are joined one by one, and the side of what they are joined to."""

    def __init__(self, held: Held) -> None:
        self._parents: dict[str, str] = {}
        self._sides: dict[str, str] = {}
        self._held = held

    def root(self, name: str) -> str:
        """The same for all names that belong together."""
        if name not in self._parents:
            self._parents[name] = name
            if side := self._held(name):
                self._sides[name] = side
        while self._parents[name] != name:
            self._parents[name] = self._parents[self._parents[name]]
            name = self._parents[name]
        return name

    def join(self, names: Sequence[str]) -> tuple[str, ...]:
        """Join them; or, where they are on several sides already, say which and join nothing."""
        roots = {self.root(name) for name in names}
        sides = {self._sides[root] for root in roots if root in self._sides}
        if len(sides) > 1:
            return tuple(sorted(sides))
        first = self.root(names[0])
        self._parents.update(dict.fromkeys(roots, first))
        for side in sides:
            self._sides[first] = side
        return ()


def tie(
    pairs: Iterable[tuple[str, str]], alike: Iterable[tuple[int, int]], held: Held
) -> tuple[Ties, dict[int, tuple[str, ...]]]:
    """Join each pair (its question and its conversation, in order) to those before it.

    Returns:
        The ties, and by place the pairs that were not joined, with the sides they would have joined.
    """
    earlier: dict[int, list[int]] = {}
    for one, other in alike:
        earlier.setdefault(max(one, other), []).append(min(one, other))
    ties, apart = Ties(held), dict[int, tuple[str, ...]]()
    questions: list[str] = []
    for place, (question, conversation) in enumerate(pairs):
        questions.append(question)
        near = (questions[other] for other in earlier.get(place, ()) if other not in apart)
        if crossed := ties.join([question, conversation, *near]):
            apart[place] = crossed
    return ties, apart
