"""Rates of PASS, ABSTAIN and REFUSE by world, true worth and number of instructions."""

from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.pool import Pool
from statistics import fmean

import numpy as np
from rich.table import Table

from benchmarks.gating import worlds
from benchmarks.gating.parts import Found, Size, at_least, at_most
from tuner.gate import Decision, gate

DECIDING = 100
"""Instructions at which the goals hold."""
DECISIONS = tuple(map(str, Decision))

Rates = dict[str, float]


@dataclass(frozen=True)
class Cell:
    """One world, one version, one number of instructions, with or without losses."""

    world: int
    version: int
    instructions: int
    with_loss: bool

    @property
    def name(self) -> str:
        loss = "" if self.with_loss else ", no loss"
        return f"{worlds.WORLDS[self.world].name}, n={self.instructions}{loss}"


def run(size: Size, pool: Pool) -> Found:
    """Every cell in turn; bars at their worst over worlds, power on average over them."""
    cells = list(_cells(size))
    jobs = [
        (cell, size.cards if cell.instructions == DECIDING else size.fewer, size.seed, size.general)
        for cell in cells
    ]
    found = dict(zip(cells, pool.map(simulate, jobs, chunksize=1), strict=True))
    deciding = {cell: rates for cell, rates in found.items() if cell.instructions == DECIDING}

    def rate(version: worlds.Version, decision: str, loss: bool | None = None) -> list[float]:
        place = worlds.VERSIONS.index(version)
        chosen = found if loss is None else deciding
        return [
            rates[decision]
            for cell, rates in chosen.items()
            if cell.version == place and loss in (None, cell.with_loss)
        ]

    better, blind = rate(worlds.BETTER, "pass", True), rate(worlds.BETTER, "pass", False)
    bars = {
        "worse10_pass": at_most(max(rate(worlds.WORSE, "pass")), 0.05),
        "equal_refused": at_most(max(rate(worlds.EQUAL, "refuse")), 0.10),
        "better10_pass": at_least(fmean(better), 0.70),
        "better10_pass_without_loss": at_least(fmean(blind), 0.70),
        "better10_refused": at_most(max(rate(worlds.BETTER, "refuse")), 0.10),
        "forgets10_pass": at_most(max(rate(worlds.FORGETS, "pass")), 0.05),
    }
    worst = {"better10_pass_worst": min(better), "better10_pass_without_loss_worst": min(blind)}
    return Found(bars, (_table(found),), {**worst, "cells": _told(found)})


def simulate(job: tuple[Cell, int, int, int]) -> Rates:
    """The rates of one cell; its draws hang on nothing but the cell and the seed."""
    cell, cards, seed, general = job
    world, version = worlds.WORLDS[cell.world], worlds.VERSIONS[cell.version]
    chance = np.random.default_rng((seed, cell.world, cell.version, cell.instructions, cell.with_loss))
    asked = {"with_loss": cell.with_loss, "counted": general}
    decided = [
        gate(worlds.scorecard(world, version, cell.instructions, chance, **asked)).decision
        for _ in range(cards)
    ]
    return {str(decision): decided.count(decision) / cards for decision in Decision}


def _cells(size: Size):  # type: ignore[no-untyped-def]
    for world in range(len(worlds.WORLDS)):
        for version in range(len(worlds.VERSIONS)):
            yield Cell(world, version, DECIDING, True)
            yield Cell(world, version, DECIDING, False)
            yield from (Cell(world, version, count, True) for count in size.sizes)


def _table(found: Mapping[Cell, Rates]) -> Table:
    table = Table("world", title="Pass / abstain / refuse, % of simulated scorecards")
    for version in worlds.VERSIONS:
        table.add_column(version.name, justify="right")
    rows: dict[str, list[str]] = {}
    for cell in sorted(
        found, key=lambda cell: (not cell.with_loss, cell.instructions, cell.world, cell.version)
    ):
        shares = " / ".join(f"{100 * found[cell][decision]:.0f}" for decision in DECISIONS)
        rows.setdefault(cell.name, []).append(shares)
    for name, shares in rows.items():
        table.add_row(name, *shares)
        if name.startswith(worlds.WORLDS[-1].name):
            table.add_section()
    return table


def _told(found: Mapping[Cell, Rates]) -> list[dict[str, object]]:
    return [
        {
            "world": worlds.WORLDS[cell.world].name,
            "version": worlds.VERSIONS[cell.version].name,
            "instructions": cell.instructions,
            "with_loss": cell.with_loss,
            **rates,
        }
        for cell, rates in found.items()
    ]
