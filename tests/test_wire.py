"""An engine's stream is read to the letter, however it is cut and whatever it says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from feedback.errors import EngineError, EngineUnavailable
from feedback.records import Message, Sampling
from serve.engines import wire
from serve.engines.base import Piece
from serve.engines.hone import HoneEngine

WORDS = ["Hé\u2028llo", "\u2029 \x85 \x1c\x0b", "한국어 👩‍🚀", "data: [DONE]", "\r\n\n"]
"""With all that ends a line for `str.splitlines`, and for SSE only where JSON escapes it."""


def event(**told: object) -> bytes:
    # As pydantic writes it in vLLM: nothing is escaped that need not be.
    return b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


def chunk(text: str, finish: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


SAID = [
    *map(chunk, WORDS),
    chunk("", "stop"),
    event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 5}),
]
DONE = b"data: [DONE]\n\n"


@asynccontextmanager
async def speaking(parts: Sequence[bytes]) -> AsyncIterator[HoneEngine]:
    """A driver before an engine that sends these bytes, each in a packet of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    driver = HoneEngine("secret", url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield driver
    finally:
        await driver.close()
        server.close()


async def heard(parts: Sequence[bytes]) -> list[Piece]:
    async with speaking(parts) as driver:
        return [piece async for piece in driver.stream("base", [Message("user", "Hi")], Sampling())]


@pytest.mark.parametrize(
    "cut",
    [
        lambda whole: [whole],
        lambda whole: [bytes([byte]) for byte in whole],
        lambda whole: [whole.replace(b"\n\n", b"\r\n\r\n")],
        lambda whole: [
            whole.replace(b"\n\n", b"\n\n: a comment\n\nevent: x\n\n").replace(b"data: {", b"data:{")
        ],
        lambda whole: [whole, b"data: never read {\n\n"],
    ],
)
async def test_every_word_comes_however_the_stream_is_cut(cut: Callable[[bytes], list[bytes]]) -> None:
    pieces = await heard(cut(b"".join(SAID) + DONE))
    assert [piece.text for piece in pieces] == [*WORDS, ""]
    assert pieces[-1] == Piece("", "stop", 3, 5)


@pytest.mark.parametrize(
    "nonsense",
    [
        *(
            b"data: {\n\n",
            b"data: []\n\n",
            b"data: 7\n\n",
            b"data: \xff\n\n",
            b"data: " + b"[" * 100_000 + b"\n\n",
        ),
        event(choices=[7]),
        event(choices=[{"delta": {"content": 7}}]),
        event(choices=[], usage={"prompt_tokens": "many"}),
        b"data: " + b"x" * (wire.LONGEST + 1),
    ],
)
async def test_what_is_no_answer_is_an_error_in_words(nonsense: bytes) -> None:
    with pytest.raises(EngineError, match="no answer"):
        await heard([SAID[0], nonsense, DONE])


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        ({"message": "the logits are not finite", "code": "generation_failed"}, EngineError, "logits"),
        ("Incomplete generation", EngineError, "Incomplete"),
        ({"message": "EngineCore encountered an issue."}, EngineUnavailable, "ended"),
    ],
)
async def test_a_failure_in_mid_stream_is_the_engines_own_word(error: object, kind: type, says: str) -> None:
    with pytest.raises(EngineError, match=says) as failed:
        await heard([SAID[0], event(error=error), DONE])
    assert type(failed.value) is kind


async def test_a_stream_that_is_left_without_an_end_is_cut() -> None:
    with pytest.raises(EngineUnavailable, match="in the middle"):
        await heard([SAID[0], SAID[1]])


async def test_answers_that_begin_together_are_not_mixed_up() -> None:
    async with speaking([*SAID, DONE]) as driver:

        async def one() -> str:
            asked = driver.stream("base", [Message("user", "Hi")], Sampling())
            return "".join([piece.text async for piece in asked])

        assert set(await asyncio.gather(*(one() for _ in range(20)))) == {"".join(WORDS)}
