"""Training elsewhere: each launcher ends a run with the same bytes, whatever is killed, never two at once."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_cycle import House, names_and_colours
from tiny_base import make_base, make_run, row

from feedback.errors import StorageAway, TrainingFailed
from tuner import child
from tuner.keeper import PATIENCE, SILENCE
from tuner.launchers import elsewhere
from tuner.launchers.base import Far, Launcher, Order
from tuner.launchers.command import Command, faults, fill
from tuner.launchers.elsewhere import Elsewhere
from tuner.launchers.kubernetes import Kubernetes, Pod
from tuner.launchers.local import ROOT, Local
from tuner.launchers.storage import Storage, Taken
from tuner.plan import RunFolder, read_json, read_lines

pytestmark = pytest.mark.long

TAUGHT = [row(f"Say {'so ' * n}{n}.", "Yes. " * (n % 5 + 1)) for n in range(12)]
DEV = [row(f"Then say {n}.", "Yes.") for n in range(8)]
LONG: dict[str, Any] = {"epochs": 30, "patience": 30, "checkpoint_steps": 5, "batch_tokens": 64}
BEAT = 0.2
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The training by one process of this machine, which nobody killed."""
    run = make_run(tmp_path_factory.mktemp("whole") / "0001-general", base, TAUGHT, DEV, DEV, **LONG)
    asyncio.run(child.train(run, Local(1)))
    return run


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where Hone is installed; and a folder of its own for what a keeper leaves there."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


def same_run(whole: RunFolder, folder: Path) -> RunFolder:
    run = RunFolder(folder / "runs" / "0001-general")
    run.path.mkdir(parents=True)
    os.symlink(whole.snapshot, run.snapshot)
    run.write_plan(whole.read_plan())
    return run


def kubernetes(folder: Path, **secret: str) -> Kubernetes:
    folder.mkdir()
    image = {name: os.environ[name] for name in ("PYTHONPATH", "TMPDIR")}
    (folder / "secrets.json").write_text(json.dumps({"image": image, "keys": secret}))
    kubectl = (sys.executable, str(HERE / "kubectl_stand_in.py"), str(folder))
    return Kubernetes(Pod("hone", secrets=["keys"]), kubectl=kubectl, namespace="chat", look=BEAT)


def away(far: Far, storage: str, **told: Any) -> Elsewhere:
    return Elsewhere(far, storage, python=sys.executable, beat=BEAT, **told)


LAUNCHERS: dict[str, Callable[[Path], Launcher]] = {
    "by its words": lambda tmp: away(Command(["env", "{words}"]), f"{tmp}/store"),
    "through a shell, as ssh": lambda tmp: away(Command(["sh", "-c", "{train}"]), f"{tmp}/the store's"),
    "kubernetes": lambda tmp: away(kubernetes(tmp / "cluster"), f"{tmp}/store"),
}


def losses(run: RunFolder) -> list[float]:
    return [line["loss"] for line in child.progress(run)]


def left(tmp_path: Path) -> list[Path]:
    """What is on the storage, and in the temporary folder of the machine elsewhere."""
    return [*tmp_path.glob("*store*/hone-runs/*"), *(tmp_path / "tmp").glob("hone-training-*")]


def begin(order: Order) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(order.words, start_new_session=True)


def agree(run: RunFolder, whole: RunFolder) -> None:
    assert read_json(run.trained)["digest"] == read_json(whole.trained)["digest"]
    assert losses(run) == losses(whole)
    for name in ("scores", "probe"):
        assert read_json(getattr(run, name)) == read_json(getattr(whole, name))


@pytest.mark.parametrize("name", LAUNCHERS)
async def test_a_training_ends_with_the_same_bytes_wherever_it_was(
    name: str, whole: RunFolder, tmp_path: Path
) -> None:
    run = same_run(whole, tmp_path)
    await child.train(run, LAUNCHERS[name](tmp_path))
    agree(run, whole)
    assert not left(tmp_path), "nothing of a run stays on the storage, nor on the machine"


def trainers(run: str = "tuner.train") -> list[psutil.Process]:
    """The processes below this one, or below a cluster's node, that train."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if run in words and "accelerate.commands.launch" not in words:
            found.append(process)
    return found


def mine(tmp_path: Path, module: str) -> list[psutil.Process]:
    """Those of this test, told by its folder for temporary files or in their words."""
    found = []
    for process in trainers(module):
        try:
            if str(tmp_path) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


async def step(run: RunFolder, number: int) -> None:
    """Wait until that step has been told."""
    for _ in range(3000):
        if any(line["step"] >= number for line in read_lines(run.progress)):
            return
        await asyncio.sleep(0.02)
    pytest.fail("the training did not get so far")


async def test_two_processes_of_which_one_is_killed_train_what_one_does(
    whole: RunFolder, tmp_path: Path
) -> None:
    """Losses differ by the order of the sums, by less than a thousandth part."""
    run = same_run(whole, tmp_path)
    training = asyncio.ensure_future(child.train(run, Local(1, 2, ["--max_restarts", "0"])))
    await step(run, 12)
    team = mine(tmp_path, "tuner.train")
    assert len(team) == 2
    team[1].kill()
    told = await training
    assert told["processes"] == 2
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3, abs=1e-4)
    assert told["dev_nll"] == pytest.approx(read_json(whole.trained)["dev_nll"], rel=1e-3, abs=1e-4)
    assert run.log.read_text("utf-8").count("Signal 9") or "exitcode" in run.log.read_text("utf-8")


async def test_a_team_elsewhere_trains_too(whole: RunFolder, tmp_path: Path) -> None:
    run = same_run(whole, tmp_path)
    launcher = away(Command(["{words}"]), f"{tmp_path}/store", processes=2)
    told = await child.train(run, launcher)
    assert told["processes"] == 2
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "victim"),
    [
        ("kubernetes", "tuner.keeper"),
        pytest.param("by its words", "tuner.train", marks=pytest.mark.slow),
        pytest.param("by its words", "tuner.keeper", marks=pytest.mark.slow),
        pytest.param("kubernetes", "tuner.train", marks=pytest.mark.slow),
    ],
)
async def test_what_is_killed_is_gone_on_with_from_its_checkpoint(
    victim: str, name: str, whole: RunFolder, tmp_path: Path
) -> None:
    run = same_run(whole, tmp_path)
    training = asyncio.ensure_future(child.train(run, LAUNCHERS[name](tmp_path)))
    await step(run, 8)
    for process in mine(tmp_path, victim):
        process.kill()
    most = 0
    while not training.done():
        most = max(most, len(mine(tmp_path, "tuner.train")))
        await asyncio.sleep(0.05)
    await training
    agree(run, whole)
    assert most == 1, "two trained at once"
    assert read_json(run.trained)["steps"] == len(losses(run)) - 1
    assert not left(tmp_path), "a killed one's files were left"


class Nobody:
    """Nothing is to be started."""

    async def run(self, order: Order) -> int:
        raise AssertionError("a second training was started")


class Apart:
    """Starts a training that outlives whoever asked for it, and says nothing of it."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    async def run(self, order: Order) -> int:
        self.started.append(begin(order))
        return await asyncio.Future()


async def test_a_training_that_outlives_hone_is_gone_on_with(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store, apart = same_run(whole, tmp_path), f"{tmp_path}/store", Apart()

    async def killed(*_: Any) -> None:
        """What a killed Hone does at the end of an attempt."""

    with monkeypatch.context() as gone:
        gone.setattr(Elsewhere, "_end", killed)
        first = asyncio.ensure_future(child.train(run, away(apart, store)))
        await step(run, 3)
        first.cancel()
        await asyncio.wait([first])
    await child.train(run, away(Nobody(), store))
    agree(run, whole)
    assert apart.started[0].wait(20) == 0


async def test_one_that_stood_still_is_given_up_and_ends_itself_when_it_goes_on(
    whole: RunFolder, tmp_path: Path
) -> None:
    run, apart = same_run(whole, tmp_path), Apart()
    training = asyncio.ensure_future(child.train(run, away(apart, f"{tmp_path}/store")))
    await step(run, 8)
    still = mine(tmp_path, "tuner.train")
    for process in still:  # a machine that hangs
        process.suspend()
    apart.started[0].send_signal(signal.SIGSTOP)
    began = time.monotonic()
    while len(apart.started) < 2:
        await asyncio.sleep(0.05)
    assert time.monotonic() - began > PATIENCE * BEAT
    apart.started[0].send_signal(signal.SIGCONT)
    assert apart.started[0].wait(20) == 5
    for process in still:
        process.wait(20)
    await training
    agree(run, whole)
    assert SILENCE > PATIENCE


async def test_a_job_that_is_started_twice_trains_once(whole: RunFolder, tmp_path: Path) -> None:
    """Kubernetes: even with one completion and one pod at a time a program may sometimes be started twice."""

    class Twice(Apart):
        async def run(self, order: Order) -> int:
            for _ in range(2):
                self.started.append(begin(order))
            return await asyncio.to_thread(self.started[0].wait)

    run, twice = same_run(whole, tmp_path), Twice()
    await child.train(run, away(twice, f"{tmp_path}/store"))
    agree(run, whole)
    assert sorted(process.wait(20) for process in twice.started) == [0, 4]


async def test_what_the_training_refuses_arrives_in_words(whole: RunFolder, tmp_path: Path) -> None:
    run = same_run(whole, tmp_path)
    launcher = away(Command(["{words}"]), f"{tmp_path}/store", base=f"{tmp_path}/nowhere")
    with pytest.raises(TrainingFailed, match="nowhere cannot be loaded"):
        await child.train(run, launcher)
    assert not left(tmp_path)


async def test_one_that_is_stopped_ends_there_and_a_sweep_leaves_nothing(
    whole: RunFolder, tmp_path: Path
) -> None:
    """As an erasure does it: the run in progress is stopped, then its folder there is deleted."""
    run, apart, store = same_run(whole, tmp_path), Apart(), f"{tmp_path}/store"
    training = asyncio.ensure_future(child.train(run, away(apart, store)))
    await step(run, 3)
    training.cancel()
    await asyncio.wait([training])
    elsewhere.sweep(store, ["0002-general"])
    assert apart.started[0].wait(20) == 5
    assert not left(tmp_path)


def test_a_sweep_spares_runs_that_go_on_and_what_is_not_hones(tmp_path: Path) -> None:
    for name in ("0001-general", "0002-law"):
        Storage(f"{tmp_path}/hone-runs/{name}").write("wanted.json", {"name": "a", "before": []})
    (tmp_path / "thesis.txt").write_text("theirs")
    elsewhere.sweep(str(tmp_path), ["0002-law"])
    assert [path.name for path in (tmp_path / "hone-runs").iterdir()] == ["0002-law"]
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_arrives_whole_and_unchanged_or_not_at_all(tmp_path: Path) -> None:
    storage, sent, got = Storage(f"{tmp_path}/there"), tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(b"weights")
    name = storage.send("a", sent)
    storage.fetch("a", name, got)
    assert got.read_bytes() == b"weights"
    got.unlink()
    (tmp_path / "there" / "a" / name).write_bytes(b"weighty")
    with pytest.raises(StorageAway, match="not those that were put there"):
        storage.fetch("a", name, got)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["sent"]
    storage.claim("a/claim")
    with pytest.raises(Taken):
        storage.claim("a/claim")


def test_a_command_is_filled_in_for_a_shell_or_without_one(tmp_path: Path) -> None:
    words = ("python3", "-m", "tuner.keeper", "s3://b/it's here; rm -rf $HOME/0001-general", "ab12")
    order = Order("0001-general-ab12", "0001-general", words, RunFolder(tmp_path))
    assert fill(["{words}"], order) == list(words)
    ssh = fill(["ssh", "node1", "{train}"], order)
    assert shlex.split(ssh[2]) == list(words)
    said = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {ssh[2]}"], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == list(words)
    slurm = ["sbatch", "--wait", "--job-name={run}", "--wrap", "{train}"]
    assert fill(slurm, order)[2] == "--job-name=0001-general"
    assert faults(slurm) == []
    assert "would train nothing" in faults(["ssh", "node1"])[0]
    assert "{folder} is unknown" in faults(["{folder}", "{train}"])[0]
    assert "cannot be read" in faults(["awk", "{", "{train}"])[0]


async def test_a_command_that_is_not_there_is_named(whole: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="no-such-command cannot be started"):
        await child.train(
            same_run(whole, tmp_path), away(Command(["no-such-command", "{words}"]), str(tmp_path))
        )


RUNS: dict[str, Callable[[Path], Launcher]] = {
    "a team of this machine": lambda tmp: Local(1, 2),
    "kubernetes": lambda tmp: away(kubernetes(tmp / "cluster"), f"{tmp}/store"),
    "a command": lambda tmp: away(Command(["sh", "-c", "{train}"]), f"{tmp}/store"),
}


@pytest.mark.parametrize("name", [*list(RUNS)[:2], pytest.param("a command", marks=pytest.mark.slow)])
async def test_a_whole_run_ends_live_wherever_it_was_trained(name: str, base: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    house = House(tmp_path / "home", base)
    try:
        house.launcher = RUNS[name](tmp_path)
        house.enter()
        house.teach(names_and_colours(80))
        ended = await house.run()
        assert ended.state == "passed", ended.reason
        assert house.states()[1] == "live"
        assert read_json(RunFolder(Path(ended.folder)).account)["training"]["steps"] > 0
    finally:
        await house.cycle.stop()
        house.store.close()


async def test_the_live_version_is_scored_elsewhere_too(base: Path, whole: RunFolder, tmp_path: Path) -> None:
    run = make_run(tmp_path / "0002-general", base, TAUGHT, (), DEV, incumbent=str(whole.adapter), epochs=1)
    await child.train(run, away(Command(["{words}"]), f"{tmp_path}/store"))
    scores = read_json(run.scores)
    before = [score["candidate"] for score in read_json(whole.scores)]
    assert [score["incumbent"] for score in scores] == pytest.approx(before, abs=1e-5)
