"""A command of the house's choice that has another machine train: `ssh`, `sbatch --wait`, anything.

It is a list of words and no shell reads it here. `{train}` in a word is the training's command line quoted
for a shell, such as the one that `ssh` starts; a word that is `{words}` becomes the words of it; `{run}` and
`{name}` name the run and the attempt.

Trail: tuner/launchers/elsewhere.py -> here -> tuner/keeper.py
"""

import asyncio
import os
import shlex
import signal
import string
from collections.abc import Sequence
from contextlib import suppress

from feedback.errors import TrainingFailed
from tuner.launchers.base import Order

KNOWN = ("train", "run", "name")
WORDS = "{words}"
GRACE = 10.0
"""Seconds that a command has to end what it began, before it is killed."""


class Command:
    """Runs the house's command once for every attempt."""

    def __init__(self, template: Sequence[str]) -> None:
        self._template = tuple(template)

    async def run(self, order: Order) -> int:
        with (order.folder.path / "launch.log").open("ab") as log:
            try:
                child = await asyncio.create_subprocess_exec(
                    *fill(self._template, order),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as missing:
                raise TrainingFailed(
                    f"{self._template[0]} cannot be started: {missing.strerror}.",
                    "Correct training.command, or install what it names.",
                ) from None
        try:
            return await child.wait()
        finally:
            if child.returncode is None:
                await asyncio.shield(_stop(child))


def fill(template: Sequence[str], order: Order) -> list[str]:
    """The words of a command."""
    known = {"train": shlex.join(order.words), "run": order.run, "name": order.name}
    filled: list[str] = []
    for word in template:
        filled += order.words if word == WORDS else [word.format_map(known)]
    return filled


def faults(template: Sequence[str]) -> list[str]:
    """What is wrong with a template, in words."""
    named: set[str] = set()
    for word in template:
        if word != WORDS:
            try:
                named |= {name for _, name, spec, how in string.Formatter().parse(word) if name is not None}
            except ValueError as broken:
                return [f"{word!r} cannot be read: {broken}; a brace that is meant is written twice"]
    unknown = sorted(named - set(KNOWN))
    if unknown:
        return [f"{{{unknown[0]}}} is unknown; there are {{train}}, {{words}}, {{run}} and {{name}}"]
    if "train" not in named and WORDS not in template:
        return ["it has neither {train} nor {words}, so it would train nothing"]
    return []


async def _stop(child: asyncio.subprocess.Process) -> None:
    """End the command with all that it started."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, sent)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), GRACE)
            return
