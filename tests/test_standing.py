"""The training child stands back from chats: its threads, its session, and platforms that know less."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tiny_base import make_base, make_run, row

from tuner import child
from tuner.launchers import local
from tuner.launchers.local import Local
from tuner.plan import RunFolder, read_lines

linux = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux has the policy")


@linux
@pytest.mark.long
def test_every_thread_of_the_child_yields_to_ours_and_no_session_stands_between(tmp_path: Path) -> None:
    pairs = [row(f"Say {n}.", "Yes.") for n in range(8)]
    run = make_run(tmp_path / "run", make_base(tmp_path / "base"), pairs, epochs=5000, patience=5000)

    async def seen() -> tuple[set[int], int, int]:
        training = asyncio.create_task(child.train(run, Local(2)))
        try:
            process = await _learning(run, training)
            threads = [thread.id for thread in process.threads()]
            assert len(threads) > 1
            policies = {os.sched_getscheduler(thread) for thread in threads}
            return policies, os.getsid(process.pid), os.getpgid(process.pid)
        finally:
            training.cancel()
            await asyncio.gather(training, return_exceptions=True)

    policies, session, group = asyncio.run(seen())
    assert policies == {os.SCHED_IDLE}
    assert session == os.getsid(0)
    assert group != os.getpgid(0)  # Ctrl-C is not for it


@pytest.mark.parametrize(
    "lack",
    [
        "del os.sched_setscheduler",
        "del os.SCHED_IDLE",
        "def refuse(*given): raise PermissionError\nos.sched_setscheduler = refuse",
    ],
)
@linux
def test_where_the_policy_is_missing_or_refused_the_lowest_priority_does(lack: str) -> None:
    assert _stood_back(lack, "os.nice(0)") == "19"


def test_where_there_is_neither_nothing_breaks() -> None:
    assert _stood_back("del os.nice\nvars(os).pop('sched_setscheduler', None)", "'well'") == "well"


def _stood_back(before: str, told: str) -> str:
    """What a new process tells of itself after it stood back."""
    code = f"import os\n{before}\nfrom tuner.standing import stand_back\nstand_back()\nprint({told})"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=local.ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


async def _learning(run: RunFolder, training: "asyncio.Task[object]") -> psutil.Process:
    """The child, once it takes steps."""
    while not read_lines(run.progress):
        assert not training.done(), run.log.read_text()
        await asyncio.sleep(0.05)
    (found,) = [p for p in psutil.Process().children() if str(run.path) in p.cmdline()]
    return found
