"""Runs, versions and decisions: numbers used once, one live version, the base always there."""

import pytest

from feedback.assistants import Assistants
from feedback.errors import BadRequest, NotFound, UnknownVersion
from feedback.ledger import Ledger
from feedback.records import Assistant, new_id


@pytest.fixture
def ledger(store):
    return Ledger(store)


def add(ledger, number, assistant="general"):
    name = f"{assistant}@{number}-{number:08x}"
    return ledger.add_version(
        version=name,
        assistant=assistant,
        number=number,
        digest=f"{number:064x}",
        folder=f"/home/versions/{name}",
        run_id=new_id(),
        principal="hone",
    )


def record(ledger, run_id, state, step, assistant="general", number=1, principal="hone", **more):
    ledger.record_run(
        run_id=run_id,
        assistant=assistant,
        number=number,
        state=state,
        step=step,
        principal=principal,
        **more,
    )


def states(ledger, assistant="general"):
    return {version.number: version.state for version in ledger.versions(assistant)}


def test_a_run_is_what_its_newest_record_says_and_who_began_it(ledger):
    run = new_id()
    record(ledger, run, "running", "snapshot", principal="otto", folder="runs/0001-general")
    record(ledger, run, "passed", "rollout", version="general@1-aa", reason="Better.", detail={"n": 3})
    told = ledger.run(run)
    assert (told.state, told.step, told.version, told.reason) == (
        "passed",
        "rollout",
        "general@1-aa",
        "Better.",
    )
    assert (told.principal, told.detail, told.folder) == ("otto", {"n": 3}, "")
    assert told.started_at < told.changed_at


def test_runs_are_listed_newest_first(ledger, store):
    Assistants(store).add(Assistant("law"), "otto")
    one, two, three = new_id(), new_id(), new_id()
    record(ledger, one, "running", "train")
    record(ledger, two, "running", "train", assistant="law")
    record(ledger, three, "running", "train", number=2)
    record(ledger, one, "failed", "train")
    assert [run.id for run in ledger.runs()] == [three, two, one]
    assert [run.id for run in ledger.runs("general")] == [three, one]
    for unknown in (new_id(), "nonsense"):
        with pytest.raises(NotFound):
            ledger.run(unknown)


def test_a_number_is_used_once_by_an_assistant(ledger, store):
    Assistants(store).add(Assistant("law"), "otto")
    assert ledger.next_number("general") == 1
    record(ledger, new_id(), "failed", "train", number=1)
    assert ledger.next_number("general") == 2
    add(ledger, 5)
    assert ledger.next_number("general") == 6
    assert ledger.next_number("law") == 1


def test_the_base_of_every_assistant_is_listed_and_live_at_first(ledger, store):
    Assistants(store).add(Assistant("law"), "otto")
    assert [(v.version, v.state, v.is_base) for v in ledger.versions()] == [
        ("general@0", "live", True),
        ("law@0", "live", True),
    ]
    assert ledger.live("law") == ledger.previous("law") == ledger.version("law@0")


def test_a_version_is_recorded_once_and_starts_in_training(ledger, store):
    made = add(ledger, 1)
    assert (made.state, made.number, made.digest[-1], made.is_base) == ("training", 1, "1", False)
    assert add(ledger, 1).run_id == made.run_id
    assert store.row("SELECT count(*) AS n FROM versions")["n"] == 1
    with pytest.raises(UnknownVersion, match="no version general@9"):
        ledger.version("general@9")


def test_only_one_version_is_live_and_the_one_before_is_previous(ledger):
    for number in (1, 2):
        add(ledger, number)
        ledger.set_state(f"general@{number}-{number:08x}", "live", "Better.", "hone")
    assert states(ledger) == {2: "live", 1: "previous", 0: "previous"}
    assert (ledger.live("general").number, ledger.previous("general").number) == (2, 1)


def test_a_roll_back_withdraws_and_returns(ledger):
    one, two = (add(ledger, number).version for number in (1, 2))
    for version in (one, two):
        ledger.set_state(version, "live", "Better.", "hone")
    ledger.set_state(ledger.previous("general").version, "live", "Back.", "otto")
    withdrawn = ledger.set_state(two, "withdrawn", "It stammers.", "otto", run_id="")
    assert (withdrawn.reason, withdrawn.changed_by) == ("It stammers.", "otto")
    assert states(ledger) == {2: "withdrawn", 1: "live", 0: "previous"}
    assert ledger.previous("general").is_base


def test_the_base_can_be_returned_to_and_is_never_out_of_service(ledger):
    one = add(ledger, 1).version
    ledger.set_state(one, "live", "Better.", "hone")
    base = ledger.set_state("general@0", "live", "Not better after all.", "otto")
    assert (base.state, base.changed_by) == ("live", "otto")
    assert states(ledger) == {1: "previous", 0: "live"}
    with pytest.raises(BadRequest, match="never out of service"):
        ledger.set_state("general@0", "withdrawn", "No.", "otto")


def test_assistants_do_not_touch_each_other(ledger, store):
    Assistants(store).add(Assistant("law"), "otto")
    for assistant in ("general", "law"):
        ledger.set_state(add(ledger, 1, assistant).version, "live", "Better.", "hone")
    ledger.set_state("law@0", "live", "Back.", "otto")
    assert states(ledger, "general") == {1: "live", 0: "previous"}
    assert states(ledger, "law") == {1: "previous", 0: "live"}


@pytest.mark.parametrize("version", ["general@9", "ghost@0", "", "@", "' OR 1=1 --"])
def test_what_was_never_made_has_no_state(ledger, version):
    with pytest.raises(UnknownVersion):
        ledger.set_state(version, "live", "Please.", "otto")


def test_an_unknown_state_or_assistant_is_refused(ledger):
    with pytest.raises(BadRequest, match="cannot be famous"):
        ledger.set_state("general@0", "famous", "", "otto")
    with pytest.raises(NotFound):
        ledger.live("ghost")


def test_every_change_of_state_is_an_event(ledger, store):
    one = add(ledger, 1).version
    for state in ("candidate", "live"):
        ledger.set_state(one, state, state, "hone")
    rows = store.rows("SELECT version, state, principal FROM rollouts ORDER BY seq")
    assert [tuple(row.values()) for row in rows] == [(one, "candidate", "hone"), (one, "live", "hone")]


def test_an_evaluation_is_read_back_with_its_scorecard(ledger):
    run = new_id()
    assert ledger.evaluation(run) is None
    said = {"run_id": run, "version": "general@1-aa", "incumbent": "general@0", "verdict": "abstain"}
    ledger.record_evaluation(
        **said, scorecard={"items": [{"won": True}]}, reasons=["Too few."], principal="hone"
    )
    told = ledger.evaluation(run)
    assert {key: told[key] for key in said} == said
    assert (told["scorecard"], told["reasons"]) == ({"items": [{"won": True}]}, ["Too few."])


def test_a_decision_is_recorded_only_when_it_changes(ledger):
    for due, reason in (
        (False, "3 of 50"),
        (False, "3 of 50"),
        (False, "4 of 50"),
        (True, "50"),
        (False, "4 of 50"),
    ):
        ledger.record_decision("general", due, reason)
    told = [(row["due"], row["reason"]) for row in ledger.decisions("general")]
    assert told == [(False, "4 of 50"), (True, "50"), (False, "4 of 50"), (False, "3 of 50")]
    assert ledger.decisions("law") == []
    assert len(ledger.decisions("general", limit=1)) == 1
