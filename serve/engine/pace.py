"""How much of the waiting prompts a step reads, so that a long one never holds the answers up.

Measures the steps and adapts: a step that mixes prompts with answers is to take about an eighth of a
second. Knows nothing of models.

Trail: serve/engine/worker.py -> here
"""

from collections.abc import Sequence

from serve.engine.row import Row

SMALLEST, LARGEST = 16, 512
"""Prompt tokens of one step."""
LONG_SECONDS, SHORT_SECONDS = 0.15, 0.09
"""A mixed step that takes longer, or less, changes how much the next one reads."""
LEAST = 8
"""Tokens below which a share of a step is not worth its attention call."""


class Pace:
    def __init__(self) -> None:
        self._mixed = 64

    def shares(self, reading: Sequence[Row], *, answering: bool) -> list[tuple[Row, int]]:
        """Which prompts are read in this step, and how many tokens of each; in equal shares."""
        left = self._mixed if answering else LARGEST
        share = max(LEAST, left // max(1, len(reading)))
        given: list[tuple[Row, int]] = []
        for row in reading:
            take = min(row.unread, share, left)
            if take <= 0:
                break
            given.append((row, take))
            left -= take
        # What short prompts left over goes to the first that can use it.
        for i, (row, take) in enumerate(given):
            more = min(row.unread - take, left)
            given[i] = (row, take + more)
            left -= more
        return given

    def took(self, seconds: float, tokens: int, *, mixed: bool) -> None:
        """Learn from a step's time; `tokens` is how many of them were prompts'."""
        if not mixed:
            return
        if seconds > LONG_SECONDS:
            self._mixed = max(SMALLEST, self._mixed // 2)
        elif seconds < SHORT_SECONDS and tokens >= self._mixed:
            self._mixed = min(LARGEST, self._mixed * 2)
