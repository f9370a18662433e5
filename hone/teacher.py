"""A stronger model elsewhere that proposes answers: any server that speaks OpenAI's chat API.

Sends what it is given and nothing else; what may be sent is decided by `hone/proposing.py`.

Trail: hone/proposing.py -> here -> the teacher
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from feedback.errors import EngineError, EngineUnavailable
from feedback.proposals import Candidate
from feedback.records import Message
from hone.sections import Teacher as TeacherSettings
from hone.settings import LOOPBACK


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
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = httpx.Timeout(self._timeout, connect=10)
        try:
            async with httpx.AsyncClient(trust_env=self._proxies, timeout=timeout) as http:
                told = await http.post(self._url, json=body, headers=headers)
        except httpx.HTTPError as gone:
            raise EngineUnavailable(
                f"The teacher does not answer ({type(gone).__name__}).", "Check teacher.url and the network."
            ) from None
        if told.is_error:
            raise EngineError(
                f"The teacher refused with status {told.status_code}.", "Check teacher.model and its key."
            )
        try:
            choice = told.json()["choices"][0]
            text = str(choice["message"]["content"] or "")
        except (ValueError, LookupError, TypeError):
            raise EngineError(
                "The teacher does not answer in OpenAI's shape.", "Check teacher.url."
            ) from None
        return Candidate(text, finish_reason="length" if choice.get("finish_reason") == "length" else "stop")


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
