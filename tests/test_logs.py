"""The log as JSON: one object a line, with each request and turn, and nobody's words; no trace unasked."""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import RunningHone, on_tiny_model
from otlp_receiver import Receiver, receiving

from hone.logs import JsonLines

WORDS = "Kirkcaldy has a linoleum museum"


@dataclass
class Ended:
    """A Hone that answered and ended, with a collector of which only its environment told."""

    hone: RunningHone
    receiver: Receiver
    exchange: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Ended]:
    with receiving() as receiver, on_tiny_model(tmp_path_factory.mktemp("logs"), tiny_model) as hone:
        hone.settings = '[observe]\nlog = "json"\n[chat]\nmax_tokens = 5\n'
        hone.environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        }
        hone.start()
        asked = hone.chat(WORDS)
        hone.get(f"/v1/search?query={WORDS}")
        hone.get(f"/{WORDS}")
        httpx.get(f"{hone.url}/v1/me", headers={"host": "evil.example"}, trust_env=False)
        hone.stop()
        yield Ended(hone, receiver, asked["id"])


def test_without_the_setting_no_trace_is_sent_whatever_the_environment_says(ended: Ended) -> None:
    assert not ended.receiver.raw


def test_each_request_and_turn_is_a_line_without_words_or_names(ended: Ended) -> None:
    said = [line for line in ended.hone.output.splitlines() if line.startswith("{")]
    lines = [json.loads(line) for line in said]
    assert all({"at", "level", "logger", "event"} <= line.keys() for line in lines)
    (turn,) = (line for line in lines if line["event"] == "turn")
    assert (turn["exchange"], turn["finish"], turn["completion_tokens"]) == (ended.exchange, "length", 5)
    assert (turn["version"], turn["kept"], turn["error"]) == ("general@0", True, "")
    requests = [(line["route"], line["status"]) for line in lines if line["event"] == "request"]
    assert ("/v1/chat/completions", 200) in requests
    assert {("none", 404), ("none", 400)} <= set(requests)
    assert not [line for line in said if "linoleum" in line or "cli" in json.loads(line).values()]


def test_an_exception_is_told_by_its_kind_and_place_and_not_by_its_message() -> None:
    try:
        raise ValueError(WORDS)
    except ValueError:
        record = logging.getLogger("x").makeRecord("x", 40, "f.py", 1, "it failed", (), sys.exc_info())
    told = json.loads(JsonLines().format(record))
    assert (told["event"], told["exception"]) == ("it failed", "ValueError")
    assert told["where"][0].endswith("test_an_exception_is_told_by_its_kind_and_place_and_not_by_its_message")
    assert WORDS not in JsonLines().format(record)
