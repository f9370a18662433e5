"""Starts the training child, watches it, and starts it again where it was killed without a word.

The child holds the read end of a pipe as its standard input, so it ends with this process, however
that dies. Knows nothing of torch: what the child tells, it tells in the run's folder.

Trail: tuner/steps.py -> here -> tuner/train.py
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from feedback.errors import TrainingFailed
from tuner.plan import RunFolder, read_json, read_lines

ATTEMPTS = 3
"""Starts of one training that end without a word before it counts as failed."""

STALLED = 2 * 3600.0
"""Seconds without a sign of progress after which a training is ended. However slow a machine is, as long as
steps are taken it may go on: a run that were ended for its length would begin anew, and never end."""

ROOT = Path(__file__).resolve().parent.parent


async def train(
    folder: RunFolder, *, threads: int, processes: int = 1, stalled: float = STALLED
) -> dict[str, Any]:
    """The manifest of the run's training, which is started or resumed unless it is there already.

    `threads` are each process's; `stalled` is how many seconds it may go without a sign of progress.

    Raises:
        TrainingFailed: The child refused, was killed again and again, or stood still.
    """
    ended: int | None = None
    for _ in range(ATTEMPTS):
        if folder.trained.exists():
            break
        folder.error.unlink(missing_ok=True)
        ended = await _start(_command(folder, processes), folder, threads, stalled)
        if folder.error.exists():
            raise TrainingFailed(**read_json(folder.error))
    if not folder.trained.exists():
        raise TrainingFailed(
            f"The training process ended {ATTEMPTS} times without a word (exit status {ended}).",
            f"It may have run out of memory: close other programs, and see {folder.log}.",
        )
    manifest: dict[str, Any] = read_json(folder.trained)
    return manifest


def progress(folder: RunFolder) -> list[dict[str, Any]]:
    """What the child has told so far, oldest first; `loss` and `dev_nll` are in nats per taught token."""
    return read_lines(folder.progress)


def _command(folder: RunFolder, processes: int) -> list[str]:
    child = ["-m", "tuner.train", str(folder.path)]
    if processes == 1:
        return [sys.executable, *child]
    # Its word for several processes on one machine, be they on GPUs or not.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    plain = ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    return [sys.executable, *launch, *plain, "--num_processes", str(processes), *child]


async def _start(command: Sequence[str], folder: RunFolder, threads: int, stalled: float) -> int:
    with folder.log.open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_environment(threads),
            # Ctrl-C is for the parent, which ends the child in its own time. A session of its own would keep
            # that away too, and half of the processors for the child, whatever its priority.
            process_group=0,
        )
    try:
        while True:
            told = _told(folder)
            with suppress(TimeoutError):
                return await asyncio.wait_for(child.wait(), stalled)
            if _told(folder) == told:
                raise TrainingFailed(
                    f"Training took no step for {stalled / 3600:.1f} hours and was ended.",
                    f"Give it more threads with tuner.threads, and see {folder.log}.",
                )
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await asyncio.shield(child.wait())


def _told(folder: RunFolder) -> int:
    """Bytes of what the child told so far; they grow with each step."""
    return folder.progress.stat().st_size if folder.progress.exists() else 0


def _environment(threads: int) -> dict[str, str]:
    """This process's environment, kept off the network and to its share of the processors."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
