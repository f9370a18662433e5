"""What both sides of a training elsewhere tell each other, taken for what it is or not at all.

Whoever else writes to the storage may put anything there: names become paths and numbers exit statuses, so
what is not of the shape that Hone writes ends the training in a sentence. Reads nothing itself.

Trail: tuner/launchers/elsewhere.py, tuner/keeper.py -> here
"""

import re
from typing import Any

from feedback.errors import TrainingFailed

ATTEMPT = re.compile(r"[0-9a-f]{12}")
DIGEST = re.compile(r"[0-9a-f]{64}")


def wanted(told: Any) -> tuple[str, list[str]] | None:
    """The attempt that is wanted, empty for none, and those before it; None where nothing was ever."""
    if told is None:
        return None
    match told:
        case {"name": str(name), "before": list(before)} if all(map(_is_attempt, before)):
            if not name or _is_attempt(name):
                return name, before
    raise _not_ours("wanted.json")


def made(told: Any) -> tuple[dict[str, str], int | None]:
    """The digests of what an attempt made, by file, and how it ended if it did."""
    if told is None:
        return {}, None
    match told:
        case {"files": dict(files), "ended": None | int() as ended} if _are_files(files):
            return files, ended
    raise _not_ours("made.json")


def given(told: Any) -> dict[str, str]:
    """The digests of what an attempt is given, by their paths in a run's folder."""
    if isinstance(told, dict) and _are_files(told) and all(map(_stays_below, told)):
        return told
    raise _not_ours("given.json")


def _is_attempt(name: Any) -> bool:
    return isinstance(name, str) and bool(ATTEMPT.fullmatch(name))


def _are_files(files: dict[str, Any]) -> bool:
    return all(isinstance(made, str) and DIGEST.fullmatch(made) for made in files.values())


def _stays_below(name: str) -> bool:
    """Whether a path leads nowhere but further in."""
    return name.isprintable() and "\\" not in name and all(part.strip(".") for part in name.split("/"))


def _not_ours(name: str) -> TrainingFailed:
    return TrainingFailed(
        f"The {name} at training.storage is not what Hone put there.",
        "Look who else writes to it, delete the run's folder there, then run again.",
    )
