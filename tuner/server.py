"""The verbs of the running server that the tuner needs, as a promise somebody else keeps.

`tuner` and `serve` never import each other: the place where the parts meet hands in an object with
these methods. Versions are named as everywhere (`general@7-3fa9c1d2`; `general@0` is the base).
Every verb bounds its own waiting and raises `EngineError` subclasses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from feedback.records import Message


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version said; `completion_tokens` includes the stop token where there is one."""

    text: str
    finish_reason: Literal["stop", "length"]
    completion_tokens: int


class Server(Protocol):
    """What answers, seen from what learns. All generation yields to people's chats."""

    answered: int
    """Tokens that `answer` gave so far."""

    async def answer(
        self,
        version: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Answer: ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of length 1 per text."""
        ...

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        """Natural log-probabilities of each response's tokens, its stop token included."""
        ...

    async def load(self, version: str, folder: Path) -> None:
        """Load a version beside the others; one that is loaded already stays as it is."""
        ...

    async def unload(self, version: str) -> None:
        """Free a version after its answers in flight; one that is not loaded is no error."""
        ...

    async def route(self, assistant: str, version: str) -> None:
        """Give all new requests to a loaded version, and remember it over a restart."""
        ...

    async def share(self, assistant: str, version: str, share: float) -> None:
        """Give a loaded version this share of an assistant's conversations, the same ones for good.

        What it had before is among a greater share. 0 ends it, whichever version had one.
        """
        ...

    async def base_folder(self) -> Path:
        """The folder with the very weights and tokenizer that are being served."""
        ...
