"""vLLM's driver: adapters come and go at run time under a name of their own for every version.

Read in vLLM 0.32, and tried on it: a load beyond its slots drops the adapter used least lately, without
a word (vllm/lora/worker_manager.py), so this driver counts and refuses; `load_inplace` changes answers
in flight and reads the adapter from disk at every step from then on, so it is never sent; an unload only
forgets the name, so running answers are safe; a priority is refused unless the server schedules by it.
Start it with --enable-lora, VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --max-cpu-loras above our slots. On
a CPU, 0.32 adds what lies in its last slot to base requests that share a batch with a version's
(vllm-project/vllm#48421): no driver sees that, so --max-loras must stay above all loads of its life.

Trail: serve/engines/outside.py -> here -> a vLLM server
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from feedback.errors import (
    BadAdapter,
    BadRequest,
    CannotSwap,
    EngineError,
    EngineUnavailable,
    HoneError,
    NoRoom,
    UnknownVersion,
)
from feedback.records import Message, Sampling
from serve.engines.base import BASE, QUICK
from serve.engines.outside import OutsideEngine

LOAD = 180.0
"""Seconds for a load: it is read between two steps, while every answer waits."""


class VllmEngine(OutsideEngine):
    """A vLLM server with run-time adapters."""

    loads_at_run_time = True
    proves = True
    refuses_when_full = False
    yields = False

    def __init__(
        self, secret: str, *, url: str, silence: float = 120.0, base: str = "", slots: int = 8
    ) -> None:
        """`slots` is how many versions may be loaded; the server must have room for as many."""
        super().__init__(secret, url=url, silence=silence, base=base)
        self._slots = slots
        self._served = ""

    async def models(self) -> list[dict[str, Any]]:
        """The base under our name for it (vLLM answers under the name it was started with), then versions."""
        told = await super().models()
        bases = [model for model in told if not model.get("parent")]
        if not bases:
            raise EngineError(f"The engine at {self.url} serves no base model.")
        self._served = bases[0]["id"]
        root = self._base or bases[0]["root"]
        return [{**bases[0], "id": BASE, "root": root}, *(m for m in told if m.get("parent"))]

    async def health(self) -> dict[str, Any]:
        await self._send("GET", "/health", wait=QUICK)
        base = (await self.models())[0]
        await self._tokens()
        return {
            "status": "ok",
            "base": self._served,
            "folder": base["root"],
            "device": f"vLLM at {self.url}",
            "max_context": base["max_model_len"],
        }

    async def load(self, version: str, folder: Path) -> None:
        """Load a version beside the others; one that is loaded already stays as it is.

        Raises:
            BadAdapter: vLLM refuses the folder; nothing changed.
            NoRoom: Every slot is taken; vLLM itself would drop a version that may be in use.
        """
        held = {model["id"] for model in (await self.models())[1:]}
        if version in held:
            return
        if len(held) >= self._slots:
            raise NoRoom(
                f"All {self._slots} slots of the engine hold a version.",
                "Roll an older version back, or raise engine.slots and vLLM's --max-cpu-loras.",
            )
        try:
            await self._post(
                "/v1/load_lora_adapter", {"lora_name": version, "lora_path": str(folder)}, wait=LOAD
            )
        except EngineUnavailable:
            raise
        except (BadRequest, EngineError, UnknownVersion) as refused:
            raise await self._blame(version, refused) from None

    async def _blame(self, version: str, refused: HoneError) -> HoneError:
        """Whose fault a refused load is: vLLM says 500 for a bad adapter and for its own end alike."""
        if refused.what == "Not Found":
            return CannotSwap(
                "This vLLM takes no adapters while it runs.",
                "Start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1.",
            )
        await self._send("GET", "/health", wait=QUICK)
        return BadAdapter(
            f"vLLM does not take {version}: {refused.what}", "Train it again, or look in its log."
        )

    async def unload(self, version: str) -> None:
        """Make vLLM forget the name; answers in flight keep the adapter to their end."""
        with suppress(UnknownVersion):
            await self._post("/v1/unload_lora_adapter", {"lora_name": version}, wait=QUICK)

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        """Scores by `prompt_logprobs` of a completion over token ids, which the client has no word for.

        The ids are vLLM's own rendering of the chat (`/tokenize`): what is proved is what people get.
        """
        return [await self._score(version, messages, response) for messages, response in items]

    async def _score(self, version: str, messages: Sequence[Message], response: str) -> list[float]:
        tokens = await self._tokens()
        pair = [*messages, Message("assistant", response)]
        labelled = tokens.label(
            await self._rendered(messages, prompt=True),
            await self._rendered(pair, prompt=False),
            messages,
            response,
        )
        body = {
            "model": await self._name(version),
            "prompt": labelled.ids,
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": 0,
        }
        told = (await self._post("/v1/completions", body)).json()["choices"][0]["prompt_logprobs"]
        said = zip(labelled.ids[labelled.start :], told[labelled.start :], strict=True)
        return [float(of[str(token)]["logprob"]) for token, of in said]

    async def _rendered(self, messages: Sequence[Message], *, prompt: bool) -> list[int]:
        body = {
            "model": await self._name(BASE),
            "messages": await self._safe(messages),
            "add_generation_prompt": prompt,
        }
        return list((await self._post("/tokenize", body, wait=QUICK)).json()["tokens"])

    async def _question(
        self, version: str, messages: Sequence[Message], sampling: Sampling, priority: int, owner: str
    ) -> dict[str, Any]:
        asked = await super()._question(version, messages, sampling, priority, owner)
        return asked | {"model": await self._name(version)}

    async def _name(self, version: str) -> str:
        if version != BASE:
            return version
        if not self._served:
            await self.models()
        return self._served
