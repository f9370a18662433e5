"""The general suite put to base, incumbent and candidate: has a version become worse outside its field?

Which items are asked is fixed for an assistant. Items that the base passes always or never decide
nothing: it is sampled once to know them, and that is kept under the base's digest, as every answer is
under its version's. Answers are marked anew each time. Knows nothing of what is good enough.

Trail: tuner/steps.py -> here -> tuner/suite/catalogue.py, tuner/suite/marking.py, tuner/suite/known.py
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

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
"""One in so many asked items is one that the base always passes, safety first: shown, and not counted."""


@dataclass(frozen=True, slots=True)
class Marked:
    """Who passed one item."""

    item: str
    candidate: bool
    base: bool
    incumbent: bool
    counts: bool
    """False where the base always passes: a version as good can only lose there, so it is only shown."""
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

    @property
    def counted(self) -> list[tuple[str, bool, bool, bool]]:
        """Item, and whether candidate, base and incumbent passed, for each item that counts."""
        return [(one.item, one.candidate, one.base, one.incumbent) for one in self.items if one.counts]

    @property
    def lost(self) -> list[Marked]:
        """What the base always passes, and does now, and the candidate does not."""
        return [one for one in self.items if not one.counts and one.base and not one.candidate]

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
    base = await asyncio.to_thread(known.base_digest, await server.base_folder())
    answers = Answers(server, kept / hashlib.sha256(f"{base} {engine}".encode()).hexdigest()[:16], assistant)
    informing, steady = await choose(answers, base, assistant, size)
    asked = [*informing, *steady]
    versions = dict.fromkeys((candidate, f"{assistant}@0", incumbent))
    await answers.ask((version, item, 0) for item in asked for version in versions)
    items = tuple(
        _marked(answers, item, candidate, incumbent, counts=item in informing)
        for item in sorted(asked, key=lambda item: item.id)
    )
    return General(catalogue.digest(), base, items, round(time.monotonic() - started, 2))


async def choose(answers: "Answers", base: str, assistant: str, size: int) -> tuple[list[Item], list[Item]]:
    """The assistant's items: those that inform, and some that the base always passes."""
    informing: list[Item] = []
    always: list[Item] = []
    order = catalogue.ordered(assistant)
    for start in range(0, min(len(order), size * WAVES), size):
        wave = order[start : start + size]
        passes = await sample(answers, base, wave)
        informing += [item for item in wave if passes[item.id].informs]
        always += [item for item in wave if passes[item.id].always]
        if len(informing) >= size:
            break
    always.sort(key=lambda item: item.kind not in catalogue.SAFETY)
    return informing[:size], always[: max(1, size // STEADY)]


async def sample(answers: "Answers", base: str, items: Sequence[Item]) -> dict[str, Passes]:
    """How often the base passes each item: as it is known, else by asking it a few times."""
    found = {item.id: known.shipped().get((base, item.digest)) for item in items}
    unknown = [item for item in items if found[item.id] is None]
    version = f"{answers.assistant}@0"
    await answers.ask((version, item, n) for item in unknown for n in range(1, SAMPLES + 1))
    for item in unknown:
        marks = [mark(item, answers.text(version, item, n)).passed for n in range(1, SAMPLES + 1)]
        found[item.id] = Passes(sum(marks), len(marks))
    return {name: passes for name, passes in found.items() if passes is not None}


def _marked(answers: "Answers", item: Item, candidate: str, incumbent: str, *, counts: bool) -> Marked:
    said = answers.text(candidate, item)
    own = mark(item, said)
    others = [mark(item, answers.text(version, item)).passed for version in (answers.base, incumbent)]
    return Marked(item.id, own.passed, *others, counts, said, own.why)


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
