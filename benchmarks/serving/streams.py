"""Asks a server for streamed answers and notes when each event arrived.

One process and one event loop; a chunk is only stamped and kept while the load runs, and read afterwards,
so that the measuring takes little from the server on the same machine. Knows nothing of what is compared.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Answer:
    """One streamed answer as it arrived: chunks of bytes with the second each came in.

    `asked` is how many tokens it was asked for.
    """

    version: str
    prompt: str
    asked: int
    started: float = 0.0
    ended: float = 0.0
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    fault: str = ""

    def read(self) -> "Said":
        said = Said(fault=self.fault)
        for at, line in self._lines():
            if not line.startswith(b"data:") or line == b"data: [DONE]":
                continue
            said.take(at, json.loads(line[5:]))
        if not said.finished and not said.fault:
            said.fault = "the stream ended without a finish_reason"
        return said

    def _lines(self) -> Iterator[tuple[float, bytes]]:
        """Each line with the time of the chunk that completed it."""
        rest = b""
        for at, data in self.chunks:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield at, line.strip()


@dataclass
class Said:
    """What an answer was: its text, when its pieces came, and how many tokens its usage counted."""

    text: str = ""
    times: list[float] = field(default_factory=list)
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    finished: bool = False
    fault: str = ""

    def take(self, at: float, event: dict[str, Any]) -> None:
        if "error" in event:
            self.fault = str(event["error"])
        for choice in event.get("choices") or ():
            if content := (choice.get("delta") or {}).get("content"):
                self.text += content
                self.times.append(at)
            self.finished = self.finished or bool(choice.get("finish_reason"))
        if usage := event.get("usage"):
            self.tokens = usage["completion_tokens"]
            self.prompt_tokens = usage["prompt_tokens"]
            self.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0

    @property
    def count(self) -> int:
        """Tokens; a server that sends no usage is counted by its events, one a token."""
        return self.tokens or len(self.times)

    def gaps(self) -> list[float]:
        """Milliseconds between one piece and the next."""
        return [(later - sooner) * 1000 for sooner, later in zip(self.times, self.times[1:], strict=False)]


async def ask(
    client: httpx.AsyncClient,
    version: str,
    messages: Sequence[dict[str, str]],
    tokens: int,
    **more: Any,
) -> Answer:
    """One greedy answer of exactly `tokens` tokens; a failure is noted in it, never raised."""
    answer = Answer(version, messages[-1]["content"], tokens)
    body = {
        "model": version,
        "messages": list(messages),
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }
    answer.started = time.perf_counter()
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                answer.fault = f"{response.status_code}: {(await response.aread())[:300].decode()}"
            else:
                async for data in response.aiter_raw():
                    answer.chunks.append((time.perf_counter(), data))
    except httpx.HTTPError as error:
        answer.fault = f"{type(error).__name__}: {error}"
    answer.ended = time.perf_counter()
    return answer


def from_user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@dataclass(frozen=True)
class Burst:
    """Streams that started together: tokens a second over all, and each stream's time to its first words."""

    tokens_per_second: float
    first: tuple[float, ...]

    @classmethod
    def of(cls, tokens: int, seconds: float, first: Sequence[float]) -> "Burst":
        return cls(tokens / seconds, tuple(sorted(first)))

    @classmethod
    def one_by_one(cls, bursts: Sequence["Burst"]) -> "Burst":
        """Bursts of equally many tokens that followed each other, as one."""
        seconds = sum(1 / burst.tokens_per_second for burst in bursts)
        return cls.of(len(bursts), seconds, [first for burst in bursts for first in burst.first])


async def burst(
    client: httpx.AsyncClient, versions: Sequence[str], prompts: Sequence[str], tokens: int, **more: Any
) -> Burst:
    """All prompts at once, dealt to the versions in turn.

    Raises:
        RuntimeError: A stream failed; a throughput with failures in it means nothing.
    """
    asked = (
        ask(client, versions[i % len(versions)], from_user(prompt), tokens, **more)
        for i, prompt in enumerate(prompts)
    )
    answers = await asyncio.gather(*asked)
    heard = [answer.read() for answer in answers]
    if faults := [said.fault for said in heard if said.fault]:
        raise RuntimeError(f"{len(faults)} of {len(heard)} streams failed: {faults[0]}")
    seconds = max(a.ended for a in answers) - min(a.started for a in answers)
    first = [said.times[0] - a.started for a, said in zip(answers, heard, strict=True) if said.times]
    return Burst.of(sum(said.count for said in heard), seconds, first)
