"""TGI's driver: adapters are listed at its start only, so a publish is a restart by the operator's command.

Read in text-generation-inference 3.3.7 (db931fcf): an unknown adapter is answered by the base, with
status 200 (server/.../flash_causal_lm.py:569), so a version is asked for only while this driver has
seen it answer unlike the base; names and paths may hold no @ (server/.../utils/adapter.py:64), so a
version has another name there, and a link to its folder; top_p below 1 samples even at temperature 0
(server/.../utils/tokens.py:65); a stop string is part of the text.

Trail: serve/engines/outside.py -> here -> serve/engines/restart.py, a TGI server
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from feedback.errors import BadAdapter, CannotSwap, EngineError, EngineUnavailable, UnknownVersion
from feedback.records import Message, Sampling
from serve.engines.base import BASE, QUICK, Piece
from serve.engines.outside import OutsideEngine, Tokens
from serve.engines.restart import Restart

SAMPLE = "Hello! Let me count for you: one, two, three, four, five, six. What else can I do for you today?"
"""What a version's fingerprint is taken of."""
NOISE = 10.0
"""How many times further than the base from itself an answer must be to be another version's."""
LEAST = 1e-3
"""... and no nearer than this, in nats per token."""
BASE_THERE = "tgi"
"""The model name that TGI takes for its base (router/src/lib.rs:1031)."""


class TgiEngine(OutsideEngine):
    """A TGI server; versions are served once they were seen to differ from the base."""

    proves = True
    unknown_is_error = False
    yields = False
    # With adapters, TGI keeps no prompts (launcher/src/main.rs:156), so nothing is shared between owners.
    separates_owners = False

    def __init__(
        self,
        secret: str,
        *,
        url: str,
        links: Path,
        silence: float = 120.0,
        base: str = "",
        restart: Restart | None = None,
    ) -> None:
        """`links` is where links to the versions' folders are made; TGI must see it under this very path."""
        super().__init__(secret, url=url, silence=silence, base=base)
        self._links = links
        self._restart = restart
        self._verified: dict[str, tuple[Path, list[float]]] = {}
        self._swap = asyncio.Lock()

    async def stream(
        self,
        version: str,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        priority: int = 0,
        owner: str = "",
    ) -> AsyncIterator[Piece]:
        self._name(version)  # refuses what was not verified, before anything is asked
        spoken = super().stream(version, messages, sampling, priority=priority, owner=owner)
        async with aclosing(spoken) as pieces:  # type: ignore[type-var]
            try:
                async for piece in _without(pieces, sampling.stop):
                    yield piece
            except EngineUnavailable:
                # It may come back as another process, with other adapters.
                self._verified.clear()
                raise

    async def _question(
        self, version: str, messages: Sequence[Message], sampling: Sampling, priority: int, owner: str
    ) -> dict[str, Any]:
        asked = await super()._question(version, messages, sampling, priority, owner)
        bounded = sampling.temperature > 0 and sampling.top_p < 1
        top_p = sampling.top_p if bounded else None
        return asked | {"model": self._name(version), "top_p": top_p, "extra_body": {}}

    async def models(self) -> list[dict[str, Any]]:
        """The base, and the versions that were verified; TGI itself lists no adapters."""
        root = self._base or (await self._get("/info"))["model_id"]
        base = {"id": BASE, "root": root, "parent": None}
        return [base, *({"id": v, "root": str(f), "parent": BASE} for v, (f, _) in self._verified.items())]

    async def health(self) -> dict[str, Any]:
        """Also looks whether every verified version still answers as itself, since TGI would not tell."""
        try:
            await self._send("GET", "/health", wait=QUICK)
            info = await self._get("/info")
            await self._tokens()
            await self._look_again()
        except EngineUnavailable:
            if not self._swap.locked():
                self._verified.clear()
            raise
        return {
            "status": "ok",
            "base": info["model_id"],
            "device": f"TGI at {self.url}",
            "max_context": info["max_total_tokens"],
        }

    async def load(self, version: str, folder: Path) -> None:
        """Find the version there, or restart TGI with it; serve it once it answers unlike the base.

        Raises:
            CannotSwap: No restart command is set, or it failed; what was served before still is.
            BadAdapter: TGI was restarted with it and still answers as the base.
        """
        async with self._swap:
            if version in self._verified or await self._verify(version, folder):
                return
            if self._restart is None:
                raise CannotSwap(
                    "TGI reads its adapters at its start only, and engine.restart_command is not set.",
                    f"Set it, or restart TGI with {self._entry(version, folder)} in LORA_ADAPTERS.",
                )
            await asyncio.to_thread(_check, folder)
            before = {held: at for held, (at, _) in self._verified.items()}
            try:
                await self._relaunch({**before, version: folder}, version, folder)
                if version in self._verified:
                    return
                refused: EngineError | BadAdapter = BadAdapter(
                    f"TGI was restarted with {version}, but answers as the base under its name."
                )
            except EngineError as failed:
                refused = failed
            if isinstance(refused, BadAdapter) or self._verified.keys() != before.keys():
                with suppress(EngineError):
                    await self._relaunch(before, version, folder)
            raise refused

    async def unload(self, version: str) -> None:
        """Restart TGI without the version; without a command, only never ask for it again."""
        async with self._swap:
            folder, _ = self._verified.pop(version, (None, None))
            if folder is None or self._restart is None:
                return
            await self._relaunch({v: f for v, (f, _) in self._verified.items()}, version, folder)

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        """Scores by `decoder_input_details` of a generation over the rendered text."""
        name, tokens = self._name(version), await self._tokens()
        return [await self._score(name, tokens, messages, response) for messages, response in items]

    async def _score(
        self, name: str, tokens: Tokens, messages: Sequence[Message], response: str
    ) -> list[float]:
        # TGI renders prompts only, so a user's turn is put behind the pair and cut off again.
        pair = [*messages, Message("assistant", response), Message("user", ".")]
        before, prompt = await self._rendered(messages)
        text, ids = await self._rendered(pair)
        labelled = tokens.label(prompt, ids, messages, response)
        ending = tokens.text(labelled.ids[-1])
        text = text[: text.index(ending, len(before)) + len(ending)]
        seen, scores = await self._prefill(name, text)
        if seen != labelled.ids:
            # Unlike the chat, /generate lets the tokenizer write its start token before the template's own.
            seen, scores = await self._prefill(name, text.removeprefix(tokens.bos))
        if seen != labelled.ids:
            raise CannotSwap("TGI splits the probes into other tokens than its own chat does.")
        return scores[labelled.start :]

    async def _rendered(self, messages: Sequence[Message]) -> tuple[str, list[int]]:
        body = {"model": BASE_THERE, "messages": await self._safe(messages)}
        told = (await self._post("/chat_tokenize", body, wait=QUICK)).json()
        return str(told["templated_text"]), [token["id"] for token in told["tokenize_response"]]

    async def _prefill(self, name: str, text: str) -> tuple[list[int], list[float]]:
        """The ids of a text and the log-probability of each (0 for the first, which has none)."""
        parameters: dict[str, Any] = {"max_new_tokens": 1, "details": True, "decoder_input_details": True}
        if name != BASE_THERE:
            parameters["adapter_id"] = name
        told = (await self._post("/generate", {"inputs": text, "parameters": parameters})).json()
        prefill = told["details"]["prefill"]
        return [token["id"] for token in prefill], [float(token["logprob"] or 0.0) for token in prefill]

    async def _verify(self, version: str, folder: Path) -> bool:
        """Whether TGI answers under the version's name unlike its base; then it may be asked for."""
        _, base = await self._prefill(BASE_THERE, SAMPLE)
        _, again = await self._prefill(BASE_THERE, SAMPLE)
        _, mine = await self._prefill(_there(version), SAMPLE)
        differs = _apart(mine, base) > max(LEAST, NOISE * _apart(base, again))
        if differs:
            self._verified[version] = (folder, mine)
        return differs

    async def _look_again(self) -> None:
        """Drop the versions that are nearer to the base now than to what they were."""
        if self._swap.locked() or not self._verified:
            return
        _, base = await self._prefill(BASE_THERE, SAMPLE)
        for version, (_, was) in list(self._verified.items()):
            _, now = await self._prefill(_there(version), SAMPLE)
            if _apart(now, was) >= _apart(now, base):
                self._verified.pop(version, None)

    async def _relaunch(self, wanted: dict[str, Path], version: str, folder: Path) -> None:
        """Restart with these versions, wait until it answers, and verify each."""
        assert self._restart
        adapters = ",".join([self._entry(*item) for item in wanted.items()])
        place = {"version": _there(version), "folder": str(folder), "adapters": adapters, "url": self.url}
        self._verified.clear()
        try:
            await self._restart.run(**place)
        finally:
            await self._until_up()
            for held, at in wanted.items():
                await self._verify(held, at)

    async def _until_up(self) -> None:
        assert self._restart
        until = time.monotonic() + self._restart.timeout
        while True:
            try:
                await self._send("GET", "/health", wait=QUICK)
                return
            except EngineError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)

    def _entry(self, version: str, folder: Path) -> str:
        """One entry of LORA_ADAPTERS; the folder's own name has an @, so TGI is given a link to it."""
        link = self._links / _there(version)
        if set("@=,") & set(str(link)):
            raise CannotSwap(f"TGI takes no path with @, = or a comma: {link}.", "Choose another --home.")
        self._links.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(folder.absolute())
        return f"{_there(version)}={link}"

    def _name(self, version: str) -> str:
        if version == BASE:
            return BASE_THERE
        if version not in self._verified:
            raise UnknownVersion(f"TGI has not been seen to serve {version}.", "See `hone status`.")
        return _there(version)


def _there(version: str) -> str:
    # An assistant's name has no dot, so no two versions meet.
    return version.replace("@", ".")


def _apart(left: Sequence[float], right: Sequence[float]) -> float:
    """Mean absolute difference, in nats per token."""
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)


def _check(folder: Path) -> None:
    """Refuse a folder that would keep TGI from starting, before anything is stopped."""
    try:
        json.loads((folder / "adapter_config.json").read_text("utf-8"))["target_modules"]
        weights = folder / "adapter_model.safetensors"
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < 100_000_000 else {}
        ends = [told["data_offsets"][1] for name, told in header.items() if name != "__metadata__"]
        if weights.stat().st_size != 8 + length + max(ends):
            raise ValueError("its weights are cut short")
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise BadAdapter(f"{folder} is no adapter that can be served ({fault}).", "Train it again.") from None


async def _without(pieces: AsyncIterator[Piece], stops: Sequence[str]) -> AsyncIterator[Piece]:
    """The pieces up to the first stop string, and the end as OpenAI would call it."""
    longest = max(map(len, stops), default=0)
    held, over = "", False
    async for piece in pieces:
        if piece.finish_reason:
            if held and not over:
                yield Piece(held)
            reason = "length" if piece.finish_reason == "length" else "stop"
            yield replace(piece, finish_reason=reason)
            return
        if over:
            continue
        held += piece.text
        found = [at for at in (held.find(stop) for stop in stops) if at >= 0]
        over = bool(found)
        ready = min(found) if found else max(0, len(held) - longest + 1) if longest else len(held)
        if ready:
            yield Piece(held[:ready])
        held = held[ready:]
