"""Simulated scorecards: nine worlds that differ in what is hard about them, and versions of known worth.

A world says how often the live version is right, how many answers change for no reason, what belongs
together, and how the loss behaves. A version is as many points better or worse, in its field and outside.
Knows no gate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from tuner.scorecard import GeneralItem, Item, Said, Scorecard

CANDIDATE, INCUMBENT = "general@2-cafe0123", "general@1-beef4567"
REFERENCE = "It is written in the book of the harbour, at the top of page {}."
ENDLESS = " And so it goes on and on, from pier to pier and from shed to shed, until nobody listens"
COUNTED = 120
"""General items that the base sometimes passes: as many as `tuner.general_items` asks by default."""
STEADY = 4
"""So many of those for one that it always passes, and one that it never does."""


@dataclass(frozen=True)
class World:
    """Rates are shares of instructions; losses are nats per token."""

    name: str
    right: float = 0.6
    """Share that the live version gets right."""
    churn: float = 0.08
    """Share that turns right, and as many wrong, between two equally good versions."""
    together: int = 1
    """Instructions of one conversation: one group, known to the gate."""
    by_one_user: int = 1
    """Instructions of one person, whose likes the gate knows nothing of."""
    alike: float = 0.0
    """Share of instructions that change as the rest of their conversation, or of their person, does."""
    loss_per_share: float = 0.4
    """How much the loss falls for each share of answers that turns right."""
    loss_noise: float = 0.25
    heavy: bool = False
    """Whether noise of the loss has Student's tails with two degrees of freedom."""
    faults: float = 0.02
    """Share of answers that do not stop, in every version."""
    general_churn: float = 0.04


WORLDS = (
    World("plain"),
    World("weak live version", right=0.25),
    World("strong live version", right=0.85),
    World("few changes", churn=0.03, general_churn=0.02),
    World("many changes", churn=0.15, general_churn=0.06),
    World("conversations", together=3, alike=0.5),
    World("a few users", by_one_user=5, alike=0.3),
    World("heavy-tailed loss", loss_noise=0.35, heavy=True),
    World("loss tells nothing", loss_per_share=0.0, loss_noise=0.4, faults=0.06),
)


@dataclass(frozen=True)
class Version:
    """What a version is truly worth beside the live one, in shares of instructions."""

    name: str
    field: float = 0.0
    outside: float = 0.0


BETTER = Version("10 better", field=0.10)
SLIGHTLY = Version("5 better", field=0.05)
EQUAL = Version("equal")
WORSE = Version("10 worse", field=-0.10)
FORGETS = Version("10 better, forgets 10", field=0.10, outside=-0.10)
VERSIONS = (BETTER, SLIGHTLY, EQUAL, WORSE, FORGETS)


def scorecard(
    world: World,
    version: Version,
    instructions: int,
    chance: Generator,
    *,
    with_loss: bool = True,
    counted: int = COUNTED,
) -> Scorecard:
    """One scorecard that this version could have got in this world, with so many general items that count."""
    changes = _changes(world, version.field, instructions, chance)
    losses = _losses(world, version.field, changes, chance)
    items = [
        _item(place, world, int(change), loss if with_loss else None, chance)
        for place, (change, loss) in enumerate(zip(changes, losses, strict=True))
    ]
    general = tuple(_general(world, version.outside, chance, counted))
    return Scorecard(CANDIDATE, INCUMBENT, False, tuple(items), {"latin": 0.8}, 0.0, general)


def _changes(world: World, shift: float, count: int, chance: Generator) -> np.ndarray:
    """For each instruction 1 where it turned right, -1 where it turned wrong, else 0."""
    bound = np.cumsum([world.churn + max(shift, 0.0), world.churn + max(-shift, 0.0)])
    size = max(world.together, world.by_one_user)
    own, common = chance.random(count), np.repeat(chance.random(count // size + 1), size)[:count]
    drawn = np.where(chance.random(count) < world.alike, common, own)
    return np.where(drawn < bound[0], 1, np.where(drawn < bound[1], -1, 0))


def _losses(world: World, shift: float, changes: np.ndarray, chance: Generator) -> np.ndarray:
    noise = chance.standard_t(2, len(changes)) if world.heavy else chance.standard_normal(len(changes))
    told = 0.1 * (changes - shift) if world.loss_per_share else 0.0
    return -world.loss_per_share * shift - told + world.loss_noise * noise


def _item(place: int, world: World, change: int, loss: float | None, chance: Generator) -> Item:
    """An instruction; those that did not change are right as often as the world's live version is."""
    same = (world.right - world.churn) / (1 - 2 * world.churn)
    now = change > 0 or (change == 0 and chance.random() < same)
    then = change < 0 or (change == 0 and now)
    before = 1.5
    after = None if loss is None else before + loss
    return Item(
        f"g{place // world.together}",
        (f"e{place}",),
        f"Where is number {place}?",
        (REFERENCE.format(place),),
        _said(place, bool(now), after, world, chance),
        _said(place, bool(then), before if loss is not None else None, world, chance),
    )


def _said(place: int, right: bool, loss: float | None, world: World, chance: Generator) -> Said:
    text = (
        f"It is written in the book of the harbour on page {place}."
        if right
        else f"I think it is at {place}."
    )
    endless = chance.random() < world.faults
    text += ENDLESS if endless else ""
    return Said(text, "length" if endless else "stop", 12, right, "" if right else "too far", 0.9, loss)


def _general(world: World, shift: float, chance: Generator, counted: int) -> Iterator[GeneralItem]:
    for place in range(counted):
        base = bool(chance.random() < 0.5)
        item = GeneralItem(f"sometimes.{place}", base, base, base, 0.5)
        yield replace(item, candidate=_turned(base, world.general_churn, shift, chance))
    for place in range(counted // STEADY):
        yield GeneralItem(f"always.{place}", _turned(True, 0.005, shift / 2, chance), True, True, 1.0)
    for place in range(counted // STEADY):
        yield GeneralItem(f"never.{place}", bool(chance.random() < 0.01), False, False, 0.0)


def _turned(passed: bool, churn: float, shift: float, chance: Generator) -> bool:
    """Half of the items can be lost and half won, so each does so with twice the share."""
    turns = 2 * (churn + max(-shift if passed else shift, 0.0))
    return passed != bool(chance.random() < turns)
