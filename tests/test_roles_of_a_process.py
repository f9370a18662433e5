"""`hone web` and `hone engine` apart: they find each other, say when they differ, and stop gracefully."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import HONE, ONE_THREAD, RunningHone, free_port, lines_of, on_tiny_model
from test_canary_process import with_version

from serve import release
from serve.release import RELEASE, skew

pytestmark = pytest.mark.long


@contextmanager
def engine_apart(hone: RunningHone, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`hone engine` for this home."""
    command = [*HONE, "engine", "--home", str(hone.home), "--port", str(port)]
    with (hone.home.parent / "engine-apart.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,  # as a service manager gives it
            stdout=log,
            stderr=log,
            env=os.environ | ONE_THREAD | hone.environment,
        )
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, port: int) -> Iterator[RunningHone]:
    """A home for both, whose live version must be given to every engine that comes."""
    folder = tmp_path_factory.mktemp("apart")
    with on_tiny_model(folder, tiny_model) as running:
        running.role = "web"
        running.settings = f'[engine]\nurls = ["http://127.0.0.1:{port}"]\n[tuner]\nenabled = false\n'
        with_version(running.home, tiny_model, folder / "adapter", "live", "It is good.")
        yield running


def answers(hone: RunningHone) -> bool:
    """Whether this engine answers: that the one before it is gone may not have been noticed yet."""
    body = {"model": "general", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
    return hone.post("/v1/chat/completions", body).status_code == 200


def long_answer(hone: RunningHone, heard: list[dict[str, Any]], began: threading.Event) -> None:
    body = {
        "model": "general",
        "messages": [{"role": "user", "content": "Talk for long."}],
        "stream": True,
        "max_tokens": 600,
    }
    headers = {"authorization": f"Bearer {hone.token}"}
    url = f"{hone.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=120, trust_env=False) as answer:
        for event in lines_of(answer):
            heard.append(event)
            began.set()


def test_they_find_each_other_and_an_engine_that_comes_again_gets_its_versions(
    apart: RunningHone, port: int
) -> None:
    apart.start(ready=False)
    assert apart.get("/readyz").status_code == 503
    with engine_apart(apart, port) as engine:
        apart.wait(lambda: apart.get("/readyz").status_code == 200, 120)
        version = apart.chat("Hello", max_tokens=3)["model"]
        assert version.startswith("general@1-")
        assert apart.get("/v1/status").json()["engine"]["skew"] == ""
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 401, "it asked for no key"
        engine.kill()
        engine.wait()
    apart.wait(lambda: apart.get("/readyz").status_code == 503, 60)
    assert apart.get("/healthz").status_code == 200
    with engine_apart(apart, port):
        apart.wait(lambda: apart.get("/readyz").status_code == 200, 120)
        assert apart.chat("Hello", max_tokens=3)["model"] == version


@pytest.mark.parametrize("stopped", ["engine", "web"])
def test_a_graceful_stop_lets_the_answer_end(apart: RunningHone, port: int, stopped: str) -> None:
    if not apart.running:
        apart.launch()
    with engine_apart(apart, port) as engine:
        apart.wait(lambda: answers(apart), 120)
        heard: list[dict[str, Any]] = []
        began = threading.Event()
        reader = threading.Thread(target=long_answer, args=(apart, heard, began))
        reader.start()
        assert began.wait(60)
        assert apart.process
        asked = engine if stopped == "engine" else apart.process
        asked.send_signal(signal.SIGTERM)
        reader.join(60)
        assert heard[-1]["choices"][0]["finish_reason"] == "length", heard[-1]
        assert asked.wait(60) in (0, -signal.SIGTERM)


def test_an_engine_without_an_address_or_of_another_kind_is_told(tmp_path: Path) -> None:
    hone = RunningHone(tmp_path / "home")
    hone.home.mkdir()
    told = hone.command("web")
    assert told.returncode == 2
    assert "engine.urls names none" in told.stderr
    (hone.home / "hone.toml").write_text('[engine]\nkind = "vllm"\nurls = ["http://127.0.0.1:1"]\n')
    told = hone.command("engine")
    assert told.returncode == 2
    assert "engine.kind is vllm" in told.stderr


def test_an_engine_of_another_release_is_told_in_words() -> None:
    assert skew(RELEASE) == ""
    assert f"this web process {RELEASE}" in skew("0.0.9+00000000")
    assert "of an older release" in skew("")
    assert release._release() == RELEASE
