"""An engine behind HTTP, reached through the text-generation-inference client.

One class for all engines; a driver states what its engine can and cannot do. What was learnt about the
client (huggingface_hub 2.4): a dummy token, or the machine's saved one is sent to any URL; the base
URL in the constructor and the version as `model=`; one client per stream, closed to cancel; a stream
ends only on `[DONE]`, so a missing finish reason is a failure. Knows nothing of assistants or people.

Trail: serve/router.py -> here -> serve/engine/server.py
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import (
    AsyncInferenceClient,
    ChatCompletionInputStreamOptions,
    set_async_client_factory,
)
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, TextGenerationError

from feedback.errors import (
    BadAdapter,
    BadRequest,
    CannotSwap,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    HoneError,
    PromptTooLong,
    UnknownVersion,
)
from feedback.records import Message, Sampling

BASE = "base"
_CODES: dict[str, type[HoneError]] = {
    "unknown_version": UnknownVersion,
    "context_length_exceeded": PromptTooLong,
    "bad_adapter": BadAdapter,
    "no_slot": CannotSwap,
    "bad_request": BadRequest,
    "still_in_use": CannotSwap,
}


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
    proves = False

    def __init__(self, secret: str, *, url: str = "", silence: float = 120.0) -> None:
        """`silence` is the longest wait for the next token, in seconds, before the answer counts as cut.

        `url` may be empty while the engine starts; see `connect`.
        """
        self.url = url.rstrip("/")
        self._secret = secret
        self._silence = silence
        self._http = _transport()
        set_async_client_factory(_transport)

    def connect(self, url: str) -> None:
        """Speak to this address from now on; streams in flight keep theirs."""
        self.url = url.rstrip("/")

    async def stream(
        self, version: str, messages: Sequence[Message], sampling: Sampling, *, priority: int = 0
    ) -> AsyncIterator[Piece]:
        """Speak the answer of `version` (`base` or a loaded one); closing the iterator cancels it.

        Raises:
            EngineUnavailable: Gone, restarting, or silent for too long; what was said so far stands.
        """
        client = AsyncInferenceClient(base_url=self._address(), token=self._secret, timeout=self._silence)
        async with client:
            try:
                events = await client.chat_completion(
                    [m.as_dict() for m in messages],
                    model=version,
                    stream=True,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    max_tokens=sampling.max_tokens,
                    seed=sampling.seed,
                    stop=list(sampling.stop) or None,
                    stream_options=ChatCompletionInputStreamOptions(include_usage=True),
                    extra_body={"priority": priority},
                )
                finish: str | None = None
                prompt_tokens = completion_tokens = 0
                async with aclosing(events) as flowing:  # type: ignore[type-var]
                    async for event in flowing:
                        if event.usage:
                            prompt_tokens = event.usage.prompt_tokens
                            completion_tokens = event.usage.completion_tokens
                        for choice in event.choices:
                            finish = choice.finish_reason or finish
                            if choice.delta.content:
                                yield Piece(choice.delta.content)
            except TextGenerationError as failed:  # the engine's own word, in mid-stream
                raise EngineError(f"The engine failed at this answer: {failed}.", "Press retry.") from None
            except HfHubHTTPError as refused:
                raise await _translated(refused.response) from None
            except (InferenceTimeoutError, httpx2.HTTPError) as broken:
                raise _unavailable(broken) from None
        if finish is None:
            raise EngineUnavailable(
                "The engine stopped in the middle of this answer.", "Press retry; it is being restarted."
            )
        yield Piece("", finish, prompt_tokens, completion_tokens)

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
        raise CannotSwap("This engine cannot load a version while it runs.", "Restart it with the version.")

    async def unload(self, version: str) -> None:
        raise CannotSwap("This engine cannot unload a version while it runs.", "Restart it without it.")

    async def metrics(self) -> str:
        return (await self._send("GET", "/metrics")).text

    async def close(self) -> None:
        await self._http.aclose()

    def _address(self) -> str:
        if not self.url:
            raise EngineUnavailable("The engine is starting.", "Try again in a moment.")
        return self.url

    async def _get(self, path: str) -> dict[str, Any]:
        return dict((await self._send("GET", path)).json())

    async def _post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        return await self._send("POST", path, json=body)

    async def _send(self, method: str, path: str, **given: Any) -> httpx2.Response:
        try:
            answer = await self._http.request(
                method,
                self._address() + path,
                headers={"Authorization": f"Bearer {self._secret}"},
                timeout=httpx2.Timeout(600, connect=5),
                **given,
            )
        except httpx2.HTTPError as broken:
            raise _unavailable(broken) from None
        if answer.is_error:
            raise await _translated(answer)
        return answer


@cache
def _tls() -> ssl.SSLContext:
    # Building one takes 30 ms, and the client is made anew for each stream.
    return ssl.create_default_context()


def _transport() -> httpx2.AsyncClient:
    # Proxies of the environment are not for an engine, and the client's own default honours them.
    return httpx2.AsyncClient(trust_env=False, verify=_tls(), timeout=None)


def _unavailable(broken: Exception) -> EngineUnavailable:
    return EngineUnavailable(
        f"The engine is not answering ({type(broken).__name__}).",
        "It is restarted by itself; try again in a moment.",
    )


async def _translated(response: Any) -> HoneError:
    """The engine's refusal as one of ours; `response` is an unread or read HTTP response."""
    try:
        error = dict((await response.aread() and response.json())["error"])
    except (ValueError, KeyError, TypeError, httpx2.HTTPError):
        error = {"message": f"The engine answered with status {response.status_code}."}
    message = str(error.get("message", ""))
    if response.status_code == 429:
        wait = float(response.headers.get("retry-after", 1))
        return EngineBusy("Too many people are asking at once.", f"Try again in {wait:.0f} seconds.", wait)
    if response.status_code == 503:
        return EngineUnavailable("The engine is loading its model.", "Try again in a moment.")
    kind = _CODES.get(str(error.get("code")))
    if kind:
        return kind(message)
    return BadRequest(message) if response.status_code in (400, 413, 422) else EngineError(message)
