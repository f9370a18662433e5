"""`kill -9` at random moments of a cycle: each must end in the verdict of the cycle that nobody disturbed.

A tiny random model, so that a cycle takes seconds; every trial begins from a copy of the same home. The
victim is Hone itself, its engine, or the training child. What is half must never be believed: each version's
bytes are hashed against its card, and there is one version, one verdict and no rest of anything else.
"""

import asyncio
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from benchmarks.cycling import rows
from benchmarks.cycling.house import House, Run
from benchmarks.gating.parts import Found
from benchmarks.serving import materials
from benchmarks.serving.verdict import Bar
from tuner import registry

SETTINGS = 'general_items = 8\nreplay_share = 0.1\nthreads = 1\n[engine]\ndtype = "float32"\nthreads = 1\n'
PAIRS = 90
VICTIMS = ("hone", "hone", "engine", "training")
SAME = ("state", "version", "verdict", "reasons", "items", "general")
"""What a disturbed cycle must end in as the undisturbed one did."""


async def run(folder: Path, count: int) -> Found:
    template = await _template(folder)
    began = time.monotonic()
    undisturbed, _ = await _trial(folder / "undisturbed", template, None)
    seconds = time.monotonic() - began
    chance = random.Random(20261201)
    told: list[dict[str, Any]] = []
    for number in range(count):
        plan = (chance.choice(VICTIMS), chance.uniform(0.0, undisturbed["seconds"]))
        ended, hit = await _trial(folder / f"trial-{number}", template, plan)
        differs = [key for key in SAME if ended[key] != undisturbed[key]]
        told.append({"victim": plan[0], "after": round(plan[1], 2), "step": hit, "differs": differs})
        told[-1]["half"] = ended["half"]
        print(f"kill {number + 1}: {told[-1]}", flush=True)
    return _found(told, undisturbed, seconds)


def _found(told: list[dict[str, Any]], undisturbed: dict[str, Any], seconds: float) -> Found:
    table = Table(
        "victim", "step", "kills", "another end", "half versions", title="kill -9 at random moments"
    )
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in told:
        cells.setdefault((one["victim"], one["step"]), []).append(one)
    for (victim, step), ones in sorted(cells.items()):
        other, half = (sum(bool(one[key]) for one in ones) for key in ("differs", "half"))
        table.add_row(victim, step, str(len(ones)), str(other), str(half))
    bars = {
        "kills_other_verdict": Bar.none_of(sum(bool(one["differs"]) for one in told)),
        "kills_half_version": Bar.none_of(sum(bool(one["half"]) for one in told)),
    }
    figures = {"kills": told, "verdict": undisturbed["verdict"], "seconds_undisturbed": round(seconds, 1)}
    return Found(bars, (table,), figures)


async def _template(folder: Path) -> Path:
    """A home that is taught, and whose base has answered once, so that a cycle is mostly its own work."""
    model = materials.tiny_model(folder / "model")
    house = await House(folder / "template", model=str(model), settings=SETTINGS).start()
    try:
        await house.teach("first", rows.own(20))
        await house.tune("first")
        await house.teach("general", rows.own(PAIRS))
    finally:
        await house.stop()
    return house.home


async def _trial(home: Path, template: Path, plan: tuple[str, float] | None) -> tuple[dict[str, Any], str]:
    """How a run on a copy of the home ended, and the step at which its victim was killed."""
    shutil.copytree(template, home)
    house = await House(home, model=str(template.parent / "model"), settings=SETTINGS).start()
    step = ""
    try:
        began = time.monotonic()
        run_id = (await house.call("POST", "/v1/runs", json={"assistant": "general"}))["id"]
        if plan:
            await asyncio.sleep(plan[1])
            step = str((await house.call("GET", f"/v1/runs/{run_id}"))["step"])
            await _kill(house, plan[0])
        ended = await house.ended(run_id)
        seconds = time.monotonic() - began
        versions = [
            told["version"]
            for told in (await house.call("GET", "/v1/versions"))["data"]
            if told["assistant"] == "general" and told["number"]
        ]
        return _told(ended, versions, home) | {"seconds": seconds}, step
    finally:
        await house.stop()
        shutil.rmtree(home, ignore_errors=True)


async def _kill(house: House, victim: str) -> None:
    """Kill the victim, and start Hone again where it was Hone; the training child may not be there."""
    if victim == "hone":
        await house.stop(signal.SIGKILL)
        await house.start()
        return
    name = {"engine": "serve.engine", "training": "tuner.train"}[victim]
    for child in house.children():
        with suppress(psutil.Error):
            if name in child.cmdline():
                child.kill()


def _told(run: Run, versions: list[str], home: Path) -> dict[str, Any]:
    """How a run ended, without clocks; `half` is whatever is not whole or should not be there."""
    half = [one for one in versions if one != run.version]
    for found in (home / "versions").iterdir():
        try:
            registry.verify(home, found.name)
        except Exception as broken:
            half.append(f"{found.name}: {broken}")
    told: dict[str, Any] = {"state": run.state, "version": run.version, "reasons": run.reasons, "half": half}
    judged = run.told["gate"] or {}
    told |= {"verdict": judged.get("verdict", ""), "items": judged.get("items")}
    told["general"] = run.numbers.get("general") if run.folder.verdict.exists() else None
    return told
