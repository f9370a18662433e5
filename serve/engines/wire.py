"""How engines are reached: one way of asking for all, and an answer's events as they come.

huggingface_hub's client makes the request and says what is refused; what it hands out is not read. Its
reader makes four objects of each token, with 150 readers half of the web process's time, and it ends a
line at U+2028 or U+0085 too, which engines that do not escape them write within one (huggingface_hub 2.4,
httpx2 2.16). So the response that the client waits for is taken here, by the hook that httpx2 has for
it, and its lines are read here. Knows no engine and no version.

Trail: serve/engines/base.py -> here
"""

import json
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import AsyncInferenceClient

from feedback.errors import EngineError, EngineUnavailable
from serve.engines.refusals import ended

LONGEST = 2**20
"""Bytes of a line: of whoever sends more without an end, nothing more is read."""
Said = tuple[str, str | None, tuple[int, int] | None]
"""A text, the reason why the answer ends, and the tokens of prompt and answer: each where an event has it."""
_begun: ContextVar[list[httpx2.Response] | None] = ContextVar("_begun", default=None)


@cache
def _tls() -> ssl.SSLContext:
    # Building one takes 30 ms, and the client is made anew for each stream.
    return ssl.create_default_context()


def trust(authorities: Path) -> None:
    """Believe engines at https addresses whom these authorities vouch for, beside those of the machine.

    Raises:
        OSError: There is no such file, or no certificate in it (ssl.SSLError).
    """
    _tls().load_verify_locations(authorities)


def transport() -> httpx2.AsyncClient:
    """What asks engines, for the client of a stream as for everything else."""
    # Proxies of the environment are not for an engine, and the client's own default honours them.
    return httpx2.AsyncClient(trust_env=False, verify=_tls(), timeout=None, event_hooks={"response": [_seen]})


async def _seen(response: httpx2.Response) -> None:
    # The client looks into the body of a 422 without having read it, which fails for a stream.
    if response.is_error:
        await response.aread()
    elif (begun := _begun.get()) is not None:
        begun.append(response)


async def events(client: AsyncInferenceClient, asked: dict[str, Any]) -> AsyncGenerator[Said]:
    """What a streamed chat says, event by event; closing the client cancels it.

    Raises:
        EngineError: The engine failed at this answer and said so, or speaks no such dialect.
        HfHubHTTPError: It refuses the request. httpx2.HTTPError: It is gone, or silent.
    """
    begun: list[httpx2.Response] = []
    before = _begun.set(begun)
    try:
        await client.chat_completion(**asked, stream=True)
    finally:
        _begun.reset(before)
    async with aclosing(begun[-1].aiter_bytes()) as parts:
        held = b""
        async for part in parts:
            whole, end, rest = (held + part).rpartition(b"\n")
            for said in _told(whole) if end else ():
                if said is None:
                    return
                yield said
            held = rest
            if len(held) > LONGEST:
                raise _no_answer()


def _told(lines: bytes) -> Iterator[Said | None]:
    """What whole lines say; None is the stream's end."""
    for line in lines.splitlines():  # of bytes: where HTTP ends them, and nowhere else
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            yield None
            return
        try:
            said = _said(json.loads(data))
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            raise _no_answer() from None
        yield said


def _said(event: dict[str, Any]) -> Said:
    if (error := event.get("error")) is not None:
        raise _failed(error)
    text, finish = "", None
    for choice in event.get("choices") or ():
        finish = choice.get("finish_reason") or finish
        text += (choice.get("delta") or {}).get("content") or ""
    usage = event.get("usage")
    counts = (int(usage["prompt_tokens"]), int(usage["completion_tokens"])) if usage else None
    return text, finish, counts


def _failed(error: object) -> EngineError:
    """The engine's own word, in mid-stream."""
    said = str(error.get("message", error) if isinstance(error, dict) else error)
    if ended(said):
        return EngineUnavailable("The engine's process has ended.", "Press retry.")
    return EngineError(f"The engine failed at this answer: {said}.", "Press retry.")


def _no_answer() -> EngineError:
    return EngineError("What the engine sends is no answer.", "Look at its address and its log.")
