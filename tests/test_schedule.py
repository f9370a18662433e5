"""When a run is due, and the reason in words whenever it is not."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import new_store

from feedback import imports
from feedback.assistants import Assistants
from feedback.imports import ImportRow
from feedback.ledger import Ledger
from feedback.records import Assistant, Message, Pair, Principal, Role, Run, RunState, new_id, now
from tuner.cycle import Cycle
from tuner.job import Job
from tuner.plan import RunFolder
from tuner.schedule import Schedule, Terms, due

NOON = datetime.now().astimezone().replace(hour=12, minute=0, second=0, microsecond=0).astimezone(UTC)
ANN = Principal("ann", Role.ADMIN)


def approved(count: int, *, hours: float = 1.0) -> list[Pair]:
    """Pairs approved so many hours before noon."""
    at = NOON - timedelta(hours=hours)
    message = (Message("user", "Hi"),)
    return [Pair(new_id(), new_id(), "general", "c", message, "Yes.", "ann", "ann", "chat", at)] * count


def ended(number: int, state: RunState, *, hours: float, took: float = 0.5) -> Run:
    """A run that ended so many hours before noon."""
    end = NOON - timedelta(hours=hours)
    return Run(new_id(), "general", number, state, "account", end - timedelta(hours=took), end, "hone")


@pytest.mark.parametrize(
    ("pairs", "runs", "wanted", "words"),
    [
        ([], [], False, "There is no new approved pair."),
        (approved(49), [], False, "49 new approved pairs; 50 start a run."),
        (approved(1), [], False, "1 new approved pair; 50 start a run."),
        (approved(50), [], True, "50 new approved pairs."),
        (approved(50), [ended(1, "abstained", hours=20)], True, "50 new approved pairs since run 1."),
        (approved(60, hours=30), [ended(1, "passed", hours=20)], False, "no new approved pair since run 1."),
        (approved(60, hours=20.2), [ended(1, "passed", hours=20)], True, "60 new"),  # came during the run
        (approved(60), [ended(1, "refused", hours=5)], False, "rests until"),
        (approved(60), [ended(1, "failed", hours=5)], False, "rests until"),
        (approved(60), [ended(1, "skipped", hours=7)], True, "60 new approved pairs."),
        (
            approved(55) + approved(945, hours=99),
            [ended(1, "passed", hours=50)],
            False,
            "55 new approved pairs since run 1; 100 start a run.",
        ),
        (approved(1, hours=24 * 31), [], True, "1 new approved pair, the oldest over 30 days old."),
    ],
)
def test_the_table_of_reasons(pairs: list[Pair], runs: list[Run], wanted: bool, words: str) -> None:
    found, reason = due(Terms(), pairs, runs, NOON)
    assert (found, words in reason) == (wanted, True), reason


@pytest.mark.parametrize(
    ("hours", "wanted"), [((22, 6), False), ((9, 13), True), ((12, 13), True), ((13, 9), False)]
)
def test_runs_start_by_themselves_only_in_the_hours_set(hours: tuple[int, int], wanted: bool) -> None:
    found, reason = due(Terms(hours=hours), approved(60), [], NOON)
    assert found is wanted
    assert wanted or f"between {hours[0]} and {hours[1]} o'clock" in reason


@given(st.integers(0, 23), st.integers(0, 23))
def test_hours_and_their_opposite_cover_the_day(begin: int, end: int) -> None:
    night, day = Terms(hours=(begin, end)), Terms(hours=(end, begin))
    for hour in range(24):
        assert night.open_at(hour) != day.open_at(hour) or begin == end


@given(st.integers(0, 200), st.floats(0.1, 2000))
def test_the_reason_stays_the_same_while_nothing_changes(count: int, hours: float) -> None:
    """Only a change of the reason is recorded; a clock in it would fill the history."""
    first, second = (
        due(Terms(), approved(count, hours=hours), [], NOON + timedelta(seconds=after)) for after in (0, 60)
    )
    assert first == second or first[0] != second[0] or "days old" in second[1]


class Noted:
    """The steps of a run, of which the first takes until it is let go."""

    def __init__(self) -> None:
        self.answered = 0
        self.begun: list[str] = []
        self.go_on = asyncio.Event()

    async def snapshot(self, job: Job) -> None:
        self.begun.append(f"{job.run.assistant} {job.run.number}")
        await self.go_on.wait()
        raise ZeroDivisionError

    async def put_aside(self, *_: object) -> None:
        raise AssertionError("there is no version to put aside")

    plan = recall = train = register = prove = evaluate = gate = roll_out = account = snapshot


class House:
    def __init__(self, home: Path) -> None:
        self.store = new_store(home / "hone.duckdb")
        self.ledger = Ledger(self.store)
        self.steps = Noted()
        self.at = now()
        self.cycle = Cycle(self.ledger, self.steps, home)  # type: ignore[arg-type]
        self.terms = Terms(new_pairs=3)
        self.schedule = self.anew()

    def anew(self, **settings: bool) -> Schedule:
        terms = (self.store, self.ledger, self.cycle, self.terms)
        return Schedule(*terms, minutes=60, clock=lambda: self.at, **settings)

    def teach(self, count: int, assistant: str = "general") -> None:
        rows = [ImportRow((Message("user", f"Question {new_id()}"),), "Yes.") for _ in range(count)]
        imports.save(self.store, ANN, assistant, rows, approve=True, source="import")
        self.at = now()

    def reasons(self, assistant: str = "general") -> list[tuple[bool, str]]:
        return [(told["due"], told["reason"]) for told in reversed(self.ledger.decisions(assistant))]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


async def test_looking_starts_what_is_due_and_records_only_changes_of_mind(house: House) -> None:
    for _ in range(3):
        await house.schedule.look()
    house.teach(2)
    await house.schedule.look()
    house.teach(1)
    await house.schedule.look()
    await house.schedule.look()
    assert house.reasons() == [
        (False, "There is no new approved pair."),
        (False, "2 new approved pairs; 3 start a run."),
        (True, "3 new approved pairs."),
        (False, "3 new approved pairs; it waits for run 1 of general."),
    ]
    await asyncio.sleep(0.2)
    assert house.steps.begun == ["general 1"]
    assert house.ledger.runs()[0].principal == "hone"
    house.steps.go_on.set()
    await house.cycle.wait()
    house.at = now()
    await house.schedule.look()
    assert "rests until" in house.reasons()[-1][1]


async def test_a_paused_assistant_and_one_with_a_canary_start_no_run_by_themselves(house: House) -> None:
    house.teach(3)
    give = house.ledger.orders.give
    give("general", "pause", version="", reason="Moving house.", principal="ann")
    await house.schedule.look()
    assert house.reasons()[-1] == (False, "3 new approved pairs. Runs are paused by ann: Moving house.")
    give("general", "resume", version="", reason="", principal="ann")
    canary = {"assistant": "general", "version": "general@1-x", "reason": "", "principal": "hone"}
    house.ledger.rollouts.record(**canary, state="canary", share=0.05)  # type: ignore[arg-type]
    await house.schedule.look()
    assert "The canary general@1-x is decided first." in house.reasons()[-1][1]
    assert house.steps.begun == []
    house.ledger.rollouts.record(**canary, state="withdrawn")  # type: ignore[arg-type]
    await house.schedule.look()
    assert house.reasons()[-1][0]
    await house.cycle.stop()


async def test_one_assistant_waits_for_the_run_of_another(house: House) -> None:
    Assistants(house.store).add(Assistant("law"), "ann")
    house.teach(3)
    house.teach(3, "law")
    await house.schedule.look()
    assert house.reasons("law") == [(False, "3 new approved pairs; it waits for run 1 of general.")]
    house.steps.go_on.set()
    await house.cycle.wait()
    await house.schedule.look()
    await house.cycle.wait()
    assert house.steps.begun == ["general 1", "law 1"]


async def test_a_run_left_behind_goes_on_first_even_when_the_tuner_is_switched_off(house: House) -> None:
    left = await house.cycle.begin("general", ANN)
    await asyncio.sleep(0.1)
    await house.cycle.stop()
    house.teach(9)
    quiet = house.anew(enabled=False)
    await quiet.look()
    await asyncio.sleep(0.1)
    assert house.steps.begun == ["general 1", "general 1"]
    switched_off = "9 new approved pairs. The tuner starts no run by itself (tuner.enabled)."
    assert house.reasons() == [(False, switched_off)]
    house.steps.go_on.set()
    ended = await house.cycle.wait()
    assert ended
    assert (ended.id, ended.state) == (left.id, "failed")
    await quiet.look()
    assert len(house.ledger.runs()) == 1


async def test_a_burst_of_looks_starts_one_run(house: House) -> None:
    house.teach(5)
    await asyncio.gather(*(house.schedule.look() for _ in range(10)))
    await asyncio.sleep(0.1)
    assert house.steps.begun == ["general 1"]
    await house.cycle.stop()


async def test_the_clock_looks_at_once_and_again_when_woken_and_stops(house: House) -> None:
    await house.schedule.start()
    await _until(lambda: bool(house.reasons()))
    house.teach(3)
    house.schedule.wake()
    await _until(lambda: bool(house.steps.begun))
    await house.schedule.stop()
    house.schedule.wake()
    assert [run.state for run in house.ledger.runs()] == ["running"]
    assert RunFolder(Path(house.ledger.runs()[0].folder)).job.exists()


async def _until(done: Callable[[], bool]) -> None:
    for _ in range(200):
        if done():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it did not come to that")


async def test_being_woken_during_a_look_is_not_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asyncio.Event()

    async def slow(assistant: str) -> tuple[bool, str]:
        if not first.is_set():
            first.set()
            await asyncio.sleep(0.05)
            return False, "There is no new approved pair."
        return True, "Three came meanwhile."

    monkeypatch.setattr(house.schedule, "due", slow)
    looking = asyncio.create_task(house.schedule.look())
    await first.wait()
    house.schedule.wake()
    await looking
    assert house.reasons()[-1] == (True, "Three came meanwhile.")
    await house.cycle.stop()
