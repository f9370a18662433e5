"""Brings an answer to its client, whole or as events, and stops it when nobody takes it.

A client that goes away, or shuts its side of the socket, cancels its answer at the next step. One that
does not read is waited for: its events pile up to the length of the answer, which the context bounds,
and after `PATIENCE` without room in the socket the answer is cancelled and the connection closed. Its
rows were free as soon as its last token was made, since the engine waits for no reader. Knows no dialect.

Trail: serve/engine/routes.py -> here -> serve/engine/asking.py
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from feedback.errors import HoneError
from serve.engine.asking import Ended, Piece, Token
from serve.engine.protocol import event
from serve.engine.refusals import IncompleteAnswer, our_fault

log = logging.getLogger("serve.engine")

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds in which a client must take some 50 kB of its stream."""


class Stream(Protocol):
    """The engine's side of an answer: pieces, then one end."""

    def __aiter__(self) -> AsyncIterator[Piece | Ended]: ...

    def cancel(self) -> None: ...


class Writer(Protocol):
    """A dialect's side of an answer; `closing` is what its streams end with."""

    closing: bytes

    def whole(self, text: str, tokens: Sequence[Token], ended: Ended) -> dict[str, Any]: ...

    def begin(self) -> Iterator[dict[str, Any]]: ...

    def say(self, piece: Piece) -> Iterator[dict[str, Any]]: ...

    def end(self, ended: Ended) -> Iterator[dict[str, Any]]: ...

    def failure(self, error: HoneError) -> dict[str, Any]: ...


class Streaming(StreamingResponse):
    """An event stream that cancels its answer however the response ends, even before it began."""

    def __init__(self, stream: Stream, writer: Writer, count: Callable[[HoneError], None]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(_events(stream, writer, count), media_type="text/event-stream", headers=headers)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hurried(message: Message) -> None:
            async with asyncio.timeout(PATIENCE):
                await send(message)

        try:
            await super().__call__(scope, receive, hurried)
        except TimeoutError:
            log.warning("a client did not read its answer for %g seconds and was cut off", PATIENCE)
        finally:
            self._stream.cancel()


async def whole(request: Request, stream: Stream) -> tuple[str, list[Token], Ended]:
    """The answer's text and tokens, once it has ended.

    Raises:
        ClientDisconnect: The client left first; the answer is cancelled.
        IncompleteAnswer: It stopped coming without its end.
    """
    try:
        return await while_connected(request, _gathered(stream))
    finally:
        stream.cancel()


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; the work is cancelled when the client goes away first."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _gathered(stream: Stream) -> tuple[str, list[Token], Ended]:
    texts: list[str] = []
    tokens: list[Token] = []
    async for part in stream:
        if isinstance(part, Ended):
            return "".join(texts), tokens, part
        texts.append(part.text)
        tokens += part.tokens
    raise _incomplete()


async def _events(stream: Stream, writer: Writer, count: Callable[[HoneError], None]) -> AsyncIterator[bytes]:
    """The answer as server-sent events; a failure in the middle is an event too."""
    try:
        for body in writer.begin():
            yield event(body)
        async for body in _bodies(stream, writer):
            yield event(body)
    except HoneError as error:
        count(error)
        yield event(writer.failure(error))
    except Exception:
        log.exception("a stream failed")
        failed = our_fault()
        count(failed)
        yield event(writer.failure(failed))
    if writer.closing:
        yield writer.closing


async def _bodies(stream: Stream, writer: Writer) -> AsyncIterator[dict[str, Any]]:
    async for part in stream:
        if isinstance(part, Ended):
            for body in writer.end(part):
                yield body
            return
        for body in writer.say(part):
            yield body
    raise _incomplete()


def _incomplete() -> IncompleteAnswer:
    return IncompleteAnswer("The engine stopped in the middle of this answer.", "Ask again.")
