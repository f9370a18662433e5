"""What the thumbs say of a canary and which step follows, as a table; and drift after going live."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feedback.lots import lot
from feedback.records import Exchange, Message
from feedback.rollouts import Event, Thumb
from tuner.canary import LADDER, Step, Terms, after, judge, rated_since, weigh
from tuner.drift import drift, highest
from tuner.server import Answer
from tuner.shadow import compare, shadow
from tuner.wager import Wager

START = datetime(2026, 1, 1, tzinfo=UTC)
CANARY, LIVE = "general@2-bbbbbbbb", "general@1-aaaaaaaa"
SECRET = "a secret of the home"


def stage(share: float, hours: float = 0.0) -> Event:
    return Event(START + timedelta(hours=hours), "general", CANARY, "canary", "hone", "", share)


def heard(canary: tuple[int, int], control: tuple[int, int]) -> Wager:
    """So many conversations on each side, of which so many thumbed down, each of another user, mixed."""
    wager = Wager(0.1)
    sides = [(True, i < canary[1]) for i in range(canary[0])]
    sides += [(False, i < control[1]) for i in range(control[0])]
    mixed = sorted(range(len(sides)), key=lambda place: lot("mix", "", str(place)))
    for place in mixed:
        on_canary, down = sides[place]
        wager.hear(str(place), on_canary=on_canary, down=down, share=0.5)
    return wager


@pytest.mark.parametrize(
    ("wager", "stages", "rated", "hours", "barred", "step", "words"),
    [
        (heard((80, 50), (80, 12)), [stage(0.5)], 80, 1, "", Step.BACK, "50 of 80 down on it"),
        (heard((80, 50), (80, 12)), [stage(0.5)], 80, 1, "Held.", Step.BACK, "are worse"),
        (heard((400, 40), (400, 80)), [stage(0.05)], 400, 1, "", Step.ON, "not worse by 10 points"),
        (heard((400, 40), (400, 80)), [stage(0.5)], 400, 1, "", Step.LIVE, "not worse by 10 points"),
        (heard((400, 40), (400, 80)), [stage(0.5)], 400, 1, "Held by ann.", Step.STAY, "Held by ann."),
        (heard((20, 4), (20, 4)), [stage(0.05)], 20, 13, "", Step.ON, "20 of its conversations"),
        (heard((20, 4), (20, 4)), [stage(0.05)], 20, 11, "", Step.STAY, "20 of 20"),
        (heard((30, 9), (30, 6)), [stage(0.05)], 30, 13, "", Step.STAY, "30 of 20"),  # leans to worse
        (heard((19, 4), (19, 4)), [stage(0.05)], 19, 13, "", Step.STAY, "19 of 20"),
        (heard((3, 0), (9, 1)), [stage(0.05)], 3, 57, "", Step.ON, "had its time"),
        (heard((3, 0), (9, 1)), [stage(0.05), stage(0.25, 150)], 3, 169, "", Step.LIVE, "days are over"),
        (heard((22, 9), (22, 2)), [stage(0.5)], 22, 100, "", Step.STAY, "may be worse"),
        (heard((22, 9), (22, 2)), [stage(0.5)], 22, 169, "", Step.STAY, "promote it or roll back"),
    ],
)
def test_the_table_of_steps(
    wager: Wager, stages: list[Event], rated: int, hours: float, barred: str, step: Step, words: str
) -> None:
    found, reason = judge(wager, stages, rated, Terms(ratings=20), START + timedelta(hours=hours), barred)
    assert (found, words in reason) == (step, True), (found, reason, wager.as_dict())


def test_the_ladder_ends_at_all() -> None:
    assert [after(share) for share in (0.0, *LADDER)] == [0.05, 0.25, 0.5, 1.0]


def ids(share_from: float, share_to: float, count: int) -> list[str]:
    """Conversations that draw between two shares."""
    every = (f"c{number}" for number in range(100_000))
    return [c for c in every if share_from <= lot(SECRET, CANARY, c) < share_to][:count]


def thumb(conversation: str, version: str, hours: float = 1.0, user: str = "") -> Thumb:
    return Thumb(user or conversation, conversation, version, START + timedelta(hours=hours), True)


def test_a_thumb_counts_once_a_conversation_and_only_for_what_the_lot_gave() -> None:
    (low,), (high,) = ids(0, 0.05, 1), ids(0.25, 1, 1)
    stages = [stage(0.05), stage(0.25, hours=10)]

    def counted(*thumbs: Thumb) -> tuple[int, int]:
        wager = weigh(thumbs, stages, LIVE, SECRET, 0.1)
        return wager.canary.rated, wager.control.rated

    assert counted(thumb(low, CANARY), thumb(high, LIVE)) == (1, 1)
    assert counted(thumb(low, CANARY), thumb(low, CANARY), thumb(low, LIVE)) == (1, 0)
    assert counted(thumb(high, CANARY), thumb(low, LIVE)) == (0, 0)  # asked for by name
    assert counted(thumb(low, CANARY, hours=-1), thumb(low, "general@7-cccccccc")) == (0, 0)
    (between,) = ids(0.05, 0.25, 1)
    assert counted(thumb(between, CANARY)) == (0, 0)  # before its stage
    assert counted(thumb(between, CANARY, hours=11)) == (1, 0)


def test_a_stages_ratings_are_those_of_what_was_asked_in_it() -> None:
    thumbs = [thumb("a", CANARY), thumb("a", CANARY, 3), thumb("b", LIVE, 3), thumb("c", CANARY, 3)]
    assert rated_since(thumbs, CANARY, START + timedelta(hours=2)) == 2


def test_nobody_can_pick_a_conversation_that_is_on_the_canary() -> None:
    """Ids that draw low under one secret, or for one version, are any other ids under the next."""
    low = ids(0, 0.05, 400)
    for secret, version in (("another home", CANARY), (SECRET, "general@3-dddddddd"), ("", CANARY)):
        on_it = sum(lot(secret, version, conversation) < 0.05 for conversation in low)
        assert on_it < 45  # 20 on average; 45 are five deviations more
    every = [lot(SECRET, CANARY, f"c{number}") for number in range(4000)]
    assert 140 < sum(number < 0.05 for number in every) < 260
    assert 880 < sum(number < 0.25 for number in every) < 1120


def one_each(count: int, down: int, prefix: str) -> list[Thumb]:
    told = sorted(range(count), key=lambda number: lot(prefix, "", str(number)))
    return [Thumb(f"{prefix}{number}", f"{prefix}{number}", LIVE, START, number < down) for number in told]


def test_drift_is_an_alarm_where_the_live_version_is_clearly_worse_and_not_where_it_is_as_before() -> None:
    before = one_each(200, 40, "b")
    assert drift(one_each(200, 90, "l"), before).alarm
    same = drift(one_each(200, 44, "l"), before)
    assert not same.alarm
    assert "22% of 200" in str(same)
    assert "20% were" in str(same)


def test_without_an_earlier_versions_thumbs_there_is_no_drift() -> None:
    found = drift(one_each(200, 200, "l"), [])
    assert (found.alarm, found.bound, str(found)) == (False, 1.0, "There are too few thumbs to compare.")


def test_one_users_past_is_one_observation() -> None:
    one = [Thumb("ann", f"c{number}", LIVE, START, False) for number in range(500)]
    assert highest(one)[1] > 0.7
    assert highest(one_each(500, 0, "x"))[1] < 0.01


@pytest.mark.parametrize(
    ("new", "old", "words"),
    [
        (["", "", "", "", "", ""], ["Yes."] * 6, "says nothing on 6 of 6"),
        (["", "", "", "", ""], ["Yes."] * 5, ""),
        (["", "", "", "", "", "", "Yes."], ["Yes."] * 6 + [""], ""),
        (["no no no no no no no no no no no no"] * 7, ["No."] * 7, "repeats itself on 7 of 7"),
        ([""] * 8, [""] * 8, ""),
        ([], [], ""),
    ],
)
def test_a_shadow_refuses_what_is_broken_more_often_than_by_accident(
    new: list[str], old: list[str], words: str
) -> None:
    def said(text: str) -> Answer:
        return Answer(text, "stop", 0)

    seen = compare([(said(n), said(o)) for n, o in zip(new, old, strict=True)])
    assert (words in seen.refused, bool(seen.refused)) == (True, bool(words))
    assert seen.prompts == len(new)


class Endless:
    """Answers without an end, and notes how it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def answer(self, version: str, messages: Any, **how: Any) -> Answer:
        self.asked.append(how)
        return Answer("And so on", "length", how["max_tokens"])


async def test_a_shadow_asks_as_people_asked_and_keeps_only_counts() -> None:
    asked = [
        Exchange(
            *("e", START, "ann", "c", "general", LIVE),
            context=(Message("system", "Be brief."),),
            instruction="my secret",
            sampling={"temperature": 0.3, "max_tokens": 40},
            response="my secret answer",
            finish_reason="stop",
        )
    ] * 6
    server: Any = Endless()
    seen = await shadow(server, CANARY, asked)
    assert server.asked == [{"max_tokens": 40, "temperature": 0.3}] * 6
    assert "does not stop on 6 of 6" in seen.refused
    assert "secret" not in str(seen.as_dict())
