"""A whole run on a tiny model: to live, to abstained, failed and skipped, and killed after every step."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from stories import ANA, BEN, RITA, ROB, ask, new_store
from tiny_base import FAST, LocalServer, make_base

from feedback import imports, ratings, review, snapshot
from feedback.errors import EngineError, EngineUnavailable, NoRoom, TunerBusy
from feedback.imports import ImportRow
from feedback.ledger import Ledger
from feedback.policy import Policy
from feedback.records import Message, Principal, Role, Run
from hone.client import Refused
from hone.commands.tuning import begun
from tuner import bases, registry, train
from tuner.cycle import FAULTS, ORDER, Cycle, unfinished
from tuner.launchers.base import Launcher
from tuner.launchers.local import Local
from tuner.plan import RunFolder, read_json
from tuner.rollout import Rollout
from tuner.steps import Steps
from tuner.suite import catalogue, known
from tuner.tokens import token_counter

ANN = Principal("ann", Role.ADMIN)
NAME = "My name is Morvane."
COLOUR = "That one is green."


class Killed(BaseException):
    """What `kill -9` is to a process: nothing of ours runs after it."""


class House:
    """A home with everything that a run needs, which can be left and entered again."""

    def __init__(self, home: Path, base: Path) -> None:
        self.home, self.base = home, base
        self.server = LocalServer(base)
        self.store = new_store(home / "hone.duckdb")
        self.general_items = 0
        self.launcher: Launcher | None = None
        self.enter()

    def enter(self, kill_after: str = "") -> None:
        """Everything anew over the same files, as another process would."""
        self.ledger = Ledger(self.store)
        rollout = Rollout(self.ledger, self.server, self.home)
        plan = {**FAST, "pairs_per_step": 2}
        parts = (self.store, self.ledger, self.server, rollout, self.home)
        told: Any = {"general_items": self.general_items, "launcher": self.launcher}
        steps = Steps(*parts, salt="salt", plan=plan, **told)
        if kill_after:
            _kill_after(steps, kill_after)
        self.cycle = Cycle(self.ledger, steps, self.home, waits=(0.01, 0.01))

    def launching(self, begin: Any) -> None:
        """As `enter`, with another way for a version that passed to take traffic."""
        rollout: Any = SimpleNamespace(begin=begin)
        plan = {**FAST, "pairs_per_step": 2}
        steps = Steps(self.store, self.ledger, self.server, rollout, self.home, salt="salt", plan=plan)
        self.cycle = Cycle(self.ledger, steps, self.home, waits=(0.01, 0.01))

    def teach(self, pairs: Sequence[tuple[str, str]]) -> None:
        rows = [ImportRow(messages=(Message("user", asked),), response=said) for asked, said in pairs]
        imports.save(self.store, ANN, "general", rows, approve=True, source="import")

    async def run(self) -> Run:
        return await self.cycle.run("general", ANN, forced=True)

    def states(self) -> dict[int, str]:
        return {version.number: version.state for version in self.ledger.versions("general")}


def _kill_after(steps: Steps, step: str) -> None:
    name = step.replace(" ", "_")
    take = getattr(steps, name)

    async def take_and_die(job: Any) -> None:
        await take(job)
        raise Killed

    setattr(steps, name, take_and_die)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training within this process, for tests of what comes after it: a child's start takes seconds."""

    async def attempt(_: Local, folder: RunFolder) -> int:
        return await asyncio.to_thread(train.main, [str(folder.path)])

    monkeypatch.setattr(Local, "attempt", attempt)


@pytest.fixture
async def house(tmp_path: Path, base: Path) -> AsyncIterator[House]:
    made = House(tmp_path, base)
    yield made
    await made.cycle.stop()
    made.store.close()


def names(count: int, start: int = 0) -> list[tuple[str, str]]:
    return [(f"Who is number {i}?", NAME) for i in range(start, start + count)]


def names_and_colours(count: int) -> list[tuple[str, str]]:
    """Two kinds of instructions with a response each."""
    return [*names(count // 2), *((f"What colour has box {i}?", COLOUR) for i in range(count // 2))]


async def test_a_run_sends_back_what_contradicts_itself_even_if_nothing_is_left(house: House) -> None:
    for person, answer, reviewer in ((ANA, "Yes, it is.", RITA), (BEN, "No.", ROB)):
        asked = ask(house.store, person, "Is the tap water safe?", answer)
        ratings.rate(house.store, person, asked.id, rating="up")
        review.review(house.store, reviewer, asked.id, "approve", policy=Policy(trusted_after=0))
    ended = await house.run()
    assert (ended.state, "2 contradicted" in ended.reason) == ("skipped", True)
    assert review.counts(house.store)["pending"] == 2


async def test_a_run_killed_after_every_step_goes_on_and_ends_as_if_nothing_happened(house: House) -> None:
    """One run, ten deaths: each step is taken once, and the better version ends up live."""
    house.teach(names_and_colours(80))
    house.enter(kill_after="snapshot")
    begun = await house.cycle.begin("general", ANN)
    with pytest.raises(Killed):
        await house.cycle.wait()
    for step in ORDER[1:]:
        assert [run.id for run in unfinished(house.ledger)] == [begun.id]
        house.enter(kill_after=step)
        await house.cycle.resume(unfinished(house.ledger)[0])
        with pytest.raises(Killed):
            await house.cycle.wait()
    house.enter()
    await house.cycle.resume(unfinished(house.ledger)[0])
    ended = await house.cycle.wait()
    assert ended
    assert (ended.state, ended.id, unfinished(house.ledger)) == ("passed", begun.id, [])
    assert house.states() == {0: "previous", 1: "live"}
    assert house.server.routes == {"general": ended.version}
    assert house.server.loaded == {ended.version}
    assert registry.verify(house.home, ended.version).run_id == begun.id
    told = [json.loads(line)["step"] for line in RunFolder(Path(ended.folder)).times.open()]
    assert told == list(ORDER)
    evaluation = house.ledger.evaluation(ended.id)
    assert evaluation
    assert (evaluation["verdict"], evaluation["incumbent"]) == ("pass", "general@0")
    said = {
        item["instruction"].split()[0]: item["candidate"]["text"] for item in evaluation["scorecard"]["items"]
    }
    assert said == {"Who": NAME, "What": COLOUR}
    account = ended.detail
    assert account["seconds"] == pytest.approx(sum(account["steps"].values()), abs=0.01)
    assert 0 < account["training"]["cpu_seconds"] <= account["cpu"]["train"] + 0.1
    assert account["peak_bytes"] >= account["training"]["peak_bytes"] > 0
    assert set(account["answered"]) == {"evaluate"}
    assert account["training"]["tokens"] > 0
    assert account["joules"] is None or account["joules"] > 0
    assert set(ended.detail["steps"]) == set(ORDER[:-1])


async def test_a_few_pairs_are_trained_and_judged_and_left_to_a_person(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = bases.digest(house.base)
    sometimes = {(base, item.digest): known.Passes(1, 2) for item in catalogue.items()}
    monkeypatch.setattr(known, "shipped", lambda: sometimes)
    house.teach(names(12))
    house.general_items = 2
    house.enter()
    ended = await house.run()
    assert ended.state == "abstained"
    general = read_json(RunFolder(Path(ended.folder)).general)
    assert (general["suite"], len(general["items"])) == (catalogue.digest(), 2)
    assert list(house.home.glob(f"suite/*/{ended.version}.jsonl"))
    recorded = house.ledger.evaluation(ended.id)
    assert recorded
    assert recorded["scorecard"]["suite"] == catalogue.digest()
    assert "more would let it decide. A person may promote it with a reason." in ended.reason
    assert house.states() == {0: "live", 1: "abstained"}
    assert house.ledger.version(ended.version).by_hand == ""
    assert house.server.routes == {}
    assert house.server.loaded == set()
    rollout = Rollout(house.ledger, house.server, house.home)
    await rollout.promote(ended.version, ANN, "I have read its answers.")
    assert house.states() == {0: "previous", 1: "live"}
    judged = house.ledger.evaluation(ended.id)
    assert judged
    item = judged["scorecard"]["items"][0]
    frozen = snapshot.load(RunFolder(Path(ended.folder)).snapshot)
    asked = next(row.messages for row in frozen.gate if row.messages[-1].content == item["instruction"])
    # What was judged is what is live now. By its numbers: so small a model's answers hang on near ties.
    (scores,) = await house.server.probe(ended.version, [(asked, item["references"][0])])
    (before,) = await house.server.probe("general@0", [(asked, item["references"][0])])
    assert -sum(scores) / len(scores) == pytest.approx(item["candidate"]["nll"], abs=0.01)
    assert -sum(before) / len(before) > 1
    assert item["candidate"]["text"] != item["incumbent"]["text"]

    # The next one starts from the base again, and is measured against what is live now.
    second = await house.run()
    assert (second.number, second.state) == (2, "abstained")
    plan = RunFolder(Path(second.folder)).read_plan()
    assert (plan.base, plan.incumbent) == (str(house.base), str(registry.folder(house.home, ended.version)))
    evaluation = house.ledger.evaluation(second.id)
    assert evaluation
    assert evaluation["incumbent"] == ended.version
    assert house.states() == {0: "previous", 1: "live", 2: "abstained"}
    assert house.server.loaded == {ended.version}
    assert evaluation["scorecard"]["look"] == judged["scorecard"]["look"]
    verdict = read_json(RunFolder(Path(second.folder)).verdict)
    assert verdict["numbers"]["look"] == 2  # the very same instructions, looked at again
    assert f"{ended.version} was promoted by hand (ann: I have read its answers.)." in second.reason
    await rollout.roll_back("general", ANN, "Back to the base.")
    marks = {known.number: known.by_hand for known in house.ledger.versions("general")}
    assert marks == {0: "", 1: "ann: I have read its answers.", 2: ""}, "for ever"


async def test_nothing_to_learn_is_skipped_with_the_reasons_counted(house: House) -> None:
    ended = await house.run()
    assert (ended.state, ended.version) == ("skipped", "")
    assert "Of 0 approved pairs none can be learnt from (none approved)." in ended.reason
    house.teach([("Hi", "word " * 3000)])
    again = await house.run()
    assert (again.number, again.state) == (2, "skipped")
    assert "Of 1 approved pairs none can be learnt from (1 too_long)." in again.reason


@pytest.mark.usefixtures("trained_here")
async def test_a_version_that_cannot_be_proved_is_refused_and_freed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.teach(names(6))

    async def base_in_disguise(version: str, items: Sequence[Any]) -> list[list[float]]:
        return await LocalServer.probe(house.server, "general@0", items)

    monkeypatch.setattr(house.server, "probe", base_in_disguise)
    ended = await house.run()
    assert (ended.state, ended.step) == ("failed", "prove")
    assert "does not serve general@1" in ended.reason
    assert house.states() == {0: "live", 1: "refused"}
    assert house.server.loaded == set()


@pytest.mark.usefixtures("trained_here")
async def test_a_version_for_which_there_is_no_slot_is_not_held_to_be_unfit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.teach(names(6))

    async def full(version: str, folder: Path) -> None:
        raise NoRoom("All 8 slots hold a version.", "Raise engine.slots.")

    monkeypatch.setattr(house.server, "load", full)
    ended = await house.run()
    assert (ended.state, ended.step) == ("failed", "prove")
    assert "All 8 slots hold a version. Raise engine.slots." in ended.reason
    assert house.states() == {0: "live", 1: "abstained"}


async def test_an_engine_that_is_away_for_a_while_is_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    async def away(times: int) -> Path:
        calls.append(1)
        if len(calls) <= times:
            raise EngineUnavailable("The engine is starting.", "Wait a little.")
        return house.base

    monkeypatch.setattr(house.server, "base_folder", lambda: away(2))
    assert (await house.run()).state == "skipped"
    calls.clear()
    monkeypatch.setattr(house.server, "base_folder", lambda: away(99))
    ended = await house.run()
    assert (ended.state, ended.step, len(calls)) == ("failed", "snapshot", 3)
    assert "The engine is starting. Wait a little." in ended.reason


async def test_a_fault_of_the_engine_is_tried_again_a_few_times_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    async def faulty(times: int) -> Path:
        calls.append(1)
        if len(calls) <= times:
            raise EngineError("The answer was not finished in time.", "Ask for less.")
        return house.base

    house.enter()
    house.cycle = Cycle(house.ledger, house.cycle._steps, house.home, waits=(0.01,) * 9)
    monkeypatch.setattr(house.server, "base_folder", lambda: faulty(FAULTS - 1))
    assert (await house.run()).state == "skipped"
    calls.clear()
    monkeypatch.setattr(house.server, "base_folder", lambda: faulty(99))
    ended = await house.run()
    assert (ended.state, len(calls)) == ("failed", FAULTS)
    assert "not finished in time" in ended.reason


@pytest.mark.usefixtures("trained_here")
async def test_where_all_have_one_approved_response_a_version_that_says_it_does_not_pass(
    house: House,
) -> None:
    house.teach(names(80))
    ended = await house.run()
    assert ended.state == "abstained"
    assert "separate instructions have one and the same approved response" in ended.reason
    assert house.states() == {0: "live", 1: "abstained"}


@pytest.mark.usefixtures("trained_here")
async def test_a_run_that_fails_after_its_version_took_traffic_leaves_it_there(house: House) -> None:
    """As where the disk is full just when the rollout is noted."""

    async def begin_and_break(version: str, principal: Principal, reason: str, run_id: str) -> str:
        rollout = Rollout(house.ledger, house.server, house.home)
        await rollout.promote(version, principal, reason, run_id)
        raise OSError("No space left on device")

    house.launching(begin_and_break)
    house.teach(names_and_colours(80))
    ended = await house.run()
    assert (ended.state, ended.step) == ("failed", "roll out")
    assert house.states() == {0: "previous", 1: "live"}
    assert house.server.routes == {"general": ended.version}


async def test_a_second_run_is_refused_while_one_is_in_progress(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = asyncio.Event()

    async def slow() -> Path:
        await hold.wait()
        return house.base

    monkeypatch.setattr(house.server, "base_folder", slow)
    first = await house.cycle.begin("general", ANN)
    with pytest.raises(TunerBusy, match="busy with run 1 of general"):
        await house.cycle.begin("general", ANN)
    hold.set()
    ended = await house.cycle.wait()
    assert ended
    assert (ended.id, ended.state) == (first.id, "skipped")
    assert (await house.run()).state == "skipped"


async def test_whoever_waits_is_served_once_the_tuner_is_free_and_others_are_told() -> None:
    class Busy:
        answers = 2

        async def call(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
            if not self.answers:
                return {"number": 7}
            self.answers -= 1
            error = {"message": "The tuner is busy with run 6 of general.", "code": TunerBusy.code}
            raise Refused(httpx.Response(409, json={"error": error}))

    client: Any = Busy()
    assert await begun(client, "helpdesk", patient=True, every=0) == {"number": 7}
    client.answers = 1
    with pytest.raises(Refused, match="busy with run 6"):
        await begun(client, "helpdesk", patient=False)


async def test_stopping_leaves_the_run_for_the_next_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.server, "base_folder", lambda: asyncio.sleep(60))
    run = await house.cycle.begin("general", ANN)
    await asyncio.sleep(0.1)
    await house.cycle.stop()
    assert house.cycle.running == ""
    assert [left.id for left in unfinished(house.ledger)] == [run.id]


async def test_a_bug_ends_the_run_in_words_and_not_the_tuner(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def buggy() -> Path:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(house.server, "base_folder", buggy)
    ended = await house.run()
    assert ended.state == "failed"
    assert "unexpected error" in ended.reason
    assert "oops" in ended.reason
    assert house.cycle.running == ""


async def test_the_folder_of_another_run_is_never_written_to(house: House) -> None:
    folder = RunFolder.named(house.home, 1, "general")
    folder.path.mkdir(parents=True)
    folder.job.write_text('{"run_id": "another"}')
    ended = await house.run()
    assert ended.state == "failed"
    assert "belongs to another run" in ended.reason


def test_tokens_are_counted_with_room_for_the_template(base: Path) -> None:
    from feedback.records import Pair, now

    pair = Pair("e", "r", "general", "c", (Message("user", "Hi"),), "Yes.", "ann", "ann", "chat", now())
    assert 16 < token_counter(base)(pair) < 30


@pytest.mark.usefixtures("trained_here")
async def test_a_version_that_passed_and_that_its_shadow_refuses_ends_the_run_as_refused(
    house: House,
) -> None:
    async def refuse(version: str, principal: Principal, reason: str, run_id: str) -> str:
        house.ledger.set_state(version, "refused", "Its shadow says nothing.", principal.name, run_id)
        return "refused"

    house.launching(refuse)
    house.teach(names_and_colours(80))
    ended = await house.run()
    assert ended.state == "refused"
    assert ended.reason.startswith("Its shadow says nothing. ")
    assert house.states() == {0: "live", 1: "refused"}
