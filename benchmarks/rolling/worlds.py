"""Worlds in which a canary could stand: users with habits of their own, and a version of some worth.

Draws conversations and thumbs; the lot, the bets and the steps are the real ones.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice

from feedback.lots import lot
from feedback.rollouts import Event, Thumb
from tuner.canary import LADDER, Step, Terms, after, judge
from tuner.launch import enough
from tuner.wager import Wager

VERSION, LIVE = "general@2-bbbbbbbb", "general@1-aaaaaaaa"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """How users differ; thumbs down have a mean of `rate` over them."""

    users: int
    rate: float
    alike: float
    """Beta's concentration of the users' own rates: 2 is some who always and some who never say down."""
    busy: float
    """Pareto's shape of how much a user rates: 1 is a few who do nearly all."""
    eager: float = 1.0
    """How many times as often an answer of the canary is rated, whatever the thumb."""


WORLDS = {
    "even users": World(2000, 0.2, alike=50, busy=5),
    "harsh and mild users": World(500, 0.2, alike=2, busy=2),
    "a few busy users": World(60, 0.2, alike=2, busy=1.1),
    "the canary is rated twice as often": World(500, 0.2, alike=4, busy=2, eager=2),
    "mostly thumbs down": World(500, 0.6, alike=4, busy=2),
}


@dataclass(frozen=True)
class Rated:
    """A conversation that got a thumb."""

    user: str
    on_canary: bool
    down: bool


class Crowd:
    """The users of a world, drawn anew."""

    def __init__(self, world: World, worse: float, seed: int, period: int = 0) -> None:
        """`worse` is how many points more often the canary gets a thumb down, on the mean of users.

        The same users speak in every `period`, and say other things.
        """
        users = random.Random(seed)
        self._random = random.Random(f"{seed} {period}")
        self._world, self._worse = world, worse
        a = world.rate * world.alike
        self._rates = [users.betavariate(a, world.alike - a) for _ in range(world.users)]
        self._much = list(accumulate(users.paretovariate(world.busy) for _ in range(world.users)))
        self._secret = str(seed)
        self._numbers = range(world.users)

    def rated(self, share: float) -> Rated:
        """The next rated conversation while the canary has this share."""
        draw = self._random
        while True:
            on_canary = lot(self._secret, VERSION, f"{draw.getrandbits(64):x}") < share
            if on_canary or draw.random() < 1 / self._world.eager:
                break
        user = draw.choices(self._numbers, cum_weights=self._much)[0]
        rate = self._rates[user]
        if on_canary:
            rate = self._moved(rate)
        return Rated(f"u{user}", on_canary, draw.random() < rate)

    def _moved(self, rate: float) -> float:
        mean, worse = self._world.rate, self._worse
        return rate + worse * ((1 - rate) / (1 - mean) if worse > 0 else rate / mean)


@dataclass(frozen=True)
class Ended:
    """How a rollout ended."""

    step: Step | None
    """None where thumbs were too few, so that it went live at once."""
    pairs: int
    """Rated conversations of the side that has fewer."""
    rated: int
    days: float
    share: float


def roll_out(world: World, worse: float, seed: int, *, a_day: float, terms: Terms) -> Ended:
    """A whole rollout, looked at after every thumb, if as many days before gave enough thumbs for one."""
    worth, wanted = enough(_before(world, seed, a_day, terms.days), START, terms.days)
    if worth < wanted:
        return Ended(None, 0, 0, 0.0, 1.0)
    crowd, clock = Crowd(world, worse, seed), random.Random(-seed - 1)
    wager, at = Wager(terms.margin), START
    stages = [_stage(LADDER[0], at)]
    rated = 0
    while True:
        at += timedelta(days=clock.expovariate(a_day))
        share = stages[-1].share or 1.0
        one = crowd.rated(share)
        wager.hear(one.user, on_canary=one.on_canary, down=one.down, share=share)
        rated += one.on_canary
        step, _ = judge(wager, stages, rated, terms, at)
        undecided = step is Step.STAY and at - START > timedelta(days=2 * terms.days)
        if step in (Step.BACK, Step.LIVE) or undecided:
            pairs = min(wager.canary.rated, wager.control.rated)
            return Ended(step, pairs, wager.rated, (at - START) / timedelta(days=1), share)
        if step is Step.ON:
            stages.append(_stage(after(share), at))
            rated = 0


def thumbs(world: World, worse: float, seed: int, share: float, period: int = 0) -> Iterator[Rated]:
    """Rated conversations for ever, at one share."""
    crowd = Crowd(world, worse, seed, period)
    while True:
        yield crowd.rated(share)


def _before(world: World, seed: int, a_day: float, days: float) -> list[Thumb]:
    """The thumbs of as many days without a canary, evenly spaced."""
    heard = islice(thumbs(world, 0.0, seed, 0.0, period=1), int(a_day * days))
    return [
        Thumb(one.user, f"{number}", LIVE, START + timedelta(days=number / a_day), one.down)
        for number, one in enumerate(heard)
    ]


def _stage(share: float, at: datetime) -> Event:
    return Event(at, "general", VERSION, "canary", "hone", "", share)
