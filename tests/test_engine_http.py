"""The engine's real process over HTTP, with a tiny model: its surface, its refusals, its life and death."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_process import BUSY, SECRET, Process, body, code, events, said, until
from huggingface_hub import AsyncInferenceClient
from huggingface_hub.errors import HfHubHTTPError, TextGenerationError
from tiny_engine import make_adapter, make_model

from feedback.fingerprint import digest
from serve.release import RELEASE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("adapters")
    return [make_adapter(model, home / str(seed), seed=seed) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def started(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One engine for most tests; it may answer one request at a time and queue one more."""
    options = ("--slots", "2", "--max-active", "1", "--max-queue", "1")
    process = Process(model, tmp_path_factory.mktemp("cache"), *options)
    early = process.http.get("/health"), process.chat()
    yield process
    process.end()
    # Asked before there was a model: told so at once, and kept for the test below to judge.
    assert (early[0].status_code, early[0].json()["status"]) == (503, "loading")
    assert (early[1].status_code, code(early[1])) == (503, "loading")


@pytest.fixture
def engine(started: Process) -> Iterator[Process]:
    """The engine, idle and with the base alone before and after."""
    started.wait()
    yield started
    for entry in started.http.get("/v1/models").json()["data"][1:]:
        started.unload(entry["id"])
    until(lambda: started.metric("hone_engine_num_requests_running") == 0)


def test_it_says_what_it_runs(engine: Process, model: Path) -> None:
    health = engine.http.get("/health").json()
    assert health == {
        "status": "ok",
        "release": RELEASE,
        "base": str(model),
        "folder": str(model),
        "dtype": "float32",
        "device": "cpu",
        "max_context": 4096,
    }
    (entry,) = engine.http.get("/v1/models").json()["data"]
    assert (entry["id"], entry["root"], entry["parent"]) == ("base", str(model), None)


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": SECRET}])
def test_every_route_but_health_wants_the_secret(engine: Process, given: dict[str, str]) -> None:
    with httpx.Client(base_url=engine.url, headers=given, trust_env=False) as stranger:
        assert stranger.get("/health").status_code == 200
        for method, path in [
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/load_lora_adapter"),
            ("GET", "/v1/models"),
            ("GET", "/metrics"),
            ("GET", "/nowhere"),
        ]:
            answer = stranger.request(method, path, json={})
            assert (answer.status_code, code(answer)) == (401, "not_signed_in")


def test_a_stream_is_the_whole_answer_in_pieces(engine: Process) -> None:
    whole = engine.chat().json()
    asked = body(stream=True, stream_options={"include_usage": True})
    with engine.http.stream("POST", "/v1/chat/completions", json=asked) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        raw = "".join(stream.iter_text())
    assert raw.endswith("\n\ndata: [DONE]\n\n")
    parts = list(events(iter(raw.splitlines())))
    *parts, counted = parts
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == said(engine.chat())
    assert {part["model"] for part in parts} == {"base"}
    assert parts[-1]["choices"][0]["finish_reason"] == "length"
    assert {part["usage"] for part in parts} == {None}
    assert (counted["choices"], counted["usage"]) == ([], whole["usage"])
    assert whole["usage"]["completion_tokens"] == 16


def test_a_stop_string_stops_a_stream(engine: Process) -> None:
    text = said(engine.chat())
    answer = engine.chat(stop=[text[4:7]]).json()["choices"][0]
    assert answer["message"]["content"] == text[: text.index(text[4:7])]
    assert answer["finish_reason"] == "stop"


async def test_the_hubs_client_streams_from_it(engine: Process) -> None:
    async with AsyncInferenceClient(base_url=engine.url, token=SECRET, timeout=30) as client:
        asked: Any = {"messages": body()["messages"], "max_tokens": 16, "temperature": 0.0, "stream": True}
        pieces = [event async for event in await client.chat_completion(model="base", **asked)]
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert text == said(await asyncio.to_thread(engine.chat))
    assert pieces[-1].choices[0].finish_reason == "length"
    async with AsyncInferenceClient(base_url=engine.url, token=SECRET, timeout=30) as client:
        with pytest.raises(HfHubHTTPError, match="404"):
            await client.chat_completion(body()["messages"], model="general@9-00000000")


@pytest.mark.parametrize("streaming", [True, False])
def test_a_client_that_goes_away_ends_its_answer(engine: Process, streaming: bool) -> None:
    cancelled = 'hone_engine_requests_total{kind="answer",outcome="cancelled"}'
    before, tokens = engine.metric(cancelled), "hone_engine_generation_tokens_total"
    made = engine.metric(tokens)
    asked = body(stream=streaming, max_tokens=3900)
    with httpx.Client(base_url=engine.url, headers=engine.http.headers, trust_env=False) as client:
        if streaming:
            with client.stream("POST", "/v1/chat/completions", json=asked) as stream:
                next(events(stream.iter_lines()))
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=asked, timeout=0.3)
    until(lambda: engine.metric(cancelled) == before + 1, 60)
    assert engine.metric(tokens) - made < 3900


def test_an_unknown_version_is_not_the_base(engine: Process) -> None:
    answer = engine.chat(model="general@7-3fa9c1d2")
    assert (answer.status_code, code(answer)) == (404, "unknown_version")


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        (body(max_tokens=4090), 400, "context_length_exceeded"),
        (body(messages=[]), 400, "bad_request"),
        (body(" "), 400, "bad_request"),
        (body(n=3), 400, "bad_request"),
        ({}, 400, "bad_request"),
        (body("x" * 1_000_001), 413, "body_too_large"),
    ],
)
def test_what_it_cannot_answer_it_refuses(
    engine: Process, asked: dict[str, Any], status: int, expected: str
) -> None:
    answer = engine.http.post("/v1/chat/completions", json=asked)
    assert (answer.status_code, code(answer)) == (status, expected)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'"\\ud800"', b""])
def test_bodies_that_are_no_request_are_refused_in_the_same_shape(engine: Process, content: bytes) -> None:
    answer = engine.http.post(
        "/v1/chat/completions", content=content, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, code(answer)) == (400, "bad_request")


def test_half_a_surrogate_is_refused_and_the_engine_goes_on(engine: Process) -> None:
    content = json.dumps(body("half \ud83d"))
    answer = engine.http.post(
        "/v1/chat/completions", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert said(engine.chat())


def test_a_body_of_undeclared_length_is_bounded_too(engine: Process) -> None:
    answer = engine.http.post("/v1/chat/completions", content=(b"x" * 100_000 for _ in range(11)))
    assert (answer.status_code, code(answer)) == (413, "body_too_large")


def test_a_route_that_is_not_there_says_so_in_the_same_shape(engine: Process) -> None:
    answer = engine.http.get("/v1/nothing")
    assert (answer.status_code, code(answer)) == (404, "no_such_route")


def test_a_full_queue_asks_to_come_back(engine: Process) -> None:
    with ThreadPoolExecutor(2) as others:
        busy = [others.submit(engine.chat, max_tokens=600) for _ in range(2)]
        until(lambda: sum(map(engine.metric, BUSY)) == 2)
        refused = engine.chat()
        assert (refused.status_code, code(refused)) == (429, "engine_busy")
        assert int(refused.headers["Retry-After"]) >= 1
        assert [said(answer.result()) for answer in busy]
    assert said(engine.chat())


def test_versions_come_and_go(engine: Process, adapters: list[Path]) -> None:
    base = said(engine.chat())
    first, second, third = (f"general@{n}-{digest(folder)[:8]}" for n, folder in enumerate(adapters, 1))
    assert engine.load(first, adapters[0]).status_code == 200
    assert engine.load(second, adapters[1]).status_code == 200
    listed = engine.http.get("/v1/models").json()["data"]
    assert [(entry["id"], entry["parent"]) for entry in listed] == [
        ("base", None),
        (first, "base"),
        (second, "base"),
    ]
    assert listed[1]["root"] == str(adapters[0])
    again, full = engine.load(first, adapters[0]), engine.load(third, adapters[2])
    assert (again.status_code, code(again)) == (400, "already_loaded")
    assert (full.status_code, code(full)) == (409, "no_slot")
    answers = {said(engine.chat(model=entry["id"])) for entry in listed}
    assert len(answers) == 3
    assert engine.unload(first).status_code == 200
    gone = engine.unload(first)
    assert (gone.status_code, code(gone)) == (404, "not_found")
    assert said(engine.chat()) == base


def test_a_corrupt_adapter_is_refused_and_harms_nothing(
    engine: Process, adapters: list[Path], tmp_path: Path
) -> None:
    base = said(engine.chat())
    corrupt = tmp_path / "corrupt"
    corrupt.mkdir()
    (corrupt / "adapter_config.json").write_bytes((adapters[0] / "adapter_config.json").read_bytes())
    weights = (adapters[0] / "adapter_model.safetensors").read_bytes()
    for content in (weights[:-1], weights[: len(weights) // 2], b"\x00" * 64, b""):
        (corrupt / "adapter_model.safetensors").write_bytes(content)
        refused = engine.load("v", corrupt)
        assert (refused.status_code, code(refused)) == (400, "bad_adapter")
    refused = engine.load("v", tmp_path / "nowhere")
    assert (refused.status_code, code(refused)) == (400, "bad_adapter")
    assert said(engine.chat()) == base
    assert engine.chat(model="v").status_code == 404


async def test_a_failure_in_the_middle_of_a_stream_is_told_and_harms_nobody_else(
    engine: Process, model: Path, tmp_path: Path
) -> None:
    engine.load("broken", make_adapter(model, tmp_path / "broken", size=1e20))
    with engine.http.stream("POST", "/v1/chat/completions", json=body(model="broken", stream=True)) as stream:
        raw = "".join(stream.iter_text())
    assert list(events(iter(raw.splitlines())))[-1]["error"]["code"] == "generation_failed"
    assert raw.endswith("data: [DONE]\n\n")
    whole = engine.chat(model="broken")
    assert (whole.status_code, code(whole)) == (500, "generation_failed")
    async with AsyncInferenceClient(base_url=engine.url, token=SECRET, timeout=30) as client:
        with pytest.raises(TextGenerationError):
            async for _ in await client.chat_completion(body()["messages"], model="broken", stream=True):
                pass
    assert said(engine.chat())


def test_a_stream_is_the_same_while_versions_come_and_go(engine: Process, adapters: list[Path]) -> None:
    engine.load("v1", adapters[0])
    asked = body(model="v1", max_tokens=900)
    quiet = said(engine.http.post("/v1/chat/completions", json=asked))
    text, swaps = "", 0
    with engine.http.stream("POST", "/v1/chat/completions", json={**asked, "stream": True}) as stream:
        for number, part in enumerate(events(stream.iter_lines())):
            text += part["choices"][0]["delta"].get("content", "")
            if number % 100 == 50:
                assert engine.load("v2", adapters[1]).status_code == 200
                assert engine.unload("v2").status_code == 200
                swaps += 1
    assert swaps >= 3
    assert text == quiet


def test_an_unloaded_version_finishes_what_it_began(engine: Process, adapters: list[Path]) -> None:
    engine.load("v1", adapters[0])
    asked = body(model="v1", max_tokens=400)
    quiet = said(engine.http.post("/v1/chat/completions", json=asked))
    with ThreadPoolExecutor(1) as other:
        running = other.submit(engine.http.post, "/v1/chat/completions", json=asked)
        until(lambda: engine.metric("hone_engine_num_requests_running") == 1)
        assert engine.unload("v1").status_code == 200
        assert said(running.result()) == quiet
    assert engine.chat(model="v1").status_code == 404


def test_probes_and_embeddings_have_their_shapes(engine: Process) -> None:
    items = [{"messages": body()["messages"], "response": text} for text in ("Paris.", "I don't know.")]
    probed = engine.http.post("/v1/probe", json={"model": "base", "items": items}).json()["data"]
    assert [row["tokens"] for row in probed] == [len(row["logprobs"]) for row in probed]
    assert all(value < 0 for row in probed for value in row["logprobs"])
    unknown = engine.http.post("/v1/probe", json={"model": "v", "items": items})
    assert (unknown.status_code, code(unknown)) == (404, "unknown_version")
    vectors = engine.http.post("/v1/embeddings", json={"input": ["one", "two"]}).json()["data"]
    assert [(entry["index"], len(entry["embedding"])) for entry in vectors] == [(0, 384), (1, 384)]


def test_it_counts_what_it_does(engine: Process) -> None:
    done = 'hone_engine_requests_total{kind="answer",outcome="done"}'
    tokens = "hone_engine_generation_tokens_total"
    before = engine.metric(done), engine.metric(tokens)
    engine.chat(max_tokens=5)
    engine.chat(model="nobody")
    until(lambda: engine.metric(tokens) - before[1] == 5)  # counted once the answer has been told
    assert engine.metric(done) - before[0] == 1
    assert engine.metric('hone_engine_errors_total{code="unknown_version"}') >= 1


def test_it_does_not_start_without_a_secret(model: Path, tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "serve.engine", "--model", str(model), "--cache", str(tmp_path)],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode != 0
    assert child.stdout == ""


def test_a_model_that_cannot_be_loaded_ends_it_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    process = Process(tmp_path / "empty", tmp_path)
    assert process.child.wait(60) == 2
    errors = process.log.read_text()
    assert "cannot be loaded" in errors.strip().splitlines()[-1]
    assert "Traceback" not in errors


def test_it_ends_when_its_parent_is_killed(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serve.engine", "--model", str(model), "--cache", str(tmp_path)]
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({command!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    middle = subprocess.Popen(
        [sys.executable, "-c", parent],
        stdout=subprocess.PIPE,
        env=os.environ | {"HONE_ENGINE_SECRET": SECRET},
    )
    assert middle.stdout is not None
    pid = int(middle.stdout.readline())
    middle.send_signal(signal.SIGKILL)
    middle.communicate()
    until(lambda: not running(pid), 20)


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_it_ends_soon_when_it_is_asked_to_in_the_middle_of_an_answer(model: Path, tmp_path: Path) -> None:
    process = Process(model, tmp_path).wait()
    with ThreadPoolExecutor(1) as other:
        other.submit(process.chat, max_tokens=3900)
        until(lambda: process.metric("hone_engine_num_requests_running") == 1)
        process.child.send_signal(signal.SIGTERM)
        assert process.child.wait(10) == -signal.SIGTERM
    process.end()
