"""A turn is on record before its first word and closed however it ends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feedback import imports
from feedback.assistants import Assistants
from feedback.errors import (
    BadRequest,
    EngineBusy,
    EngineUnavailable,
    NotAllowed,
    NotFound,
    PromptTooLong,
    UnknownVersion,
)
from feedback.exchanges import Exchanges
from feedback.records import Assistant, Message, Principal, Role, Sampling
from feedback.store import Store
from serve.conversation import Conversations, Turn
from serve.engines.base import HttpEngine, Piece
from serve.router import Router

MINA = Principal("mina", Role.USER)
OTTO = Principal("otto", Role.OPERATOR)


class ScriptedEngine(HttpEngine):
    """Speaks the pieces it was given, then ends as it was told: a finish reason, or an error to raise."""

    def __init__(self) -> None:
        super().__init__("secret", url="http://engine")
        self.script: list[str] = ["Hel", "lo"]
        self.end: str | Exception = "stop"
        self.heard: list[list[Message]] = []
        self.cancelled = 0

    async def models(self) -> list[dict[str, Any]]:
        return [{"id": "base"}]

    async def stream(
        self, version: str, messages: Any, sampling: Any, *, priority: int = 0, owner: str = ""
    ) -> AsyncIterator[Piece]:
        self.heard.append(list(messages))
        try:
            for text in self.script:
                yield Piece(text)
                await asyncio.sleep(0)
            if isinstance(self.end, Exception):
                raise self.end
            yield Piece("", self.end, 7, len(self.script))
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled += 1
            raise


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def talk(store: Store, engine: ScriptedEngine, tmp_path: Path) -> Conversations:
    router = Router(engine, tmp_path / "desired.json")
    return Conversations(
        Exchanges(store), Assistants(store), router, sampling=Sampling(), max_prompt_chars=1000, max_running=4
    )


async def hear(turn: Turn) -> str:
    return "".join([piece async for piece in turn.pieces])


async def test_the_row_is_there_before_the_first_word_and_closed_at_the_end(
    talk: Conversations, store: Store
) -> None:
    turn = await talk.say(MINA, "general", "Hi", None)
    begun = talk.exchanges.get(turn.exchange.id)
    assert (begun.response, begun.principal, begun.version) == (None, "mina", "general@0")
    assert await hear(turn) == "Hello"
    ended = talk.exchanges.get(turn.exchange.id)
    assert (ended.response, ended.finish_reason) == ("Hello", "stop")


async def test_what_is_kept_from_training_is_so_before_its_first_row(
    talk: Conversations, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("feedback.exchanges.as_row", die)
    with pytest.raises(RuntimeError, match="killed"):
        await talk.say(MINA, "general", "Hi", None, training=False)
    monkeypatch.undo()
    assert talk.exchanges.conversations("mina") == []
    await (await talk.say(MINA, "general", "Hi", None, training=False)).close()
    (begun,) = talk.exchanges.conversations("mina")
    assert begun["training"] is False
    turn = await talk.say(MINA, "general", "Hi", begun["id"])
    await turn.close()
    assert store.rows("SELECT training FROM exchange_state") == [{"training": False}] * 2


async def test_the_next_turn_hears_the_system_prompt_and_what_was_said_before(
    talk: Conversations, engine: ScriptedEngine
) -> None:
    talk.assistants.add(Assistant("legal", system_prompt="Be brief."), "otto")
    first = await talk.say(MINA, "legal", "One", None)
    await hear(first)
    await hear(await talk.say(MINA, "legal", "Two", first.exchange.conversation_id))
    assert [(m.role, m.content) for m in engine.heard[-1]] == [
        ("system", "Be brief."),
        ("user", "One"),
        ("assistant", "Hello"),
        ("user", "Two"),
    ]


async def test_a_stopped_turn_keeps_what_was_said_and_stops_the_engine(
    talk: Conversations, engine: ScriptedEngine
) -> None:
    turn = await talk.say(MINA, "general", "Hi", None)
    async for _ in turn.pieces:
        break
    await turn.close()
    kept = talk.exchanges.get(turn.exchange.id)
    assert (kept.response, kept.finish_reason, engine.cancelled) == ("Hel", "stopped", 1)


async def test_a_turn_that_nobody_listened_to_is_closed_and_lets_its_version_go(talk: Conversations) -> None:
    turn = await talk.say(MINA, "general", "Hi", None)
    await turn.close()
    assert talk.exchanges.get(turn.exchange.id).finish_reason == "stopped"
    assert talk._router.status()["in_flight"] == {}


async def test_a_cancelled_task_still_closes_its_row(talk: Conversations, engine: ScriptedEngine) -> None:
    engine.script = ["word "] * 10_000
    turn = await talk.say(MINA, "general", "Hi", None)
    listening = asyncio.create_task(hear(turn))
    await asyncio.sleep(0.01)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await asyncio.sleep(0.1)
    assert talk.exchanges.get(turn.exchange.id).finish_reason == "stopped"


@pytest.mark.parametrize(("script", "reason"), [(["Hel"], "cut"), ([], "error")])
async def test_a_failing_engine_is_told_and_recorded(
    talk: Conversations, engine: ScriptedEngine, script: list[str], reason: str
) -> None:
    engine.script, engine.end = script, EngineUnavailable("The engine stopped.", "Retry.")
    turn = await talk.say(MINA, "general", "Hi", None)
    with pytest.raises(EngineUnavailable):
        await hear(turn)
    kept = talk.exchanges.get(turn.exchange.id)
    assert (kept.response, kept.finish_reason) == ("".join(script), reason)


async def test_asking_again_replaces_the_exchange_and_all_after_it(
    talk: Conversations, engine: ScriptedEngine
) -> None:
    first = await talk.say(MINA, "general", "One", None)
    await hear(first)
    conversation = first.exchange.conversation_id
    await hear(await talk.say(MINA, "general", "Two", conversation))
    again = await talk.again(MINA, first.exchange.id, "One, please")
    await hear(again)
    assert [m.content for m in engine.heard[-1] if m.role != "system"] == ["One, please"]
    assert [e.instruction for e in talk.exchanges.conversation(conversation, "mina")] == ["One, please"]


async def test_asking_again_goes_by_the_place_in_the_line_not_by_the_clock(
    talk: Conversations, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await talk.say(MINA, "general", "One", None)
    await hear(first)
    monkeypatch.setattr("serve.conversation.now", lambda: first.exchange.at - timedelta(hours=1))
    second = await talk.say(MINA, "general", "Two", first.exchange.conversation_id)
    await hear(second)
    for old, said in ((second, ["One", "Hello", "Two"]), (second, ["One", "Hello", "Two"]), (first, ["One"])):
        await hear(await talk.again(MINA, old.exchange.id))
        assert [m.content for m in engine.heard[-1] if m.role != "system"] == said


async def test_nobody_continues_or_repeats_what_is_not_theirs(talk: Conversations) -> None:
    turn = await talk.say(MINA, "general", "Hi", None)
    await hear(turn)
    other = Principal("eve", Role.ADMIN)
    with pytest.raises(NotAllowed):
        await talk.say(other, "general", "Hi", turn.exchange.conversation_id)
    with pytest.raises(NotAllowed):
        await talk.again(other, turn.exchange.id)


async def test_what_cannot_be_asked_is_refused_and_leaves_no_row(talk: Conversations, store: Store) -> None:
    with pytest.raises(BadRequest, match="empty"):
        await talk.say(MINA, "general", " \n ", None)
    with pytest.raises(PromptTooLong, match="1,001 characters"):
        await talk.say(MINA, "general", "x" * 1001, None)
    with pytest.raises(NotFound):
        await talk.say(MINA, "nobody", "Hi", None)
    with pytest.raises(NotAllowed):
        await talk.begin(MINA, "general", (), "Hi", conversation_id=None, begins=True, version="general@0")
    gone = "general@9-0badbeef"
    with pytest.raises(UnknownVersion):
        await talk.begin(OTTO, "general", (), "Hi", conversation_id=None, begins=True, version=gone)
    assert store.rows("SELECT 1 FROM exchanges", []) == []
    assert store.rows("SELECT 1 FROM conversations", []) == []


async def test_a_chat_that_is_too_long_as_a_whole_leaves_no_row(talk: Conversations, store: Store) -> None:
    """All of it is kept with each turn, also of those that the engine refuses."""
    said = [Message("user" if place % 2 == 0 else "assistant", "x" * 100) for place in range(10)]
    conversation = talk.exchanges.begin_conversation("mina", "general", "Hi")
    for _ in range(3):
        with pytest.raises(PromptTooLong, match="chat has 1,002 characters; the limit is 1,000"):
            await talk.begin(MINA, "general", said, "Hi", conversation_id=conversation, source="api")
    assert store.rows("SELECT 1 FROM exchanges", []) == []
    await (await talk.begin(MINA, "general", said[2:], "Hi", conversation_id=conversation)).close()


async def test_one_person_cannot_fill_the_engine_alone(talk: Conversations) -> None:
    turns = [await talk.say(MINA, "general", f"Question {number}", None) for number in range(4)]
    with pytest.raises(EngineBusy, match="4 of your answers are running"):
        await talk.say(MINA, "general", "One more", None)
    assert len(talk.exchanges.conversations("mina")) == 4
    await (await talk.say(Principal("ned", Role.USER), "general", "Mine", None)).close()
    await turns[0].close()
    await (await talk.say(MINA, "general", "Now", None)).close()
    for turn in turns:
        await turn.close()


async def test_knowing_the_id_of_an_imported_conversation_does_not_make_it_yours(
    talk: Conversations, store: Store
) -> None:
    rows = imports.read('{"instruction": "A", "input": "", "output": "B"}')
    imports.save(store, OTTO, "general", rows, approve=True)
    taken = store.rows("SELECT conversation_id FROM exchanges")[0]["conversation_id"]
    with pytest.raises(NotAllowed):
        await talk.begin(MINA, "general", (), "Hi", conversation_id=taken, begins=True)
    with pytest.raises(NotFound):
        await talk.say(MINA, "general", "Hi", taken)
    assert store.rows("SELECT owner FROM exchange_state")[0]["owner"] == "otto"
