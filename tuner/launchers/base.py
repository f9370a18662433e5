"""What every way to start a training is: one attempt, waited for, and known to be over when it returns.

`child.py` makes attempts until the training is done; a launcher makes one. `local.py` starts processes on
this machine, which work in the run's folder itself. `elsewhere.py` has another machine do it, through a
storage that both reach; `command.py` and `kubernetes.py` are how it asks that machine.

Trail: tuner/child.py -> here -> tuner/launchers/local.py, tuner/launchers/elsewhere.py
"""

from dataclasses import dataclass
from typing import Protocol

from tuner.plan import RunFolder


class Launcher(Protocol):
    """One way to have a run trained."""

    async def attempt(self, folder: RunFolder) -> int:
        """Train, from the checkpoint where there is one; the exit status, with the files in the run's folder.

        Cancelled, it ends what it started. A training of this run that an ended Hone left behind is
        waited for or gone on with: there are never two.
        """

    async def clear(self, folder: RunFolder) -> None:
        """Delete what attempts left outside the run's folder; called when no other will follow."""


@dataclass(frozen=True, slots=True)
class Order:
    """What another machine is to do: `words` is its command line, `name` this attempt's alone."""

    name: str
    run: str
    words: tuple[str, ...]
    folder: RunFolder


class Far(Protocol):
    """One way to have a command line executed elsewhere."""

    async def run(self, order: Order) -> int:
        """Execute it and wait; cancelled, it ends what it started as well as it can reach it.

        Raises:
            TrainingFailed: The settings are such that no attempt can succeed.
        """
