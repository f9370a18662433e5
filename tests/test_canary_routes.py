"""A conversation on the canary stays there, over stages, restarts and whatever its author tries."""

import asyncio
from pathlib import Path

import pytest
from test_conversation import MINA, OTTO
from test_router import ONE, TWO, ListEngine

from feedback.assistants import Assistants
from feedback.errors import BadAdapter, Conflict, UnknownVersion
from feedback.exchanges import Exchanges
from feedback.records import Sampling, new_id
from feedback.store import Store
from serve.conversation import Conversations
from serve.router import Router

MANY = [new_id() for _ in range(2000)]


@pytest.fixture
def engine() -> ListEngine:
    return ListEngine()


async def on_the_way(engine: ListEngine, folder: Path) -> Router:
    """A router whose live version is ONE and which holds TWO as well."""
    router = Router(engine, folder / "desired.json", secret="of this home")
    await router.load(ONE, Path("/one"))
    await router.route("general", ONE)
    await router.load(TWO, Path("/two"))
    return router


def canaries(router: Router) -> set[str]:
    return {conversation for conversation in MANY if router.chosen("general", conversation) == TWO}


async def test_who_was_on_it_at_5_percent_is_on_it_at_25_and_50_and_after_a_restart(
    engine: ListEngine, tmp_path: Path
) -> None:
    router = await on_the_way(engine, tmp_path)
    before: set[str] = set()
    for share in (0.05, 0.25, 0.5):
        await router.share("general", TWO, share)
        now = canaries(router)
        assert before <= now
        assert abs(len(now) / len(MANY) - share) < 0.06
        again = Router(engine, tmp_path / "desired.json", secret="of this home")
        assert canaries(again) == now
        before = now
    await router.share("general", "", 0)
    assert canaries(router) == canaries(Router(engine, tmp_path / "desired.json")) == set()


async def test_another_homes_secret_draws_others_so_no_list_of_ids_helps(
    engine: ListEngine, tmp_path: Path
) -> None:
    router = await on_the_way(engine, tmp_path)
    await router.share("general", TWO, 0.25)
    found = canaries(router)
    for other in (Router(engine, tmp_path / "desired.json", secret=secret) for secret in ("theirs", "")):
        common = len(found & canaries(other)) / len(found)
        assert common < 0.4  # a quarter by accident


async def test_another_assistant_and_requests_outside_a_conversation_are_on_no_canary(
    engine: ListEngine, tmp_path: Path
) -> None:
    router = await on_the_way(engine, tmp_path)
    await router.share("general", TWO, 1.0)
    with router.admitted("general", conversation_id=MANY[0]) as pinned:
        assert pinned == TWO
    with router.admitted("general") as pinned:
        assert pinned == ONE
    with router.admitted("legal", conversation_id=MANY[0]) as pinned:
        assert pinned == "legal@0"


async def test_a_canary_takes_traffic_only_once_loaded_and_is_not_unloaded_under_it(
    engine: ListEngine, tmp_path: Path
) -> None:
    router = await on_the_way(engine, tmp_path)
    with pytest.raises(UnknownVersion):
        await router.share("general", "general@9-dddddddd", 0.05)
    await router.share("general", TWO, 0.05)
    with pytest.raises(Conflict, match="is a canary"):
        await router.unload(TWO)


async def test_a_canary_that_the_engine_refuses_leaves_its_conversations_to_the_live_version(
    engine: ListEngine, tmp_path: Path
) -> None:
    router = await on_the_way(engine, tmp_path)
    await router.share("general", TWO, 1.0)
    engine.held.clear()
    engine.bad.add(TWO)
    await router.reconcile()
    assert TWO in router.refused
    assert router.chosen("general", MANY[0]) == ONE
    engine.bad.clear()
    await router.reconcile()
    assert router.chosen("general", MANY[0]) == TWO
    assert not isinstance(router.refused.get(TWO), BadAdapter)


async def test_a_canary_that_ends_drops_no_running_answer(engine: ListEngine, tmp_path: Path) -> None:
    router = await on_the_way(engine, tmp_path)
    await router.share("general", TWO, 1.0)
    with router.admitted("general", conversation_id=MANY[0]) as pinned:
        await router.share("general", "", 0)
        unloading = asyncio.create_task(router.unload(TWO))
        await asyncio.sleep(0)
        assert (pinned, TWO in engine.held) == (TWO, True)
        with router.admitted("general", conversation_id=MANY[0]) as after:
            assert after == ONE
    await unloading
    assert TWO not in engine.held


async def test_every_turn_of_a_conversation_gets_the_version_that_its_lot_says(
    store: Store, engine: ListEngine, tmp_path: Path
) -> None:
    router = await on_the_way(engine, tmp_path)
    await router.share("general", TWO, 0.5)
    parts = (Exchanges(store), Assistants(store), router)
    talk = Conversations(*parts, sampling=Sampling(), max_prompt_chars=1000, max_running=4)
    seen = set()
    for _ in range(12):
        conversation = None
        versions = set()
        for _ in range(3):
            turn = await talk.say(MINA, "general", "Hi", conversation)
            await turn.close()
            conversation = turn.exchange.conversation_id
            versions.add(turn.version)
        assert versions == {router.chosen("general", conversation or "")}
        seen |= versions
    assert seen == {ONE, TWO}  # 1 in 2,000 it is not
    named = await talk.begin(
        *(OTTO, "general", [], "Hi"),
        conversation_id=None,
        begins=True,
        version=ONE,
    )
    await named.close()
    assert named.version == ONE
