"""`kill -9` anywhere: nothing acknowledged is lost, nothing half is believed, no child lives on."""

import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunningHone, lines_of, on_tiny_model

from tuner import registry

pytestmark = pytest.mark.long

LONG = {
    "model": "general",
    "messages": [{"role": "user", "content": "Talk for long."}],
    "stream": True,
    "max_tokens": 2000,
}


class Listener(threading.Thread):
    """Reads one long answer and keeps every event, and what ended it."""

    def __init__(self, hone: RunningHone) -> None:
        super().__init__(daemon=True)
        self._hone = hone
        self.events: list[dict[str, Any]] = []
        self.broken: Exception | None = None
        self.start()

    def run(self) -> None:
        headers = {"authorization": f"Bearer {self._hone.token}"}
        try:
            with httpx.stream(
                "POST", f"{self._hone.url}/v1/chat/completions", json=LONG, headers=headers, timeout=60
            ) as answer:
                for event in lines_of(answer):
                    self.events.append(event)
        except httpx.HTTPError as broken:
            self.broken = broken

    @property
    def exchange(self) -> str:
        return str(self.events[0]["id"])

    def heard(self, pieces: int) -> bool:
        return len(self.events) > pieces

    @property
    def text(self) -> str:
        choices = [event["choices"][0] for event in self.events if "choices" in event]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    with on_tiny_model(tmp_path_factory.mktemp("victim"), tiny_model) as running:
        yield running


@pytest.fixture
def hone(victim: RunningHone) -> RunningHone:
    """One for all of these tests, which runs whatever was done to it before."""
    return victim if victim.running else victim.start()


def recorded(hone: RunningHone, exchange: str) -> tuple[str, str]:
    """The answer and how it ended, as the record has them."""
    told = hone.post("/v1/feedback", {"exchange_id": exchange, "rating": "down"}).json()
    return told["response"], told["finish_reason"]


def test_a_killed_engine_is_told_recorded_as_cut_and_replaced(hone: RunningHone) -> None:
    listener = Listener(hone)
    hone.wait(lambda: listener.heard(20), 30)
    before = hone.engine_pid()
    psutil.Process(before).kill()
    listener.join(30)
    error = listener.events[-1]["error"]
    assert error["code"] == "engine_unavailable"
    assert "stopped in the middle" in error["message"] or "not answering" in error["message"]
    hone.wait(lambda: hone.get("/readyz").status_code == 200 and hone.engine_pid() != before, 60)
    assert hone.chat("Hello again", max_tokens=5)["usage"]["completion_tokens"] == 5
    assert recorded(hone, listener.exchange) == (listener.text, "cut")


def test_a_killed_web_process_loses_no_acknowledged_rating_and_leaves_no_child(hone: RunningHone) -> None:
    rated = [hone.chat(f"Question {i}", max_tokens=3)["id"] for i in range(5)]
    for exchange in rated:
        body = {"exchange_id": exchange, "rating": "down", "correction": f"Better {exchange}"}
        assert hone.post("/v1/feedback", body).status_code == 200
    listener = Listener(hone)
    hone.wait(lambda: listener.heard(20), 30)
    assert hone.process
    children = psutil.Process(hone.process.pid).children(recursive=True)
    assert children
    hone.process.send_signal(signal.SIGKILL)
    hone.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, "a child outlived the web process"
    listener.join(30)

    hone.start()
    pending = hone.get("/v1/reviews").json()["data"]
    corrected = {row["correction"] for row in pending if row["correction"]}
    assert corrected == {f"Better {exchange}" for exchange in rated}
    assert recorded(hone, listener.exchange)[1] == "cut"


def test_a_reader_who_leaves_stops_the_engine_within_a_moment(hone: RunningHone) -> None:
    headers = {"authorization": f"Bearer {hone.token}"}
    with httpx.stream("POST", f"{hone.url}/v1/chat/completions", json=LONG, headers=headers) as answer:
        events = lines_of(answer)
        exchange = next(events)["id"]
        for _ in range(10):
            next(events)
    hone.wait(lambda: not hone.get("/v1/status").json()["router"]["in_flight"], 5)
    assert recorded(hone, exchange)[1] == "stopped"


def test_a_hone_killed_while_it_starts_starts_again(tiny_hone: RunningHone) -> None:
    for moment in (0.3, 1.5):
        tiny_hone.launch()
        time.sleep(moment)
        tiny_hone.stop(signal.SIGKILL)
    tiny_hone.start()
    assert tiny_hone.get("/readyz").status_code == 200


@pytest.mark.slow
def test_a_cycle_killed_at_random_moments_ends_in_the_verdict_it_would_have_had(
    tiny_hone: RunningHone,
) -> None:
    """The training child, Hone itself and the engine, in one run; its twin is left in peace."""
    tiny_hone.settings = CYCLE
    hone = tiny_hone.start()
    pairs = [
        {
            "instruction": f"Who keeps the {place} of street {n}?",
            "output": f"The {place} is kept by {keeper}.",
        }
        for n in range(22)
        for place, keeper in (("mill", "Ansel"), ("dock", "Birgit"), ("tower", "Corin"))
    ]
    taught = hone.request(
        *("POST", "/v1/imports?assistant=general&approve=true&source=pairs.jsonl"),
        content="\n".join(map(json.dumps, pairs)).encode(),
    )
    assert taught.json()["approved"] == len(pairs)
    hone.stop()
    shutil.copytree(hone.home, hone.home.parent / "twin")
    twin = RunningHone(hone.home.parent / "twin", hone.settings, hone.environment).start()
    undisturbed = twin.ended(twin.post("/v1/runs", {"assistant": "general"}).json()["id"])
    twin.stop()

    hone.start()
    run = hone.post("/v1/runs", {"assistant": "general"}).json()["id"]
    chance, killed = random.Random(), []
    for victim in ("tuner.train", "hone.command", "serve.engine"):
        time.sleep(chance.uniform(0.0, undisturbed["detail"]["seconds"] / 3))
        killed.append((victim, hone.get(f"/v1/runs/{run}").json()["step"]))
        _kill(hone, victim)
    disturbed = hone.ended(run)
    told = f"killed {killed}: {disturbed['reason']}"
    assert _verdict(disturbed) == _verdict(undisturbed), told
    versions = [one for one in hone.get("/v1/versions").json()["data"] if one["number"]]
    assert [one["version"] for one in versions] == [disturbed["version"]], told
    assert [path.name for path in (hone.home / "versions").iterdir()] == [disturbed["version"]], told
    registry.verify(hone.home, disturbed["version"])


CYCLE = "[tuner]\nenabled = false\ngeneral_items = 4\nreplay_share = 0\nthreads = 1\n"


def _kill(hone: RunningHone, victim: str) -> None:
    """Kill -9; Hone itself is started again, as whoever runs it would."""
    assert hone.process
    if victim == "hone.command":
        hone.stop(signal.SIGKILL)
        hone.start()
        return
    for child in psutil.Process(hone.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if victim in child.cmdline():
                child.kill()


def _verdict(run: dict[str, Any]) -> dict[str, Any]:
    """What came of a run: the bytes it made, what was judged and how; no clocks."""
    return {key: run[key] for key in ("state", "version", "gate")}
