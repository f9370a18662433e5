"""People who chat while a run goes on: the milliseconds between one piece of an answer and the next."""

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.cycling.house import House
from benchmarks.serving import materials, streams
from benchmarks.serving.spread import percentile

TOKENS = 64


async def gaps(house: House, seconds: float, seed: int) -> list[float]:
    """One person asks again and again, for about so long.

    Raises:
        RuntimeError: An answer failed.
    """
    found: list[float] = []
    until = time.monotonic() + seconds
    prompts = materials.prompts(1000, seed)
    while time.monotonic() < until:
        asked = streams.from_user(prompts.pop())
        answer = await streams.ask(house.http, "general", asked, TOKENS, ignore_eos=False)
        said = answer.read()
        if said.fault:
            raise RuntimeError(f"a chat failed: {said.fault}")
        found += said.gaps()
    return found


class Beside:
    """Chats a while at the first sight of each of some steps of a run."""

    def __init__(self, house: House, seconds: Mapping[str, float]) -> None:
        """`seconds` by step."""
        self._house, self._seconds = house, dict(seconds)
        self.gaps: dict[str, list[float]] = {}

    async def watch(self, run: Mapping[str, Any]) -> None:
        step = str(run["step"])
        if step == "train" and not (run["progress"] or {}).get("step"):
            return  # its process is only starting
        if step in self._seconds and step not in self.gaps:
            self.gaps[step] = await gaps(self._house, self._seconds[step], seed=len(self.gaps) + 2)


def p95(found: list[float]) -> float:
    return round(percentile(found, 0.95), 2) if found else 0.0
