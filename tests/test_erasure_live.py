"""Erasure, lineage and proposals in a running Hone with a real engine: command, API, routes, files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RunningHone, on_tiny_model
from erasure_home import LEE, SECRET, Past, left, live
from stories import new_store
from teacher_stand_in import TeacherStandIn
from tiny_engine import make_adapter

from feedback.records import new_id

pytestmark = pytest.mark.long

PHRASE = "The turnip festival of Saltcoats begins on a Wednesday"


@pytest.fixture(scope="module")
def teacher() -> Iterator[TeacherStandIn]:
    house = TeacherStandIn()
    yield house
    house.close()


@pytest.fixture(scope="module")
def hone(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, teacher: TeacherStandIn
) -> Iterator[RunningHone]:
    """One without a past, and with a teacher."""
    with on_tiny_model(tmp_path_factory.mktemp("live"), tiny_model) as running:
        running.settings = f'[tuner]\nenabled = false\n[teacher]\nurl = "{teacher.url}"\nmodel = "big"\n'
        yield running.start()


@pytest.fixture
def past(tiny_hone: RunningHone, tiny_model: Path, tmp_path: Path) -> Past:
    """Three versions before the first start, with adapters that the tiny model can load."""

    def adapter(folder: Path, number: int) -> None:
        made = make_adapter(tiny_model, tmp_path / f"adapter-{number}", seed=number)
        folder.mkdir(parents=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copyfile(made / name, folder / name)

    tiny_hone.home.mkdir()
    store = new_store(tiny_hone.home / "hone.duckdb")
    try:
        return live(store, tiny_hone.home, adapter)
    finally:
        store.close()


def test_a_conversation_is_listed_then_erased_then_proved(hone: RunningHone) -> None:
    line = new_id()
    asked = hone.chat(PHRASE, conversation_id=line, max_tokens=40)
    hone.post("/v1/feedback", {"exchange_id": asked["id"], "rating": "down", "comment": PHRASE})

    listed = hone.command("erase", "--conversation", line)
    assert (listed.returncode, "1 exchanges" in listed.stdout) == (0, True), listed.stderr
    assert "Nothing was erased" in listed.stdout
    assert hone.get(f"/v1/exchanges/{asked['id']}/fate").json()["state"] == "pending"

    out = hone.home.parent / "receipt.json"
    done = hone.command("erase", "--conversation", line, "--yes", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none is left" in done.stdout
    assert "The engine keeps nothing of it." in done.stdout
    told = json.loads(out.read_text())
    assert hone.get(f"/v1/erasures/{told['erasure']}").json() == told
    assert hone.post("/v1/erasures/verify", {"receipt": told}).json() == {"valid": True}
    assert hone.command("erase", "--verify", str(out)).returncode == 0
    out.write_text(json.dumps({**told, "target": new_id()}))
    assert hone.command("erase", "--verify", str(out)).returncode == 1

    assert hone.get("/v1/search", params={"q": "turnip"}).json()["data"] == []
    body = {"model": "general", "conversation_id": line, "messages": [{"role": "user", "content": "Again"}]}
    assert hone.post("/v1/chat/completions", body).status_code == 404
    assert hone.get(f"/v1/exchanges/{asked['id']}/fate").json()["summary"].startswith("Erased")
    assert hone.get("/v1/erasures").json()["data"][0]["by"] == "cli"
    assert left(hone.home, PHRASE) == {}


def test_versions_that_learnt_leave_the_engine_and_the_newest_clean_one_answers(
    tiny_hone: RunningHone, past: Past
) -> None:
    tiny_hone.settings = "[tuner]\nenabled = false\n"
    tiny_hone.start()
    assert tiny_hone.chat("Hello", max_tokens=4)["model"] == past.versions[2]
    rows = tiny_hone.command("rows", past.versions[2])
    assert past.lee.id[:8] in rows.stdout
    answers = tiny_hone.home / "suite" / "0123456789abcdef"
    answers.mkdir(parents=True)
    for version in ("base", past.versions[0], past.versions[2]):
        (answers / f"{version}.jsonl").write_text('{"asked": "0", "sample": 0, "text": "Hm."}\n')
    done = tiny_hone.command("erase", "--user", LEE.name, "--yes", "--stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tiny_hone.chat("Hello", max_tokens=4)["model"] == past.versions[0]
    tiny_hone.wait(lambda: tiny_hone.get("/v1/status").json()["router"]["loaded"] == [past.versions[0]], 60)
    assert [path.name for path in (tiny_hone.home / "versions").iterdir()] == [past.versions[0]]
    assert {path.stem for path in answers.iterdir()} == {"base", past.versions[0]}
    refused = tiny_hone.post(f"/v1/versions/{past.versions[2]}/promote", {"reason": "I want it back."})
    assert refused.status_code == 409
    tiny_hone.stop()
    tiny_hone.start()
    assert tiny_hone.chat("Hello", max_tokens=4)["model"] == past.versions[0]
    assert left(tiny_hone.home, SECRET) == {}


def test_what_was_disliked_gets_proposals_from_the_version_itself_and_from_a_teacher(
    hone: RunningHone, teacher: TeacherStandIn
) -> None:
    asked = hone.chat("Tell me a story, please.", max_tokens=8)
    hone.post("/v1/feedback", {"exchange_id": asked["id"], "rating": "down"})
    done = hone.command("propose", "--samples", "2")
    assert (done.returncode, "for 1 questions" in done.stdout) == (0, True), done.stdout + done.stderr
    done = hone.command("propose", "--teacher")
    assert "1 proposals for 1 questions" in done.stdout, done.stdout + done.stderr
    told = hone.get(f"/v1/proposals/{asked['id']}").json()["data"]
    sources = {one["source"] for one in told}
    assert sources == {"proposal:self@general@0", "proposal:teacher:big"}
    (right,) = [one["id"] for one in told if one["source"].startswith("proposal:teacher")]
    ticked = hone.post(f"/v1/proposals/{asked['id']}", {"right": [right]})
    assert ticked.json()["data"][0]["approved_response"] == teacher.said
    exported = hone.get("/v1/exports", params={"assistant": "general"}).text.splitlines()
    assert [json.loads(line)["messages"][-1]["content"] for line in exported] == [teacher.said]
