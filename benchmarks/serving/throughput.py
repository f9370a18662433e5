"""How fast: tokens a second and time to the first words, by load and by number of streams.

Every cell is asked of all contenders, one after the other, in an order that rotates from repeat to repeat;
only one of them works at a time. Before a cell is timed each has answered a stream of each of its versions:
what is measured is traffic that lasts. Knows contenders by what they can do, not what they are.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.serving import materials
from benchmarks.serving.spread import Spread, percentile, ratio
from benchmarks.serving.streams import Burst

LOADS = {"base": ("base",), "one_lora": ("v1",), "two_loras": ("v1", "v2")}
PAUSE = 0.3
"""Seconds between two contenders, for the threads of the one before to go to sleep."""
Cell = tuple[str, int]
"""A load and a number of streams."""


class Asked(Protocol):
    """What this measure needs of a contender."""

    name: str

    @property
    def memory(self) -> float: ...

    def freeze(self, frozen: bool) -> None: ...

    async def burst(self, versions: Sequence[str], prompts: Sequence[str], tokens: int) -> Burst: ...


@dataclass(frozen=True)
class Contender:
    """Someone to ask, with the loads it knows and the numbers of streams worth asking for."""

    who: Asked
    loads: frozenset[str]
    streams: frozenset[int]

    def takes(self, cell: Cell) -> bool:
        return cell[0] in self.loads and cell[1] in self.streams


@dataclass
class Figures:
    """Every burst of every repeat, by cell and contender."""

    bursts: dict[Cell, dict[str, list[Burst]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def speeds(self, cell: Cell, name: str) -> list[float]:
        return [burst.tokens_per_second for burst in self.bursts[cell][name]]

    def first(self, cell: Cell, name: str) -> list[float]:
        """The median stream's seconds to its first words, one a repeat."""
        return [percentile(burst.first, 0.5) for burst in self.bursts[cell][name]]

    def compared(self, cell: Cell, other: str) -> Spread | None:
        """Ours over theirs in tokens a second; None where it was not asked."""
        if cell not in self.bursts or not {"hone", other} <= self.bursts[cell].keys():
            return None
        return ratio(self.speeds(cell, "hone"), self.speeds(cell, other))

    def body(self) -> dict[str, object]:
        return {
            f"{cell[0]}_{cell[1]}": {name: self._one(cell, name) for name in names}
            for cell, names in self.bursts.items()
        }

    def _one(self, cell: Cell, name: str) -> dict[str, object]:
        compared = self.compared(cell, name)
        return {
            "tokens_per_second": Spread.of(self.speeds(cell, name)).body(),
            "first_seconds": Spread.of(self.first(cell, name)).body(),
            "last_first_seconds": Spread.of([max(b.first) for b in self.bursts[cell][name]]).body(),
            "hone_over_it": compared.body() if compared else None,
        }


@contextmanager
def alone(who: Asked, everyone: Sequence[Asked]) -> Iterator[None]:
    """The others are stopped meanwhile: an idle server may poll, and take a core from the one at work."""
    others = [other for other in everyone if other is not who]
    for other in others:
        other.freeze(True)
    try:
        yield
    finally:
        for other in others:
            other.freeze(False)


async def warm(contenders: Sequence[Contender], streams: Sequence[int]) -> dict[str, str]:
    """A short burst of every cell, so that no one's first-time set-up is timed.

    Whoever cannot answer it is returned with its failure; that may be any but the first, who is ours.
    """
    broken: dict[str, str] = {}
    for place, cell in enumerate(_cells(streams)):
        for contender in contenders:
            name = contender.who.name
            if not contender.takes(cell) or name in broken:
                continue
            try:
                await contender.who.burst(LOADS[cell[0]], materials.prompts(cell[1], -1 - place), 4)
            except Exception as error:
                if contender is contenders[0]:
                    raise
                broken[name] = f"it broke while warming up: {type(error).__name__}: {error}"
    return broken


async def measure(
    contenders: Sequence[Contender],
    streams: Sequence[int],
    *,
    repeats: int,
    tokens: int,
    say: Callable[[str], None],
) -> Figures:
    figures = Figures()
    for repeat in range(repeats):
        for place, cell in enumerate(_cells(streams)):
            prompts = materials.prompts(cell[1], 1000 * repeat + place)
            takers = [contender.who for contender in contenders if contender.takes(cell)]
            turn = (repeat + place) % len(takers)
            for who in takers[turn:] + takers[:turn]:
                with alone(who, [contender.who for contender in contenders]):
                    await asyncio.sleep(PAUSE)
                    untimed = LOADS[cell[0]][: cell[1]]
                    await who.burst(untimed, materials.prompts(len(untimed), -100 - repeat), tokens // 2)
                    burst = await _ask(who, LOADS[cell[0]], prompts, tokens)
                figures.bursts[cell][who.name].append(burst)
            speeds = {who.name: round(figures.speeds(cell, who.name)[-1], 1) for who in takers}
            say(f"repeat {repeat + 1}/{repeats}, {cell[0]}, {cell[1]} streams: {speeds}")
    return figures


async def _ask(who: Asked, versions: Sequence[str], prompts: Sequence[str], tokens: int) -> Burst:
    """All prompts at once; where they are fewer than the versions, one version after the other."""
    if len(prompts) >= len(versions):
        return await who.burst(versions, prompts, tokens)
    return Burst.one_by_one([await who.burst([version], prompts, tokens) for version in versions])


def _cells(streams: Sequence[int]) -> list[Cell]:
    return [(load, count) for load in LOADS for count in streams]
