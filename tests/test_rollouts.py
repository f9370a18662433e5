"""A version that passed goes through its stages as the thumbs say, over kills, holds, pins and bad news."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import duckdb
import pytest
from stories import ask
from test_registry_and_rollout import ANN, House

from feedback import schema
from feedback.errors import BadRequest, Conflict, EngineUnavailable, NotFound
from feedback.exchanges import Exchanges, answer_id, as_row
from feedback.lots import lot
from feedback.migrate import migrate
from feedback.records import Exchange, Message, new_id, now
from feedback.rollouts import Rollouts
from feedback.store import Store
from tuner import registry
from tuner.canary import Terms
from tuner.launch import Launch
from tuner.rollout import ITSELF, Rollout
from tuner.server import Answer
from tuner.watch import Watch

pytestmark = pytest.mark.long

SECRET = "a secret of the home"


class Street(House):
    """A house whose live version is `one`, with people who talk to whatever their lot gives them."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.later = timedelta(0)
        self.says = Answer("Fine.", "stop", 2)
        self.server.answer = self._answer  # type: ignore[method-assign,assignment]
        self.one = self.version(1)
        self.promote(self.one)
        self.two = self.version(2)
        self.enter()

    def enter(self, **terms: Any) -> None:
        """Everything anew over the same files, as another process would."""
        self.terms = Terms(**terms)
        self.rollout = Rollout(self.ledger, self.server, self.home)
        parts = (self.ledger, self.server, self.rollout, self.home, self.terms)
        self.launch = Launch(*parts, clock=self.clock)
        self.watch = Watch(self.ledger, self.rollout, self.terms, secret=SECRET, clock=self.clock)

    def clock(self) -> Any:
        return now() + self.later

    async def _answer(self, version: str, messages: Sequence[Message], **_: object) -> Answer:
        assert version in self.server.loaded
        return self.says

    def begin(self) -> str:
        return str(self.does(self.launch.begin(self.two, ANN, "It passed.", "run-2")))

    def look(self) -> None:
        self.does(self.watch.look(["general"]))

    def does(self, work: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            try:
                return await work
            finally:
                await self.rollout.freed()

        return asyncio.run(whole())

    def told(self) -> dict[str, Any]:
        return dict(self.does(self.watch.told("general")))

    def canary(self) -> tuple[str, float] | None:
        return self.server.shares.get("general")

    def talk(self, count: int, down: dict[str, float], *, user: str = "u") -> None:
        """As many rated conversations of as many users, thumbed down as often as `down` says of a version."""
        self.write([self._talked(f"{user}{number}", number, down) for number in range(count)])

    def write(self, rows: Sequence[Sequence[dict[str, Any]]]) -> None:
        tables = ("conversations", "exchanges", "answers", "ratings")
        self.store.append({table: [row[place] for row in rows] for place, table in enumerate(tables)})

    def _talked(
        self, user: str, number: int, down: dict[str, float], key: str = ""
    ) -> tuple[dict[str, Any], ...]:
        """A user's one conversation: its rows. The ids are the same each time, and so are the lots."""
        conversation = str(uuid5(NAMESPACE_URL, key or user))
        version = self._drawn(conversation)
        wanted = down.get(version, 0.0)
        bad = int((number + 1) * wanted) > int(number * wanted)
        exchange = Exchange(
            *(new_id(), now(), user, conversation, "general", version, ()),
            instruction="Hi",
            sampling={"temperature": 0.0},
        )
        answer = {
            "exchange_id": exchange.id,
            "response": "Hello",
            "finish_reason": "stop",
            "version": version,
        }
        rating = {"exchange_id": exchange.id, "rating": "down" if bad else "up", "reasons": []}
        owned = {"id": conversation, "owner": user, "assistant": "general", "title": "Hi"}
        return (
            owned | {"principal": user},
            as_row(exchange),
            answer | {"id": answer_id(exchange.id), "principal": user},
            rating | {"principal": user},
        )

    def _drawn(self, conversation: str) -> str:
        version, share = self.canary() or ("", 0.0)
        on_it = lot(SECRET, version, conversation) < share
        return version if on_it else self.ledger.live("general").version


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def busy(street: Street) -> Street:
    """A street with so many thumbs that a canary can be decided."""
    street.talk(330, {street.one: 0.2}, user="before")
    return street


def test_where_thumbs_can_decide_a_version_begins_with_5_percent(busy: Street) -> None:
    assert busy.begin() == "canary"
    assert busy.canary() == (busy.two, 0.05)
    assert busy.states() == {0: "previous", 1: "live", 2: "canary"}
    assert busy.server.routes == {"general": busy.one}
    assert busy.begin() == "canary"  # taken again after a kill
    told = busy.told()
    assert (told["live"], told["canary"]["share"], told["canary"]["next_share"]) == (busy.one, 0.05, 0.25)
    newest = told["events"][0]
    assert (newest["state"], newest["share"], newest["evidence"]["shadow"]["prompts"]) == ("canary", 0.05, 20)


def test_where_thumbs_are_too_few_it_goes_live_at_once_and_says_so(street: Street) -> None:
    street.talk(30, {})
    assert street.begin() == "live"
    assert "worth 30 users' ratings" in street.ledger.version(street.two).reason
    assert "drift alarm on" in street.ledger.version(street.two).reason
    assert street.begin() == "live"


def test_what_a_person_took_back_after_a_kill_is_not_begun_again(busy: Street) -> None:
    """The kill fell after the rollout began and before the run had noted it."""
    busy.enter(rollout="live")
    assert busy.begin() == "live"
    busy.does(busy.rollout.roll_back("general", ANN, "It is rude."))
    assert busy.begin() == "withdrawn"
    assert busy.server.routes == {"general": busy.one}
    assert busy.states() == {0: "previous", 1: "live", 2: "withdrawn"}


def test_one_busy_users_thumbs_make_no_canary(street: Street) -> None:
    street.write([street._talked("ann", number, {}, key=f"ann's {number}") for number in range(230)])
    assert street.begin() == "live"


def test_set_to_live_it_goes_live_at_once(busy: Street) -> None:
    busy.enter(rollout="live")
    assert busy.begin() == "live"
    assert busy.canary() is None


def test_a_good_canary_climbs_to_all_with_its_evidence_on_record(busy: Street) -> None:
    busy.enter(hours=0, ratings=2)
    busy.begin()
    shares = []
    for _ in range(3):
        shares.append(busy.canary())
        busy.talk(120, {busy.one: 0.25, busy.two: 0.2}, user=f"s{len(shares)}-")
        busy.look()
    assert shares == [(busy.two, 0.05), (busy.two, 0.25), (busy.two, 0.5)]
    assert busy.canary() is None
    assert busy.states() == {0: "previous", 1: "previous", 2: "live"}
    assert busy.server.routes == {"general": busy.two}
    live, previous, *stages = busy.told()["events"][:5]
    assert [event["share"] for event in (live, *stages)] == [None, 0.5, 0.25, 0.05]
    assert previous["state"] == "previous"
    assert live["evidence"]["canary"]["rated"] > 20
    assert live["principal"] == "hone"


def test_a_bad_canary_is_rolled_back_by_itself_and_said_so(
    busy: Street, caplog: pytest.LogCaptureFixture
) -> None:
    busy.begin()
    busy.does(busy.rollout.stage(busy.two, 0.5, ANN, "Faster.", at_stage=0.05))
    busy.talk(160, {busy.one: 0.2, busy.two: 0.7}, user="x")
    busy.look()
    assert busy.canary() is None
    assert busy.states() == {0: "previous", 1: "live", 2: "withdrawn"}
    assert busy.two not in busy.server.loaded
    withdrawn = busy.told()["events"][0]
    assert withdrawn["evidence"]["worse_at_most"] >= 20
    assert "are worse" in withdrawn["reason"]
    assert "notice: the canary" in caplog.text
    busy.look()  # and again there is nothing to do


def test_bad_news_while_held_still_rolls_back_but_good_news_waits(busy: Street) -> None:
    busy.enter(hours=0, ratings=2)
    busy.begin()
    busy.ledger.orders.give("general", "hold", version=busy.two, reason="A demo.", principal="ann")
    busy.talk(150, {busy.one: 0.2, busy.two: 0.2}, user="x")
    busy.look()
    assert busy.canary() == (busy.two, 0.05)
    assert "held by ann: A demo." in busy.told()["canary"]["told"]
    busy.ledger.orders.give("general", "resume", version="", reason="", principal="ann")
    busy.look()
    assert busy.canary() == (busy.two, 0.25)


def test_a_pinned_version_is_not_replaced_by_one_that_passes(busy: Street) -> None:
    busy.ledger.orders.give("general", "pin", version=busy.one, reason="An audit.", principal="ann")
    assert busy.begin() == "candidate"
    found = busy.ledger.version(busy.two)
    assert (found.state, "pinned by ann: An audit." in found.reason) == ("candidate", True)
    assert busy.two not in busy.server.loaded
    busy.promote(busy.two, "By hand it may.")
    assert busy.states()[2] == "live"
    assert busy.ledger.orders.standing("general", busy.two) == {}  # the pin was the other's


def test_a_stage_survives_a_kill_and_what_was_routed_but_not_recorded_is_undone(busy: Street) -> None:
    busy.begin()
    busy.server.shares["general"] = (busy.two, 0.25)  # the kill fell before the record
    busy.server.loaded.pop(busy.two)
    busy.enter()
    busy.does(busy.rollout.restore())
    assert busy.canary() == (busy.two, 0.05)
    assert busy.two in busy.server.loaded
    busy.does(busy.rollout.withdraw(busy.two, ANN, "Enough."))
    busy.server.loaded[busy.two] = busy.home
    busy.server.shares["general"] = (busy.two, 0.05)
    busy.does(busy.rollout.restore())
    assert busy.canary() is None


def test_a_canary_that_cannot_be_served_is_withdrawn_and_one_that_waits_for_the_engine_is_not(
    busy: Street,
) -> None:
    busy.begin()
    load = busy.server.load

    async def away(version: str, folder: Path) -> None:
        raise EngineUnavailable("The engine is restarting.", "Wait.")

    busy.server.load = away  # type: ignore[method-assign]
    busy.does(busy.rollout.restore())
    assert busy.states()[2] == "canary"
    busy.server.load = load  # type: ignore[method-assign]
    (registry.folder(busy.home, busy.two) / "adapter_model.safetensors").write_text("damaged")
    busy.does(busy.rollout.restore())
    assert (busy.states()[2], busy.canary()) == ("withdrawn", None)


def test_a_roll_back_ends_the_canary_first_and_then_the_live_version(busy: Street) -> None:
    busy.begin()
    assert busy.roll_back() == busy.one
    assert busy.states() == {0: "previous", 1: "live", 2: "withdrawn"}
    assert busy.canary() is None
    assert busy.roll_back() == "general@0"


def test_promoting_ends_whatever_is_canary(busy: Street) -> None:
    busy.begin()
    three = busy.version(3)
    busy.promote(three)
    assert busy.states() == {0: "previous", 1: "previous", 2: "withdrawn", 3: "live"}
    assert busy.canary() is None
    four = busy.version(4)
    busy.does(busy.rollout.stage(four, 0.05, ANN, "It passed."))
    busy.promote(four)
    assert (busy.states()[4], busy.canary(), busy.server.routes["general"]) == ("live", None, four)


def test_a_step_that_was_decided_before_somebody_changed_things_is_not_taken(busy: Street) -> None:
    busy.begin()
    busy.roll_back("Not this one.")
    for late in (
        busy.rollout.stage(busy.two, 0.25, ITSELF, "On.", at_stage=0.05),
        busy.rollout.promote(busy.two, ITSELF, "Live.", at_stage=0.5),
        busy.rollout.withdraw(busy.two, ITSELF, "Worse."),
    ):
        with pytest.raises(Conflict):
            busy.does(late)
    assert busy.states()[2] == "withdrawn"


def test_a_shadow_that_is_broken_refuses_before_anyone_is_given_it(busy: Street) -> None:
    busy.says = Answer("", "stop", 0)
    assert busy.begin() == "refused"
    refused = busy.told()["events"][0]
    assert "says nothing on 20 of 20" in refused["reason"]
    assert refused["evidence"]["shadow"]["says nothing"] == [20, 0]
    assert (busy.canary(), busy.two in busy.server.loaded) == (None, False)


def test_a_shadow_takes_no_conversation_that_is_not_to_be_learnt_from(street: Street) -> None:
    own = ask(street.store)
    Exchanges(street.store).set_training(own.conversation_id, own.principal, False)
    assert list(street.ledger.rollouts.recent("general", 10)) == []
    shared = ask(street.store)
    assert [exchange.id for exchange in street.ledger.rollouts.recent("general", 10)] == [shared.id]


@pytest.mark.parametrize(("setting", "state"), [("alarm", "live"), ("rollback", "withdrawn")])
def test_a_live_version_that_is_worse_than_the_one_before_raises_the_alarm_once(
    street: Street, setting: str, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    street.enter(drift=setting, rollout="live")
    street.talk(150, {street.one: 0.1}, user="b")
    street.begin()
    street.talk(150, {street.two: 0.5}, user="l")
    street.look()
    street.look()
    assert street.states()[2] == state
    alarms = [event for event in street.told()["events"] if "drift" in event["evidence"]]
    assert len(alarms) == 1
    assert "Drift alarm: 50% of 150" in alarms[0]["reason"]
    assert caplog.text.count("notice") == 1


def test_a_pinned_version_is_not_rolled_back_by_drift(street: Street) -> None:
    street.enter(drift="rollback", rollout="live")
    street.talk(150, {street.one: 0.1}, user="b")
    street.begin()
    street.ledger.orders.give("general", "pin", version=street.two, reason="An audit.", principal="ann")
    street.talk(150, {street.two: 0.5}, user="l")
    street.look()
    assert street.states()[2] == "live"
    assert street.told()["drift"]["alarm"]


def test_an_order_needs_a_reason_stands_once_and_ends_once(street: Street) -> None:
    orders = street.ledger.orders

    def give(order: Any, reason: str = "Why.", assistant: str = "general") -> None:
        orders.give(assistant, order, version=street.one, reason=reason, principal="ann")

    with pytest.raises(BadRequest, match="pause needs a reason"):
        give("pause", " ")
    with pytest.raises(NotFound):
        give("pause", assistant="nobody")
    with pytest.raises(Conflict, match="held or paused"):
        give("resume")
    give("pause")
    with pytest.raises(Conflict, match="Runs are paused by ann: Why"):
        give("pause", "Again.")
    give("hold")
    give("resume")
    assert orders.standing("general", street.one) == {}
    events = street.store.rows("SELECT kind, standing, principal, reason FROM orders ORDER BY seq")
    assert [(event["kind"], event["standing"]) for event in events] == [
        *(("pause", True), ("hold", True), ("hold", False), ("pause", False))
    ]


def test_a_store_from_before_keeps_its_events_and_takes_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"principal": "ann", "assistant": "general", "version": "general@1-x", "state": "live"}
    with monkeypatch.context() as past, duckdb.connect(tmp_path / "old.duckdb") as old:
        before = schema.MIGRATIONS.index(schema._STAGES_AND_ORDERS)
        past.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:before])
        migrate(old, tmp_path / "old.duckdb")
        values = {"id": new_id(), "seq": 1, "at": "2026-12-01", **row}
        names = ", ".join(f'"{name}"' for name in values)
        old.execute(
            f"INSERT INTO rollouts ({names}) VALUES ({', '.join('?' * len(values))})", [*values.values()]
        )
    store = Store(tmp_path / "old.duckdb")
    rollouts = Rollouts(store)
    rollouts.record(**{**row, "version": "general@2-y", "state": "canary"}, reason="", share=0.05)  # type: ignore[arg-type]
    assert [(event.version, event.share) for event in rollouts.events("general")] == [
        *(("general@1-x", None), ("general@2-y", 0.05))
    ]
    store.close()
