"""Has a run trained, and has it begun again where it was ended without a word.

How and where is the launcher's; what the training tells, it tells in the run's folder. Knows nothing of
torch, of processes or of other machines.

Trail: tuner/steps.py -> here -> tuner/launchers/base.py
"""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from feedback.errors import TrainingFailed
from tuner.launchers.base import Launcher
from tuner.plan import RunFolder, read_json, read_lines

ATTEMPTS = 3
"""Attempts at one training that end without a word before it counts as failed."""

MEASURED = {"loss", "dev_nll", "tokens", "seconds"}
LARGEST = 1e15
"""What no figure of a training reaches."""
STALLED = 2 * 3600.0
"""Seconds without a sign of progress after which a training is ended. However slow a machine is, as long as
steps are taken it may go on: a run that were ended for its length would begin anew, and never end."""


async def train(folder: RunFolder, launcher: Launcher, *, stalled: float = STALLED) -> dict[str, Any]:
    """The manifest of the run's training, which is started or resumed unless it is there already.

    `stalled` is how many seconds it may go without a sign of progress.

    Raises:
        TrainingFailed: The training refused, was ended again and again, or stood still.
    """
    ended: int | None = None
    for _ in range(ATTEMPTS):
        if folder.trained.exists():
            break
        folder.error.unlink(missing_ok=True)
        ended = await _watched(launcher, folder, stalled)
        if folder.error.exists():
            await launcher.clear(folder)
            raise _refusal(folder)
    await launcher.clear(folder)
    if not folder.trained.exists():
        raise TrainingFailed(
            f"The training process ended {ATTEMPTS} times without a word (exit status {ended}).",
            f"It may have run out of memory; see {folder.log}, and launch.log beside it.",
        )
    return _manifest(folder)


def progress(folder: RunFolder) -> list[dict[str, Any]]:
    """What the training has told so far, oldest first; `loss` and `dev_nll` are in nats per taught token.

    Another machine may have written it: what is no line of it is left out, and what is no number is None.
    """
    lines = [line for line in read_lines(folder.progress) if isinstance(line, dict)]
    return [
        line | {name: line[name] if _is_number(line[name]) else None for name in MEASURED & line.keys()}
        for line in lines
        if all(isinstance(line.get(name), int) and _is_number(line[name]) for name in ("step", "steps"))
    ]


def _is_number(value: Any) -> bool:
    """One that can be counted with and shown; neither NaN nor the infinite is."""
    return isinstance(value, int | float) and abs(value) < LARGEST


def _refusal(folder: RunFolder) -> TrainingFailed:
    """What a person can do about the failure, in the training's own words."""
    match _read(folder.error):
        case {"what": str(what), "todo": str(todo), **more} if not more:
            return TrainingFailed(what, todo)
    return _unreadable(folder.error)


def _manifest(folder: RunFolder) -> dict[str, Any]:
    told = _read(folder.trained)
    # The digest becomes part of a version's name, and so of a path.
    if isinstance(told, dict) and re.fullmatch(r"[0-9a-f]{64}", str(told.get("digest"))):
        return told
    raise _unreadable(folder.trained)


def _read(path: Path) -> Any:
    with suppress(ValueError, RecursionError):
        return read_json(path)


def _unreadable(path: Path) -> TrainingFailed:
    return TrainingFailed(
        f"The training's {path.name} cannot be read.", f"See {path}, and who may write to training.storage."
    )


async def _watched(launcher: Launcher, folder: RunFolder, stalled: float) -> int:
    attempt = asyncio.ensure_future(launcher.attempt(folder))
    try:
        while True:
            told = _told(folder)
            done, _ = await asyncio.wait([attempt], timeout=stalled)
            if done:
                return attempt.result()
            if _told(folder) == told:
                raise TrainingFailed(
                    f"Training took no step for {stalled / 3600:.1f} hours and was ended.",
                    f"Give it more threads with tuner.threads, and see {folder.log}.",
                )
    finally:
        if not attempt.done():
            attempt.cancel()
            with suppress(asyncio.CancelledError):
                await attempt


def _told(folder: RunFolder) -> int:
    """Bytes of what the training told so far; they grow with each step."""
    return folder.progress.stat().st_size if folder.progress.exists() else 0
