"""Fixtures that many tests share: a clean environment, a home, and a real Hone in its own processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

expect.set_options(timeout=30_000)  # two tests may share two busy cores
# Tests run beside each other, and OpenMP's teams of threads on the same cores mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
ONE_THREAD = {"HONE_ENGINE__THREADS": "1", "HONE_TUNER__THREADS": "1"}
HONE = [sys.executable, "-m", "hone.command"]
MINUTES = 60_000  # of the browser's milliseconds
BROWSER_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WIDE: dict[str, Any] = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}}
"""A desktop's browser, in English."""


def pytest_report_header() -> str:
    from importlib.metadata import version

    named = (f"{name} {version(name)}" for name in ("duckdb", "torch", "transformers", "peft", "gradio"))
    return f"browser: {chromium() or 'NONE: the browser tests will be skipped'}; " + ", ".join(named)


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("browser"):
            # A browser on busy cores fails for reasons of its own; the summary tells of each rerun.
            item.add_marker(pytest.mark.flaky(reruns=1))
            if chromium():
                continue
            if os.environ.get("CI"):
                item.add_marker(pytest.mark.xfail(run=False, strict=True, reason="CI must have Chromium"))
            else:
                item.add_marker(pytest.mark.skip(reason="NO CHROMIUM: apt-get install chromium"))


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=BROWSER_FLAGS, timeout=MINUTES)
        yield browser
        browser.close()


@contextmanager
def wide_page() -> Iterator[Page]:
    """A page of a browser of its own."""
    with launched() as browser:
        page = browser.new_context(**WIDE).new_page()
        page.set_default_timeout(MINUTES)
        yield page


@pytest.fixture
def page() -> Iterator[Page]:
    """A page whose scripts may not fail."""
    with wide_page() as page:
        page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
        yield page


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine leaks into a test, and nothing is looked up on a hub."""
    for name in list(os.environ):
        if name.startswith("HONE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real default model, dequantised once for the whole run."""
    from serve.engine.model import prepare

    cache = tmp_path_factory.mktemp("models")
    prepare("smollm2-135m", cache)
    return cache


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningHone:
    """A real `hone up` in its own process, with the settings it was given."""

    home: Path
    settings: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    @property
    def output(self) -> str:
        return (self.home.parent / "up.log").read_text(errors="replace")

    def start(self, *, ready: bool = True) -> "RunningHone":
        """Start it and wait until it answers, or until its engine does too."""
        self.launch()
        self.wait(lambda: self.get("/readyz" if ready else "/healthz").status_code == 200, 120)
        return self

    def launch(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "hone.toml").write_text(self.settings)
        command = [*HONE, "up", "--home", str(self.home), "--port", str(self.port)]
        with (self.home.parent / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | ONE_THREAD | self.environment,
                start_new_session=True,
            )

    def wait(self, done: Callable[[], Any], seconds: float) -> Any:
        """The first true thing that `done` returns; fails with Hone's output when it takes too long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if result := done():
                    return result
            except (httpx.TransportError, FileNotFoundError):
                pass  # not listening yet, or no token yet
            if self.process and self.process.poll() not in (None, -signal.SIGKILL):
                pytest.fail(f"hone up ended with {self.process.returncode}:\n{self.output}")
            time.sleep(0.1)
        pytest.fail(f"not within {seconds} s; Hone said:\n{self.output[-4000:]}")

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"} | given.pop("headers", {})
        return httpx.request(method, self.url + path, headers=headers, timeout=120, trust_env=False, **given)

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def post(self, path: str, body: Any = None, **given: Any) -> httpx.Response:
        return self.request("POST", path, json=body, **given)

    def command(self, *arguments: str, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run `hone ...` for this home, as a person would."""
        return subprocess.run(
            [*HONE, *arguments, "--home", str(self.home)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **given,
        )

    def chat(self, text: str, *, model: str = "general", **more: Any) -> dict[str, Any]:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0, **more}
        answer = self.post("/v1/chat/completions", body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def engine_pid(self) -> int:
        return int(self.get("/v1/status").json()["engine"]["pid"])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)


@pytest.fixture
def hone(tmp_path: Path, model_cache: Path) -> Iterator[RunningHone]:
    """A Hone on the real model in float32, not started yet; ended when the test is over."""
    running = RunningHone(tmp_path / "home", environment={"HONE_ENGINE__DTYPE": "float32"})
    running.home.mkdir()
    (running.home / "models").symlink_to(model_cache)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer model that starts in a moment and never stops talking by itself."""
    from tiny_engine import make_model

    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_hone(tmp_path: Path, tiny_model: Path) -> Iterator[RunningHone]:
    """A Hone on the tiny model, not started yet; ended when the test is over."""
    environment = {"HONE_ENGINE__DTYPE": "float32", "HONE_MODEL__NAME": str(tiny_model)}
    running = RunningHone(tmp_path / "home", environment=environment)
    yield running
    running.stop()


def lines_of(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a server-sent stream, up to `[DONE]`."""
    for line in stream.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line[6:])


def read_store(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a store that no process has open."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()
