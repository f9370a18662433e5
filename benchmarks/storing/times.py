"""Times of many calls as percentiles. Knows nothing of what is called."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

WARMING = 5
"""Calls before those that count."""


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


@dataclass
class Times:
    """Milliseconds a call, by what was called."""

    found: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, name: str, call: Callable[[int], object], *, calls: int) -> None:
        """Time `call(n)` for n from 0; those that warm up have negative numbers."""
        for number in range(-WARMING, calls):
            began = time.perf_counter()
            call(number)
            if number >= 0:
                self.found.setdefault(name, []).append((time.perf_counter() - began) * 1000)

    def body(self) -> dict[str, dict[str, float]]:
        return {name: _told(times) for name, times in self.found.items()}

    def p95(self, prefix: str) -> float:
        """Over all calls whose name begins so."""
        together = [t for name, times in self.found.items() if name.startswith(prefix) for t in times]
        return round(percentile(sorted(together), 0.95), 1)


def _told(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    shares = {"p50": 0.5, "p95": 0.95, "most": 1.0}
    return {"calls": len(ordered)} | {k: round(percentile(ordered, s), 2) for k, s in shares.items()}
