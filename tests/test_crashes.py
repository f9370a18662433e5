"""`kill -9` anywhere: nothing acknowledged is lost, nothing half is believed, no child lives on."""

import signal
import threading
import time
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunningHone, lines_of, read_store

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


def test_a_killed_engine_is_told_recorded_as_cut_and_replaced(tiny_hone: RunningHone) -> None:
    hone = tiny_hone.start()
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
    hone.stop()
    sql = f"SELECT response, finish_reason FROM answers WHERE exchange_id = '{listener.exchange}'"
    assert read_store(hone.home / "hone.duckdb", sql) == [(listener.text, "cut")]


def test_a_killed_web_process_loses_no_acknowledged_rating_and_leaves_no_child(
    tiny_hone: RunningHone,
) -> None:
    hone = tiny_hone.start()
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
    assert {row["correction"] for row in pending} == {f"Better {exchange}" for exchange in rated}
    hone.stop()
    sql = f"SELECT finish_reason FROM answers WHERE exchange_id = '{listener.exchange}'"
    assert read_store(hone.home / "hone.duckdb", sql) == [("cut",)]


def test_a_reader_who_leaves_stops_the_engine_within_a_moment(tiny_hone: RunningHone) -> None:
    hone = tiny_hone.start()
    headers = {"authorization": f"Bearer {hone.token}"}
    with httpx.stream("POST", f"{hone.url}/v1/chat/completions", json=LONG, headers=headers) as answer:
        events = lines_of(answer)
        exchange = next(events)["id"]
        for _ in range(10):
            next(events)
    hone.wait(lambda: not hone.get("/v1/status").json()["router"]["in_flight"], 5)
    hone.stop()
    sql = f"SELECT finish_reason FROM answers WHERE exchange_id = '{exchange}'"
    assert read_store(hone.home / "hone.duckdb", sql) == [("stopped",)]


@pytest.mark.parametrize("moment", [0.3, 1.5])
def test_a_hone_killed_while_it_starts_starts_again(tiny_hone: RunningHone, moment: float) -> None:
    tiny_hone.launch()
    time.sleep(moment)
    tiny_hone.stop(signal.SIGKILL)
    tiny_hone.start()
    assert tiny_hone.get("/readyz").status_code == 200
