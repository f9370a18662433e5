"""The general suite put to base, incumbent and candidate: has a version become worse outside its field?

Which items are asked is fixed for an assistant. What the base passes always or never can show no gain,
so it is sampled once to know those, and that is kept under the base's digest, as every answer is under
its version's. Answers are marked anew each time. Knows nothing of what is good enough.

Trail: tuner/steps.py -> here -> tuner/suite/catalogue.py, tuner/suite/marking.py, tuner/suite/known.py
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tuner import bases
from tuner.plan import append_line, read_lines
from tuner.server import Server
from tuner.suite import catalogue, known
from tuner.suite.item import Item
from tuner.suite.known import Passes
from tuner.suite.marking import mark

AT_ONCE = 8
"""Answers asked for at the same time: the share that our engine gives to background work."""
SAMPLES, TEMPERATURE = 4, 0.7
WAVES = 4
"""How many times the wanted number of items is sampled, at most, to find so many that inform."""
STEADY = 4
"""So many items that inform for one that the base always passes, safety first: what must not be lost."""


@dataclass(frozen=True, slots=True)
class Marked:
    """Who passed one item."""

    id: str
    candidate: bool
    base: bool
    incumbent: bool
    base_share: float
    """Share of the base's samples that passed, other answers than the one compared here; 1 is always."""
    said: str
    """The candidate's answer."""
    why: str
    """Why the candidate did not pass, in words; empty where it did."""


@dataclass(frozen=True, slots=True)
class General:
    """How three versions did on the general suite; comparable only under the same suite and base."""

    suite: str
    """Digest of items and checkers."""
    base: str
    """Digest of the base model; empty where nothing was asked."""
    items: tuple[Marked, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        return cls(**{**told, "items": tuple(Marked(**item) for item in told["items"])})


async def examine(
    server: Server,
    kept: Path,
    *,
    candidate: str,
    incumbent: str,
    size: int,
    engine: str = "",
) -> General:
    """Ask all three versions the same general items.

    Args:
        kept: The folder in which answers are kept, for all assistants and versions of a home.
        size: How many items that inform are wanted; 0 asks nothing.
        engine: What answers and in which number format, in words: other kernels give other answers.
    """
    started = time.monotonic()
    if not size:
        return General(catalogue.digest(), "", (), 0.0)
    assistant = candidate.partition("@")[0]
    base = await asyncio.to_thread(bases.digest, await server.base_folder())
    answers = Answers(server, kept / hashlib.sha256(f"{base} {engine}".encode()).hexdigest()[:16], assistant)
    asked = await choose(answers, base, assistant, size)
    versions = dict.fromkeys((candidate, answers.base, incumbent))
    await answers.ask((version, item, 0) for version in versions for item, _ in asked)
    items = tuple(_marked(answers, item, candidate, incumbent, passes) for item, passes in asked)
    return General(catalogue.digest(), base, items, round(time.monotonic() - started, 2))


async def choose(answers: "Answers", base: str, assistant: str, size: int) -> list[tuple[Item, Passes]]:
    """The assistant's items by id: those that inform, and such as the base always passes.

    Where too few inform, as with a strong base, more of the latter take their places.
    """
    found: list[tuple[Item, Passes]] = []
    order = catalogue.ordered(assistant)
    for start in range(0, min(len(order), size * WAVES), size):
        found += await sample(answers, base, order[start : start + size])
        if sum(passes.informs for _, passes in found) >= size:
            break
    informing = [one for one in found if one[1].informs][:size]
    steady = sorted(
        (one for one in found if one[1].always), key=lambda one: one[0].kind not in catalogue.SAFETY
    )
    places = max(1, size // STEADY, size - len(informing))
    return sorted([*informing, *steady[:places]], key=lambda one: one[0].id)


async def sample(answers: "Answers", base: str, items: Sequence[Item]) -> list[tuple[Item, Passes]]:
    """How often the base passes each item: as it is known, else by asking it a few times."""
    told = known.shipped()
    unknown = [item for item in items if (base, item.digest) not in told]
    await answers.ask((answers.base, item, n) for item in unknown for n in range(1, SAMPLES + 1))
    return [(item, told.get((base, item.digest)) or answers.passes(item)) for item in items]


def _marked(answers: "Answers", item: Item, candidate: str, incumbent: str, passes: Passes) -> Marked:
    said = answers.text(candidate, item)
    own = mark(item, said)
    base, now = (mark(item, answers.text(version, item)).passed for version in (answers.base, incumbent))
    return Marked(item.id, own.passed, base, now, passes.share, said, own.why)


Wanted = tuple[str, Item, int]
"""A version, an item, and which sample of it; 0 is the greedy answer."""


class Answers:
    """What versions over one base said: from their files where they have said it, else by asking."""

    def __init__(self, server: Server, folder: Path, assistant: str) -> None:
        self._server, self._folder = server, folder
        self._found: dict[str, dict[tuple[str, int], str]] = {}
        self.assistant = assistant
        self.base = f"{assistant}@0"

    def text(self, version: str, item: Item, sample: int = 0) -> str:
        return self._of(version)[item.asked, sample]

    def passes(self, item: Item) -> Passes:
        """How often the base's samples pass an item, all of them having been asked for."""
        samples = [self.text(self.base, item, n) for n in range(1, SAMPLES + 1)]
        return Passes(sum(mark(item, text).passed for text in samples), len(samples))

    async def ask(self, wanted: Iterable[Wanted]) -> None:
        """Have every answer that is wanted, and keep each as it comes."""
        missing = [one for one in wanted if (one[1].asked, one[2]) not in self._of(one[0])]
        turn = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for one in missing:
                    group.create_task(self._ask(turn, *one))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _ask(self, turn: asyncio.Semaphore, version: str, item: Item, sample: int) -> None:
        async with turn:
            answer = await self._server.answer(
                version,
                item.messages,
                max_tokens=item.max_tokens,
                temperature=TEMPERATURE if sample else 0.0,
                seed=sample or None,
            )
        told = {"asked": item.asked, "sample": sample, "text": answer.text}
        self._folder.mkdir(parents=True, exist_ok=True)
        append_line(self._file(version), told)
        self._of(version)[item.asked, sample] = answer.text

    def _of(self, version: str) -> dict[tuple[str, int], str]:
        if version not in self._found:
            told = read_lines(self._file(version))
            self._found[version] = {(one["asked"], one["sample"]): one["text"] for one in told}
        return self._found[version]

    def _file(self, version: str) -> Path:
        """A version is named by its digest already; one base serves all assistants."""
        return self._folder / ("base.jsonl" if version == self.base else f"{version}.jsonl")
