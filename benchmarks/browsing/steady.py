"""An engine's stand-in: no model, words at a steady rate, each with the moment it was sent.

What is measured is the web process, so its load must not depend on how fast a model happens to be. It
speaks what Hone's driver asks of an engine: health, versions, a streamed chat; nothing else. A word is
` w123.456789`, the sender's monotonic clock, which every process of a machine shares: whoever hears it knows
how long it was on its way.

    python -m benchmarks.browsing.steady --rate 20 --words 400      # prints its port as JSON
"""

import argparse
import asyncio
import json
import sys
import time
from contextlib import suppress

from serve.release import RELEASE

MODEL = {"id": "base", "object": "model", "root": "", "parent": None, "max_model_len": 4096}
HEALTH = {"status": "ok", "base": "stand-in", "folder": "", "device": "none", "max_context": 4096}
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\n"


class Steady:
    """Answers every chat with `words` words, `rate` a second."""

    def __init__(self, rate: float, words: int) -> None:
        self._rate = rate
        self._words = words

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = next(
                    (line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length:")),
                    "0",
                )
                await reader.readexactly(int(length))
                await self._answered(head.split(" ")[1], writer)
        writer.close()

    async def _answered(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/v1/chat/completions":
            return await self._speak(writer)
        told = {"/health": HEALTH | {"release": RELEASE}, "/v1/models": {"data": [MODEL]}}.get(path, {})
        body = json.dumps(told).encode()
        head = HEAD.format("application/json") + f"content-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        head = HEAD.format("text/event-stream") + "transfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        due = time.monotonic()
        for _ in range(self._words):
            due += 1 / self._rate
            await asyncio.sleep(due - time.monotonic())
            if writer.is_closing():
                raise ConnectionResetError
            writer.write(_chunk({"content": f" w{time.monotonic():.6f}"}))
        writer.write(_chunk({}, "stop") + _event(json.dumps({"choices": [], "usage": self._usage()})))
        writer.write(_event("[DONE]") + b"0\r\n\r\n")
        await writer.drain()

    def _usage(self) -> dict[str, int]:
        return {"prompt_tokens": 1, "completion_tokens": self._words, "total_tokens": self._words + 1}


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": finish}
    facts = {"id": "0", "object": "chat.completion.chunk", "created": 0, "model": "base"}
    return _event(json.dumps(facts | {"system_fingerprint": "", "choices": [choice]}))


def _event(data: str) -> bytes:
    event = f"data: {data}\n\n"
    return f"{len(event):x}\r\n{event}\r\n".encode()


async def _serve(steady: Steady) -> None:
    server = await asyncio.start_server(steady.connected, "127.0.0.1", 0, backlog=1000)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it is gone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=float, default=20, help="words a second in each answer")
    parser.add_argument("--words", type=int, default=400, help="words of an answer")
    asked = parser.parse_args()
    asyncio.run(_serve(Steady(asked.rate, asked.words)))


if __name__ == "__main__":
    main()
