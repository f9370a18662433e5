"""A Hone in a process of its own over a fresh home: taught, tuned, talked to, killed and started again.

What it is asked goes through its API, as any program's would; what a run left behind is read from the
run's folder. Knows nothing of what is measured.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tuner.plan import RunFolder, read_json, read_lines

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 600
ENDED = ("passed", "abstained", "refused", "failed", "skipped")
SETTINGS = '[tuner]\nenabled = false\nrollout = "live"\nsalt = "benchmark"\n'
"""No run but those that are asked for; and whatever passes is live at once, as nobody rates anything here."""


@dataclass(frozen=True)
class Run:
    """A run that ended: its record, as the API tells it, and what it left behind."""

    told: Mapping[str, Any]
    folder: RunFolder

    @property
    def state(self) -> str:
        return str(self.told["state"])

    @property
    def version(self) -> str:
        return str(self.told["version"])

    @property
    def account(self) -> Mapping[str, Any]:
        return dict(self.told["detail"])

    @property
    def reasons(self) -> list[str]:
        return list((self.told["gate"] or {}).get("reasons") or [self.told["reason"]])

    @property
    def card(self) -> dict[str, Any]:
        return dict(read_json(self.folder.evaluation))

    @property
    def numbers(self) -> dict[str, Any]:
        return dict(read_json(self.folder.verdict)["numbers"])

    @property
    def attempts(self) -> list[dict[str, Any]]:
        return read_lines(self.folder.times)


class House:
    """One home and, while it is up, its Hone."""

    def __init__(
        self, home: Path, *, model: str = "", settings: str = "", models: Path | None = None
    ) -> None:
        """`model` is the packaged one or a folder; `models` is where the packaged one lies made ready."""
        self.home = home
        self._settings = SETTINGS + settings
        self._environment = {"HONE_MODEL__NAME": model} if model else {}
        self._models = models
        self._process: asyncio.subprocess.Process | None = None
        self._http: httpx.AsyncClient | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def http(self) -> httpx.AsyncClient:
        assert self._http is not None
        return self._http

    async def start(self) -> "House":
        """Until its engine answers.

        Raises:
            RuntimeError: It ended, or took too long.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "hone.toml").write_text(self._settings)
        if self._models and not (self.home / "models").exists():
            (self.home / "models").symlink_to(self._models)
        port = _free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HONE_")}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "hone.command", "up", "--home", str(self.home), "--port", str(port)),
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=clean | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"} | self._environment,
                start_new_session=True,
            )
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600, trust_env=False)
        await self._until(self._ready, START_SECONDS)
        return self

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until its children are gone too."""
        if self._process is None or self._process.returncode is not None:
            return
        children = self.children()
        self._process.send_signal(how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 60)
        await asyncio.to_thread(psutil.wait_procs, children, timeout=30)
        await self.http.aclose()

    def children(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    async def call(self, method: str, path: str, **given: Any) -> Any:
        """Raises: RuntimeError, with Hone's own sentence."""
        answer = await self.http.request(method, path, **given)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.text}")
        return answer.json()

    async def teach(self, assistant: str, rows: Iterable[Mapping[str, str]]) -> dict[str, Any]:
        """Import rows in Alpaca's form, approved as they are; what the import says of them."""
        known = await self.call("GET", "/v1/assistants")
        if assistant not in {told["name"] for told in known["data"]}:
            await self.call("POST", "/v1/assistants", json={"name": assistant})
        body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        asked = {"assistant": assistant, "approve": "true", "source": f"{assistant}.jsonl"}
        return dict(await self.call("POST", "/v1/imports", params=asked, content=body.encode()))

    async def tune(
        self, assistant: str, watch: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None
    ) -> Run:
        """A run from its beginning to its end; `watch` is shown its record, once a second."""
        begun = await self.call("POST", "/v1/runs", json={"assistant": assistant})
        return await self.ended(begun["id"], watch)

    async def ended(
        self, run_id: str, watch: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None
    ) -> Run:
        while True:
            told = await self.call("GET", f"/v1/runs/{run_id}")
            if told["state"] in ENDED:
                return Run(told, RunFolder.named(self.home, told["number"], told["assistant"]))
            if watch:
                await watch(told)
            await asyncio.sleep(1.0)

    async def said(self, model: str, text: str, tokens: int = 64) -> str:
        """A greedy answer of an assistant or of an exact version."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        told = await self.call(
            "POST", "/v1/chat/completions", json=body | {"temperature": 0, "max_tokens": tokens}
        )
        return str(told["choices"][0]["message"]["content"])

    @property
    def _log(self) -> Path:
        return self.home.parent / f"{self.home.name}.log"

    async def _ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError, FileNotFoundError):
            token = (self.home / "token").read_text("utf-8").strip()
            self.http.headers["authorization"] = f"Bearer {token}"
            return (await self.http.get("/readyz")).status_code == 200
        return False

    async def _until(self, done: Callable[[], Awaitable[bool]], seconds: float) -> None:
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._process.returncode is None:
                    if await done():
                        return
                    await asyncio.sleep(0.1)
        last = self._log.read_text("utf-8", errors="replace").strip().splitlines()[-8:]
        await self.stop(signal.SIGKILL)
        raise RuntimeError(f"Hone did not start: {' | '.join(last)}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
