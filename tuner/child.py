"""Starts the training child, watches it, and starts it again where it was killed without a word.

The child holds the read end of a pipe as its standard input, so it ends with this process, however
that dies. Knows nothing of torch: what the child tells, it tells in the run's folder.

Trail: tuner/cycle.py -> here -> tuner/train.py
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

ROOT = Path(__file__).resolve().parent.parent


async def train(
    folder: RunFolder, *, threads: int, processes: int = 1, limit: float = 6 * 3600.0
) -> dict[str, Any]:
    """The manifest of the run's training, which is started or resumed unless it is there already.

    `threads` are each process's; `limit` is the most seconds that one start may take.

    Raises:
        TrainingFailed: The child refused, was killed again and again, or took too long.
    """
    ended: int | None = None
    for _ in range(ATTEMPTS):
        if folder.trained.exists():
            break
        folder.error.unlink(missing_ok=True)
        ended = await _start(_command(folder, processes), folder, threads, limit)
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


async def _start(command: Sequence[str], folder: RunFolder, threads: int, limit: float) -> int:
    with folder.log.open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_environment(threads),
            start_new_session=True,  # Ctrl-C is for the parent, which ends the child in its own time
        )
    try:
        return await asyncio.wait_for(child.wait(), limit)
    except TimeoutError:
        raise TrainingFailed(
            f"Training took more than {limit / 3600:.1f} hours and was ended; its checkpoint is kept.",
            "Give it more threads with tuner.threads, then run again.",
        ) from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await asyncio.shield(child.wait())


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
