"""Processes of this machine: the training child, or several of it by `accelerate launch`.

They hold the read end of a pipe as their standard input, so they end with this process, however that
dies. Knows nothing of torch, and nothing of what they learn.

Trail: tuner/child.py -> here -> tuner/train.py
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tuner.plan import RunFolder

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = ("AWS_", "HONE_", "HF_TOKEN")
"""Beginnings of variables that a training has no use for and that may hold keys."""


class Local:
    """One training child, or a team of them."""

    def __init__(self, threads: int, processes: int = 1, options: Sequence[str] = ()) -> None:
        """`threads` are each process's; `options` are further ones of `accelerate launch`."""
        self._threads, self._processes, self._options = threads, processes, tuple(options)

    async def attempt(self, folder: RunFolder) -> int:
        with folder.log.open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *command(folder, self._processes, self._options),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment(self._threads),
                # Ctrl-C is for the parent, which ends the child in its own time. A session of its own would
                # keep that away too, and half of the processors for the child, whatever its priority.
                process_group=0,
            )
        try:
            return await child.wait()
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
                await asyncio.shield(child.wait())

    async def clear(self, folder: RunFolder) -> None:
        """Nothing lies outside the run's folder."""


def command(folder: RunFolder, processes: int, options: Sequence[str] = ()) -> list[str]:
    """The command line of a training in this folder."""
    child = ["-m", "tuner.train", str(folder.path)]
    if processes == 1 and not options:
        return [sys.executable, *child]
    # Its word for several processes on one machine, be they on GPUs or not.
    several = ["--multi_gpu"] if processes > 1 else []
    plain = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch = ["-m", "accelerate.commands.launch", *several, *plain, "--main_process_port", "0"]
    return [sys.executable, *launch, "--num_processes", str(processes), *options, *child]


def environment(threads: int) -> dict[str, str]:
    """This process's environment without its keys, off the network and with its share of the processors."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(SECRET)},
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
