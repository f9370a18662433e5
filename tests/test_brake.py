"""Guessing passwords gets slower and slower, and a flood of sign-ins is turned away at once."""

import asyncio
import time

import pytest

from feedback.errors import TooManyTries
from serve.brake import FREE_OF_MANY, FREE_TRIES, LONGEST_OF_MANY, QUEUE, Brake


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_after_some_failures_each_try_must_wait_longer_and_a_right_one_forgives() -> None:
    clock = Clock()
    brake = Brake(clock=clock)
    for _ in range(FREE_TRIES):
        assert await brake.check("mina", lambda: False) is False
    with pytest.raises(TooManyTries, match="Wait 1 seconds"):
        await brake.check("mina", lambda: True)
    assert await brake.check("otto", lambda: True), "somebody else is not kept waiting"
    clock.now = 1.5
    assert await brake.check("mina", lambda: False) is False
    with pytest.raises(TooManyTries, match="Wait 2 seconds"):
        await brake.check("mina", lambda: True)
    clock.now = 4
    assert await brake.check("mina", lambda: True)
    assert await brake.check("mina", lambda: False) is False


async def test_a_flood_is_refused_instead_of_queued() -> None:
    brake = Brake()

    def slow() -> bool:
        time.sleep(0.05)
        return False

    tries = [brake.check(f"name-{number}", slow) for number in range(QUEUE + 10)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(end, TooManyTries) for end in ended) == 10
    assert sum(end is False for end in ended) == QUEUE


async def test_where_nobody_is_named_an_address_is_held_up_a_little_and_no_other_address_is() -> None:
    clock = Clock()
    brake = Brake(clock=clock)
    for _ in range(FREE_OF_MANY):
        brake.refuse_early("", "10.0.0.1")
        brake.failed("", "10.0.0.1")
    for _ in range(20):
        brake.failed("", "10.0.0.1")
    brake.refuse_early("", "10.0.0.2")
    with pytest.raises(TooManyTries):
        brake.refuse_early("", "10.0.0.1")
    clock.now = LONGEST_OF_MANY + 1
    brake.refuse_early("", "10.0.0.1")
