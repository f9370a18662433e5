"""The embedded engine's driver: it loads versions while it runs, embeds text, and proves itself.

Trail: serve/engines/base.py -> here -> serve/engine/server.py
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from feedback.errors import NotFound
from feedback.records import Message
from serve.engines.base import HttpEngine
from serve.release import skew

log = logging.getLogger(__name__)


class HoneEngine(HttpEngine):
    """Speaks vLLM's adapter verbs, plus `/v1/embeddings` and `/v1/probe`; keeps every swap rule."""

    loads_at_run_time = True
    proves = True
    embeds = True
    forgets = True
    _skew = ""

    async def health(self) -> dict[str, Any]:
        """What the engine says of itself, and `skew`, where it is not of this very Hone."""
        facts = await super().health()
        told = skew(str(facts.get("release", "")))
        if told and told != self._skew:
            log.warning("%s: %s", self.url, told)
        self._skew = told
        return facts | {"skew": told}

    async def load(self, version: str, folder: Path) -> None:
        """Load a version beside the others; one that is loaded already stays as it is.

        Raises:
            BadAdapter: The folder is not what it should be; nothing changed.
            CannotSwap: Every slot is taken.
        """
        if version not in {model["id"] for model in await self.models()}:
            await self._post("/v1/load_lora_adapter", {"lora_name": version, "lora_path": str(folder)})

    async def unload(self, version: str) -> None:
        """Let the answers in flight end, then forget the version."""
        with suppress(NotFound):
            await self._post("/v1/unload_lora_adapter", {"lora_name": version})

    async def forget(self, owner: str) -> None:
        await self._post("/v1/forget", {"cache_salt": owner})

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        answer = await self._post("/v1/embeddings", {"model": "embedder", "input": list(texts)})
        return [row["embedding"] for row in answer.json()["data"]]

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        body = [{"messages": [m.as_dict() for m in messages], "response": said} for messages, said in items]
        answer = await self._post("/v1/probe", {"model": version, "items": body, "priority": 1})
        return [row["logprobs"] for row in answer.json()["data"]]
