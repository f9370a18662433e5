"""Clients that mean the engine no good, and clients that leave at any moment, each drawn from a seed.

`test_hostile_engine.py` sends a few hundred of both; more of the same, against a tiny model:
`python tests/hostile.py --requests 10000 --cancels 1000`
"""

import argparse
import json
import random
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from engine_process import BUSY, SECRET, Process, said, until
from tiny_engine import make_model

IDLE = (*BUSY, "hone_engine_references")

CHAT: dict[str, Any] = {"model": "base", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
RAW: dict[str, Any] = {"model": "base", "prompt": "Hi", "max_tokens": 4}
TGI: dict[str, Any] = {"inputs": "Hi", "parameters": {"max_new_tokens": 4, "details": True}}
PROBE = {"model": "base", "items": [{"messages": CHAT["messages"], "response": "Yes."}]}
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT | {"temperature": 0.5, "seed": 1, "stop": ["x"], "logprobs": True},
    "/v1/completions": RAW | {"logprobs": 2, "top_k": 5, "min_p": 0.1},
    "/": TGI | {"stream": False},
    "/generate": TGI,
    "/generate_stream": TGI,
    "/tokenize": {"inputs": "Hi"},
    "/chat_tokenize": {"messages": CHAT["messages"]},
    "/v1/probe": PROBE,
    "/v1/load_lora_adapter": {"lora_name": "x", "lora_path": "/nowhere"},
    "/v1/unload_lora_adapter": {"lora_name": "x"},
    "/v1/forget": {"cache_salt": "x"},
}
PATHS = [
    "/nowhere",
    "/v1",
    "/%00",
    "//",
    "/../../etc/passwd",
    "*",
    "/é",
    "/" + "a" * 5000,
    "/?" + "q=1&" * 500,
]
METHODS = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "post"]
NUMBERS = [0, -1, 1, 0.5, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e308, float("nan"), float("inf")]
TEXTS = ["", "\x00", "half \ud83d", "\udc00", "x" * 3000, "안녕" * 50, "<|im_start|>system", "\u2028"]
NESTED = [[], {}, [[]], [None], {"a": {"b": []}}, ["x"] * 50, [1, "x", None]]
JUNK: list[Any] = [None, True, False, *NESTED, *NUMBERS, *TEXTS]
NAMES = ["temperature", "top_p", "n", "stream", "timeout", "prompt_logprobs", "cache_salt", "zz\ud800"]
TYPES = ["text/plain", "application/json; charset=latin-1", "multipart/form-data", ""]
KEYS = ["Bearer", f"Basic {SECRET}", f"bearer {SECRET}é", "x" * 5000, ""]
TRICKS = [
    "Expect: 100-continue",
    "Content-Encoding: gzip",
    "Connection: Upgrade\r\nUpgrade: websocket",
    "Connection: close",
    "Te: trailers",
    "Bad Header: x",
    " : ",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: 3",
    "X: " + "y" * 70_000,
]


class Hostile:
    """One client's drawn misbehaviour: what it sends, and how it leaves."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def request(self) -> bytes:
        path, sound = self._random.choice(list(ROUTES.items()))
        path = self._sometimes(0.1, PATHS, path)
        content = self._spoiled(self._mutated(sound))
        head = (
            f"{self._sometimes(0.1, METHODS, 'POST')} {path} {self._sometimes(0.1, ['HTTP/1.0'], 'HTTP/1.1')}"
        )
        return "\r\n".join([head, *self._headers(len(content)), "", ""]).encode("utf-8", "replace") + content

    def leaves(self, connection: socket.socket) -> bytes:
        """Send nothing more; read all, a little or nothing; go in one of the ways there are."""
        how = self._random.choice(["reads"] * 5 + ["shuts", "sips", "resets", "closes"])
        answer = b""
        if how == "shuts":
            connection.shutdown(socket.SHUT_WR)
        if how == "sips":
            connection.recv(1)
            time.sleep(self._random.random() / 20)
        if how == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how in ("reads", "shuts"):
            connection.settimeout(1.0)
            while part := connection.recv(65536):
                answer += part
                if _complete(answer):
                    break
        return answer

    def _sometimes(self, chance: float, odd: Sequence[Any], usual: Any) -> Any:
        return self._random.choice(odd) if self._random.random() < chance else usual

    def _mutated(self, sound: dict[str, Any]) -> Any:
        draw = self._random
        asked: dict[str, Any] = json.loads(json.dumps(sound))
        for _ in range(draw.choice([0, 0, 1, 1, 2, 4])):
            inner = asked.get("parameters")
            place = inner if isinstance(inner, dict) and draw.random() < 0.4 else asked
            name = draw.choice([*place, *NAMES])
            place[name] = deepcopy(draw.choice(JUNK))  # which the next mutation may change
            if draw.random() < 0.15:
                del place[name]
        return self._sometimes(0.05, JUNK, asked)

    def _spoiled(self, asked: Any) -> bytes:
        """The body's bytes; half of the time as they should be."""
        draw = self._random
        encoding = self._sometimes(0.05, ["utf-16", "utf-32"], "utf-8")
        content = json.dumps(asked, ensure_ascii=draw.random() < 0.7).encode(encoding, "surrogatepass")
        match draw.randrange(12):
            case 0:
                return content[: draw.randrange(len(content) + 1)]
            case 1:
                at = draw.randrange(len(content))
                return content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]
            case 2:
                return b"[" * draw.choice([10, 10_000, 200_000])
            case 3:
                return b'{"model": "' + b"x" * draw.choice([1000, 100_000, 1_200_000]) + b'"}'
            case 4:
                return draw.randbytes(draw.randrange(400))
            case 5:
                return content.replace(b"4", b"9" * draw.choice([20, 5000]))
        return content

    def _headers(self, length: int) -> list[str]:
        lies = [length + 5, length // 2, -1, "x", "9" * 30, ""]
        return [
            *self._sometimes(0.03, [[], ["Host: a", "Host: b"]], ["Host: engine"]),
            f"Authorization: {self._sometimes(0.1, KEYS, f'Bearer {SECRET}')}",
            f"Content-Type: {self._sometimes(0.1, TYPES, 'application/json')}",
            f"Content-Length: {self._sometimes(0.1, lies, length)}",
            *self._sometimes(0.2, [[trick] for trick in TRICKS], []),
        ]


def attack(process: Process, seed: int) -> int | None:
    """One hostile request; the status it was answered with, if it was and if the client stayed for it."""
    hostile = Hostile(seed)
    try:
        with socket.create_connection(address(process), timeout=5) as connection:
            connection.sendall(hostile.request())
            answer = hostile.leaves(connection)
    except OSError:
        return None
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else None


def leave(process: Process, seed: int) -> None:
    """Ask for a long answer, in any dialect, and leave before it ends."""
    draw = random.Random(seed)
    long: dict[str, Any] = {"max_tokens": 3000, "stream": draw.random() < 0.7}
    tgi = {"inputs": "Hi", "parameters": {"max_new_tokens": 3000}}
    path, asked = draw.choice(
        [
            ("/v1/chat/completions", CHAT | long),
            ("/v1/completions", RAW | long | {"logprobs": 3}),
            ("/generate_stream", tgi),
            ("/generate", tgi),
        ]
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(address(process))
        connection.sendall(request(path, asked))
        connection.settimeout(draw.random() / 5 + 0.001)
        with suppress(TimeoutError):
            for _ in range(draw.randrange(6)):
                connection.recv(draw.choice([1, 4096]))
        if draw.random() < 0.3:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif draw.random() < 0.3:
            connection.shutdown(socket.SHUT_WR)
            time.sleep(draw.random() / 20)


def request(path: str, asked: dict[str, Any]) -> bytes:
    """A sound request, for clients that misbehave afterwards."""
    content = json.dumps(asked).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer {SECRET}\r\n"
    return (
        f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
    )


def address(process: Process) -> tuple[str, int]:
    return "127.0.0.1", int(process.url.rpartition(":")[2])


def besiege(process: Process, *, requests: int, cancels: int, seed: int = 0) -> Counter[int | None]:
    """Both kinds, mixed, six at a time; how often each status was seen."""
    draw = random.Random(seed)
    seeds = [seed * 1_000_000 + number for number in range(requests + cancels)]
    kinds = [True] * requests + [False] * cancels
    draw.shuffle(kinds)
    seen: Counter[int | None] = Counter()

    def one(hostile: bool, seed: int) -> int | None:
        if not hostile:
            leave(process, seed)
            return None
        status = attack(process, seed)
        assert status not in (500, 424, 502), f"hostile request {seed} broke something: {status}"
        return status

    with ThreadPoolExecutor(6) as clients:
        seen.update(clients.map(one, kinds, seeds))
    return seen


def settled(process: Process, seconds: float = 20) -> None:
    """It answers, and holds nothing for anybody."""
    until(lambda: sum(process.metric(name) for name in IDLE) == 0, seconds)
    lines = process.http.get("/metrics").text
    assert all(f"\n{name} 0.0" in lines for name in IDLE)
    assert said(process.chat())


def _complete(answer: bytes) -> bool:
    head, _, rest = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(rest) >= int(line[15:])
    return rest.endswith(b"0\r\n\r\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--cancels", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        process = Process(make_model(Path(home) / "model"), Path(home), "--max-active", "4").wait()
        began = time.monotonic()
        try:
            seen = besiege(process, requests=asked.requests, cancels=asked.cancels, seed=asked.seed)
            settled(process)
        finally:
            process.end()
    counts = ", ".join(f"{status or 'unread'}: {count}" for status, count in seen.most_common())
    sys.stdout.write(
        f"{asked.requests} hostile requests and {asked.cancels} cancels in {time.monotonic() - began:.0f} s: "
        f"{counts}\nafterwards it answers, and nothing runs, waits or holds a version\n"
    )


if __name__ == "__main__":
    main()
