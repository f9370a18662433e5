"""What a swap costs those who are being answered: gaps, failures, altered answers, memory.

Streams ask one after another, each pinned to the version that is current when it asks. A swap loads the
next version beside it, gives it all new requests, and unloads the old one when its last answer is done.
The same traffic without swaps runs in turns with it. Knows a server's routes, not which server it is.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.serving import materials
from benchmarks.serving.servers import Server
from benchmarks.serving.spread import Spread, percentile, ratio
from benchmarks.serving.streams import Answer, Said, ask, from_user

SHARES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
PROMPTS_SEED = 77
QUIET = 0.5
"""How long a stretch without swaps is, beside one with them: enough gaps for their rarest thousandth."""


@dataclass(frozen=True)
class Plan:
    """How much of it: swaps in all, dealt to turns, under so many streams of about so many tokens."""

    swaps: int
    turns: int
    streams: int
    tokens: int

    @property
    def swaps_a_turn(self) -> int:
        return -(-self.swaps // self.turns)

    def length(self, stream: int, count: int) -> int:
        """Answers differ in length, so that streams do not end in step."""
        return self.tokens * (4 + (stream + count) % 5) // 6


@dataclass
class Turn:
    """The answers of one stretch of traffic, and how long each swap in it took."""

    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    loading: list[float] = field(default_factory=list)
    draining: list[float] = field(default_factory=list)

    @cached_property
    def said(self) -> list[Said]:
        """Read once, when the stretch is over."""
        return [answer.read() for answer in self.answers]

    @cached_property
    def gaps(self) -> list[float]:
        return [gap for said in self.said for gap in said.gaps()]

    @property
    def failed(self) -> int:
        return sum(bool(said.fault) for said in self.said)

    @property
    def speed(self) -> float:
        return sum(said.count for said in self.said) / self.seconds


class Traffic:
    """Streams that keep asking, and the version that new requests are given."""

    _names = itertools.count()

    def __init__(self, server: Server, folders: Sequence[Path], plan: Plan) -> None:
        self._server = server
        self._folders = folders
        self._plan = plan
        self._prompts = materials.prompts(plan.streams, PROMPTS_SEED)
        self._current = ""
        self._running: Counter[str] = Counter()
        self._ended = asyncio.Condition()
        self._stopping = False

    async def run(self, *, swaps: int = 0, seconds: float = 0.0) -> Turn:
        """Until so many swaps are done, or so many seconds are over."""
        turn = Turn()
        self._stopping = False
        self._current = await self._load(turn)
        turn.loading.clear()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as workers:
            for i in range(self._plan.streams):
                workers.create_task(self._stream(i, turn))
            for _ in range(swaps):
                await self._swap(turn)
            await asyncio.sleep(seconds)
            self._stopping = True
        turn.seconds = time.perf_counter() - started
        await self._server.unload(self._current)
        return turn

    async def _stream(self, stream: int, turn: Turn) -> None:
        for count in itertools.count():
            if self._stopping:
                return
            version = self._current
            self._running[version] += 1
            tokens = self._plan.length(stream, count)
            answer = await ask(self._server.http, version, from_user(self._prompts[stream]), tokens)
            turn.answers.append(answer)
            async with self._ended:
                self._running[version] -= 1
                self._ended.notify_all()

    async def _swap(self, turn: Turn) -> None:
        old, self._current = self._current, await self._load(turn)
        flipped = time.perf_counter()
        async with self._ended:
            await self._ended.wait_for(lambda: not self._running[old])
        turn.draining.append(time.perf_counter() - flipped)
        await self._server.unload(old)

    async def _load(self, turn: Turn) -> str:
        """The next folder in turn under a name that was never used; the name says which folder it is."""
        number = next(self._names)
        place = number % len(self._folders)
        name = f"swap-{number}-of-{place}"
        started = time.perf_counter()
        await self._server.load(name, self._folders[place])
        turn.loading.append(time.perf_counter() - started)
        return name

    async def quiet(self) -> dict[tuple[int, str], str]:
        """What each folder answers to each prompt when nothing else is asked: the longest answer's text."""
        longest = max(self._plan.length(0, i) for i in range(5))
        texts: dict[tuple[int, str], str] = {}
        for place, folder in enumerate(self._folders):
            name = f"quiet-{next(self._names)}"
            await self._server.load(name, folder)
            for prompt in self._prompts:
                said = (await ask(self._server.http, name, from_user(prompt), longest)).read()
                if said.fault:
                    raise RuntimeError(f"a quiet answer failed: {said.fault}")
                texts[place, prompt] = said.text
            await self._server.unload(name)
        return texts


def altered(turn: Turn, quiet: dict[tuple[int, str], str]) -> int:
    """Finished answers that are not, to the last token, the beginning of the quiet one of their version."""
    count = 0
    for answer, said in zip(turn.answers, turn.said, strict=True):
        place = int(answer.version.rsplit("-", 1)[1])
        # The last token may be the first half of a character.
        begins = quiet[place, answer.prompt].startswith(said.text.rstrip("\ufffd"))
        if not said.fault and not (begins and said.count == answer.asked):
            count += 1
    return count


@dataclass
class Stall:
    """Turns with swaps beside turns without, pair by pair, and the memory before and after them."""

    with_swaps: list[Turn] = field(default_factory=list)
    without: list[Turn] = field(default_factory=list)
    memory_before: float = 0.0
    memory_after: float = 0.0

    @property
    def failed(self) -> int:
        return sum(turn.failed for turn in (*self.with_swaps, *self.without))

    @property
    def ratio(self) -> Spread:
        return ratio(*([percentile(turn.gaps, 0.999) for turn in side] for side in self._sides()))

    def gaps(self, side: str) -> dict[str, Spread]:
        """Percentiles of one side, `with_swaps` or `without`, in milliseconds, over its turns."""
        turns = getattr(self, side)
        return {
            key: Spread.of([percentile(turn.gaps, share) for turn in turns]) for key, share in SHARES.items()
        }

    def body(self) -> dict[str, object]:
        gaps = {
            side: {key: spread.body() for key, spread in self.gaps(side).items()}
            for side in ("with_swaps", "without")
        }
        loading = [seconds for turn in self.with_swaps for seconds in turn.loading]
        draining = [seconds for turn in self.with_swaps for seconds in turn.draining]
        return {
            "gaps_ms": gaps,
            "gaps_counted": [sum(len(turn.gaps) for turn in side) for side in self._sides()],
            "tokens_per_second": [Spread.of([t.speed for t in side]).body() for side in self._sides()],
            "p999_ratio": self.ratio.body(),
            "p999_ratio_of_all": round(self._ratio_of_all(), 4),
            "swaps": len(loading),
            "load_seconds": Spread.of(loading).body(),
            "drain_seconds": Spread.of(draining).body(),
            "answers": sum(len(turn.answers) for side in self._sides() for turn in side),
            "failed": self.failed,
            "faults": sorted({said.fault for t in self.with_swaps for said in t.said if said.fault})[:5],
            "memory_mib": [round(self.memory_before, 1), round(self.memory_after, 1)],
        }

    def _sides(self) -> tuple[list[Turn], list[Turn]]:
        return self.with_swaps, self.without

    def _ratio_of_all(self) -> float:
        ours, theirs = (
            percentile([gap for turn in side for gap in turn.gaps], 0.999) for side in self._sides()
        )
        return ours / theirs


async def stall(server: Server, folders: Sequence[Path], plan: Plan) -> Stall:
    """Turns with swaps and without, each pair the other way round than the one before."""
    traffic = Traffic(server, folders, plan)
    # As many swaps as there are folders, and a stretch without: what is kept once is there before the count.
    seconds = (await traffic.run(swaps=len(folders))).seconds
    await traffic.run(seconds=seconds)
    found = Stall(memory_before=server.memory)
    for number in range(plan.turns):
        if number % 2:
            found.without.append(await traffic.run(seconds=seconds))
        found.with_swaps.append(await traffic.run(swaps=plan.swaps_a_turn))
        seconds = found.with_swaps[-1].seconds * QUIET
        if not number % 2:
            found.without.append(await traffic.run(seconds=seconds))
    found.memory_after = server.memory
    return found


async def pinned(server: Server, folders: Sequence[Path], plan: Plan) -> dict[str, int]:
    """In exact arithmetic: how many answers a hundred swaps around them altered, and how many failed."""
    traffic = Traffic(server, folders, plan)
    quiet = await traffic.quiet()
    turn = await traffic.run(swaps=plan.swaps)
    return {
        "swaps": len(turn.loading),
        "answers": len(turn.answers),
        "altered": altered(turn, quiet),
        "failed": turn.failed,
        "different_quiet_answers": len(set(quiet.values())),
        "quiet_answers": len(quiet),
    }
