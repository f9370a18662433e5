"""Has another machine train a run: gives it the run's files, looks that it lives, and fetches what it made.

The storage says which attempt is wanted and carries the signs that it lives. A new one begins only when
the one before has ended or gave no sign for longer than it would go on without telling; so there are never
two, also after this process was killed: one that still trains is then gone on with. Knows neither how the
other machine is reached nor what it learns.

Trail: tuner/child.py -> here -> tuner/keeper.py, tuner/launchers/command.py, tuner/launchers/kubernetes.py
"""

import asyncio
import json
import logging
import secrets
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from feedback.errors import HoneError, StorageAway
from tuner.keeper import CLAIM, ENDS, GIVEN, LAST, MADE, OVER, SIGN, SILENCE, WANTED
from tuner.launchers import words
from tuner.launchers.base import Far, Order
from tuner.launchers.storage import MOST_KEPT, RUNS, Storage
from tuner.plan import RunFolder

SEEN = ("progress.jsonl", "training.log")
"""What is fetched while a training goes on."""
INCUMBENT = "incumbent"
MOST_SAID = 1 << 28
"""Bytes that a file may have which is read as a whole: all but weights."""
log = logging.getLogger(__name__)


class Elsewhere:
    """Trainings of one home on another machine."""

    def __init__(
        self,
        far: Far,
        storage: str,
        *,
        base: str = "",
        python: str = "python3",
        processes: int = 1,
        options: Sequence[str] = (),
        beat: float = 5.0,
    ) -> None:
        """`storage` is where every run gets a folder; `base` is the base model's folder on that machine.

        An attempt gives a sign every `beat` seconds.
        """
        self._far, self._url, self._base, self._python = far, storage, base, python
        self._processes, self._options, self._beat = processes, tuple(options), beat

    async def attempt(self, folder: RunFolder) -> int:
        storage = Storage(_place(self._url, folder.path.name))
        name, before = await self._standing(storage)
        if name:
            log.info("%s is being trained elsewhere already", folder.path.name)
            work = None
        else:
            name = secrets.token_hex(6)
            await asyncio.to_thread(self._give, storage, folder, name, before)
            await self._alone(storage, before)
            work = asyncio.ensure_future(self._far.run(self._order(storage, folder, name)))
        try:
            return await self._follow(storage, folder, name, work)
        finally:
            await asyncio.shield(self._end(storage, name, before, work))

    async def clear(self, folder: RunFolder) -> None:
        """Nothing of a run stays on the storage once its training is over."""
        await asyncio.to_thread(Storage(_place(self._url, folder.path.name)).remove)

    async def _standing(self, storage: Storage) -> tuple[str, list[str]]:
        """The attempt that is wanted and gives signs of life, where there is one; and those before."""
        wanted = words.wanted(await asyncio.to_thread(storage.read, WANTED))
        if not wanted:
            return "", []
        name, before = wanted
        if not name:
            return "", before
        pulse = Pulse(storage, name, self._beat)
        while await pulse.trains():
            await asyncio.sleep(self._beat)
            if await pulse.beats():
                return name, before
        return "", [name, *before]

    async def _alone(self, storage: Storage, before: Sequence[str]) -> None:
        """Wait until no earlier attempt trains; now that another is wanted, none of them goes on for long."""
        pulses = [Pulse(storage, name, self._beat) for name in before]
        while [pulse for pulse in pulses if await pulse.trains()]:
            await asyncio.sleep(self._beat)
            for pulse in pulses:
                await pulse.beats()

    def _give(self, storage: Storage, folder: RunFolder, name: str, before: list[str]) -> None:
        """Put what the training needs on the storage; last of all, which attempt is wanted."""
        with tempfile.TemporaryDirectory() as made:
            plan = folder.read_plan()
            there = replace(plan, base=self._base or plan.base, incumbent=INCUMBENT if plan.incumbent else "")
            written = Path(made) / "plan.json"
            written.write_text(json.dumps(asdict(there)), "utf-8")
            files = {"plan.json": written, **dict(_needed(folder, plan.incumbent))}
            given = {name: storage.send(GIVEN, path) for name, path in files.items()}
        storage.write(f"{GIVEN}.json", given)
        storage.keep_only(GIVEN, set(given.values()))
        storage.write(WANTED, {"name": name, "before": before})

    def _order(self, storage: Storage, folder: RunFolder, name: str) -> Order:
        words = [self._python, "-m", "tuner.keeper", storage.url, name]
        words += ["--processes", str(self._processes), "--beat", f"{self._beat:g}"]
        words += [f"--option={option}" for option in self._options]
        return Order(f"{folder.path.name}-{name}", folder.path.name, tuple(words), folder)

    async def _follow(
        self, storage: Storage, folder: RunFolder, name: str, work: "asyncio.Future[int] | None"
    ) -> int:
        """Fetch what is told until the attempt has ended, or is lost."""
        pulse, have = Pulse(storage, name, self._beat), dict[str, str]()
        while True:
            over = work is not None and work.done()  # first, so that what it left is read after it
            try:
                files, ended = words.made(await asyncio.to_thread(storage.read, f"{name}/{MADE}"))
                wanted = SEEN if ended is None else (*SEEN, *ENDS, *LAST)
                await asyncio.to_thread(_fetch, storage, folder, name, files, wanted, have)
                if ended is not None:
                    await _over(work, 2 * self._beat)
                    return ended
                if await pulse.claimed():
                    await pulse.beats()
            except StorageAway as away:  # for a while that ends nothing, and no silence is heard in it
                log.info("%s", away)
                pulse.heard()
            if over and not pulse.begun:
                return work.result() if work else -1
            if pulse.begun and pulse.silent:
                await pulse.give_up()
                return work.result() if over and work else -1
            if work and not over:
                await asyncio.wait([work], timeout=self._beat)
            else:
                await asyncio.sleep(self._beat)

    async def _end(
        self, storage: Storage, name: str, before: list[str], work: "asyncio.Future[int] | None"
    ) -> None:
        """Want this attempt no more, end what started it, and give it a moment to end itself."""
        with suppress(StorageAway):
            await asyncio.to_thread(storage.write, WANTED, {"name": "", "before": [name, *before]})
        if work and not work.done():
            work.cancel()
            with suppress(asyncio.CancelledError, HoneError):
                await work
        with suppress(StorageAway):
            pulse, until = Pulse(storage, name, self._beat), time.monotonic() + 2 * self._beat
            while time.monotonic() < until and await pulse.trains():
                await asyncio.sleep(self._beat / 4)


def sweep(url: str, going: Collection[str]) -> None:
    """Delete every run's folder on the storage but these.

    Raises:
        StorageAway: Something may be left.
    """
    for name in Storage(_place(url)).folders():
        if name not in going:
            Storage(_place(url, name)).remove()


def _place(url: str, *run: str) -> str:
    """Runs have a folder of their own there, since what is in it is deleted."""
    return "/".join((url.rstrip("/"), RUNS, *run))


class Pulse:
    """Whether an attempt lives, by what the storage has of it and by this machine's clock alone."""

    def __init__(self, storage: Storage, name: str, beat: float) -> None:
        self._storage, self._name, self._beat = storage, name, beat
        self._sign: Any = None
        self.begun = False
        self.heard()

    def heard(self) -> None:
        self._heard = time.monotonic()

    async def claimed(self) -> bool:
        """Whether a machine has taken it up."""
        if not self.begun:
            self.begun = await asyncio.to_thread(self._storage.read, f"{self._name}/{CLAIM}") is not None
            self.heard()
        return self.begun

    async def beats(self) -> bool:
        """Whether it gave a sign since this was last asked."""
        before = self._sign
        self._sign = await asyncio.to_thread(self._storage.read, f"{self._name}/{SIGN}")
        if self._sign != before:
            self.heard()
        return bool(self._sign != before)

    async def give_up(self) -> None:
        """Write down that it was silent for too long, so that nobody waits for that again."""
        with suppress(StorageAway):
            await asyncio.to_thread(self._storage.write, f"{self._name}/{SIGN}", OVER)

    async def trains(self) -> bool:
        """Whether it may still be at work: taken up, not ended, and not silent for too long."""
        if not await self.claimed() or self.silent:
            return False
        sign = await asyncio.to_thread(self._storage.read, f"{self._name}/{SIGN}")
        made = await asyncio.to_thread(self._storage.read, f"{self._name}/{MADE}")
        return sign != OVER and words.made(made)[1] is None

    @property
    def silent(self) -> bool:
        return time.monotonic() - self._heard > SILENCE * self._beat


async def _over(work: "asyncio.Future[int] | None", seconds: float) -> None:
    """Let what started an attempt that has ended see so itself."""
    if work:
        await asyncio.wait([work], timeout=seconds)


def _needed(folder: RunFolder, incumbent: str) -> Iterator[tuple[str, Path]]:
    """The files of a run that its training reads, by their names in a run's folder."""
    if folder.replay.exists():
        yield folder.replay.name, folder.replay
    for path in sorted(folder.snapshot.iterdir()):
        yield f"{folder.snapshot.name}/{path.name}", path
    if incumbent:
        for path in sorted(Path(incumbent).glob("adapter_*")):
            yield f"{INCUMBENT}/{path.name}", path


def _fetch(
    storage: Storage,
    folder: RunFolder,
    name: str,
    made: dict[str, str],
    wanted: Sequence[str],
    have: dict[str, str],
) -> None:
    """Fetch what is new, in the order wanted: the manifest is the last file here too."""
    for file in wanted:
        if file in made and have.get(file) != made[file]:
            most = MOST_KEPT if file.endswith(".safetensors") else MOST_SAID
            storage.fetch(name, made[file], folder.path / file, most=most)
            have[file] = made[file]
