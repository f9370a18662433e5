"""The log as JSON: one object a line, with each request and turn, and nobody's words."""

import json
import logging
import sys

import httpx
from conftest import RunningHone

from hone.logs import JsonLines

WORDS = "Kirkcaldy has a linoleum museum"


def test_each_request_and_turn_is_a_line_without_words_or_names(tiny_hone: RunningHone) -> None:
    tiny_hone.settings = '[observe]\nlog = "json"\n[chat]\nmax_tokens = 5\n'
    tiny_hone.start()
    asked = tiny_hone.chat(WORDS)
    tiny_hone.get(f"/v1/search?query={WORDS}")
    tiny_hone.get(f"/{WORDS}")
    httpx.get(f"{tiny_hone.url}/v1/me", headers={"host": "evil.example"}, trust_env=False)
    tiny_hone.stop()
    said = [line for line in tiny_hone.output.splitlines() if line.startswith("{")]
    lines = [json.loads(line) for line in said]
    assert all({"at", "level", "logger", "event"} <= line.keys() for line in lines)
    (turn,) = (line for line in lines if line["event"] == "turn")
    assert (turn["exchange"], turn["finish"], turn["completion_tokens"]) == (asked["id"], "length", 5)
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
