"""Many versions in a row: do small losses add up, and does trying often enough get a bad one through?

Ratchet: each version is better in its field and loses one point more outside than what is live. Tries:
versions that are ten points worse, or equal, are put to the same instructions again and again.
"""

from multiprocessing.pool import Pool
from statistics import fmean

import numpy as np
from rich.table import Table

from benchmarks.gating import worlds
from benchmarks.gating.parts import Found, Size, at_most
from tuner.gate import Decision, gate

VERSIONS_IN_A_ROW = 20
STEP = 0.01
INSTRUCTIONS = 100


def run(size: Size, pool: Pool) -> Found:
    places = range(len(worlds.WORLDS))
    chains = [(place, size.chains, size.seed, size.general) for place in places]
    lost = [loss for losses in pool.map(ratchet, chains, chunksize=1) for loss in losses]
    worse = fmean(pool.map(tries, [(*chain, worlds.WORSE) for chain in chains], chunksize=1))
    equal = fmean(pool.map(tries, [(*chain, worlds.EQUAL) for chain in chains], chunksize=1))
    table = Table("chain of 20 versions", "what", "share", title="Many versions in a row")
    table.add_row(
        "each 1 point worse outside than the live one", "lost outside at the end", f"{fmean(lost):.1%}"
    )
    table.add_row("", "ungated", f"{VERSIONS_IN_A_ROW * STEP:.1%}")
    table.add_row("each 10 points worse, same instructions", "any passed", f"{worse:.1%}")
    table.add_row("each equal, same instructions", "any passed (harmless)", f"{equal:.1%}")
    bars = {"ratchet_loss": at_most(fmean(lost), 0.075), "worse10_any_of_20_pass": at_most(worse, 0.05)}
    return Found(bars, (table,), {"lost": lost, "equal_any_of_20_pass": equal})


def ratchet(job: tuple[int, int, int, int]) -> list[float]:
    """What each chain's live version truly lost outside its field, beside the base, at the end."""
    place, chains, seed, general = job
    chance = np.random.default_rng((seed, place, 1))
    ends = []
    for _ in range(chains):
        lost = 0.0
        for _ in range(VERSIONS_IN_A_ROW):
            version = worlds.Version("a step", field=0.10, outside=-(lost + STEP))
            if _passes(worlds.WORLDS[place], version, chance, general):
                lost += STEP
        ends.append(lost)
    return ends


def tries(job: tuple[int, int, int, int, worlds.Version]) -> float:
    """Share of chains in which any version passed."""
    place, chains, seed, general, version = job
    chance = np.random.default_rng((seed, place, 2))
    got_through = 0
    for _ in range(chains):
        passed = (
            _passes(worlds.WORLDS[place], version, chance, general, look)
            for look in range(1, VERSIONS_IN_A_ROW + 1)
        )
        got_through += any(passed)
    return got_through / chains


def _passes(
    world: worlds.World, version: worlds.Version, chance: np.random.Generator, general: int, look: int = 1
) -> bool:
    card = worlds.scorecard(world, version, INSTRUCTIONS, chance, counted=general)
    return gate(card, look=look).decision is Decision.PASS
