"""What a run cost and how long it may still take: summed from its lines, measured on real processes."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tuner import account, energy
from tuner.cycle import ORDER
from tuner.meter import Meter

TRAINED = dict.fromkeys(account.KEPT, 1) | {"tokens": 900}
BEFORE = {"snapshot": 1.0, "recall": 9.0, "train": 100.0, "evaluate": 50.0, "gate": 1.0}


def line(step: str, **told: Any) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": 1.0,
        "cpu_seconds": 2.0,
        "peak_bytes": 5,
        "tokens": 0,
        "joules": 3.0,
    } | told


def test_a_step_that_was_taken_twice_counts_twice() -> None:
    lines = [line("train"), line("train", peak_bytes=9, seconds=2.5), line("evaluate", tokens=40)]
    told = account.of(lines, TRAINED)
    assert told["steps"] == {"train": 3.5, "evaluate": 1.0}
    assert told["cpu"] == {"train": 4.0, "evaluate": 2.0}
    assert (told["seconds"], told["cpu_seconds"], told["peak_bytes"]) == (4.5, 6.0, 9)
    assert (told["answered"], told["answered_tokens"]) == ({"evaluate": 40}, 40)
    assert str(told["answered_tokens"]) == "40", "tokens are counted, and shown as they are"
    assert (told["joules"], told["training"]["tokens"]) == (9.0, 900)


def test_energy_is_told_only_where_every_step_told_it() -> None:
    assert account.of([line("train"), line("evaluate", joules=None)], TRAINED)["joules"] is None


@pytest.mark.parametrize(
    ("step", "inside", "progress", "before", "wanted"),
    [
        ("snapshot", 0.0, None, {}, None),
        ("snapshot", 0.5, None, BEFORE, 160.5),
        ("recall", 30.0, None, BEFORE, 151.0),  # it takes longer than before already
        ("train", 10.0, None, BEFORE, 141.0),
        ("train", 10.0, {"step": 4, "steps": 24, "seconds": 10.0}, BEFORE, 101.0),
        ("train", 10.0, {"step": 4, "steps": 24, "seconds": 10.0}, {}, 50.0),
        ("train", 1.0, None, {}, None),
        ("evaluate", 20.0, {"step": 24, "steps": 24, "seconds": 60.0}, BEFORE, 31.0),
        ("gate", 0.0, None, {"train": 100.0}, None),
        ("no step", 0.0, None, BEFORE, None),
    ],
)
def test_the_time_left_is_what_training_tells_and_what_an_earlier_run_took(
    step: str, inside: float, progress: dict[str, Any] | None, before: dict[str, float], wanted: float | None
) -> None:
    assert account.left(ORDER, step, inside, progress, before) == wanted


async def test_the_meter_counts_children_while_they_live_and_after_they_ended() -> None:
    burn = "import time; b = b'x' * (200 * 2**20)\nwhile time.process_time() < 0.5: pass"
    tokens = [3]
    async with Meter(lambda: tokens[0], every=0.1) as meter:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", burn)
        await child.wait()
        tokens[0] = 10
    assert meter.told["cpu_seconds"] >= 0.5
    assert meter.told["peak_bytes"] >= 200 * 2**20
    assert meter.told["seconds"] >= 0.5
    assert meter.told["tokens"] == 7
    idle = Meter(lambda: 0)
    async with idle:
        pass
    assert idle.told["cpu_seconds"] < 0.5


async def test_the_meter_tells_what_a_step_that_failed_cost() -> None:
    async def fail() -> None:
        async with meter:
            while time.process_time() < until:
                pass
            raise ZeroDivisionError

    meter, until = Meter(lambda: 0), time.process_time() + 0.1
    with pytest.raises(ZeroDivisionError):
        await fail()
    assert meter.told["cpu_seconds"] > 0


def package(folder: Path, name: str, used: int, most: int = 1000) -> None:
    folder.mkdir(exist_ok=True)
    for file, told in (("name", name), ("energy_uj", used), ("max_energy_range_uj", most)):
        (folder / file).write_text(f"{told}\n")


def test_energy_is_of_whole_packages_and_survives_a_counter_that_begins_anew(tmp_path: Path) -> None:
    assert energy.counters(tmp_path / "none") == {}
    assert energy.between({}, {}) is None
    package(tmp_path / "intel-rapl:0", "package-0", 900)
    package(tmp_path / "intel-rapl:0:0", "core", 5)
    package(tmp_path / "intel-rapl:1", "package-1", 100)
    (tmp_path / "intel-rapl").mkdir()
    before = energy.counters(tmp_path)
    assert set(before) == {"intel-rapl:0", "intel-rapl:1"}
    package(tmp_path / "intel-rapl:0", "package-0", 100)
    package(tmp_path / "intel-rapl:1", "package-1", 150)
    assert energy.between(before, energy.counters(tmp_path)) == pytest.approx((200 + 50) * 1e-6)
