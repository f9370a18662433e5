"""A storage that lies: whoever writes to it besides us leads neither side out of its folder.

Files stand in for the other machine. What it trains is its to say; what is read, written and deleted is not.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from feedback.errors import HoneError, StorageAway, TrainingFailed
from tuner import child
from tuner.keeper import Keeper
from tuner.launchers import elsewhere, storage
from tuner.launchers.base import Order
from tuner.launchers.elsewhere import Elsewhere
from tuner.launchers.storage import Storage
from tuner.plan import RunFolder, TrainPlan, write_json

RUN = "0001-general"
NAME = "0123456789ab"
DIGEST = "0" * 64


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What is nobody's business there."""
    home = tmp_path / "home"
    (home / "versions").mkdir(parents=True)
    (home / "token").write_text("secret")
    (home / "versions" / "card.json").write_text("{}")
    return home


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The run's folder on a storage that another machine writes to as well."""
    place = tmp_path / "store" / elsewhere.RUNS / RUN
    place.mkdir(parents=True)
    return place


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "TRIES", 1)


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("link", ["", "attempt", "a/b"])
def test_a_link_in_place_of_a_folder_leads_no_deletion_out_of_the_storage(
    home: Path, place: Path, link: str
) -> None:
    before = files(home)
    at = place / link
    if link:
        at.parent.mkdir(exist_ok=True)
    else:
        place.rmdir()
    at.symlink_to(home)
    Storage(str(place)).remove()
    assert files(home) == before
    assert not os.path.lexists(place), "and what is there is gone"


def test_a_link_to_all_runs_is_refused_and_not_followed(home: Path, place: Path, tmp_path: Path) -> None:
    place.rmdir()
    place.parent.rmdir()
    place.parent.symlink_to(home)
    before = files(home)
    with pytest.raises(StorageAway, match="is a link"):
        elsewhere.sweep(str(tmp_path / "store"), [])
    for act in (lambda s: s.write("wanted.json", {}), lambda s: s.remove(), lambda s: s.read("token")):
        with pytest.raises(StorageAway, match="is a link"):
            act(Storage(str(place)))
    assert files(home) == before


@pytest.mark.parametrize("link", ["wanted.json", "wanted.json.partial"])
def test_a_link_in_place_of_a_file_is_replaced_and_not_written_through(
    home: Path, place: Path, link: str
) -> None:
    (place / link).symlink_to(home / "token")
    Storage(str(place)).write("wanted.json", {"name": ""})
    assert Storage(str(place)).read("wanted.json") == {"name": ""}
    assert (home / "token").read_text() == "secret"


def test_what_is_no_file_or_too_large_is_not_read(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(place / "sign.json")
    with pytest.raises(StorageAway):
        Storage(str(place)).read("sign.json")
    monkeypatch.setattr(storage, "MOST_TOLD", 100)
    (place / "made.json").write_text(json.dumps("x" * 200))
    with pytest.raises(StorageAway, match="larger than"):
        Storage(str(place)).read("made.json")
    sent = tmp_path / "sent"
    sent.write_bytes(b"x" * 101)
    made = Storage(str(place)).send("a", sent)
    with pytest.raises(StorageAway, match="larger than"):
        Storage(str(place)).fetch("a", made, tmp_path / "got", most=100)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("name", ["../token", "a/../../token", "/etc/passwd", "a//b", "."])
def test_a_name_that_climbs_names_nothing(home: Path, name: str) -> None:
    with pytest.raises(StorageAway, match="cannot be a name"):
        Storage(str(home / "versions")).read(name)


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "snapshot/../../escaped", 7])
def test_a_keeper_writes_nothing_outside_its_folder(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    given = Storage(str(place))
    sent = tmp_path / "sent"
    sent.write_text("pwned")
    given.write("given.json", {str(name): given.send("given", sent)} if name != 7 else [name])
    given.write("wanted.json", {"name": NAME, "before": []})
    with pytest.raises(HoneError, match="not what Hone put there"):
        Keeper(given, NAME, beat=5).keep(1, [])
    assert not list(tmp_path.rglob("*escaped*"))


class Nobody:
    """Starts nothing: the storage says all."""

    async def run(self, order: Order) -> int:
        await asyncio.sleep(60)
        return 0


@pytest.mark.parametrize(
    "told",
    [
        {"wanted.json": []},
        {"wanted.json": {"name": "../../../home/x", "before": []}},
        {"wanted.json": {"name": NAME, "before": ["../../../home"]}},
        {"made.json": []},
        {"made.json": {"files": {"trained.json": "../../token"}, "ended": 0}},
        {"made.json": {"files": {"trained.json": 5}, "ended": None}},
        {"made.json": {"files": {}, "ended": "soon"}},
        {"made.json": {"files": [], "ended": None}},
    ],
)
async def test_what_is_not_hones_ends_the_run_in_a_sentence(
    place: Path, home: Path, tmp_path: Path, told: dict[str, Any]
) -> None:
    run = RunFolder(tmp_path / "runs" / RUN)
    run.snapshot.mkdir(parents=True)
    run.write_plan(TrainPlan(base="b", learning_rate=1e-4, epochs=1))
    there = Storage(str(place))
    there.write("wanted.json", told.get("wanted.json", {"name": NAME, "before": []}))
    there.claim(f"{NAME}/claim")
    beats = asyncio.create_task(_beat(there))
    if "made.json" in told:
        there.write(f"{NAME}/made.json", told["made.json"])
    before = files(home)
    with pytest.raises(TrainingFailed, match="not what Hone put there"):
        async with asyncio.timeout(20):
            await Elsewhere(Nobody(), str(tmp_path / "store"), beat=0.05).attempt(run)
    beats.cancel()
    assert files(home) == before


async def _beat(there: Storage) -> None:
    for beat in range(1000):
        there.write(f"{NAME}/sign.json", beat)
        await asyncio.sleep(0.02)


class Says:
    """A launcher whose machine leaves these files."""

    def __init__(self, **files: Any) -> None:
        self.files = files

    async def attempt(self, folder: RunFolder) -> int:
        for name, value in self.files.items():
            write_json(folder.path / f"{name}.json", value)
        return 0

    async def clear(self, folder: RunFolder) -> None: ...


@pytest.mark.parametrize(
    "files",
    [
        {"error": []},
        {"error": {"what": 5, "todo": ""}},
        {"error": {"what": "a", "todo": "b", "c": "d"}},
        {"trained": []},
        {"trained": {"digest": "../../up"}},
        {"trained": {}},
    ],
)
async def test_a_forged_end_is_a_failure_in_a_sentence(tmp_path: Path, files: dict[str, Any]) -> None:
    with pytest.raises(TrainingFailed, match="cannot be read"):
        await child.train(RunFolder(tmp_path), Says(**files))


def test_lines_of_progress_that_are_none_are_left_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    good = {"phase": "train", "step": 1, "steps": 4, "seconds": 0.5, "loss": 2.0}
    bad = [5, [], {}, {**good, "step": "1"}, {**good, "steps": None}, {**good, "step": 10**400}]
    run.progress.write_text("".join(json.dumps(line) + "\n" for line in [*bad, good, *bad]))
    assert child.progress(run) == [good]
    broken = {**good, "loss": "low", "seconds": float("nan")}
    run.progress.write_text(json.dumps(broken) + "\n")
    assert child.progress(run) == [{**good, "loss": None, "seconds": None}]
