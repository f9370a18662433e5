"""A web process of Hone's own on a fresh home, with people signed in, before a stand-in for an engine.

It is `hone web` as anybody starts it; what is measured of it is told by the kernel.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from feedback.accounts import Accounts, first_admin, make
from feedback.passwords import hashed
from feedback.records import Role
from feedback.store import Store
from hone.home import Home
from serve.identity import COOKIE

SETTINGS = """[auth]
login = "local"
[engine]
urls = ["{engine}"]
[chat]
compare_share = 0
[tuner]
enabled = false
"""
PATIENCE = 120
PASSWORD = "an unused long password"


class Web:
    """One running web process: its address, its visitors' sessions, and what it costs."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], sessions: list[str], log: Path) -> None:
        self.url = url
        self.sessions = sessions
        """Tokens of signed-in people: the first is an operator, the others are users."""
        self._process = psutil.Process(process.pid)
        self._log = log

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def cpu(self) -> float:
        """Seconds of processor time used until now."""
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def memory(self) -> float:
        """MiB resident."""
        return float(self._process.memory_info().rss) / 2**20

    def get(self, path: str, visitor: int = 0) -> httpx.Response:
        asks = {"cookie": f"{COOKIE}={self.sessions[visitor]}", "accept": "text/html, */*"}
        return httpx.get(self.url + path, headers=asks, timeout=PATIENCE, trust_env=False)

    def complaints(self) -> list[str]:
        """The log's lines that tell of a fault."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return [line for line in lines if "rror" in line or "WARNING" in line]


@contextmanager
def running(folder: Path, *, people: int, rate: float, words: int) -> Iterator[Web]:
    """The web process and its engine, until the block ends."""
    steady = [sys.executable, "-m", "benchmarks.browsing.steady", "--rate", str(rate), "--words", str(words)]
    engine = subprocess.Popen(steady, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert engine.stdout
    where = f"http://127.0.0.1:{json.loads(engine.stdout.readline())['port']}"
    home = Home(folder / "home")
    home.prepare()
    (home.folder / "hone.toml").write_text(SETTINGS.format(engine=where))
    sessions = _signed_in(home, people)
    port, log = _free_port(), folder / "web.log"
    command = [sys.executable, "-m", "hone.command", "web", "--home", str(home.folder), "--port", str(port)]
    with log.open("wb") as told:
        process = subprocess.Popen(
            command, stdout=told, stderr=told, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    web = Web(f"http://127.0.0.1:{port}", process, sessions, log)
    try:
        _until_ready(web, process, log)
        yield web
    finally:
        for child in (process, engine):
            child.terminate()
            child.wait(30)


def _signed_in(home: Home, people: int) -> list[str]:
    """Sessions of so many accounts, all of which have one password: a hash takes a third of a second."""
    store = Store(home.store)
    admin, _ = first_admin(store)
    accounts, secret = Accounts(store), hashed(PASSWORD)
    roles = enumerate([Role.OPERATOR] + [Role.USER] * (people - 1))
    made = store.decide(lambda t: [make(t, admin.name, f"person{n}", role, secret) for n, role in roles])
    tokens = [accounts.open_session(person, 1) for person in made]
    store.close()
    return tokens


def _until_ready(web: Web, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{web.url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"The web process did not become ready:\n{log.read_text('utf-8', 'replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
