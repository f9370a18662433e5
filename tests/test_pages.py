"""The pages' handlers: each names its role, believes nothing of the browser, and fails in sentences."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Mount
from stories import ANA, BEN, OTTO, RITA, ask, new_store
from test_conversation import ScriptedEngine

from feedback import claims, disputes, queue
from feedback.accounts import Accounts, first_admin
from feedback.assistants import Assistants
from feedback.errors import EngineUnavailable, StoreError
from feedback.exchanges import Exchanges
from feedback.policy import Policy
from feedback.ratings import rate
from feedback.records import Principal, Role, Sampling
from feedback.review import Verdict, pending, review
from feedback.screen import Policy as Screening
from feedback.store import Store
from serve.comparing import Comparing
from serve.conversation import Conversations
from serve.engines.base import Piece
from serve.identity import COOKIE, Identity
from serve.pages import cards
from serve.pages.conversations import Lines
from serve.pages.desk import Desk
from serve.pages.frame import PAGES, build_pages, mount
from serve.pages.handlers import Guard
from serve.pages.quality import Quality
from serve.pages.rating import Rating
from serve.pages.thrift import Grown, OneState
from serve.pages.turns import Turns
from serve.parts import Parts
from serve.router import Router

PEOPLE = (ANA, BEN, RITA, OTTO)
ADMIN = Principal("admin", Role.ADMIN)


@dataclass
class World:
    """Everything the pages are given, on a real store and a scripted engine, with people signed in."""

    parts: Parts
    engine: ScriptedEngine
    guard: Guard
    tokens: dict[str, str]

    def call(self, handler: Callable[..., Any], who: Principal, *values: Any, korean: bool = False) -> Any:
        """A handler as Gradio calls it: the request first, then what the browser sent."""
        cookies = {COOKIE: self.tokens[who.name]} | ({"lang": "ko"} if korean else {})
        return self.guard(handler)(SimpleNamespace(headers={}, cookies=cookies), *values)

    async def send(self, who: Principal, text: str, conversation: str = "", editing: str = "") -> list[Any]:
        views = self.call(Turns(self.parts).send, who, text, "general", conversation, editing, True, False)
        return [view async for view in views]

    def line(self, who: Principal) -> list[Any]:
        newest = self.parts.exchanges.conversations(who.name)[0]
        return self.parts.exchanges.conversation(str(newest["id"]), who.name)


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, dict[str, str]]]:
    """One store with its people for all tests here: hashing a password takes a moment, and is meant to."""
    store = new_store(tmp_path_factory.mktemp("pages") / "hone.duckdb")
    admin, _ = first_admin(store)
    accounts = Accounts(store)
    for person in PEOPLE:
        accounts.add(admin, person.name, person.role, "a long password")
    yield store, {person.name: accounts.open_session(person, 1) for person in PEOPLE}
    store.close()


@pytest.fixture
def world(signed_in: tuple[Store, dict[str, str]], tmp_path: Path) -> World:
    store, tokens = signed_in
    engine = ScriptedEngine()
    router = Router(engine, tmp_path / "desired.json")
    accounts, assistants, exchanges = Accounts(store), Assistants(store), Exchanges(store)
    identity = Identity(accounts, token="t" * 43, anyone=None, session_days=1)
    talk = Conversations(
        exchanges, assistants, router, sampling=Sampling(), max_prompt_chars=1000, max_running=4
    )
    comparing = Comparing(store, talk, router, share=0)
    idle: Any = SimpleNamespace(state="ready", restarts=0, trouble="", facts={})
    parts = Parts(store, accounts, assistants, exchanges, identity, router, idle, talk, comparing, idle, idle)
    return World(parts, engine, Guard(identity), tokens)


def message(exchange_id: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": "what I was told", "metadata": {"id": exchange_id}}]


def text_of(shown: dict[str, Any]) -> str:
    return "".join(part["text"] for part in shown["content"])


def thumb(liked: bool | str) -> Any:
    return SimpleNamespace(index=0, liked=liked)


@pytest.mark.parametrize(("name", "role"), [(name, role) for name, role, _ in PAGES])
def test_every_handler_of_a_page_needs_the_pages_role(world: World, name: str, role: Role) -> None:
    called = [fn.fn for fn in build_pages(world.parts)[name].fns.values() if fn.fn is not None]
    assert len(called) > 5
    for handler in called:
        assert handler.role.covers(role), handler.__name__


@pytest.mark.parametrize("name", [name for name, _, _ in PAGES])
def test_what_scripts_and_styles_find_by_its_name_is_there_once(world: World, name: str) -> None:
    named = Counter(
        block.elem_id for block in build_pages(world.parts)[name].blocks.values() if block.elem_id
    )
    assert {elem_id for elem_id, times in named.items() if times > 1} == set()
    assert "catch-up" in named


async def test_a_handler_is_closed_to_whoever_lacks_its_role(world: World) -> None:
    exchange = rate(world.parts.store, ANA, ask(world.parts.store).id, rating="down")
    with pytest.raises(gr.Error, match="role reviewer; yours is user"):
        await world.call(Desk(world.parts).reject, ANA, exchange.id, "", "", "pending", "", 50)
    with pytest.raises(gr.Error, match="not signed in"):
        await world.guard(Desk(world.parts).load)(
            SimpleNamespace(headers={}, cookies={}), "", "pending", "", 50
        )
    assert world.parts.exchanges.get(exchange.id).state == "pending"


async def test_an_answer_is_shown_with_its_version_and_stored_without(world: World) -> None:
    views = await world.send(ANA, "Say hello")
    (exchange,) = world.line(ANA)
    shown = views[-1][0].value[-1]
    assert exchange.response == "Hello"
    assert text_of(shown) == "Hello\n\n<sub>general@0</sub>"
    assert shown["metadata"]["id"] == exchange.id
    assert views[0][5] == exchange.conversation_id


async def test_a_conversation_says_that_it_is_nearly_full_before_it_is_refused(world: World) -> None:
    world.engine.script = ["word " * 60]
    (*_, (chat, *_)) = await world.send(ANA, "Talk")
    (exchange,) = world.line(ANA)
    assert "⚠" not in text_of(chat.value[-1])
    (*_, (chat, *_)) = await world.send(ANA, "x" * 500, exchange.conversation_id)
    assert text_of(chat.value[-1]).endswith(
        "100% of what this conversation can hold is used; begin a new one soon</sub>"
    )
    with pytest.raises(gr.Error, match=r"limit is 1,000\. Begin a new conversation"):
        await world.send(ANA, "And now?", exchange.conversation_id)


async def test_the_conversation_that_is_spoken_in_again_is_the_first_of_the_list(world: World) -> None:
    names = []
    for text in ("First", "Second"):
        views = await world.send(ANA, text)
        names.append(views[0][5])
    first, second = names
    views = await world.send(ANA, "Again", first)
    listed = views[0][6]
    assert [identity for _, identity in listed.choices[:2]] == [first, second]
    assert listed.value == first


async def test_an_end_that_the_disk_refused_is_not_shown_as_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **more: Any) -> None:
        raise StoreError("The disk is full.", "Make room.")

    monkeypatch.setattr(world.parts.exchanges, "close", full)
    (*_, (chat, *_)) = await world.send(ANA, "Say hello")
    shown = text_of(chat.value[-1])
    assert "The disk is full." in shown
    assert "Hello" not in shown
    assert "still being answered" in shown


async def test_of_two_answers_one_whose_end_the_disk_refused_is_not_shown_as_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, refused = world.parts.exchanges.close, []

    async def seeded(version: str, messages: Any, sampling: Sampling, **_: Any) -> Any:
        yield Piece(f"Of seed {sampling.seed}.")
        yield Piece("", "stop", 7, 1)

    def full(exchange_id: str, **told: Any) -> None:
        if world.parts.store.row("SELECT 1 FROM comparisons WHERE first = $1", [exchange_id]):
            refused.append(told["response"])
            raise StoreError("The disk is full.", "Make room.")
        close(exchange_id, **told)

    monkeypatch.setattr(world.engine, "stream", seeded)
    monkeypatch.setattr(world.parts.exchanges, "close", full)
    monkeypatch.setattr(world.parts.comparing, "_share", 1.0)
    (*_, (chat, *_)) = await world.send(ANA, "Say hello")
    (kept,) = world.line(ANA)
    assert world.parts.store.rows("SELECT choice FROM choices") == [{"choice": "skipped"}]
    shown = text_of(chat.value[-1])
    assert len(refused) == 1
    assert refused[0] not in shown
    assert kept.response in shown


def test_room_is_left_for_an_answer(world: World) -> None:
    assert world.parts.most_tokens == 0
    world.parts.supervisor.facts = {"max_context": 4096}
    assert world.parts.most_tokens == 4096 - 512
    world.parts.supervisor.facts = {"max_context": 500}
    assert world.parts.most_tokens == 1


async def test_an_engines_trouble_is_a_notice_and_never_an_answer(world: World) -> None:
    world.engine.script = []
    world.engine.end = EngineUnavailable("The engine is restarting.", "Ask again in a moment.")
    views = await world.send(ANA, "Say hello")
    (exchange,) = world.line(ANA)
    assert (exchange.response, exchange.finish_reason) == ("", "error")
    assert "⚠ The engine is restarting. Ask again in a moment." in text_of(views[-1][0].value[-1])
    world.engine.script, world.engine.end = ["again"], "stop"
    assert [m.content for m in (await _heard(world, exchange.conversation_id))] == ["And now?"]


async def _heard(world: World, conversation_id: str) -> list[Any]:
    await world.send(ANA, "And now?", conversation_id)
    return [m for m in world.engine.heard[-1] if m.role != "system"]


async def test_a_browser_that_leaves_stops_the_answer_and_what_was_said_stays(world: World) -> None:
    world.engine.script = ["word "] * 100_000
    handler = Turns(world.parts).send
    async with aclosing(world.call(handler, ANA, "Talk", "general", "", "", True, False)) as views:
        async for view in views:
            if isinstance(view[0], Grown):
                break
    (exchange,) = world.line(ANA)
    assert exchange.finish_reason == "stopped"
    assert exchange.response
    assert exchange.response.startswith("word word")


async def test_a_browser_that_leaves_before_the_first_word_leaves_no_open_turn(world: World) -> None:
    views = world.call(Turns(world.parts).send, ANA, "Talk", "general", "", "", True, False)
    await anext(views)
    await views.aclose()
    (exchange,) = world.line(ANA)
    assert (exchange.response, exchange.finish_reason) == ("", "stopped")


@pytest.mark.parametrize("liked", [True, False])
async def test_a_thumb_on_someone_elses_exchange_is_refused(world: World, liked: bool) -> None:
    theirs = ask(world.parts.store, BEN)
    outputs = await world.call(Rating(world.parts).thumb, ANA, message(theirs.id), "", thumb(liked))
    assert outputs[0].visible is False
    assert world.parts.exchanges.get(theirs.id).rating is None


async def test_a_forged_exchange_id_is_refused_wherever_one_can_be_sent(world: World) -> None:
    theirs = rate(world.parts.store, BEN, ask(world.parts.store, BEN).id, rating="down")
    own = ask(world.parts.store, ANA)
    with pytest.raises(gr.Error, match="someone else"):
        await world.call(Rating(world.parts).save, ANA, theirs.id, [], "mine", "my words")
    with pytest.raises(gr.Error, match="someone else"):
        await world.send(ANA, "other words", own.conversation_id, editing=theirs.id)
    with pytest.raises(gr.Error, match="someone else"):
        await world.send(ANA, "let me in", theirs.conversation_id)
    again = world.call(Turns(world.parts).retry, ANA, message(theirs.id), SimpleNamespace(index=0))
    with pytest.raises(gr.Error, match="someone else"):
        await anext(again)
    with pytest.raises(gr.Error, match="someone else"):
        await world.call(Lines(world.parts).consent, ANA, theirs.conversation_id, False)
    assert world.parts.exchanges.get(theirs.id) == theirs


async def test_the_address_of_someone_elses_conversation_opens_a_new_one(world: World) -> None:
    theirs = ask(world.parts.store, BEN, "My secret")
    for address in (theirs.conversation_id, "nonsense", "0" * 36):
        opened = await world.call(Lines(world.parts).restore, ANA, address)
        assert opened[3].value == []
        assert opened[5] == ""


async def test_a_thumb_is_saved_at_once_and_the_same_again_clears_it(world: World) -> None:
    exchange = ask(world.parts.store, ANA)
    rating = Rating(world.parts)
    panel = await world.call(rating.thumb, ANA, message(exchange.id), exchange.conversation_id, thumb(False))
    assert world.parts.exchanges.get(exchange.id).rating == "down"
    assert panel[0].visible is True
    assert panel[4].value == exchange.response, "the correction begins as the answer"
    await world.call(rating.thumb, ANA, message(exchange.id), exchange.conversation_id, thumb(""))
    assert world.parts.exchanges.get(exchange.id).rating is None


async def test_after_a_restart_what_arrived_leaves_the_box_and_what_did_not_stays(world: World) -> None:
    store, resume = world.parts.store, Lines(world.parts).resume
    cut = ask(store, ANA, "Tell me all", "", finish_reason="cut")
    for told, editing, kept in [
        (cut.conversation_id, "", ""),
        ("", "", ""),  # the browser never heard which conversation it had begun
        (cut.conversation_id, cut.id, gr.skip()),
    ]:
        box, chat, _, opened, *_ = await world.call(resume, ANA, told, " Tell me all\n", editing)
        assert (box, opened) == (kept, cut.conversation_id)
        assert cut.id in {message["metadata"]["id"] for message in chat.value}
    for told, written in ((cut.conversation_id, "Tell me mo"), ("", "Tell me mo")):
        box, chat, *_ = await world.call(resume, ANA, told, written, "")
        assert box == gr.skip()
        assert (chat == gr.skip()) == (not told), "a page without a conversation stays as it is"
    theirs = ask(store, BEN, "My secret")
    assert (await world.call(resume, ANA, theirs.conversation_id, "", ""))[3] == ""


async def test_a_correction_that_changes_nothing_is_none(world: World) -> None:
    exchange = rate(world.parts.store, ANA, ask(world.parts.store, ANA).id, rating="down")
    rating = Rating(world.parts)
    await world.call(rating.save, ANA, exchange.id, ["not_helpful"], "why", f"{exchange.response}\n")
    told = world.parts.exchanges.get(exchange.id)
    assert (told.reasons, told.comment, told.correction) == (("not_helpful",), "why", "")
    await world.call(rating.save, ANA, exchange.id, ["not_helpful"], "why", "Four.")
    assert world.parts.exchanges.get(exchange.id).correction == "Four."


async def test_an_opt_out_before_the_first_word_holds_for_the_conversation(world: World) -> None:
    views = world.call(Turns(world.parts).send, ANA, "Privately", "general", "", "", False, False)
    assert [view async for view in views]
    assert world.parts.exchanges.conversations(ANA.name)[0]["training"] is False


TRUSTING = Policy(trusted_after=0)


@pytest.mark.parametrize(("text", "state"), [("Four.", "approved"), ("It is four.", "waiting")])
async def test_a_changed_text_is_approved_as_an_edit_that_another_has_to_confirm(
    world: World, text: str, state: str
) -> None:
    world.parts = replace(world.parts, policy=TRUSTING)
    asked = ask(world.parts.store, ANA)
    rate(world.parts.store, ANA, asked.id, rating="down", correction="Four.")
    view = await world.call(Desk(world.parts).pick, RITA, asked.id, "", "pending", "", 1000)
    assert (view[7], view[5], bool(view[13])) == (asked.id, "Four.", True), "it is chosen and claimed"
    desk = Desk(world.parts)
    view = await world.call(desk.approve, RITA, text, "Four.", asked.id, "", view[13], "pending", "", 50)
    assert view[7] != asked.id, "the next one is chosen"
    assert asked.id in {e.id for e in pending(world.parts.store, state=state, viewer="rita", limit=500)}
    if state == "waiting":
        done = review(world.parts.store, ADMIN, asked.id, "approve", response=text, policy=TRUSTING)
        assert (done.verdict, done.approved_response, done.reviewed_by) == ("edit", text, ADMIN.name)


async def test_what_another_looks_at_can_be_read_and_not_judged(world: World) -> None:
    asked = rate(world.parts.store, ANA, ask(world.parts.store, ANA).id, rating="down", reasons=["other"])
    claim = claims.take(world.parts.store, ADMIN, asked.id, Policy())
    view = await world.call(Desk(world.parts).pick, RITA, asked.id, "", "pending", "", 50)
    assert (view[7], view[9].interactive, view[13]) == (asked.id, False, "")
    assert "Another reviewer is looking at it" in view[14]
    assert "somebody is looking at it" in view[2]
    with pytest.raises(gr.Error, match="Another reviewer"):
        await world.call(Desk(world.parts).reject, RITA, asked.id, "", "", "pending", "", 50)
    claims.release(world.parts.store, ADMIN, claim.id)


async def test_what_is_chosen_again_keeps_its_claim_and_what_is_left_loses_it(world: World) -> None:
    store, desk = world.parts.store, Desk(world.parts)
    one, two = (rate(store, ANA, ask(store, ANA, text).id, rating="up") for text in ("One?", "Two?"))
    claim = (await world.call(desk.pick, RITA, one.id, "", "pending", "", 1000))[13]
    assert (await world.call(desk.pick, RITA, one.id, claim, "pending", "", 1000))[13] == claim
    await world.call(desk.pick, RITA, two.id, claim, "pending", "", 1000)
    held = {claim.exchange_id for claim in claims.of(store, RITA.name)}
    assert held & {one.id, two.id} == {two.id}


async def test_a_claim_is_let_go_where_nothing_can_be_claimed_instead(world: World) -> None:
    store, desk = world.parts.store, Desk(world.parts)
    one, two = (rate(store, ANA, ask(store, ANA, text).id, rating="up") for text in ("Mine?", "Theirs?"))
    theirs = claims.take(store, ADMIN, two.id, Policy())
    claim = (await world.call(desk.pick, RITA, one.id, "", "pending", "", 1000))[13]
    assert (await world.call(desk.pick, RITA, two.id, claim, "pending", "", 1000))[13] == ""
    assert set(claims.active(store, [one.id, two.id])) == {two.id}
    claims.release(store, ADMIN, theirs.id)


@pytest.mark.parametrize("known", [True, False])
async def test_after_a_verdict_comes_what_stood_next_in_the_queue_as_it_was_shown(
    world: World, known: bool
) -> None:
    world.parts = replace(world.parts, policy=TRUSTING)
    store, where = world.parts.store, ("pending", "", 1000)
    asked = [ask(store, ANA, f"Place {number}?").id for number in range(4)]
    before, chosen, gone, after = (
        rate(store, ANA, one, rating="down", reasons=["other"]).id for one in asked
    )
    desk = Desk(world.parts)
    claim = (await world.call(desk.pick, RITA, chosen, "", *where))[13]
    review(store, ADMIN, gone, "reject", policy=TRUSTING)
    judging = desk if known else Desk(world.parts)
    view = await world.call(judging.reject, RITA, chosen, "", claim, *where)
    assert (view[7], before in view[2]) == (after, True)


async def test_a_draft_survives_the_page_and_goes_with_the_verdict(world: World) -> None:
    asked = rate(world.parts.store, ANA, ask(world.parts.store, ANA).id, rating="down", correction="Four.")
    desk = Desk(world.parts)
    view = await world.call(desk.pick, RITA, asked.id, "", "pending", "", 1000)
    claim, note = await world.call(desk.beat, RITA, asked.id, view[13], "Four, I th", "Four.")
    assert (claim, "Yours until" in note) == (view[13], True)
    again = await world.call(desk.pick, RITA, asked.id, claim, "pending", "", 1000)
    assert (again[5], again[8]) == ("Four, I th", "Four.")
    await world.call(desk.skip, RITA, asked.id, "", again[13], "pending", "", 50)
    skipped = await world.call(desk.pick, RITA, asked.id, "", "skipped", "", 1000)
    assert skipped[5] == "Four."


async def judged(world: World, desk: Desk, verdict: Verdict, who: Principal, *given: Any) -> Any:
    """What the page shows at the end of one verdict on many; until then nothing but how far it is."""
    *meanwhile, last = [view async for view in world.call(desk.bulk[verdict], who, *given)]
    assert all(len(view) == len(last) and view[:-1] == (gr.skip(),) * len(last[:-1]) for view in meanwhile)
    return last


async def test_one_verdict_on_many_says_of_each_what_came_of_it(world: World) -> None:
    world.parts = replace(world.parts, policy=TRUSTING)
    store, desk = world.parts.store, Desk(world.parts)
    asked = [
        rate(store, ANA, ask(store, ANA, f"Bulk {n}?").id, rating="down", correction="Four.")
        for n in range(4)
    ]
    ticked = [[one.id, cards.words_mark("Four.")] for one in asked]
    rate(store, ANA, asked[1].id, rating="down", correction="<b>Five.</b>")
    claim = claims.take(store, ADMIN, asked[2].id, TRUSTING)
    given = json.dumps([*ticked, ["nonsense", ""]])
    view = await judged(world, desk, "approve", RITA, given, "Fine.", asked[3].id, "pending", "", 1000)
    states = [world.parts.exchanges.get(one.id).state for one in asked]
    assert states == ["approved", "pending", "pending", "approved"]
    assert "2 approved." in view[-1]
    assert "3 not judged:" in view[-1]
    for name, why in (("Bulk 1?", "not the one that was listed"), ("Bulk 2?", "Another reviewer")):
        assert re.search(f"<b>{re.escape(name)}</b> [^<]*{why}", view[-1])
    assert "nonsense" in view[-1]
    claims.release(store, ADMIN, claim.id)
    for wrong, why in (
        ("[]", "Nothing is ticked"),
        ("7", "no list"),
        (json.dumps(ticked * 26), "104 are ticked"),
    ):
        with pytest.raises(gr.Error, match=why):
            await judged(world, desk, "reject", RITA, wrong, "", "", "pending", "", 50)


async def test_many_verdicts_tell_how_far_they_are_and_come_to_their_end_though_the_page_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.pages.desk.PULSE", 0)
    world.parts = replace(world.parts, policy=TRUSTING)
    store, desk = world.parts.store, Desk(world.parts)
    asked = [rate(store, ANA, ask(store, ANA, f"Far {n}?").id, rating="up") for n in range(6)]
    given = json.dumps([[one.id, cards.words_mark("4.")] for one in asked])
    views = world.call(desk.bulk["reject"], RITA, given, "", "", "pending", "", 50, korean=True)
    assert re.search(r"6건 중 \d건 처리", (await anext(views))[-1])
    await views.aclose()
    async with asyncio.timeout(60):
        while any(world.parts.exchanges.get(one.id).state == "pending" for one in asked):
            await asyncio.sleep(0.01)


async def test_nothing_is_approved_from_the_list_that_it_does_not_show_whole(world: World) -> None:
    world.parts = replace(world.parts, policy=TRUSTING)
    store, desk = world.parts.store, Desk(world.parts)

    def asked(words: str, text: str = "Whole?") -> list[str]:
        rated = rate(store, ANA, ask(store, ANA, text).id, rating="down", correction=words)
        return [rated.id, cards.words_mark(words)]

    seen = asked("Line one.\nLine two.")
    unseen = [
        asked("Fine. " * 101),
        asked("Fine.", "Long? " * 101),
        asked("It is at https://example.com/x."),
        asked("Fine again."),
    ]
    disputes_over = unseen[-1][0]
    review(store, ADMIN, disputes_over, "reject", policy=TRUSTING)
    disputes.reopen(store, ADMIN, disputes_over, "Read this first.")
    listed = (await world.call(desk.load, RITA, "", "pending", "", 1000))[2]
    assert "Line one.\nLine two." in listed
    assert listed.count("open it to approve it") == len(unseen)
    given = json.dumps([seen, *unseen])
    view = await judged(world, desk, "approve", RITA, given, "", "", "pending", "", 1000)
    assert "1 approved." in view[-1]
    assert view[-1].count("does not show all") == len(unseen)
    view = await judged(world, desk, "reject", RITA, json.dumps(unseen), "", "", "pending", "", 1000)
    assert "3 rejected, 1 recorded, awaiting another reviewer." in view[-1]
    held = {claim.exchange_id for claim in claims.of(store, RITA.name)}
    assert not held & ({identity for identity, _ in unseen} - {view[7]}), "no claim is kept"


async def test_a_verdict_that_came_meanwhile_is_not_overturned_with_the_others(world: World) -> None:
    world.parts = replace(world.parts, policy=TRUSTING)
    store, desk = world.parts.store, Desk(world.parts)
    asked = rate(store, ANA, ask(store, ANA, "Judged?").id, rating="down", correction="Four.")
    review(store, ADMIN, asked.id, "approve", policy=TRUSTING)
    ticked = json.dumps([[asked.id, cards.words_mark("Four.")]])
    for verdict in ("approve", "reject", "skip"):
        view = await judged(world, desk, verdict, RITA, ticked, "A reason.", "", "pending", "", 1000)
        assert "nothing left to judge" in view[-1]
    assert world.parts.exchanges.get(asked.id).state == "approved"


async def test_private_data_is_marked_in_what_is_read_and_in_what_would_be_taught(world: World) -> None:
    asked = ask(world.parts.store, ANA, "Is <ana@example.com> mine?", "It is ben@example.com.")
    rate(world.parts.store, ANA, asked.id, rating="down")
    desk = Desk(world.parts)
    view = await world.call(desk.pick, RITA, asked.id, "", "pending", "", 1000)
    for words in ("ana@example.com", "ben@example.com"):
        assert f'data-name="e-mail">{words}</mark>' in view[4]
    assert "The question holds private data: e-mail." in view[4]
    assert "ben@example.com</mark>" in view[16]
    assert await world.call(desk.look_through, RITA, "It is Ben's.") == ""
    assert "이메일" in await world.call(desk.look_through, RITA, "It is ben@example.com.", korean=True)
    allowing = replace(
        world.parts, curation=Screening(allowed=frozenset({"ana@example.com", "ben@example.com"}))
    )
    unmarked = await world.call(Desk(allowing).pick, RITA, asked.id, view[13], "pending", "", 1000)
    assert "<mark" not in unmarked[4]


async def test_a_known_verdict_is_set_judged_and_retired(world: World) -> None:
    quality, store = Quality(world.parts), world.parts.store
    form = ["general", "Is two a prime?", "No.", "up", ["other"], "", "", "reject", "<i>easy</i>"]
    with pytest.raises(gr.Error, match="Choose the assistant"):
        await world.call(quality.add, OTTO, "", *form[:-2], None, "")
    view = await world.call(quality.add, OTTO, "", *form)
    ((name, identity),) = view[4].choices
    assert name == "Is two a prime?"
    assert "&lt;i&gt;easy" in view[3]
    assert view[6:] == ("", "", [], "", "", ""), "the form is empty again"
    review(store, RITA, identity, "reject", policy=Policy())
    seen = await world.call(quality.load, OTTO, "general")
    assert re.search("rita: Reject ✓", seen[3])
    assert re.search(r"<td[^>]*><div>rita</div></td>.*100 %", seen[1])
    reviewers = await world.call(quality.load, RITA, "")
    assert reviewers[2].visible is False
    assert "prime" not in str(reviewers[3:]), "a reviewer cannot tell which they are"
    assert "100 %" not in reviewers[1]
    for handler, values in ((quality.add, form), (quality.retire, [identity])):
        with pytest.raises(gr.Error, match="role operator; yours is reviewer"):
            await world.call(handler, RITA, "", *values)
    view = await world.call(quality.retire, OTTO, "", identity)
    assert view[4].choices == []
    assert "retired" in view[3]


async def test_a_conversation_is_shown_to_reviewers_from_its_first_word_or_later(world: World) -> None:
    store, lines = world.parts.store, Lines(world.parts)
    views = world.call(Turns(world.parts).send, ANA, "Look at this", "general", "", "", True, True)
    first, *_ = [view async for view in views]
    assert first[8:10] == (True, True), "the boxes say what was stored, whatever was clicked meanwhile"
    (exchange,) = world.line(ANA)
    assert exchange.id in {e.id for e in pending(store, viewer="rita", limit=500)}
    opened = await world.call(lines.restore, ANA, exchange.conversation_id)
    assert opened[6:8] == (True, True)
    with pytest.raises(gr.Error, match="someone else"):
        await world.call(lines.share, BEN, exchange.conversation_id, True, True)
    await world.call(lines.share, ANA, exchange.conversation_id, False, True)
    assert exchange.id not in {e.id for e in pending(store, viewer="rita", limit=500)}


async def test_an_author_reads_what_became_of_a_rating(world: World) -> None:
    world.parts = replace(world.parts, policy=TRUSTING)
    store, rating = world.parts.store, Rating(world.parts)
    asked = rate(store, ANA, ask(store, ANA).id, rating="down", correction="Four.")
    assert "waits for a reviewer" in (await world.call(rating.more, ANA, asked.conversation_id))[6]
    review(store, RITA, asked.id, "reject", reason="<i>No.</i>", policy=TRUSTING)
    told = (await world.call(rating.more, ANA, asked.conversation_id, korean=True))[6]
    assert "검토자가 학습에 쓰지 않기로 했습니다: &lt;i&gt;No.&lt;/i&gt;" in told


async def test_a_dispute_is_settled_from_the_words_on_the_table(world: World) -> None:
    store = world.parts.store
    asked = rate(store, ANA, ask(store, ANA).id, rating="down", correction="<b>Four.</b>")
    review(store, RITA, asked.id, "approve", policy=Policy())
    review(store, ADMIN, asked.id, "reject", reason="<img src=x>", policy=Policy())
    other = Principal("cli", Role.ADMIN)
    stand = queue.item(store, other, Policy(), asked.id)
    shown = cards.standing(stand, "en")
    assert "&lt;img src=x&gt;" in shown
    assert "&lt;b&gt;Four." in shown
    assert "<img" not in shown
    assert [opinion.principal for opinion in stand.opinions] == ["rita", "admin"]
    view = await world.call(Desk(world.parts).pick, RITA, asked.id, "", "disputed", "", 50)
    assert view[15].visible is False, "who is part of a dispute does not see the other side"
    with pytest.raises(gr.Error, match="one of those who disagree"):
        await world.call(Desk(world.parts).reject, RITA, asked.id, "Me.", view[13], "disputed", "", 50)
    claims.release(store, RITA, view[13])
    assert disputes.adjudicate(store, other, asked.id, "reject", reason="No.").state == "rejected"


async def test_a_verdict_is_reopened_with_a_reason(world: World) -> None:
    world.parts = replace(world.parts, policy=TRUSTING)
    asked = rate(world.parts.store, ANA, ask(world.parts.store, ANA).id, rating="down")
    review(world.parts.store, RITA, asked.id, "reject", policy=TRUSTING)
    with pytest.raises(gr.Error, match="needs a reason"):
        await world.call(Desk(world.parts).reopen, RITA, asked.id, " ", "", "rejected", "", 50)
    await world.call(Desk(world.parts).reopen, RITA, asked.id, "<i>I erred.</i>", "", "rejected", "", 50)
    item = queue.item(world.parts.store, ADMIN, TRUSTING, asked.id)
    assert (item.exchange.state, item.reopened) == ("pending", "<i>I erred.</i>")
    assert "&lt;i&gt;" in cards.standing(item, "ko")


async def test_words_that_changed_under_the_reviewers_eyes_are_not_approved(world: World) -> None:
    asked = ask(world.parts.store, ANA)
    rate(world.parts.store, ANA, asked.id, rating="down", correction="Five.")
    with pytest.raises(gr.Error, match="not the one you were shown"):
        await world.call(
            Desk(world.parts).approve, RITA, "Four.", "Four.", asked.id, "", "", "pending", "", 50
        )
    assert world.parts.exchanges.get(asked.id).state == "pending"


async def test_errors_are_read_in_the_visitors_language_and_never_as_markup(world: World) -> None:
    with pytest.raises(gr.Error) as refused:
        await world.call(Lines(world.parts).fresh, ANA, "<img src=x>", korean=True)
    assert "찾을 수 없습니다" in refused.value.message
    assert "<img" not in refused.value.message


def test_the_pages_are_closed_to_visitors_and_to_lesser_roles(world: World) -> None:
    app = FastAPI()
    mount(app, world.parts)
    browser = TestClient(app, follow_redirects=False, headers={"accept": "text/html"})
    for name, role, _ in PAGES:
        assert browser.get(f"/{name}/").headers["location"] == f"/login?next=/{name}/"
        assert browser.get(f"/{name}/config", headers={"accept": "*/*"}).status_code == 401
        for person in PEOPLE:
            cookie = {"cookie": f"{COOKIE}={world.tokens[person.name]}"}
            seen = browser.get(f"/{name}/", headers=cookie)
            assert seen.status_code == (200 if person.role.covers(role) else 403)
    assert [type(route.app.state_holder) for route in app.routes if isinstance(route, Mount)] == [
        OneState
    ] * 3
