"""How reviewers were last shown their queues, so that the place after a verdict is found without a new order.

Of those who looked last; what is forgotten costs a look at the store. Decides nothing about who may see what.

Trail: serve/pages/desk.py -> here
"""

from collections.abc import Hashable, Sequence

MOST = 100
"""Queues that are remembered."""


class Shown:
    """The ids of each queue in the order of its page; thread-safe, since each step is one of a dict's."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, list[str]] = {}

    def keep(self, queue: Hashable, ids: Sequence[str]) -> None:
        self._queues.pop(queue, None)
        self._queues[queue] = list(ids)
        for oldest in list(self._queues)[:-MOST]:
            self._queues.pop(oldest, None)

    def after(self, queue: Hashable, identity: str) -> list[str] | None:
        """What stood after this one; None where that is not known."""
        ids = self._queues.get(queue, [])
        return ids[ids.index(identity) + 1 :] if identity in ids else None
