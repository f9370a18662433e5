"""What is kept of finished rows: found again by the same version and owner only, and bounded in bytes."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tiny_engine import ask, at_rest, gauges, make_adapter, make_model, open_model, reference_tokens, tokens

from feedback.records import Message
from serve.engine import assembly
from serve.engine.asking import Ask, Drawing
from serve.engine.engine import Engine, Limits
from serve.engine.lean import LeanNetwork
from serve.engine.network import Kept
from serve.engine.prefixes import SHORTEST, Prefixes
from serve.engine.whole import WholeNetwork

LONG = list(range(100))


def kept(length: int, size: int = 10) -> Kept:
    return Kept(length, size, object())


# The store


def test_the_longest_shared_beginning_is_found_and_one_token_is_left_to_read() -> None:
    prefixes = Prefixes(100)
    short, long = kept(40), kept(60)
    prefixes.keep("v", "ann", [*LONG[:35], 7, 7, 7, 7, 7], short)
    prefixes.keep("v", "ann", LONG[:60], long)
    assert prefixes.find("v", "ann", LONG) == (long, 60)
    assert prefixes.find("v", "ann", LONG[:60]) == (long, 59)
    assert prefixes.find("v", "ann", [*LONG[:35], 7, 7, 7]) == (short, 37)
    assert prefixes.find("v", "ann", [*LONG[:45], 3, 3]) == (long, 45)


def test_only_what_was_read_counts_as_remembered() -> None:
    prefixes = Prefixes(100)
    memory = kept(50)
    prefixes.keep("v", "ann", LONG, memory)
    assert prefixes.find("v", "ann", LONG) == (memory, 50)


def test_a_beginning_too_short_to_be_worth_it_is_not_used() -> None:
    prefixes = Prefixes(100)
    prefixes.keep("v", "ann", LONG, kept(100))
    assert prefixes.find("v", "ann", [*LONG[: SHORTEST - 1], 1, 1, 1]) is None
    assert prefixes.find("v", "ann", [*LONG[:SHORTEST], 1, 1, 1]) is not None
    assert not prefixes.wants("ann", SHORTEST - 1)
    assert prefixes.wants("ann", SHORTEST)


@pytest.mark.parametrize(("version", "owner"), [("w", "ann"), ("base", "ann"), ("v", "bob"), ("v", "")])
def test_another_version_or_owner_finds_nothing(version: str, owner: str) -> None:
    prefixes = Prefixes(100)
    prefixes.keep("v", "ann", LONG, kept(100))
    assert prefixes.find(version, owner, LONG) is None


def test_without_an_owner_or_without_room_nothing_is_wanted() -> None:
    assert not Prefixes(100).wants("", 1000)
    assert not Prefixes(0).wants("ann", 1000)


def test_going_on_replaces_what_it_goes_on_from() -> None:
    prefixes = Prefixes(100)
    prefixes.keep("v", "ann", LONG[:50], kept(50))
    prefixes.keep("v", "ann", LONG[:80], kept(80))
    assert (len(prefixes), prefixes.size) == (1, 10)
    prefixes.keep("v", "ann", [*LONG[:60], *LONG[:20]], kept(80))
    assert len(prefixes) == 2
    prefixes.keep("v", "bob", LONG, kept(100))
    prefixes.keep("w", "ann", LONG, kept(100))
    assert len(prefixes) == 4


def test_the_least_lately_used_go_first_where_the_limit_is_passed() -> None:
    prefixes = Prefixes(30)
    for first in range(3):
        prefixes.keep("v", "ann", [first, *LONG], kept(101))
    assert prefixes.find("v", "ann", [0, *LONG]) is not None
    prefixes.keep("v", "ann", [3, *LONG], kept(101, size=15))
    found = [prefixes.find("v", "ann", [first, *LONG]) is not None for first in range(4)]
    assert found == [True, False, False, True]
    assert prefixes.size == 25


def test_what_is_larger_than_the_limit_is_not_kept_and_drives_nothing_out() -> None:
    prefixes = Prefixes(30)
    prefixes.keep("v", "ann", LONG, kept(100))
    prefixes.keep("v", "ann", [9, *LONG], kept(101, size=31))
    assert (len(prefixes), prefixes.size) == (1, 10)


def test_forgetting_an_owner_and_dropping_a_version_take_theirs_and_no_others() -> None:
    prefixes = Prefixes(1000)
    for version in ("v", "w"):
        for owner in ("ann", "bob"):
            prefixes.keep(version, owner, LONG, kept(100))
    assert prefixes.forget("ann") == 2
    assert prefixes.forget("ann") == 0
    prefixes.drop("v")
    assert (len(prefixes), prefixes.size) == (1, 10)
    assert prefixes.find("w", "bob", LONG) is not None
    assert prefixes.find("v", "bob", LONG) is None


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_the_bytes_are_those_that_are_kept_and_within_the_limit(seed: int) -> None:
    chance, prefixes = random.Random(seed), Prefixes(200)
    said: dict[tuple[str, str], set[tuple[int, ...]]] = {}
    for _ in range(600):
        version, owner = chance.choice("vwx"), chance.choice("abc")
        ids = [chance.randrange(2) for _ in range(3)] + LONG[: chance.randrange(SHORTEST, 60)]
        match chance.randrange(10):
            case 0:
                prefixes.forget(owner)
                said = {key: ids for key, ids in said.items() if key[1] != owner}
            case 1:
                prefixes.drop(version)
                said = {key: ids for key, ids in said.items() if key[0] != version}
            case 2 | 3 | 4:
                prefixes.keep(version, owner, ids, kept(len(ids), chance.randrange(1, 250)))
                said.setdefault((version, owner), set()).add(tuple(ids))
            case _:
                found = prefixes.find(version, owner, ids)
                if found is not None:
                    memory, length = found
                    assert SHORTEST <= length < len(ids)
                    assert length <= memory.length
                    assert any(told[:length] == tuple(ids[:length]) for told in said[version, owner])
        everything = [prefix.kept.size for prefix in prefixes._all.values()]
        assert prefixes.size == sum(everything) <= 200
        assert len(prefixes) == len(everything) == sum(map(len, prefixes._owned.values()))


# In the engine, on both forward passes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(params=["lean", "whole"])
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    if request.param == "whole":
        monkeypatch.setattr(assembly, "fits", lambda config: False)
    return {"lean": LeanNetwork, "whole": WholeNetwork}[request.param]


@pytest.fixture
async def engine(folder: Path, tmp_path: Path, network: type) -> AsyncIterator[Engine]:
    engine = Engine(open_model(folder, tmp_path), Limits(slots=2, queue=8)).start()
    assert type(engine.model.network) is network
    yield engine
    await at_rest(engine)
    engine.close()


def turn(*said: str, version: str = "base", owner: str = "ann") -> Ask:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[i % 2], text) for i, text in enumerate(said))
    return Ask(version, messages, Drawing(temperature=0, max_tokens=20), top_logprobs=0, owner=owner)


FIRST = "Tell me a story, please, about a river and a bridge."


async def test_a_second_turn_reads_only_what_is_new_and_says_what_a_fresh_one_would(
    engine: Engine, folder: Path
) -> None:
    ids, ended = await tokens(engine, turn(FIRST))
    assert ended.cached_tokens == 0
    assert gauges(engine)["prefixes"] == 1
    assert gauges(engine)["prefix_bytes"] > 0
    again = turn(FIRST, engine._spelling.text(ids), "And then?")
    said, second = await tokens(engine, again)
    assert second.cached_tokens >= ended.prompt_tokens
    assert said == reference_tokens(engine.model, folder, again)
    assert b"prefix_cache_hits_total %d.0" % second.cached_tokens in engine.metrics.text()


async def test_a_conversation_that_was_edited_goes_on_from_where_it_is_the_same(
    engine: Engine, folder: Path
) -> None:
    ids, ended = await tokens(engine, turn(FIRST))
    edited = turn(FIRST, "No story today.", "Why not?")
    said, second = await tokens(engine, edited)
    assert 0 < second.cached_tokens < ended.prompt_tokens + len(ids)
    assert said == reference_tokens(engine.model, folder, edited)
    # What was kept before the edit is as good as it was.
    said, third = await tokens(engine, turn(FIRST))
    assert (said, third.cached_tokens) == (ids, ended.prompt_tokens - 1)


async def test_nobody_goes_on_from_anothers_conversation_or_anothers_version(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    await engine.load("v", adapter)
    await tokens(engine, turn(FIRST))
    for other in (turn(FIRST, owner="bob"), turn(FIRST, owner=""), turn(FIRST, version="v")):
        ids, ended = await tokens(engine, other)
        assert ended.cached_tokens == 0
        path = adapter if other.version == "v" else None
        assert ids == reference_tokens(engine.model, folder, other, path)
    assert gauges(engine)["prefixes"] == 3


async def test_what_is_forgotten_or_goes_with_its_version_is_not_used_again(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    await engine.load("v", make_adapter(folder, tmp_path / "one", seed=1))
    for asked in (turn(FIRST), turn(FIRST, version="v"), turn(FIRST, owner="bob")):
        await tokens(engine, asked)
    await engine.unload("v")
    assert await engine.forget("bob") == 1
    assert gauges(engine)["prefixes"] == 1
    assert await engine.forget("ann") == 1
    assert await engine.forget("ann") == 0
    assert (gauges(engine)["prefixes"], gauges(engine)["prefix_bytes"]) == (0, 0)
    _, ended = await tokens(engine, turn(FIRST))
    assert ended.cached_tokens == 0


async def test_the_scores_of_a_prompt_are_complete_although_its_prefix_is_kept(engine: Engine) -> None:
    await tokens(engine, turn(FIRST))
    asked = ask(FIRST, owner="ann", prompt_logprobs=True, top_logprobs=0, max_tokens=2)
    _, ended = await tokens(engine, asked)
    assert ended.cached_tokens == 0
    assert len(ended.prompt) >= ended.prompt_tokens - 1


async def test_a_cancelled_answer_leaves_what_it_has_read(engine: Engine, folder: Path) -> None:
    stream = await engine.generate(turn(FIRST))
    async for _ in stream:
        break
    stream.cancel()
    await at_rest(engine)
    ids, ended = await tokens(engine, turn(FIRST))
    assert ended.cached_tokens == ended.prompt_tokens - 1
    assert ids == reference_tokens(engine.model, folder, turn(FIRST))


async def test_little_room_keeps_little(folder: Path, tmp_path: Path) -> None:
    engine = Engine(open_model(folder, tmp_path), Limits(prefix_bytes=100_000)).start()
    try:
        for owner in range(20):
            await tokens(engine, turn(FIRST, owner=str(owner)))
        assert 0 < gauges(engine)["prefix_bytes"] <= 100_000
        assert gauges(engine)["prefixes"] < 20
        await engine.forget("19")
        _, ended = await tokens(engine, turn(FIRST, owner="0"))
        assert ended.cached_tokens == 0
    finally:
        engine.close()
