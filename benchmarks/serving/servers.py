"""Starts the contenders that are servers, each a process of its own on a free loopback port.

Ours, vLLM's and llama.cpp's all speak OpenAI's chat route; ours and vLLM's also load and unload adapters
by the same two routes. Ends only what it started. Knows nothing of what is measured.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from benchmarks.serving import streams
from benchmarks.serving.machine import memory

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 600
CONTEXT = 2048
"""Tokens of context for every server."""
STREAMS = 32
"""Streams that every server may work on at once."""
VLLM_ENVIRONMENT = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


class Server:
    """A running server: questions go to it, adapters are loaded into it, and `stop` ends it."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, port: int, secret: str, log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=600,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

    @property
    def memory(self) -> float:
        return memory(self._process.pid)

    async def wait(self, path: str) -> "Server":
        """Until it answers this path.

        Raises:
            RuntimeError: It ended, or took too long.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while self._process.returncode is None:
                    with contextlib.suppress(httpx.TransportError):
                        if (await self.http.get(path)).status_code == 200:
                            return self
                    await asyncio.sleep(0.25)
        last = self.log.read_text("utf-8", errors="replace").strip().splitlines()[-5:]
        await self.stop()
        raise RuntimeError(f"{self.name} did not start: {' | '.join(last)}")

    async def burst(self, versions: Sequence[str], prompts: Sequence[str], tokens: int) -> streams.Burst:
        return await streams.burst(self.http, versions, prompts, tokens)

    async def load(self, version: str, folder: Path) -> None:
        body = {"lora_name": version, "lora_path": str(folder)}
        (await self.http.post("/v1/load_lora_adapter", json=body)).raise_for_status()

    async def unload(self, version: str) -> None:
        """A server may count an answer's last moment as use; so a conflict is asked again for a second."""
        for _ in range(20):
            response = await self.http.post("/v1/unload_lora_adapter", json={"lora_name": version})
            if response.status_code != 409:
                break
            await asyncio.sleep(0.05)
        response.raise_for_status()

    def freeze(self, frozen: bool) -> None:
        os.killpg(self._process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    async def stop(self) -> None:
        """Ends the process and those it started; they are one group, and it leads it."""
        with contextlib.suppress(ProcessLookupError):
            self.freeze(False)
        await self.http.aclose()
        for what in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, what)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 20)


async def start_hone(model: Path, folder: Path, dtype: str, threads: int) -> Server:
    """Our engine, as `hone up` starts it but for the number of streams."""
    secret = secrets.token_hex(16)
    log = folder / f"hone-{dtype}.log"
    command = [sys.executable, "-m", "serve.engine", "--model", str(model), "--cache", str(folder)]
    options = ["--dtype", dtype, "--max-context", CONTEXT, "--max-active", STREAMS, "--slots", 4]
    options += ["--threads", threads]
    process = await _spawn([*command, *map(str, options)], log, {"HONE_ENGINE_SECRET": secret})
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    if not line:
        raise RuntimeError(f"Hone did not start: {log.read_text('utf-8', errors='replace')[-500:]}")
    return await Server("hone", process, json.loads(line)["port"], secret, log).wait("/health")


async def start_vllm(python: Path, model: Path, folder: Path, dtype: str, *, tuned: bool) -> Server:
    """vLLM with adapters that come and go, and its prefix cache as it comes.

    As it comes it leaves one core to its front end; tuned, it computes on all of them with Intel's OpenMP,
    as its documents advise. Which is faster depends on the machine.
    """
    name = "vllm_tuned" if tuned else "vllm"
    port, log = _free_port(), folder / f"{name}.log"
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    adapters = ["--enable-lora", "--max-lora-rank", 16, "--max-loras", 4]
    limits = ["--max-model-len", CONTEXT, "--max-num-seqs", STREAMS, "--dtype", dtype]
    place = ["--host", "127.0.0.1", "--port", port, "--served-model-name", "base"]
    options = [*adapters, *limits, *place, "--disable-uvicorn-access-log"]
    environment = VLLM_ENVIRONMENT | (_tuning(python) if tuned else {})
    process = await _spawn([*command, *map(str, options)], log, environment)
    return await Server(name, process, port, "none", log).wait("/health")


def _tuning(python: Path) -> dict[str, str]:
    openmp = python.parent.parent / "lib" / "libiomp5.so"
    found = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
    return found | ({"LD_PRELOAD": str(openmp)} if openmp.exists() else {})


async def start_llama_cpp(python: Path, file: Path, folder: Path, threads: int) -> Server:
    """llama-cpp-python's server on the quantised file; it answers one request after the other."""
    port, log = _free_port(), folder / "llama_cpp.log"
    command = [str(python), "-m", "llama_cpp.server", "--model", str(file), "--model_alias", "base"]
    options = ["--n_ctx", CONTEXT, "--n_threads", threads, "--n_threads_batch", threads, "--port", port]
    # Without this a second request would interrupt the first.
    waits = ["--interrupt_requests", "false", "--verbose", "false"]
    process = await _spawn([*command, *map(str, options), *waits], log, {})
    return await Server("llama_cpp", process, port, "none", log).wait("/v1/models")


async def _spawn(
    command: Sequence[str], log: Path, environment: dict[str, str]
) -> asyncio.subprocess.Process:
    with log.open("ab") as stream:
        return await asyncio.create_subprocess_exec(
            *command,
            # The open pipe is our engine's lifeline: it ends when this process does.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if "serve.engine" in command else stream,
            stderr=stream,
            env=os.environ | environment,
            cwd=ROOT if "serve.engine" in command else None,
            start_new_session=True,
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
