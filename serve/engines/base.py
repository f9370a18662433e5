"""An engine behind HTTP, reached through the text-generation-inference client.

One class for all engines; a driver states, as data, which of the swap rules its engine can't keep. What
was learnt about the client (huggingface_hub 2.4), whose streams `wire.py` reads: a dummy token, or the
machine's saved one is sent to any URL; the base URL in the constructor and the version as `model=`; one
client per stream, closed to cancel; a stream ends only on `[DONE]`, so a missing finish reason is a
failure. Knows nothing of assistants or people: `owner` is a word it hands on.

Trail: serve/router.py -> here -> serve/engines/wire.py -> serve/engine/server.py
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import (
    AsyncInferenceClient,
    ChatCompletionInputStreamOptions,
    set_async_client_factory,
)
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError
from opentelemetry.trace import SpanKind

from feedback import spans
from feedback.errors import CannotSwap, EngineError, EngineUnavailable
from feedback.records import Message, Sampling
from serve.engines.refusals import translated, unavailable
from serve.engines.wire import events, transport

BASE = "base"
COUNTED = ChatCompletionInputStreamOptions(include_usage=True)
KEEPS = "It keeps erased prompts in its memory until other prompts push them out or it restarts."
QUICK = 10.0
"""Seconds for a question that costs an engine nothing: its health, its list of versions."""
SLOW = 600.0
"""Seconds for work: loading a version, scoring answers, embedding texts."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer; the last one has no text but the finish reason and the token counts."""

    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class HttpEngine:
    """The verbs that every engine has: answer, list, health. Drivers add what theirs can do more."""

    loads_at_run_time = False
    """Otherwise a load is a restart: never begun for the sake of one request that waits."""
    proves = False
    """It gives the log-probabilities of a prompt, so a version can be compared with what was trained."""
    embeds = False
    """Otherwise texts are embedded by our own engine, beside."""
    unknown_is_error = True
    """Otherwise the base answers for an unknown version, so the driver refuses what it has not verified."""
    refuses_when_full = True
    """Otherwise it drops a version to make room, so the driver counts and refuses."""
    separates_owners = True
    """It keeps prompts apart by owner; otherwise it must not keep them at all."""
    forgets = False
    """It can drop what it keeps of somebody's prompts; otherwise that goes when others push it out."""
    yields = True
    """Background work gives way to people's chats."""

    def __init__(self, secret: str, *, url: str = "", silence: float = 120.0) -> None:
        """`silence` is the longest wait for the next token, in seconds, before the answer counts as cut.

        `url` may be empty while the engine starts; see `connect`.
        """
        self.url = url.rstrip("/")
        self._secret = secret
        self._silence = silence
        self._http = transport()
        set_async_client_factory(transport)

    def connect(self, url: str) -> None:
        """Speak to this address from now on; streams in flight keep theirs."""
        self.url = url.rstrip("/")

    def limits(self) -> Iterator[str]:
        """What this engine cannot do that ours can, in words for operators."""
        if not self.loads_at_run_time:
            yield "It takes a new version only by a restart."
        if not self.unknown_is_error:
            yield "It answers as the base for a version it lacks; Hone asks it for verified ones only."
        if not self.refuses_when_full:
            yield "It would drop a version to make room for another; Hone refuses beyond its slots."
        if not self.proves:
            yield "It cannot prove a version: it gives no log-probabilities of a prompt."
        if not self.separates_owners:
            yield "It cannot keep prompts apart by owner: leave its prefix cache off."
        if not self.forgets:
            yield KEEPS
        if not self.yields:
            yield "It does not let chats go before the tuner's questions."

    async def stream(
        self,
        version: str,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        priority: int = 0,
        owner: str = "",
    ) -> AsyncIterator[Piece]:
        """Speak the answer of `version` (`base` or a loaded one); closing the iterator cancels it.

        `owner` names whose conversation it is, so that kept prompts are never shared between people.

        Raises:
            EngineUnavailable: Gone, restarting, or silent for too long; what was said so far stands.
        """
        span = spans.begin("ask", {"server.address": self.url, "hone.version": version}, kind=SpanKind.CLIENT)
        try:
            asked = await self._question(version, messages, sampling, priority, owner)
            async with aclosing(self._spoken(asked, spans.carried(span))) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception as error:  # closing it is none
            spans.failed(span, error)
            raise
        finally:
            span.end()

    async def _spoken(self, asked: dict[str, Any], headers: dict[str, str]) -> AsyncGenerator[Piece]:
        token = self._secret or "none"  # without any, the client sends the one saved on this machine
        async with AsyncInferenceClient(
            base_url=self._address(), token=token, timeout=self._silence, headers=headers
        ) as client:
            try:
                finish: str | None = None
                prompt_tokens = completion_tokens = 0
                async with aclosing(events(client, asked | {"stream_options": COUNTED})) as flowing:
                    async for text, ending, counts in flowing:
                        finish = ending or finish
                        prompt_tokens, completion_tokens = counts or (prompt_tokens, completion_tokens)
                        if text:
                            yield Piece(text)
            except HfHubHTTPError as refused:
                raise await translated(refused.response) from None
            except (InferenceTimeoutError, httpx2.HTTPError) as broken:
                raise unavailable(broken) from None
        if finish is None:
            raise EngineUnavailable(
                "The engine stopped in the middle of this answer.", "Press retry; it is being restarted."
            )
        yield Piece("", finish, prompt_tokens, completion_tokens)

    async def _question(
        self, version: str, messages: Sequence[Message], sampling: Sampling, priority: int, owner: str
    ) -> dict[str, Any]:
        """The chat request in the client's words; drivers change what theirs says otherwise."""
        extra: dict[str, Any] = {"priority": priority} if self.yields else {}
        if owner:
            extra["cache_salt"] = owner
        return {
            "messages": [m.as_dict() for m in messages],
            "model": version,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
            "extra_body": extra,
        }

    async def models(self) -> list[dict[str, Any]]:
        """What the engine holds: the base first, then every loaded version, each with its folder."""
        return list((await self._get("/v1/models"))["data"])

    async def health(self) -> dict[str, Any]:
        """What the engine says of itself.

        Raises:
            EngineUnavailable: Not answering, or still loading its model.
        """
        return await self._get("/health")

    async def load(self, version: str, folder: Path) -> None:
        """Load a version beside the others; one that is loaded already stays as it is."""
        raise CannotSwap("This engine cannot load a version while it runs.", "Restart it with the version.")

    def described(self) -> list[dict[str, Any]]:
        """Address and trouble of each server behind this one, for operators."""
        return []

    def expect(self, version: str, folder: Path) -> None:
        """Note that a version which is held already is to stay; for those who count on more than one."""

    async def unload(self, version: str) -> None:
        """Forget a version; one that is not loaded is no error."""
        raise CannotSwap("This engine cannot unload a version while it runs.", "Restart it without it.")

    async def keep(self, wanted: Collection[str]) -> None:
        """Unload every version but these."""
        for model in await self.models():
            if model["id"] != BASE and model["id"] not in wanted:
                await self.unload(model["id"])

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector per text, for comparing meanings."""
        raise CannotSwap("This engine does not embed texts.", "Embed them with Hone's own engine.")

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        """Per item, the log-probabilities of the response's tokens, its stop token last."""
        raise CannotSwap("This engine gives no log-probabilities of a prompt, so it cannot prove a version.")

    async def forget(self, owner: str) -> None:
        """Drop what is kept of an owner's prompts.

        Raises:
            CannotSwap: This engine cannot; its `limits` say so.
        """
        raise CannotSwap(KEEPS, "Restart it to empty its memory at once.")

    async def metrics(self) -> str:
        return (await self._send("GET", "/metrics", wait=QUICK)).text

    async def close(self) -> None:
        await self._http.aclose()

    def _address(self) -> str:
        if not self.url:
            raise EngineUnavailable("The engine is starting.", "Try again in a moment.")
        return self.url

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self._send("GET", path, wait=QUICK)
        try:
            return dict(answer.json())
        except (ValueError, TypeError):
            raise EngineError(
                f"{self.url}{path} does not answer as an engine does.", "Look at its address."
            ) from None

    async def _post(self, path: str, body: dict[str, Any], *, wait: float = SLOW) -> httpx2.Response:
        return await self._send("POST", path, wait=wait, json=body)

    async def _send(self, method: str, path: str, *, wait: float, **given: Any) -> httpx2.Response:
        try:
            answer = await self._http.request(
                method,
                self._address() + path,
                headers=({"Authorization": f"Bearer {self._secret}"} if self._secret else {})
                | spans.carried(),
                timeout=httpx2.Timeout(wait, connect=5),
                **given,
            )
        except httpx2.HTTPError as broken:
            raise unavailable(broken) from None
        if answer.is_error:
            raise await translated(answer)
        return answer
