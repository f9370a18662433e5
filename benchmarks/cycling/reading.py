"""What a run's scorecard says, as differences with intervals; by groups, as the gate counts them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.cycling.house import Run

DRAWS = 10_000


@dataclass(frozen=True)
class Change:
    """A mean before and now, and 95 % of the bootstrap's means of the change, over groups."""

    before: float
    now: float
    low: float
    high: float
    groups: int

    @property
    def words(self) -> str:
        between = f"{self.low:+.3f} to {self.high:+.3f}"
        return f"{self.before:.3f} → {self.now:.3f}: {self.now - self.before:+.3f} ({between})"

    def body(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


MEASURES: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "loss, nats a token": lambda said: said["nll"],
    "nearness of meaning": lambda said: said["nearness"],
    "share right": lambda said: float(said["correct"]),
}


def changes(run: Run) -> dict[str, Change]:
    """Each measure of the held-out instructions, incumbent to candidate."""
    return {name: found for name, of in MEASURES.items() if (found := _change(run.card["items"], of))}


def _change(items: list[Mapping[str, Any]], of: Callable[[Mapping[str, Any]], float | None]) -> Change | None:
    groups: dict[str, list[tuple[float, float]]] = {}
    for item in items:
        now, then = of(item["candidate"]), of(item["incumbent"])
        if now is not None and then is not None:
            groups.setdefault(item["group"], []).append((then, now))
    if not groups:
        return None
    means = np.asarray([[fmean(side) for side in zip(*pairs, strict=True)] for pairs in groups.values()])
    moved = means[:, 1] - means[:, 0]
    drawn = np.random.default_rng(1).choice(moved, (DRAWS, len(moved))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    before, now = means.mean(axis=0)
    return Change(float(before), float(now), float(low), float(high), len(groups))


def stages(run: Run, title: str) -> Table:
    """Seconds, processor seconds and tokens answered of each step."""
    account = run.account
    table = Table("step", title=title)
    for column in ("seconds", "processor s", "tokens answered"):
        table.add_column(column, justify="right")
    for step, seconds in account["steps"].items():
        answered = str(account["answered"].get(step, ""))
        table.add_row(step, f"{seconds:.1f}", f"{account['cpu'][step]:.1f}", answered)
    total = (f"{account['seconds']:.1f}", f"{account['cpu_seconds']:.1f}", str(account["answered_tokens"]))
    table.add_row("all", *total)
    return table


def verdict(run: Run, title: str) -> Table:
    """How it ended and why, and what the scorecard measured."""
    table = Table("", "", title=title, show_header=False)
    table.add_row(run.state, "\n".join(run.reasons))
    if run.folder.evaluation.exists():
        for name, change in changes(run).items():
            table.add_row(name, f"{change.words}, {change.groups} groups")
        general = run.numbers.get("general")
        if general:
            table.add_row("general items", ", ".join(f"{key} {value:g}" for key, value in general.items()))
    return table


def told(run: Run) -> dict[str, Any]:
    """For the results file: no words of the pairs."""
    found: dict[str, Any] = {"state": run.state, "version": run.version, "reasons": run.reasons}
    found |= {"account": run.account}
    if run.folder.evaluation.exists():
        found["changes"] = {name: change.body() for name, change in changes(run).items()}
        found["numbers"] = run.numbers
        found["matching"] = run.card["nearness_wanted"]
    return found
