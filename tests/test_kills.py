"""Web process, engine and training ended at random moments under load: what was acknowledged is kept.

Three moments by default; `KILLS=20` makes them twenty. Each is `kill -TERM` or `kill -9` by lot. The web
process is started again by a keeper, as a service manager does; the rest Hone starts again itself.
"""

import json
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunningHone

from feedback.store import Store

pytestmark = pytest.mark.long

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("KILLS", "3"))
BACK = 300
"""Seconds after which what does not answer is given up; how long it took is told, and is the machine's."""
LEARNING = 60
"""Seconds that a training may take to begin, before another process is the victim."""
SETTINGS = """[chat]
max_tokens = 5
[tuner]
enabled = false
general_items = 4
replay_share = 0
threads = 1
"""
SEED = random.Random().randrange(10**6)


@dataclass
class Acknowledged:
    """What Hone said that it keeps."""

    answers: dict[str, str] = field(default_factory=dict)
    corrections: dict[str, str] = field(default_factory=dict)
    imported: int = 0
    runs: list[str] = field(default_factory=list)


class Load:
    """People who ask and correct, and an operator who has runs made, until the block ends."""

    def __init__(self, hone: RunningHone) -> None:
        self.hone = hone
        self.told = Acknowledged()
        self.faults: list[BaseException] = []
        self._ends = threading.Event()

    def __enter__(self) -> "Load":
        tasks: list[Callable[[], None]] = [self._ask] * 3 + [self._learn]
        self._threads = [threading.Thread(target=self._repeat, args=[task]) for task in tasks]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(150)

    def _repeat(self, task: Callable[[], None]) -> None:
        while not self._ends.is_set():
            try:
                task()
            except (httpx.TransportError, json.JSONDecodeError):
                time.sleep(0.2)  # nobody is there, or somebody went in mid-answer: nothing was acknowledged
            except BaseException as fault:
                self.faults.append(fault)
                return

    def _ask(self) -> None:
        body = {"model": "general", "messages": [{"role": "user", "content": "Tell me"}]}
        answer = self.hone.post("/v1/chat/completions", body)
        if answer.status_code != 200:
            time.sleep(1)
            return
        said = answer.json()
        if answer.headers.get("x-hone-kept") != "no":
            self.told.answers[said["id"]] = said["choices"][0]["message"]["content"]
        correction = f"Better {said['id']}"
        rated = {"exchange_id": said["id"], "rating": "down", "correction": correction}
        if self.hone.post("/v1/feedback", rated).status_code == 200:
            self.told.corrections[said["id"]] = correction

    def _learn(self) -> None:
        number = time.monotonic_ns()
        rows = [{"instruction": f"Who keeps mill {number + n}?", "output": "Ansel does."} for n in range(12)]
        query = "assistant=general&approve=true&source=pairs.jsonl"
        lines = "\n".join(map(json.dumps, rows)).encode()
        told = self.hone.request("POST", f"/v1/imports?{query}", content=lines)
        if told.status_code == 200:
            self.told.imported += told.json()["approved"]
        begun = self.hone.post("/v1/runs", {"assistant": "general"})
        if begun.status_code == 201:
            self.told.runs.append(begun.json()["id"])
        while not self._ends.is_set():
            runs = self.hone.get("/v1/runs").json()["data"]
            if all(run["state"] not in ("queued", "running") for run in runs):
                return
            time.sleep(0.5)


@contextmanager
def kept_up(hone: RunningHone) -> Iterator[None]:
    """Start Hone again whenever it ends, as a service manager does."""
    ends = threading.Event()

    def keep() -> None:
        while not ends.wait(0.2):
            if not hone.running:
                hone.launch()

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        ends.set()
        keeper.join()


def victim(hone: RunningHone, kind: str) -> psutil.Process | None:
    """The process of that kind, if there is one now."""
    assert hone.process
    with suppress(psutil.Error):
        web = psutil.Process(hone.process.pid)
        if kind == "web":
            return web
        module = {"engine": "serve.engine", "training": "tuner.train"}[kind]
        return next((child for child in web.children(recursive=True) if module in child.cmdline()), None)
    return None


def within(done: Callable[[], Any], seconds: float, what: str) -> Any:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        with suppress(httpx.TransportError, json.JSONDecodeError, psutil.Error):
            if result := done():
                return result
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s: {what}")


def answers(hone: RunningHone) -> bool:
    body = {"model": "general", "messages": [{"role": "user", "content": "Are you there?"}]}
    return hone.post("/v1/chat/completions", body).status_code == 200


def end_one(hone: RunningHone, chance: random.Random, kind: str) -> tuple[str, float]:
    """End a process at a moment by lot, and wait until all answers again."""
    found: psutil.Process | None = within(
        lambda: victim(hone, kind), LEARNING, f"there is no {kind}\n{hone.output[-3000:]}"
    )
    time.sleep(chance.uniform(0, 2))
    how = chance.choice((signal.SIGTERM, signal.SIGKILL))
    assert found
    ended = time.monotonic()
    with suppress(psutil.NoSuchProcess):
        found.send_signal(how)
    if kind != "training":
        within(lambda: not found.is_running() or found.status() == psutil.STATUS_ZOMBIE, BACK, "it ends")
    within(lambda: answers(hone), BACK, f"an answer after {how.name} of {kind}\n{hone.output[-3000:]}")
    return f"{how.name} of {kind}", round(time.monotonic() - ended, 1)


def test_what_was_acknowledged_outlives_every_end(tiny_hone: RunningHone) -> None:
    tiny_hone.settings = SETTINGS
    hone = tiny_hone.start()
    chance = random.Random(SEED)
    kinds = [("web", "engine", "training")[number % 3] for number in range(KILLS)]
    chance.shuffle(kinds)
    with kept_up(hone), Load(hone) as load:
        done = [end_one(hone, chance, kind) for kind in kinds]
        told = f"seed {SEED}: {done}"
        assert not load.faults, told
    told_of = load.told
    log.info(
        "%s; acknowledged: %d answers, %d corrections, %d imported pairs, %d runs",
        *(told, len(told_of.answers), len(told_of.corrections), told_of.imported, len(told_of.runs)),
    )
    assert len(told_of.corrections) > KILLS, "there was no load"
    assert told_of.runs, "nothing was learnt meanwhile"
    runs = {run["id"]: run for run in hone.get("/v1/runs").json()["data"]}
    hone.stop()
    store = Store(hone.home / "hone.duckdb")
    try:
        assert store.check(), "the projections differ from the events"
        lost = _lost(store, told_of)
    finally:
        store.close()
    assert not lost, f"{told}: {lost}"
    assert set(told_of.runs) <= runs.keys(), told
    broken = [run["reason"] for run in runs.values() if run["state"] == "failed"]
    # A training that is ended three times in a row counts as failed, and says so.
    assert all("ended 3 times" in reason for reason in broken), (told, broken)


def _lost(store: Store, told: Acknowledged) -> list[str]:
    answers = {str(row["exchange_id"]): row["response"] for row in store.rows("SELECT * FROM answers")}
    ratings = {
        str(row["exchange_id"]): row["correction"]
        for row in store.rows("SELECT * FROM ratings WHERE correction IS NOT NULL")
    }
    lost = [f"answer {id}" for id, text in told.answers.items() if answers.get(id) != text]
    lost += [f"correction of {id}" for id, text in told.corrections.items() if ratings.get(id) != text]
    approved = store.rows("SELECT count(*) AS n FROM exchanges e WHERE e.source LIKE '%pairs.jsonl'")
    if approved[0]["n"] < told.imported:
        lost.append(f"{told.imported - approved[0]['n']} imported pairs")
    return lost
