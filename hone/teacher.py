"""A stronger model elsewhere that proposes answers: any server that speaks OpenAI's chat API.

Sends what it is given and nothing else; what may be sent is decided by `hone/proposing.py`.

Trail: hone/proposing.py -> here -> the teacher
"""

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from feedback.errors import EngineError, EngineUnavailable
from feedback.proposals import Candidate
from feedback.ratings import MAX_CORRECTION
from feedback.records import Message
from hone.sections import LOOPBACK
from hone.sections import Teacher as TeacherSettings

MOST = 2**20
"""Bytes of an answer with all that is around it."""


class Teacher:
    """One model of one server."""

    def __init__(self, url: str, model: str, *, key: str, max_tokens: int, timeout: float) -> None:
        self.model = model
        self._url = url.rstrip("/") + "/chat/completions"
        self._key, self._max_tokens, self._timeout = key, max_tokens, timeout
        # Past this machine the environment's proxies hold, as for any client of the outside.
        self._proxies = urlsplit(url).hostname not in LOOPBACK

    async def answer(self, messages: Sequence[Message], temperature: float) -> Candidate:
        """One answer.

        Raises:
            EngineUnavailable: The teacher does not answer.
            EngineError: It refuses, or answers with something else.
        """
        body = {
            "model": self.model,
            "messages": [message.as_dict() for message in messages],
            "max_tokens": self._max_tokens,
            "temperature": temperature,
        }
        timeout = httpx.Timeout(self._timeout, connect=10)
        try:
            async with httpx.AsyncClient(trust_env=self._proxies, timeout=timeout) as http:
                told = await self._said(http, body)
        except httpx.HTTPError as gone:
            raise EngineUnavailable(
                f"The teacher does not answer ({type(gone).__name__}).", "Check teacher.url and the network."
            ) from None
        try:
            choice = json.loads(told)["choices"][0]
            text = choice["message"]["content"] or ""
            text.encode()  # half a surrogate pair is no text
            cut = choice.get("finish_reason") == "length"
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            text, cut = None, False
        if not isinstance(text, str):
            raise EngineError("The teacher does not answer in OpenAI's shape.", "Check teacher.url.")
        if len(text) > MAX_CORRECTION:
            raise EngineError(
                f"The teacher's answer has {len(text):,} characters; the limit is {MAX_CORRECTION:,}.",
                "Check teacher.url: it was asked for less.",
            )
        return Candidate(text, finish_reason="length" if cut else "stop")

    async def _said(self, http: httpx.AsyncClient, body: dict[str, object]) -> bytes:
        """The body of the teacher's answer, read no further than an answer can be long."""
        headers = {"accept-encoding": "identity"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        async with http.stream("POST", self._url, json=body, headers=headers) as told:
            if told.is_error:
                raise EngineError(
                    f"The teacher refused with status {told.status_code}.",
                    "Check teacher.model and its key.",
                )
            held = bytearray()
            async for piece in told.aiter_raw():
                held += piece
                if len(held) > MOST:
                    raise EngineError(
                        f"The teacher's answer is larger than {MOST:,} bytes.", "Check teacher.url."
                    )
            return bytes(held)


def teacher(settings: TeacherSettings) -> Teacher | None:
    """The teacher that is set, if one is."""
    if not settings.url:
        return None
    return Teacher(
        settings.url,
        settings.model,
        key=settings.api_key.get_secret_value(),
        max_tokens=settings.max_tokens,
        timeout=settings.timeout,
    )
