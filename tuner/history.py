"""What earlier runs of an assistant leave to a later one: answers that need not be asked for again, and looks
at the instructions kept back, for which later looks pay.

Trail: tuner/steps.py -> here -> tuner/answers.py, tuner/gate.py
"""

from collections.abc import Iterable
from pathlib import Path

from feedback.ledger import Ledger
from feedback.records import Run
from tuner.gate import looks
from tuner.plan import RunFolder

REMEMBERED = 5
"""Earlier runs whose answers are looked through before anything is asked."""


class History:
    """The runs of an assistant before one of them."""

    def __init__(self, ledger: Ledger, run: Run) -> None:
        self._ledger = ledger
        earlier = (other for other in ledger.runs(run.assistant) if other.number < run.number)
        self._runs = sorted(earlier, key=lambda other: other.number)

    def answers(self) -> list[Path]:
        """Where the last runs kept what versions answered, the oldest first."""
        return [RunFolder(Path(run.folder)).answers for run in self._runs[-REMEMBERED:] if run.folder]

    def look(self, groups: Iterable[str]) -> float:
        """Which look at these groups this is, the first being 1."""
        judged = (self._ledger.evaluation(run.id) for run in self._runs)
        return looks(list(groups), [told["scorecard"].get("items", ()) for told in judged if told])
