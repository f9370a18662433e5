"""Real engines for the drivers' tests: ours, vLLM where there is one, and a stand-in with TGI's rules.

Each is a process with a base model and two adapters for it; `HONE_VLLM_PYTHON` names the Python of an
environment that has vLLM (`make test-vllm` makes one).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from conftest import CLIENT, free_port
from tiny_engine import make_adapter

from feedback.records import Message, Sampling
from serve.engines.base import BASE, HttpEngine
from serve.engines.hone import HoneEngine
from serve.engines.restart import Restart
from serve.engines.tgi import TgiEngine
from serve.engines.vllm import VllmEngine

# Read before the tests' clean environment takes it away.
VLLM_PYTHON = os.environ.get("HONE_VLLM_PYTHON", "")
KEY = "Sesame-7"
# No digests, which our engine would compare with the folders' bytes.
ONE, TWO, BAD, GONE = (f"general@{n}-{name}" for n, name in enumerate(("one", "two", "bad", "gone"), 1))
SLOTS = 2
HERE = Path(__file__).parent
GREEDY = Sampling(temperature=0.0, max_tokens=12)
HELLO = [Message("user", "Tell me")]


async def said(
    engine: HttpEngine, version: str = BASE, sampling: Sampling = GREEDY, text: str = "Tell me"
) -> str:
    pieces = engine.stream(version, [Message("user", text)], sampling, owner="ann")
    return "".join([piece.text async for piece in pieces])


@dataclass
class Served:
    """An engine process that can be stopped and started again on the same address."""

    model: Path
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    patience: float = 120.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def adapter(self, version: str) -> Path:
        """The folder of a version, named as Hone names them."""
        return self.folder / "versions" / version

    def make_adapters(self, size: float) -> None:
        for seed, version in enumerate((ONE, TWO)):
            make_adapter(self.model, self.adapter(version), seed=seed, size=size)
        self.adapter(BAD).mkdir()
        for file in self.adapter(ONE).iterdir():
            content = file.read_bytes()
            cut = len(content) // 2 if file.suffix == ".safetensors" else len(content)
            (self.adapter(BAD) / file.name).write_bytes(content[:cut])

    def start(self) -> "Served":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment(),
                start_new_session=True,
                cwd=HERE.parent,
            )
        return self.wait()

    def wait(self) -> "Served":
        until = time.monotonic() + self.patience
        while not self.up():
            assert time.monotonic() < until, self.log[-3000:]
            assert self.process
            assert self.process.poll() is None, self.log[-3000:]
            time.sleep(0.1)
        return self

    def up(self) -> bool:
        try:
            return CLIENT.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def kill(self) -> None:
        """Gone at once with all that it held, as by a lack of memory."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def driver(self, key: str = KEY) -> HttpEngine:
        raise NotImplementedError


class HoneServed(Served):
    """Our engine."""

    def command(self) -> list[str]:
        options: dict[str, object] = {
            "--model": self.model,
            "--cache": self.folder,
            "--dtype": "float32",
            "--threads": 1,
        }
        options |= {"--port": self.port}
        words = [str(word) for option in options.items() for word in option]
        return [sys.executable, "-m", "serve.engine", *words, "--slots", str(SLOTS)]

    def environment(self) -> dict[str, str]:
        return {"HONE_ENGINE_SECRET": KEY}

    def driver(self, key: str = KEY) -> HttpEngine:
        return HoneEngine(key, url=self.url)


class TgiServed(Served):
    """The stand-in; its launcher and its server are one group of processes."""

    def command(self) -> list[str]:
        (self.folder / "adapters").write_text("")
        (self.folder / "server").write_text("")
        stand_in = str(HERE / "tgi_stand_in.py")
        model = ["--model", str(self.model), "--port", str(self.port), "--key", KEY]
        return [sys.executable, stand_in, str(self.folder), *model]

    def restarting(self, adapters: str) -> list[str]:
        """The operator's command for a restart with these."""
        return [sys.executable, str(HERE / "tgi_stand_in.py"), str(self.folder), "--restart", adapters]

    def begin_again(self) -> "Served":
        """A server without any adapter; the launcher stays, since what it imported took seconds."""
        shutil.rmtree(self.folder / "links", ignore_errors=True)
        subprocess.run(self.restarting(""), check=True)
        return self.wait()

    def driver(self, key: str = KEY, *, restart: bool = True) -> HttpEngine:
        command = self.restarting("{adapters}")
        return TgiEngine(
            # TGI lower-cases keys before it compares them.
            key,
            url=self.url,
            links=self.folder / "links",
            restart=Restart(command, timeout=30) if restart else None,
        )

    def served(self) -> str:
        """What the stand-in was last started with."""
        return (self.folder / "adapters").read_text()


@dataclass
class VllmServed(Served):
    patience: float = 300.0

    def command(self) -> list[str]:
        # On a CPU, a base request beside a version's gets what lies in the last slot added to it
        # (vllm-project/vllm#48421), and an unload empties no slot (#54839): so one stays empty to the end.
        lora = ["--enable-lora", "--max-lora-rank", "16", "--max-loras", "32", "--max-cpu-loras", "32"]
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--api-key", KEY]
        model = ["--model", str(self.model), "--served-model-name", "smollm2", "--dtype", "float32"]
        server = [VLLM_PYTHON, "-m", "vllm.entrypoints.openai.api_server"]
        return [*server, *model, *lora, *where, "--max-model-len", "512"]

    def environment(self) -> dict[str, str]:
        return {
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }

    def driver(self, key: str = KEY) -> HttpEngine:
        return VllmEngine(key, url=self.url, slots=SLOTS)


KINDS: dict[str, Any] = {"hone": HoneServed, "tgi": TgiServed, "vllm": VllmServed}
