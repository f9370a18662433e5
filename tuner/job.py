"""One run as its steps see it: its record, its folder, and what the folder's files say.

Trail: tuner/cycle.py -> here -> tuner/steps.py
"""

from dataclasses import dataclass
from pathlib import Path

from feedback.errors import BadRequest
from feedback.records import Run
from tuner.plan import RunFolder, read_json


class NothingToLearn(BadRequest):
    """No pair is left to train on; the run is skipped, not failed."""

    code = "nothing_to_learn"


@dataclass(frozen=True, slots=True)
class Job:
    """One run and its folder."""

    run: Run
    folder: RunFolder

    @property
    def base(self) -> str:
        return f"{self.run.assistant}@0"

    @property
    def version(self) -> str:
        """The version this run made, once it is registered."""
        made = self.folder.registered
        return str(read_json(made)["version"]) if made.exists() else ""

    @property
    def incumbent(self) -> str:
        """The version that was live when the run was planned."""
        return Path(self.folder.read_plan().incumbent).name or self.base
