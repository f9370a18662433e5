"""A process of the real engine and a client for it, for tests that speak to it over HTTP."""

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx

SECRET = "s3cret"

BUSY = ("hone_engine_num_requests_running", "hone_engine_num_requests_waiting")


class Process:
    """An engine process of our own and a client for it."""

    def __init__(self, model: Path, cache: Path, *options: str) -> None:
        self.log = cache / "engine.log"
        cache.mkdir(parents=True, exist_ok=True)
        fixed = ["--dtype", "float32", "--threads", "1", "--device", "cpu"]
        command = [sys.executable, "-m", "serve.engine", "--model", str(model), "--cache", str(cache)]
        # A file and no pipe: an engine that says much would wait for somebody to read it.
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [*command, *fixed, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"HONE_ENGINE_SECRET": SECRET},
            )
        assert self.child.stdout is not None
        self.url = f"http://127.0.0.1:{json.loads(self.child.stdout.readline())['port']}"
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {SECRET}"}, timeout=60, trust_env=False
        )

    def wait(self) -> "Process":
        until(lambda: self.http.get("/health").status_code == 200)
        return self

    def chat(self, text: str = "Tell me", **more: Any) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json=body(text, **more))

    def metric(self, line: str) -> float:
        found = [
            row.split()[-1] for row in self.http.get("/metrics").text.splitlines() if row.startswith(line)
        ]
        return float(found[0]) if found else 0.0

    def load(self, name: str, folder: Path) -> httpx.Response:
        return self.http.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(folder)})

    def unload(self, name: str) -> httpx.Response:
        return self.http.post("/v1/unload_lora_adapter", json={"lora_name": name})

    def end(self) -> None:
        self.http.close()
        self.child.kill()
        self.child.communicate()


@cache
def shared(model: Path) -> Process:
    """One engine with no options for all tests that leave it as it was; it ends with the tests."""
    process = Process(model, model.with_name("shared-cache")).wait()
    atexit.register(process.end)
    return process


def until(done: Callable[[], bool], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.02)


def body(text: str = "Tell me", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "base", "temperature": 0, "max_tokens": 16, "messages": messages, **more}


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def code(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert error["message"]
    assert error["type"]
    return str(error["code"])


def events(lines: Iterator[str]) -> Iterator[Any]:
    for line in lines:
        if line == "data: [DONE]":
            return
        if line:
            yield json.loads(line.removeprefix("data: "))
