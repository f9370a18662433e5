"""Which files of a home can hold people's words: those alone are overwritten and looked through.

People's words get onto the disk in three ways: into the store, into a run's folder through its snapshot,
and into logs that quote a prompt. Everything else is Hone's or the operator's: settings, secrets, models,
adapters and cards, the general suite and what was answered to it, what is routed, receipts, the list of
erasures. Who says what stands in one of those has not written it there: to overwrite it would break the
home, and to find it would prove nothing. Reads and changes nothing.

Trail: feedback/purge.py -> here
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from feedback.whole import PARTIAL

LOGS = ("engine.log",)
"""An engine's warnings and tracebacks quote prompts."""

RESUMED_FROM = ("checkpoint.pt", "answers.jsonl", "probe.json")
"""What a run keeps only so that it can go on: token ids, answers, and probes in full."""
RUN_LOGS = ("training.log", "launch.log")
"""Tracebacks of the training process quote what it was given."""
RUN_JSON = ("evaluation.json", "error.json")
"""The scorecard's instructions, references and answers; and what an error said."""
SNAPSHOT = "snapshot/*.parquet"
"""The rows themselves."""


def in_run(folder: Path) -> Iterator[Path]:
    """The files of a run that can hold what its snapshot held; not its plan, its numbers or its adapter."""
    for name in (*RESUMED_FROM, *RUN_LOGS, *RUN_JSON, SNAPSHOT):
        yield from sorted(folder.glob(name))
        yield from sorted(folder.glob(name + PARTIAL))


def logs(home: Path, runs: Iterable[Path]) -> Iterator[Path]:
    """Text without a form that an overwritten word would break."""
    for path in (*(home / name for name in LOGS), *(run / name for run in runs for name in RUN_LOGS)):
        if path.is_file() and not path.is_symlink():
            yield path


def everywhere(home: Path, runs: Iterable[Path]) -> Iterator[Path]:
    """Every file but the store's own; `runs` are the folders of runs that froze what was erased."""
    for path in (*(home / name for name in LOGS), *(path for run in runs for path in in_run(run))):
        if path.is_file() and not path.is_symlink():
            yield path
