"""Two answers side by side: which versions, what stands, who may choose, and what is kept of it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from erasure_home import erase
from stories import ANA, BEN, OTTO, ask
from test_conversation import ScriptedEngine
from test_router import ONE, TWO

from feedback import choices, preferences, ratings, reach, retention, tallies
from feedback.assistants import Assistants
from feedback.choices import Comparison
from feedback.consent import allow
from feedback.errors import BadRequest, Conflict, EngineUnavailable, NotAllowed, NotFound, StoreError
from feedback.exchanges import Exchanges
from feedback.records import Sampling, new_id
from feedback.rollouts import Rollouts
from feedback.store import Store
from serve.comparing import Comparing, Two
from serve.conversation import Conversations
from serve.engines.base import Piece
from serve.router import Router
from serve.turn import Turn


class Telling(ScriptedEngine):
    """Says which version and which draw it was; ends each version as it was told to."""

    loads_at_run_time = True

    def __init__(self) -> None:
        super().__init__()
        self.same = False
        self.ends: dict[str, str | Exception] = {}

    async def load(self, version: str, folder: Path) -> None:
        pass

    async def stream(
        self, version: str, messages: Any, sampling: Sampling, *, priority: int = 0, owner: str = ""
    ) -> AsyncIterator[Piece]:
        self.script = ["It is ", "one." if self.same else f"{version} by {sampling.seed}."]
        self.end = self.ends.get(version, "stop")
        async for piece in super().stream(version, messages, sampling, priority=priority, owner=owner):
            yield piece


@pytest.fixture
def engine() -> Telling:
    return Telling()


@pytest.fixture
async def router(engine: Telling, tmp_path: Path) -> Router:
    """A router whose live version is TWO and that holds ONE as well."""
    made = Router(engine, tmp_path / "desired.json", secret="of this home")
    await made.load(ONE, Path("/one"))
    await made.load(TWO, Path("/two"))
    await made.route("general", TWO)
    return made


@pytest.fixture
def talk(store: Store, router: Router) -> Conversations:
    parts = Exchanges(store), Assistants(store), router
    return Conversations(*parts, sampling=Sampling(), max_prompt_chars=1000, max_running=4)


def comparing(store: Store, talk: Conversations, router: Router, **given: Any) -> Comparing:
    given = {"share": 1, "before": lambda assistant: [ONE], "chance": random.Random(1)} | given
    return Comparing(store, talk, router, **given)


@pytest.fixture
def twice(store: Store, talk: Conversations, router: Router) -> Comparing:
    """One that always gives two."""
    return comparing(store, talk, router)


async def heard(given: Turn | Two) -> Two:
    assert isinstance(given, Two)
    for turn in (given.first, given.second):
        async for _ in turn.pieces:
            pass
    await given.close()
    return given


def side_by_side(store: Store, text: str = "Why?", **asked: Any) -> Comparison:
    """What waits for ana's choice, the second asked after the first."""
    first = ask(store, instruction=text, response="For it is.", **asked)
    told = Exchanges(store)
    second = ask_beside(told, first.id)
    waits = choices.waiting(store, "ana", first.conversation_id)
    assert waits
    assert (waits.first, waits.second) == (first.id, second)
    return waits


def ask_beside(told: Exchanges, first: str) -> str:
    known = told.get(first)
    other = replace(known, id=new_id(), version="general@1-0badf00d")
    told.open(other, beside=choices.beside(known, other))
    told.close(
        other.id, response="Because.", finish_reason="stop", version=other.version, principal=known.principal
    )
    return other.id


async def test_two_versions_answer_and_the_chosen_answer_is_what_the_conversation_goes_on_with(
    twice: Comparing, talk: Conversations, store: Store, engine: Telling
) -> None:
    two = await heard(await twice.say(ANA, "general", "Why?", None))
    sides = two.first.exchange, two.second.exchange
    assert {one.version for one in sides} == {ONE, TWO}
    seeds = [one.sampling["seed"] for one in sides]
    assert None not in seeds
    assert len(set(seeds)) == 2
    conversation = two.exchange.conversation_id
    assert [one.id for one in talk.exchanges.conversation(conversation, "ana")] == [sides[0].id]
    ended = choices.choose(store, ANA, two.id, "second")
    assert (ended.stands, ended.first_version) == (sides[1].id, sides[0].version)
    assert [one.id for one in talk.exchanges.conversation(conversation, "ana")] == [sides[1].id]
    await heard(await twice.say(ANA, "general", "And then?", conversation))
    assert [m.content for m in engine.heard[-1] if m.role == "assistant"] == [two.second.text]
    again = await twice.again(ANA, sides[0].id)  # from a page that still shows the other one
    await again.close()
    assert [one.id for one in talk.exchanges.conversation(conversation, "ana")] == [again.exchange.id]
    assert store.check()


async def test_the_order_is_drawn_and_a_canary_answers_beside_the_live_version(
    store: Store, talk: Conversations, router: Router
) -> None:
    await router.share("general", ONE, 0.5)
    twice = comparing(store, talk, router, before=lambda assistant: [])
    told = [await heard(await twice.say(ANA, "general", "Why?", None)) for _ in range(8)]
    assert {(two.first.version, two.second.version) for two in told} == {(ONE, TWO), (TWO, ONE)}


async def test_with_one_version_two_draws_of_it_answer_unless_it_is_greedy(
    store: Store, talk: Conversations, router: Router
) -> None:
    alone = comparing(store, talk, router, before=lambda assistant: [])
    two = await heard(await alone.say(ANA, "general", "Why?", None))
    assert {two.first.version, two.second.version} == {TWO}
    assert two.first.exchange.sampling["seed"] != two.second.exchange.sampling["seed"]
    talk.sampling = Sampling(temperature=0)
    turn = await alone.say(ANA, "general", "Why?", None)
    assert isinstance(turn, Turn)
    await turn.close()


async def test_nobody_is_asked_where_the_conversation_may_not_be_learnt_from_or_the_share_is_none(
    store: Store, talk: Conversations, router: Router, twice: Comparing
) -> None:
    turns = [await twice.say(ANA, "general", "Hi", None, training=False)]
    turns.append(await twice.say(ANA, "general", "Hi", turns[0].exchange.conversation_id))
    turns.append(await comparing(store, talk, router, share=0).say(ANA, "general", "Hi", None))
    for turn in turns:
        assert isinstance(turn, Turn)
        await turn.close()
    assert store.rows("SELECT 1 FROM comparisons") == []


async def test_two_answers_cost_two_places_and_where_one_is_left_there_is_one_answer(
    twice: Comparing, talk: Conversations
) -> None:
    first = await twice.say(ANA, "general", "Why?", None)
    assert talk._running["ana"] == 2
    third = await talk.say(ANA, "general", "Why?", None)
    alone = await twice.say(ANA, "general", "Why?", None)
    assert isinstance(alone, Turn)
    for turn in (first, third, alone):
        await turn.close()
    assert talk._running["ana"] == 0
    assert talk._router.status()["in_flight"] == {}


@pytest.mark.parametrize("fault", ["same", "failed", "stopped"])
async def test_what_nobody_can_be_asked_about_is_kept_as_skipped_and_what_came_whole_stands(
    twice: Comparing, talk: Conversations, store: Store, engine: Telling, fault: str
) -> None:
    if fault == "failed":
        engine.ends[TWO] = EngineUnavailable("It broke.", "Retry.")
    engine.same = fault == "same"
    two = await twice.say(ANA, "general", "Why?", None)
    assert isinstance(two, Two)
    for turn in (two.first, two.second):
        try:
            async for _ in turn.pieces:
                if fault == "stopped":
                    break
        except EngineUnavailable:
            assert turn.version == TWO
    await asyncio.gather(two.close(), two.close())
    kept = store.rows("SELECT choice, stands, principal FROM choices")
    whole = next(turn for turn in (two.first, two.second) if turn.version == ONE)
    stands = whole if fault == "failed" else two.first
    assert kept == [{"choice": "skipped", "stands": stands.exchange.id, "principal": "hone"}]
    (shown,) = talk.exchanges.conversation(two.exchange.conversation_id, "ana")
    assert shown.id == stands.exchange.id
    assert choices.waiting(store, "ana", two.exchange.conversation_id) is None


async def test_where_no_end_can_be_kept_the_turn_ends_and_whoever_goes_on_has_skipped(
    twice: Comparing, talk: Conversations, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = await twice.say(ANA, "general", "Why?", None)
    assert isinstance(given, Two)

    def full(*_: Any, **__: Any) -> None:
        raise StoreError("The disk is full.", "Make room.")

    with monkeypatch.context() as told:
        told.setattr(talk.exchanges, "close", full)
        told.setattr(store, "decide", full)
        for turn in (given.first, given.second):
            with pytest.raises(StoreError):
                [_ async for _ in turn.pieces]
        await given.close()
    conversation = given.exchange.conversation_id
    await (await twice.say(ANA, "general", "And?", conversation)).close()
    kept = store.row("SELECT choice FROM choices WHERE comparison_id = $1", [given.id])
    assert kept == {"choice": "skipped"}


async def test_whoever_writes_on_has_skipped_and_can_choose_no_more(twice: Comparing, store: Store) -> None:
    two = await heard(await twice.say(ANA, "general", "Why?", None))
    conversation = two.exchange.conversation_id
    assert choices.waiting(store, "ana", conversation)
    await (await twice.say(BEN, "general", "Hi", None)).close()
    assert choices.waiting(store, "ana", conversation), "another's message ends nothing"
    await (await twice.say(ANA, "general", "And?", conversation)).close()
    with pytest.raises(Conflict, match="chosen already"):
        choices.choose(store, ANA, two.id, "second")


def test_a_choice_is_its_askers_own_made_once_and_names_no_version(store: Store) -> None:
    waits = side_by_side(store)
    for who in (BEN, OTTO):
        with pytest.raises(NotAllowed):
            choices.choose(store, who, waits.id, "first")
        assert choices.waiting(store, who.name, waits.conversation_id) is None
    for wrong in ("general@1-0badf00d", waits.second, "", "FIRST"):
        with pytest.raises(BadRequest):
            choices.choose(store, ANA, waits.id, wrong)
    for unknown in (new_id(), waits.first, "no id", "' OR 1=1"):
        with pytest.raises(NotFound):
            choices.choose(store, ANA, unknown, "first")
    choices.choose(store, ANA, waits.id, "second")
    choices.choose(store, ANA, waits.id, "second")
    with pytest.raises(Conflict):
        choices.choose(store, ANA, waits.id, "first")
    assert len(store.rows("SELECT 1 FROM choices")) == len(store.rows("SELECT 1 FROM preferences")) == 1


def test_until_it_is_chosen_the_answers_are_not_rated_and_their_versions_not_told(store: Store) -> None:
    waits = side_by_side(store)
    assert choices.undecided(store, "ana") == {waits.first, waits.second}
    with pytest.raises(Conflict, match="wait for your choice"):
        ratings.rate(store, ANA, waits.first, rating="up")
    choices.choose(store, ANA, waits.id, "tie")
    assert choices.undecided(store, "ana") == set()
    assert ratings.rate(store, ANA, waits.first, rating="up").rating == "up"


def test_what_was_chosen_is_exported_with_what_it_was_chosen_over_and_a_draw_is_not(store: Store) -> None:
    chosen, even = side_by_side(store, "Why?"), side_by_side(store, "How?")
    choices.choose(store, ANA, chosen.id, "second")
    choices.choose(store, ANA, even.id, "neither")
    (row,) = preferences.compared(store, "general")
    assert (row.messages[-1].content, row.response, row.rejected) == ("Why?", "Because.", "For it is.")
    allow(store, ANA, chosen.conversation_id, training=False)
    assert list(preferences.compared(store, "general")) == []


@pytest.mark.parametrize("side", ["first", "second"])
def test_erasing_one_of_the_two_takes_the_other_and_leaves_the_count(
    store: Store, tmp_path: Path, side: str
) -> None:
    waits = side_by_side(store, "My secret question")
    choices.choose(store, ANA, waits.id, "second")
    meant = reach.of(store, "exchange", getattr(waits, side), ANA)
    assert set(meant.exchanges) == {waits.first, waits.second}
    erase(store, tmp_path, ANA, "exchange", getattr(waits, side))
    assert store.row("SELECT 1 FROM answers WHERE response <> ''") is None
    assert list(preferences.compared(store, "general")) == []
    (pair,) = tallies.tallies(store, "general")
    assert (pair["version"], pair["wins"]) == ("general@1-0badf00d", 1)


def test_an_erased_comparison_can_be_chosen_in_no_more(store: Store, tmp_path: Path) -> None:
    waits = side_by_side(store)
    erase(store, tmp_path, ANA, "exchange", waits.second)
    assert choices.waiting(store, "ana", waits.conversation_id) is None
    with pytest.raises(Conflict, match="not there"):
        choices.choose(store, ANA, waits.id, "first")


def test_wins_draws_and_losses_are_counted_by_pair_of_versions(store: Store) -> None:
    for choice in ("first", "second", "second", "second", "tie", "neither", "skipped"):
        choices.choose(store, ANA, side_by_side(store).id, choice)
    (pair,) = tallies.tallies(store, "general")
    counts = {name: pair[name] for name in ("wins", "ties", "losses", "neither", "skipped")}
    assert counts == {"wins": 3, "ties": 1, "losses": 1, "neither": 1, "skipped": 1}
    assert (pair["version"], pair["other"], pair["share"]) == ("general@1-0badf00d", "general@0", 4 / 6)
    assert 0 < float(str(pair["low"])) < 0.5 < 4 / 6 < float(str(pair["high"])) < 1
    assert tallies.interval(0, 0) == (0.5, 0.0, 1.0)
    assert tallies.tallies(store, "other") == []


def test_a_thumb_on_what_was_chosen_of_two_says_nothing_for_a_canary(store: Store) -> None:
    waits = side_by_side(store)
    choices.choose(store, ANA, waits.id, "second")
    plain = ask(store, BEN)
    for who, exchange in ((ANA, waits.second), (BEN, plain.id)):
        ratings.rate(store, who, exchange, rating="up")
    thumbs = Rollouts(store).thumbs("general", plain.at.replace(year=2000))
    assert [thumb.user for thumb in thumbs] == ["ben"]


def test_what_was_chosen_outlives_what_nobody_rated(store: Store) -> None:
    chosen, even = side_by_side(store), side_by_side(store)
    choices.choose(store, ANA, chosen.id, "first")
    choices.choose(store, ANA, even.id, "tie")
    assert retention.forget_unrated(store, -1) == 2
    assert [row.response for row in preferences.compared(store, "general")] == ["For it is."]
    assert len(json.dumps(tallies.tallies(store, "general"))) > 2
