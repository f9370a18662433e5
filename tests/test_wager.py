"""The bets on a canary are fair by their arithmetic, for any users, and one user moves them little."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.canary import LADDER
from tuner.wager import BAR, COUNTED, Wager, Wealth, needed

Heard = tuple[int, bool, bool, float]
THUMBS = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.booleans(), st.sampled_from(LADDER)), max_size=40
)


def wager(heard: list[Heard], margin: float = 0.1) -> Wager:
    made = Wager(margin)
    for user, on_canary, down, share in heard:
        made.hear(f"u{user}", on_canary=on_canary, down=down, share=share)
    return made


@given(THUMBS, st.integers(0, 5), st.booleans(), st.sampled_from(LADDER))
def test_a_thumb_that_the_lot_has_no_part_in_wins_nothing_on_average(
    heard: list[Heard], user: int, down: bool, share: float
) -> None:
    """Whatever was heard, whoever speaks and what they say: over the lot's two sides the wealth stays."""
    before = wager(heard).harm.value
    on_it, beside = (wager([*heard, (user, side, down, share)]).harm.value for side in (True, False))
    assert share * on_it + (1 - share) * beside == pytest.approx(before, rel=1e-9)


@given(THUMBS, st.integers(0, 5), st.sampled_from(LADDER), st.floats(0, 0.8), st.floats(0.01, 0.2))
def test_a_version_that_is_worse_by_the_margin_wins_nothing_for_going_on(
    heard: list[Heard], user: int, share: float, rate: float, margin: float
) -> None:
    def after(on_canary: bool, down: bool) -> float:
        return wager([*heard, (user, on_canary, down, share)], margin).fine.value

    mean = 0.0
    for on_canary, chance, downs in ((True, share, rate + margin), (False, 1 - share, rate)):
        mean += chance * (downs * after(on_canary, True) + (1 - downs) * after(on_canary, False))
    assert mean == pytest.approx(wager(heard, margin).fine.value, rel=1e-9)


@pytest.mark.parametrize("share", LADDER)
@pytest.mark.parametrize("votes", [100, 1000])
def test_one_user_who_votes_a_hundred_times_moves_little(share: float, votes: int) -> None:
    """They thumb down each answer of the canary and like all others, as who sees the version can."""
    draw = random.Random(5)
    honest = [(number, draw.random() < share, draw.random() < 0.2, share) for number in range(10, 210)]
    hater = [(0, draw.random() < share, False, share) for _ in range(votes)]
    hater = [(user, on_canary, on_canary, share) for user, on_canary, _, share in hater]
    moved = wager([*honest, *hater]).harm.value / wager(honest).harm.value
    assert moved < BAR / 4
    assert wager([*honest, *hater[:COUNTED]]).harm.value == pytest.approx(moved * wager(honest).harm.value)


def rated(seed: int, worse: float, count: int, share: float) -> list[Heard]:
    draw = random.Random(seed)
    heard = []
    for user in range(count):
        on_canary = draw.random() < share
        heard.append((user, on_canary, draw.random() < 0.2 + worse * on_canary, share))
    return heard


def share_of(seeds: int, reached: Callable[[int], bool]) -> float:
    return sum(map(reached, range(seeds))) / seeds


def test_looking_after_every_thumb_an_equal_version_is_hardly_ever_called_worse() -> None:
    assert share_of(200, lambda seed: wager(rated(seed, 0.0, 300, 0.5)).harm.peak >= BAR) <= 0.06


def test_a_drop_of_20_points_is_found_and_an_equal_version_found_fine() -> None:
    assert share_of(40, lambda seed: wager(rated(seed, 0.2, 400, 0.5)).harm.peak >= BAR) > 0.5
    assert share_of(40, lambda seed: wager(rated(seed, 0.0, 1500, 0.5)).fine.peak >= BAR) > 0.5


def test_wealth_neither_overflows_nor_reaches_nothing() -> None:
    rich, poor = Wealth(), Wealth()
    for _ in range(5000):
        rich.bet(1.0)
        poor.bet(-1.0)
    assert rich.value == rich.peak > 1e300
    assert 0 <= poor.value < 1e-100
    assert poor.peak == 1.0


def test_what_is_needed_grows_with_the_noise_and_with_timid_shares() -> None:
    assert needed(0.5, LADDER) > needed(0.2, LADDER) > 100
    assert needed(0.2, (0.05,)) > 2 * needed(0.2, LADDER)
