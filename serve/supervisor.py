"""Keeps the embedded engine's process alive: starts it, watches it, restarts it with back-off.

An engine that runs elsewhere is only kept in sight (`Watch`). It knows a process, a port and a health
check, and nothing of what the engine holds; whoever needs to act when an engine is ready again hands in
`on_ready`.

Trail: hone/engines.py -> here -> serve/engine/__main__.py
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from feedback.errors import EngineUnavailable, HoneError
from serve.engines.base import HttpEngine

State = Literal["stopped", "starting", "ready", "restarting"]
BACKOFF = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the next start, by the number of failures in a row."""
LOOK_EVERY = 3.0
"""Seconds between looks at an engine that runs elsewhere."""


class Supervisor:
    """One engine process at a time, from `start` to `stop`."""

    def __init__(
        self,
        engine: HttpEngine,
        arguments: Sequence[str],
        *,
        secret: str,
        log: Path,
        start_timeout: float,
        on_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._arguments = arguments
        self._secret = secret
        self._log = log
        self._start_timeout = start_timeout
        self._on_ready = on_ready
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self.state: State = "stopped"
        self.trouble = ""
        self.restarts = 0
        self.facts: dict[str, Any] = {}

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        self.state = "starting"
        self._task = asyncio.create_task(self._keep_alive(), name="engine supervisor")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._end_process()
        self.state = "stopped"

    async def _keep_alive(self) -> None:
        failures = 0
        while True:
            try:
                await self._launch()
                await self._await_ready()
                await self._on_ready()
                self.state, self.trouble, failures = "ready", "", 0
                code = await self._require_process().wait()
                self.trouble = f"The engine process ended with code {code}; see {self._log}."
            except (HoneError, OSError) as fault:
                self.trouble = str(fault)
                failures += 1
            self.state = "restarting"
            self.restarts += 1
            await self._end_process()
            await asyncio.sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])

    async def _launch(self) -> None:
        with self._log.open("ab") as log:
            # The open pipe on stdin is the child's lifeline: it ends when this process does.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "serve.engine",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=os.environ | {"HONE_ENGINE_SECRET": self._secret},
            )
        stdout = self._require_process().stdout
        line = await asyncio.wait_for(stdout.readline(), self._start_timeout) if stdout else b""
        try:
            self._engine.connect(f"http://127.0.0.1:{json.loads(line)['port']}")
        except (ValueError, KeyError):
            raise EngineUnavailable(f"The engine did not start: {self._last_words()}") from None

    async def _await_ready(self) -> None:
        process = self._require_process()
        async with asyncio.timeout(self._start_timeout):
            while process.returncode is None:
                with contextlib.suppress(EngineUnavailable):
                    self.facts = await self._engine.health()
                    return
                await asyncio.sleep(0.1)
        raise EngineUnavailable(f"The engine ended while it loaded its model: {self._last_words()}")

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        self._engine.connect("")
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _require_process(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise EngineUnavailable("The engine is not running.", "It is being restarted.")
        return self._process

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (more in {self._log})"


class Watch(Supervisor):
    """An engine that others run: looked at again and again, never started or ended.

    A look is the engine's `health`, which for several replicas also takes back those that returned.
    """

    def __init__(
        self, engine: HttpEngine, *, on_ready: Callable[[], Awaitable[None]], every: float = LOOK_EVERY
    ) -> None:
        super().__init__(engine, (), secret="", log=Path(os.devnull), start_timeout=0.0, on_ready=on_ready)
        self._every = every

    async def _keep_alive(self) -> None:
        while True:
            try:
                self.facts = await self._engine.health()
                if self.state != "ready":
                    await self._on_ready()
                    self.state, self.trouble = "ready", ""
            except (HoneError, OSError) as fault:
                self.restarts += self.state == "ready"
                # Where each is and what ails it is for operators; callers hear only that none is ready.
                each = [f"{known['url']}: {known['trouble']}" for known in self._engine.described()]
                self.state, self.trouble = "restarting", " ".join([str(fault), *each])
            await asyncio.sleep(self._every)

    async def _end_process(self) -> None:
        """There is none of ours."""
