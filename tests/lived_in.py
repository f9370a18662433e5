"""A Hone in which something has happened: the demo in it, two versions, a run that was judged.

For tests of what the pages look like and how they are worked; made in seconds, since nothing is trained.
The versions are real adapters of the tiny model, and the verdict is the gate's own.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import RunningHone, on_tiny_model
from stories import new_store
from test_gate import card
from tiny_engine import make_adapter

from feedback.ledger import Ledger
from feedback.records import new_id
from tuner import bases, registry
from tuner.gate import gate
from tuner.plan import RunFolder, append_line, write_json

SETTINGS = "[chat]\nmax_tokens = 12\n[tuner]\nenabled = false\n"
RUNS = 2
AT = "2026-01-01T00:00:00+00:00"


@contextmanager
def lived_in(folder: Path, model: Path, **environment: str) -> Iterator[RunningHone]:
    """Started, and ended with the block."""
    with on_tiny_model(folder, model) as running:
        running.settings = SETTINGS
        running.environment |= environment
        running.home.mkdir()
        _versions(running.home, model, folder)
        running.start()
        filled = running.command("demo")
        assert filled.returncode == 0, filled.stderr
        yield running


def _versions(home: Path, model: Path, folder: Path) -> None:
    """Two versions of `general`, the newer one live, and the run that made it."""
    store = new_store(home / "hone.duckdb")
    ledger, base = Ledger(store), bases.digest(model)
    for number in range(1, RUNS + 1):
        made = make_adapter(model, folder / f"adapter-{number}", seed=number)
        digest, run_id = registry.digest(made), new_id()
        name = registry.version_name("general", number, digest)
        told = registry.Card(name, "general", number, digest, model.name, run_id, "", "", AT, base)
        kept = str(registry.register(home, made, told))
        ledger.add_version(
            version=name,
            assistant="general",
            number=number,
            digest=digest,
            folder=kept,
            run_id=run_id,
            principal="hone",
        )
        reason = _judged(home, ledger, number, name, run_id)
        ledger.set_state(name, "live", reason, "hone", run_id)
    store.close()


def _judged(home: Path, ledger: Ledger, number: int, version: str, run_id: str) -> str:
    """The folder and the record of a run; what its gate said."""
    folder = RunFolder.named(home, number, "general")
    scores = card(8, 1, 21)
    verdict = gate(scores)
    write_json(folder.evaluation, scores.as_dict())
    write_json(folder.verdict, verdict.as_dict())
    for step in range(1, 9):
        losses = {"loss": 2 * math.exp(-step / 4), "dev_nll": 2 * math.exp(-step / 6)}
        append_line(folder.progress, {"phase": "train", "step": step, "steps": 8, "epoch": 1, **losses})
    reason = " ".join(verdict.reasons)
    of_run = {"run_id": run_id, "assistant": "general", "number": number, "version": version}
    for state, step, told in (("running", "snapshot", ""), ("passed", "account", reason)):
        ledger.record_run(
            **of_run,  # type: ignore[arg-type]
            state=state,  # type: ignore[arg-type]
            step=step,
            principal="admin",
            folder=str(folder.path),
            reason=told,
        )
    return reason
