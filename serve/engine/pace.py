"""How much of the waiting prompts a step reads, so that a long one never holds the answers up.

Learns from the steps' times what a step takes by itself and what each prompt token adds to it; a step that
mixes prompts with answers reads what fits beside the answers. Knows nothing of models.

Trail: serve/engine/worker.py -> here
"""

from collections.abc import Sequence

from serve.engine.row import Row

SMALLEST, LARGEST = 16, 512
"""Prompt tokens of one step."""
FIRST = 64
"""Prompt tokens of a mixed step before anything was learnt."""
STEP_SECONDS = 0.12
"""What a mixed step is to take in all."""
ADDED_SHARE = 0.5
"""Prompts may make a step longer by this share of what it takes without, however slow the machine is."""
GENTLE = 24
"""Prompt tokens of a step that nobody waits for, beside somebody's answer."""
LEAST = 8
"""Tokens below which a share of a step is not worth its attention call."""
LEARNING = 0.3
"""How far one step's time moves what is believed."""


class Pace:
    def __init__(self) -> None:
        self._alone: float | None = None
        self._each: float | None = None

    def shares(self, reading: Sequence[Row], *, answering: Sequence[Row]) -> list[tuple[Row, int]]:
        """Which prompts are read in this step beside these answers, and how many tokens of each.

        Half is for whoever has waited longest, the rest for the shortest first: a short prompt passes a
        long one, and a long one goes on whatever comes. What that leaves is the longest waiting one's.
        """
        if not reading:
            return []
        left = self._mixed() if answering else LARGEST
        if all(row.background for row in reading) and not all(row.background for row in answering):
            left = min(left, GENTLE)
        eldest = min(reading, key=lambda row: row.asked_at)
        given = {eldest: min(eldest.unread, max(LEAST, left // 2))}
        left -= given[eldest]
        for row in sorted(reading, key=lambda row: (row.unread, row.asked_at)):
            if row is not eldest and left >= min(LEAST, row.unread):
                given[row] = min(row.unread, left)
                left -= given[row]
        given[eldest] += min(eldest.unread - given[eldest], left)
        return list(given.items())

    def took(self, seconds: float, tokens: int, *, answering: bool) -> None:
        """Learn from a step's time; `tokens` is how many of them were prompts'."""
        if not answering:
            return
        if tokens == 0:
            self._alone = _moved(self._alone, seconds)
        elif self._alone is not None:
            self._each = _moved(self._each, max(0.0, seconds - self._alone) / tokens)

    def _mixed(self) -> int:
        """Prompt tokens that fit into a step beside its answers."""
        if self._alone is None or self._each is None:
            return FIRST
        room = max(STEP_SECONDS - self._alone, ADDED_SHARE * self._alone)
        return int(min(LARGEST, max(SMALLEST, room / max(self._each, 1e-9))))


def _moved(known: float | None, seen: float) -> float:
    """What is believed after one more step; one that took long for another reason counts little."""
    if known is None:
        return seen
    return known + LEARNING * (min(seen, 2 * known + 1e-6) - known)
