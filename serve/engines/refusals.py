"""What an engine refuses, said as one of Hone's errors; the dialects of ours, vLLM and TGI.

OpenAI's shape is `{"error": {"message", "type", "code"}}`, TGI's is `{"error", "error_type"}`
(router/src/server.rs:2407), and vLLM's refused key is `{"error": "Unauthorized"}`. Knows no verb.

Trail: serve/engines/base.py -> here -> feedback/errors.py
"""

from typing import Any

import httpx2

from feedback.errors import (
    BadAdapter,
    BadRequest,
    CannotSwap,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    HoneError,
    NoRoom,
    NotFound,
    PromptTooLong,
    UnknownVersion,
)

_CODES: dict[str, type[HoneError]] = {
    "unknown_version": UnknownVersion,
    "not_found": NotFound,
    "context_length_exceeded": PromptTooLong,
    "bad_adapter": BadAdapter,
    "no_slot": NoRoom,
    "bad_request": BadRequest,
    "still_in_use": CannotSwap,
    "already_loaded": CannotSwap,
    "deadline_exceeded": EngineError,
}
MAKE_ROOM = (
    "Raise engine.slots: each assistant holds its live version, the one before, and the one being judged."
)
# vLLM 0.32 and TGI 3.3 have no code of their own for a conversation that does not fit.
_TOO_LONG = ("maximum context length", "max_model_len", "`inputs` tokens +", "`inputs` must have less than")

# vLLM 0.32 whose engine process is gone, until its server has noticed and ends too.
_ENDED = ("EngineCore encountered an issue", "EngineDeadError")


def unavailable(broken: Exception) -> EngineUnavailable:
    """Nothing came back at all, or not in time, or from somebody who is not known."""
    if "CERTIFICATE_VERIFY_FAILED" in str(broken):
        return EngineUnavailable(
            "Nobody whom this machine trusts vouches for the engine's certificate.",
            "Set engine.ca_file to the certificate of who does, and look at the name in the engine's.",
        )
    return EngineUnavailable(
        f"The engine is not answering ({type(broken).__name__}).",
        "It is restarted by itself; try again in a moment.",
    )


async def translated(response: Any) -> HoneError:
    """The engine's refusal as one of ours; `response` is an unread or read HTTP response."""
    message, code, kind = await _read(response)
    status = response.status_code
    if status in (401, 403):
        return EngineError(
            f"The engine refuses Hone's key (status {status}).",
            "Set engine.api_key to the key that the engine was started with.",
        )
    if status == 429:
        wait = _seconds(response.headers.get("retry-after", "1"))
        return EngineBusy("Too many people are asking at once.", f"Try again in {wait:.0f} seconds.", wait)
    if status == 503:
        return EngineUnavailable("The engine is loading its model.", "Try again in a moment.")
    known = _CODES.get(code)
    if known:
        return known(message, MAKE_ROOM if known is NoRoom else "")
    if status >= 500 and ended(message):
        return EngineUnavailable("The engine's process has ended.", "Try again in a moment.")
    if status in (502, 504):
        return EngineUnavailable(
            f"What stands before the engine cannot reach it (status {status}).", "Try again."
        )
    if status == 404 and kind == "NotFoundError":
        return UnknownVersion(message)
    if status in (400, 413, 422):
        return PromptTooLong(message) if any(sign in message for sign in _TOO_LONG) else BadRequest(message)
    return EngineError(message)


def ended(message: str) -> bool:
    """Whether an engine says that it is no more, instead of what was wrong with one answer."""
    return any(sign in message for sign in _ENDED)


def _seconds(header: str) -> float:
    """A `Retry-After` in seconds; the header may hold a date instead."""
    try:
        return min(max(float(header), 0.0), 600.0)
    except ValueError:
        return 1.0


async def _read(response: Any) -> tuple[str, str, str]:
    """Message, code and type, as far as the body has them."""
    nothing = f"The engine answered with status {response.status_code}."
    try:
        body = dict(await response.aread() and response.json())
    except (ValueError, TypeError, httpx2.HTTPError):
        return nothing, "", ""
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("message", nothing)), str(error.get("code", "")), str(error.get("type", ""))
    # A route that is not there has FastAPI's own shape.
    return str(error or body.get("detail") or nothing), "", str(body.get("error_type", ""))
