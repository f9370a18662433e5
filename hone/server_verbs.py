"""The verbs of the running server that the tuner is given (`tuner/server.py` says what they promise).

The tuner judges a version through the very engine that people talk to, at low priority, so that chat
stays quick while it does.

Trail: tuner/server.py -> here -> serve/router.py
"""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from feedback.errors import EngineError
from feedback.records import Message, Sampling
from serve.engines.base import HttpEngine
from serve.router import Router, engine_name
from tuner.server import Answer

EVALUATION_PRIORITY = 1


class ServerVerbs:
    """Answers, embeds, probes, loads and routes, through the router and the engine's driver."""

    def __init__(self, engine: HttpEngine, router: Router, embedder: HttpEngine) -> None:
        self._engine = engine
        self._router = router
        self._embedder = embedder
        self.answered = 0

    async def answer(
        self,
        version: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Answer:
        """The whole answer of a version that is loaded, live or not."""
        sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
        text, last = "", None
        assistant = version.partition("@")[0]
        with self._router.admitted(assistant, version) as pinned:
            spoken = self._router.stream(pinned, messages, sampling, priority=EVALUATION_PRIORITY)
            async with aclosing(spoken) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    text += piece.text
                    last = piece
        if last is None or last.finish_reason not in ("stop", "length"):
            raise EngineError(f"The engine gave no whole answer of {version}.")
        self.answered += last.completion_tokens
        return Answer(text, "stop" if last.finish_reason == "stop" else "length", last.completion_tokens)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._embedder.embed(texts)

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        return await self._engine.probe(engine_name(version), items)

    async def load(self, version: str, folder: Path) -> None:
        await self._router.load(version, folder)

    async def unload(self, version: str) -> None:
        await self._router.unload(version)

    async def route(self, assistant: str, version: str) -> None:
        await self._router.route(assistant, version)

    async def share(self, assistant: str, version: str, share: float) -> None:
        await self._router.share(assistant, version, share)

    async def base_folder(self) -> Path:
        """Where the very weights lie that the engine serves."""
        return Path(next(model["root"] for model in await self._engine.models() if not model["parent"]))
