"""Makes tokens of what was asked, off the event loop, and says whether the model has room for them.

Trail: serve/engine/engine.py -> here -> feedback/template.py
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jinja2 import TemplateError

from feedback.errors import BadRequest, EngineBusy
from feedback.records import Message
from feedback.template import Labelled, label, render
from serve.engine.asking import Ask
from serve.engine.model import Loaded
from serve.engine.refusals import ContextTooLong, stopping

T = TypeVar("T")


class Writing:
    """One model's tokenizer on a thread of its own; close it at the end."""

    def __init__(self, model: Loaded, most: int) -> None:
        """`most` texts may wait for the thread."""
        self._model = model
        self._most, self._waiting = most, 0
        self._thread = ThreadPoolExecutor(1, "tokenizer")

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    async def prompt(self, ask: Ask) -> list[int]:
        """The tokens of a request's prompt.

        Raises:
            BadRequest: It is empty, or not in this model's tokens, or its template refuses it.
        """
        return await self._off_loop(lambda: self._prompt(ask))

    async def labelled(self, messages: Sequence[Message], response: str) -> Labelled:
        """The tokens of a conversation with its answer, and where the answer begins."""
        return await self._off_loop(
            lambda: label(self._model.tokenizer, messages, response, self._model.stops)
        )

    def room(self, prompt: int, wanted: int | None) -> int:
        """How many tokens an answer may have after a prompt of this many.

        Raises:
            ContextTooLong: Fewer than wanted.
        """
        room = self._model.longest - prompt
        if room < (wanted or 1):
            raise ContextTooLong(
                f"The conversation has {prompt} tokens and the answer may have {wanted or 1}; "
                f"this model reads {self._model.longest} together.",
                "Shorten the conversation or ask for fewer tokens.",
            )
        return wanted or room

    def _prompt(self, ask: Ask) -> list[int]:
        ids = self._ids(ask.prompt)
        if not ids:
            raise BadRequest("The prompt is empty.", "Write something first.")
        return ids[-ask.truncate :] if ask.truncate else ids

    def _ids(self, prompt: tuple[Message, ...] | str | tuple[int, ...]) -> list[int]:
        if isinstance(prompt, str):
            return list(self._model.tokenizer(prompt)["input_ids"])
        ids = [part for part in prompt if isinstance(part, int)]
        if not ids:
            return render(self._model.tokenizer, [part for part in prompt if isinstance(part, Message)])
        if not all(0 <= id < self._model.vocabulary for id in ids):
            raise BadRequest(
                f"A token id is not below {self._model.vocabulary}.", "Use this model's tokenizer."
            )
        return ids

    async def _off_loop(self, write: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise EngineBusy(f"{self._waiting} requests wait to be read already.", "Try again in a moment.")
        try:
            written = asyncio.get_running_loop().run_in_executor(self._thread, _written, write)
        except RuntimeError as closed:
            raise stopping() from closed
        self._waiting += 1
        try:
            return await written
        finally:
            self._waiting -= 1


def _written(write: Callable[[], T]) -> T:
    """The tokens, or a refusal in words where the model's own template objects."""
    try:
        return write()
    except TemplateError as error:
        raise BadRequest(
            f"This model's chat template refuses the conversation ({error}).", "Change the messages' order."
        ) from error
