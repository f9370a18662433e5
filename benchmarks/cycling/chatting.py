"""People who chat while a run goes on: the milliseconds between one piece of an answer and the next."""

import asyncio
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.cycling.house import House
from benchmarks.serving import materials, streams
from benchmarks.serving.spread import percentile
from benchmarks.serving.verdict import Bar

TOKENS = 64
PEOPLE = (1, 4)
MOST_GAP_RATIO = 2.0

Gaps = dict[int, list[float]]
"""Milliseconds between pieces of answers, by how many people chatted at once."""


async def gaps(house: House, seconds: float, seed: int) -> Gaps:
    """One person asks again and again, then four do, each for about so long.

    Raises:
        RuntimeError: An answer failed.
    """
    return {people: await _together(house, people, seconds, seed) for people in PEOPLE}


async def _together(house: House, people: int, seconds: float, seed: int) -> list[float]:
    found: list[float] = []
    until = time.monotonic() + seconds
    prompts = materials.prompts(1000, seed)

    async def person() -> None:
        while time.monotonic() < until:
            asked = streams.from_user(prompts.pop())
            answer = await streams.ask(house.http, "general", asked, TOKENS, ignore_eos=False)
            said = answer.read()
            if said.fault:
                raise RuntimeError(f"a chat failed: {said.fault}")
            found.extend(said.gaps())

    await asyncio.gather(*(person() for _ in range(people)))
    return found


class Beside:
    """Chats a while at the first sight of each of some steps of a run."""

    def __init__(self, house: House, seconds: Mapping[str, float]) -> None:
        """`seconds` by step."""
        self._house, self._seconds = house, dict(seconds)
        self.gaps: dict[str, Gaps] = {}

    async def watch(self, run: Mapping[str, Any]) -> None:
        step = str(run["step"])
        if step == "train" and not (run["progress"] or {}).get("step"):
            return  # its process is only starting
        if step in self._seconds and step not in self.gaps:
            self.gaps[step] = await gaps(self._house, self._seconds[step], seed=len(self.gaps) + 2)


def p95(found: list[float]) -> float:
    return round(percentile(found, 0.95), 2) if found else 0.0


def bars(idle: Gaps, beside: Mapping[str, Gaps]) -> dict[str, Bar]:
    """How much longer the gaps of each step are than those of an idle house; of one person and of four."""
    found = {}
    for step in ("train", "evaluate"):
        for people in PEOPLE:
            now, then = p95(beside.get(step, {}).get(people, [])), p95(idle[people])
            ratio = round(now / then, 3) if now and then else None
            name = f"chat_gap_p95_{step}_over_idle_{people}"
            found[name] = Bar(ratio, MOST_GAP_RATIO, ratio is not None and ratio <= MOST_GAP_RATIO)
    return found


def table(states: Mapping[str, Gaps]) -> Table:
    shown = Table(
        "while", "people", "gaps", "p50, ms", "p95, ms", title="Between two pieces of a chat's answer"
    )
    for when, each in states.items():
        for people, found in each.items():
            middle = f"{median(found):.1f}" if found else ""
            shown.add_row(when, str(people), str(len(found)), middle, f"{p95(found):g}")
    return shown
