"""The engine outlives clients that mean it no good, that do not read, and that leave at any moment."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engine_process import Process, body, said, shared, until
from hostile import CHAT, address, besiege, request, settled

from serve.engine import delivery
from serve.engine.asking import Ended, Piece
from serve.engine.openai import ChatRequest
from serve.engine.openai_answers import ChatAnswer


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Process:
    return shared(tiny_model)


def test_it_outlives_hostile_requests_and_clients_that_leave(engine: Process) -> None:
    before = said(engine.chat())
    seen = besiege(engine, requests=300, cancels=60)
    assert seen[200] >= 10, "some of the requests must be sound, or nothing is tested"
    assert seen[400] > 50
    settled(engine)
    assert said(engine.chat()) == before
    assert engine.child.poll() is None


def test_a_client_that_does_not_read_holds_nothing_once_its_answer_is_made(engine: Process) -> None:
    asked = CHAT | {"max_tokens": 1500, "stream": True, "logprobs": True, "top_logprobs": 5}
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(address(engine))
        connection.sendall(request("/v1/chat/completions", asked))
        until(lambda: engine.metric("hone_engine_num_requests_running") == 1, 60)
        assert said(engine.chat())
        settled(engine)  # though nobody has read a word
        connection.settimeout(10)
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += connection.recv(65536)
    assert b"data: [DONE]" in answer


def test_a_half_closed_socket_counts_as_gone(engine: Process) -> None:
    cancelled = 'hone_engine_requests_total{kind="answer",outcome="cancelled"}'
    before = engine.metric(cancelled)
    with socket.create_connection(address(engine)) as connection:
        connection.sendall(request("/v1/chat/completions", CHAT | {"max_tokens": 3000, "stream": True}))
        connection.recv(1000)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: engine.metric(cancelled) == before + 1, 60)


class Endless:
    """An answer that never ends by itself."""

    def __init__(self) -> None:
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[Piece | Ended]:
        while not self.cancelled:
            yield Piece("word ")
            await asyncio.sleep(0)

    def cancel(self) -> None:
        self.cancelled = True


async def test_a_client_that_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 0.05)
    answer = Endless()
    sent = 0

    async def send(_: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > 20:  # the socket's buffer is full, and stays so
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    writer = ChatAnswer(ChatRequest.model_validate(body(stream=True)), lambda _: None)
    response = delivery.Streaming(answer, writer, lambda _: None)
    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    async with asyncio.timeout(5):
        await response(scope, receive, send)
    assert answer.cancelled
    assert sent == 21


async def test_a_stream_that_stops_without_its_end_says_so() -> None:
    answer = Endless()
    answer.cancelled = True
    writer = ChatAnswer(ChatRequest.model_validate(body(stream=True)), lambda _: None)
    response = delivery.Streaming(answer, writer, lambda _: None)
    parts = [bytes(part) async for part in response.body_iterator]
    assert b"incomplete_generation" in parts[-2]
    assert parts[-1] == b"data: [DONE]\n\n"
