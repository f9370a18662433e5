"""Fixtures that many tests share: a clean environment, a home, and a real Hone in its own processes."""

import fcntl
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
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from stories import new_store

from feedback.store import Store

expect.set_options(timeout=30_000)  # two tests may share two busy cores
# Tests run beside each other, and OpenMP's teams of threads on the same cores mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Some hundred processes are started; compiling all of Hone anew in each would be a tenth of the run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A training child computes when its session does not; in one with all workers, it would wait for their tests.
if "PYTEST_XDIST_WORKER" in os.environ and os.getsid(0) != os.getpid():
    os.setsid()
ONE_THREAD = {"HONE_ENGINE__THREADS": "1", "HONE_TUNER__THREADS": "1"}
# Two answers come by chance; a test that wants them says so.
NO_CHANCE = {"HONE_CHAT__COMPARE_SHARE": "0"}
HONE = [sys.executable, "-m", "hone.command"]
MINUTES = 60_000  # of the browser's milliseconds
OF_MINUTES = {
    *("test_training_elsewhere", "test_units", "test_training_s3", "test_hostile_pages"),
    *("test_end_to_end", "test_training", "test_cycle", "test_lean_training"),
}
# One for all, since each reads all the certificates of the machine first; no connection outlives its Hone.
CLIENT = httpx.Client(timeout=120, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What each test that was run again failed with at first: what fails now and then is found by it."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"at first: {report.nodeid}", sep="-")
        terminalreporter.write_line(report.longreprtext)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _longest_first(items)
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


def _longest_first(items: list[pytest.Item]) -> None:
    """Files of minutes go first, then those that use a model, so that none of them runs alone at the end."""
    models = {"model_cache", "tiny_model", "base"}
    using = {item.path for item in items if models & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: (item.path.stem not in OF_MINUTES, item.path not in using))


@contextmanager
def launched(*flags: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=[*BROWSER_FLAGS, *flags], timeout=MINUTES
        )
        yield browser
        browser.close()


@contextmanager
def wide_page(browser: Browser) -> Iterator[Page]:
    """A page of a visitor of its own."""
    with browser.new_context(**WIDE) as context:
        page = context.new_page()
        page.set_default_timeout(MINUTES)
        yield page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while it is there, no test of this process can run a loop of its own."""
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose scripts may not fail."""
    with wide_page(browser) as page:
        page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
        yield page


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine leaks into a test, and nothing is looked up on a hub."""
    for name in list(os.environ):
        if name.startswith("HONE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session", autouse=True)
def quick_hash() -> Iterator[None]:
    """The real hash of passwords with little work, so that the tests' time is not argon2's."""
    from feedback import passwords

    with pytest.MonkeyPatch.context() as patch:
        quick = partial(passwords.PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(passwords, "PasswordHasher", quick)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in which nothing has happened yet."""
    opened = new_store(tmp_path / "hone.duckdb")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def model_cache(pytestconfig: pytest.Config) -> Path:
    """The real default model, dequantised once for this run and the next ones; `--cache-clear` forgets it."""
    from serve.engine.model import prepare

    assert pytestconfig.cache
    cache = Path(pytestconfig.cache.mkdir("models"))
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
    role: str = "up"

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
        command = [*HONE, self.role, "--home", str(self.home), "--port", str(self.port)]
        with (self.home.parent / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | ONE_THREAD | NO_CHANCE | self.environment,
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
        return CLIENT.request(method, self.url + path, headers=headers, **given)

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

    def ended(self, run: str) -> dict[str, Any]:
        """A run's record, once it has ended."""

        def ended() -> dict[str, Any] | None:
            told: dict[str, Any] = self.get(f"/v1/runs/{run}").json()
            return told if told["state"] not in ("queued", "running") else None

        return dict(self.wait(ended, 240))

    def engine_pid(self) -> int:
        return int(self.get("/v1/status").json()["engine"]["pid"])

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.running:
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


@contextmanager
def on_tiny_model(folder: Path, model: Path) -> Iterator[RunningHone]:
    environment = {"HONE_ENGINE__DTYPE": "float32", "HONE_MODEL__NAME": str(model)}
    running = RunningHone(folder / "home", environment=environment)
    yield running
    running.stop()


@pytest.fixture
def tiny_hone(tmp_path: Path, tiny_model: Path) -> Iterator[RunningHone]:
    """A Hone on the tiny model, not started yet; ended when the test is over."""
    with on_tiny_model(tmp_path, tiny_model) as running:
        yield running


@pytest.fixture(scope="session")
def shared_hone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    """One Hone on the tiny model for all tests that take it as they find it, since a start takes seconds."""
    with on_tiny_model(tmp_path_factory.mktemp("shared"), tiny_model) as running:
        running.settings = "[chat]\nmax_tokens = 5\n"
        yield running.start()


@pytest.fixture
def idle_hone(shared_hone: RunningHone) -> RunningHone:
    """The shared one, in which nothing waits for review.

    What tests before left there is judged by the pages' own visitor, who may hold a claim of it.
    """
    with httpx.Client(base_url=shared_hone.url, timeout=120, trust_env=False) as visitor:
        for state in ("pending", "skipped"):
            left = visitor.get(f"/v1/reviews?state={state}&limit=500").json()["data"]
            said = [{"exchange_id": item["id"], "verdict": "reject"} for item in left]
            done = visitor.post("/v1/reviews/bulk", json={"verdicts": said}) if said else None
            assert done is None or all(one["ok"] for one in done.json()["data"]), done.text
    return shared_hone


def lines_of(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a server-sent stream, up to `[DONE]`."""
    for line in stream.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line[6:])
