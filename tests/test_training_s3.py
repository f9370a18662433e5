"""A run's files on S3: there and back with a kill in the middle, whole, unchanged, and no key is seen."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from test_training_elsewhere import (  # the fixtures too
    BEAT,
    agree,
    away,
    base,
    importable,
    kubernetes,
    mine,
    same_run,
    step,
    whole,
)

from feedback.errors import StorageAway
from tuner import child
from tuner.launchers import elsewhere
from tuner.launchers.command import Command
from tuner.launchers.storage import Storage, Taken
from tuner.plan import RunFolder

pytest.importorskip("s3fs", reason="pip install hone-chat[s3]")
pytest.importorskip("moto", reason="the S3 server of these tests is moto's")

from s3_server import BUCKET, S3, s3_server

pytestmark = pytest.mark.long

__all__ = ["base", "importable", "whole"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with s3_server() as there:
        for name, value in there.variables.items():
            monkeypatch.setenv(name, value)
        yield there


def test_a_file_arrives_whole_and_unchanged_or_not_at_all(s3: S3, tmp_path: Path) -> None:
    storage, sent, got = Storage(f"s3://{BUCKET}/run"), tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(bytes(range(256)) * 40_000)
    name = storage.send("a", sent)
    storage.fetch("a", name, got)
    assert got.read_bytes() == sent.read_bytes()
    storage._files.pipe_file(f"{BUCKET}/run/a/{name}", b"other bytes")
    got.unlink()
    with pytest.raises(StorageAway, match="not those that were put there"):
        storage.fetch("a", name, got)
    assert not got.exists()
    assert storage.read("wanted.json") is None
    storage.write("wanted.json", {"name": "one"})
    storage.write("wanted.json", {"name": "two"})
    assert storage.read("wanted.json") == {"name": "two"}
    storage.remove()
    assert storage.folders() == []


def test_of_many_that_claim_at_once_one_is_first(s3: S3) -> None:
    code = (
        "import sys; from tuner.launchers.storage import Storage, Taken\n"
        f"storage = Storage('s3://{BUCKET}/run')\n"
        "sys.stdin.read(1)\n"
        "try: storage.claim('a/claim')\n"
        "except Taken: sys.exit(4)\n"
    )
    many = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(3)]
    for one in many:
        one.communicate(b"x")
    assert sorted(one.returncode for one in many) == [0, 4, 4]
    with pytest.raises(Taken):
        Storage(f"s3://{BUCKET}/run").claim("a/claim")


@pytest.mark.parametrize("launcher", ["command", pytest.param("kubernetes", marks=pytest.mark.slow)])
async def test_a_run_goes_there_and_back_with_a_kill_in_the_middle_and_no_key_is_seen(
    launcher: str, s3: S3, whole: RunFolder, tmp_path: Path
) -> None:
    run, store = same_run(whole, tmp_path), f"s3://{BUCKET}/team"
    far = Command(["{words}"]) if launcher == "command" else kubernetes(tmp_path / "cluster", **s3.variables)
    training = asyncio.ensure_future(child.train(run, away(far, store)))
    await step(run, 8)
    seen = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    for process in mine(tmp_path, "tuner.train"):
        assert not {name for name in process.environ() if name.startswith("AWS_")}
    keepers = [process for process in psutil.process_iter(["cmdline"]) if _keeps(process)]
    assert keepers
    for process in keepers:
        process.kill()
    await training
    agree(run, whole)
    assert Storage(store).folders() == []
    for path in run.path.rglob("*"):
        seen += [path.read_bytes().decode(errors="replace")] if path.is_file() else []
    assert not [text for text in seen if s3.secret in text]


def _keeps(process: psutil.Process) -> bool:
    words = process.info["cmdline"] or []
    return "tuner.keeper" in words and any(word.startswith(f"s3://{BUCKET}/team/") for word in words)


async def test_a_sweep_empties_the_bucket_and_ends_who_trains(
    s3: S3, whole: RunFolder, tmp_path: Path
) -> None:
    run, store = same_run(whole, tmp_path), f"s3://{BUCKET}/team"
    training = asyncio.ensure_future(child.train(run, away(Command(["{words}"]), store)))
    await step(run, 3)
    await asyncio.to_thread(elsewhere.sweep, store, [])
    while [process for process in psutil.process_iter(["cmdline"]) if _keeps(process)]:
        await asyncio.sleep(BEAT)
    training.cancel()
    await asyncio.wait([training])
    await asyncio.to_thread(elsewhere.sweep, store, [])
    assert Storage(f"s3://{BUCKET}").folders() == []


def test_a_wrong_key_is_told_without_quoting_it(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "Sesame-7-Sesame")
    with pytest.raises(StorageAway, match="cannot be used") as refused:
        elsewhere.sweep(f"s3://{BUCKET}/team", [])
    assert "Sesame" not in str(refused.value)
    assert "AWS_ACCESS_KEY_ID" in refused.value.todo
