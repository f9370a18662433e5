"""Everything the routes can ask for: admits requests to the worker and hands their answers back.

A request is checked, pinned to its version and counted before it is queued, and released when the
worker ends it. Knows nothing of HTTP.

Trail: serve/engine/routes.py -> here -> serve/engine/worker.py
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from feedback.errors import EngineUnavailable
from feedback.fingerprint import require
from feedback.template import Labelled
from serve.engine.adapters import Adapters
from serve.engine.apart import apart, promised
from serve.engine.asking import Ask, Drawing, Ended, Token
from serve.engine.embedder import Embedder
from serve.engine.lora import read
from serve.engine.metrics import Metrics
from serve.engine.model import Loaded
from serve.engine.prefixes import Prefixes
from serve.engine.protocol import BASE, ProbeItem, ProbeRequest
from serve.engine.refusals import DeadlineExceeded
from serve.engine.row import Row
from serve.engine.spelling import Spelling
from serve.engine.stream import Outbox, Stream
from serve.engine.worker import Worker
from serve.engine.writing import Writing

T = TypeVar("T")

UNLOAD_SECONDS = 60.0
"""How long an unload waits for the answers that the version still gives."""

PAUSE_SECONDS = 0.004
"""What a load that runs beside answers leaves them after each of an adapter's matrices."""

PROBES = 4
"""Answers of one probe that are scored at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine allows itself."""

    slots: int = 8
    """Versions that fit beside the base."""
    queue: int = 64
    """Requests of each priority that may wait."""
    prefix_bytes: int = 256 * 2**20
    """What may be kept of finished rows."""
    seconds: float = 600.0
    """The longest that one answer may take."""


class Engine:
    """A loaded model behind its worker; `run` or `start` it, and close it at the end."""

    def __init__(self, model: Loaded, limits: Limits) -> None:
        self.model = model
        self._limits = limits
        self._outbox = Outbox()
        self._prefixes = Prefixes(limits.prefix_bytes)
        self._adapters = Adapters(model.network, limits.slots, self._freed)
        self._worker = Worker(
            model.network,
            self._prefixes,
            model.stops,
            queue=limits.queue,
            ended=self._ended,
            flush=self._outbox.flush,
        )
        self._forgettings = 0
        self._spelling = Spelling(model.tokenizer)
        self._embedder = Embedder(model.device)
        self._writing = Writing(model, limits.queue + model.network.rows)
        self.metrics = Metrics(self._worker, self._adapters, self._prefixes)

    def run(self) -> None:
        """Answer on this thread until the engine is closed; best on the one that loaded the model.

        `apart.py` says why.
        """
        self._worker.run()

    def start(self) -> "Engine":
        """Answer on a thread of the engine's own."""
        self._worker.start()
        return self

    def close(self) -> None:
        self._worker.stop()
        self._writing.close()

    async def generate(self, ask: Ask) -> Stream:
        """Admit one request; its answer comes through the stream.

        Raises:
            UnknownVersion: Its model is neither the base nor a loaded version.
            ContextTooLong: Its prompt and the tokens it may make do not fit the model.
            EngineBusy: Too many wait already.
        """

        async def written() -> tuple[list[int], int]:
            prompt = await self._writing.prompt(ask)
            return prompt, self._writing.room(len(prompt), ask.drawing.max_tokens)

        return await self._admit(ask, written, scored_from=1 if ask.prompt_logprobs else None)

    async def probe(self, request: ProbeRequest) -> list[list[float]]:
        """The log-probability of each token of each answer, stop token included."""
        places = asyncio.Semaphore(PROBES)

        async def score(item: ProbeItem) -> list[float]:
            messages = [words.message() for words in item.messages]
            pair = await self._writing.labelled(messages, item.response)
            async with places:
                return await self._score(request, pair)

        try:
            async with asyncio.TaskGroup() as group:
                rows = [group.create_task(score(item)) for item in request.items]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [row.result() for row in rows]

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of 384 numbers a text."""
        await apart(self._embedder.load)
        rows: list[list[float]] = []
        for batch in await asyncio.to_thread(self._embedder.batches, texts):
            rows += await self._between_steps(partial(self._embedder.encode, batch))
        return rows

    async def load(self, version: str, folder: Path) -> None:
        """Load an adapter beside whatever runs.

        Raises:
            AlreadyLoaded, NoSlot, BadAdapter: It was refused; nothing has changed.
        """
        network = self.model.network

        def deltas() -> Any:
            require(version, folder)
            with torch.inference_mode(), _beside(network.device):
                return read(folder, network.shapes, network.dtype, network.device, self._pause)

        await apart(partial(self._adapters.load, version, str(folder), deltas))

    async def unload(self, version: str) -> None:
        """Admit nothing new to a version, wait for what it still answers, and free its slot."""
        await asyncio.to_thread(self._adapters.unload, version, UNLOAD_SECONDS)

    async def forget(self, owner: str) -> int:
        """Drop what is kept of an owner's conversations; how many prefixes there were."""
        self._forgettings += 1

        def forgotten() -> int:
            self._worker.disown(owner)
            return self._prefixes.forget(owner)

        return await self._between_steps(forgotten)

    async def tokenize(self, prompt: Any) -> list[Token]:
        """A prompt's tokens as the model reads them; their log-probabilities say nothing."""
        ids = await self._writing.prompt(Ask(BASE, prompt))
        return [self._spelling.plain(id) for id in ids]

    def versions(self) -> dict[str, str]:
        """What may be asked for: names and folders, the base first."""
        return {BASE: str(self.model.folder), **self._adapters.loaded()}

    async def _admit(
        self, ask: Ask, written: Callable[[], Awaitable[tuple[list[int], int]]], *, scored_from: int | None
    ) -> Stream:
        """Pin the version, have the prompt written, and queue the row that it and its limit become."""
        stream = Stream(self._outbox)
        seconds = min(ask.seconds or self._limits.seconds, self._limits.seconds)
        asked_at, forgettings = time.monotonic(), self._forgettings
        self._adapters.acquire(ask.version)
        try:
            try:
                async with asyncio.timeout(seconds):
                    prompt, limit = await written()
            except TimeoutError:
                raise DeadlineExceeded(
                    "The deadline passed before the prompt was read.", "Try again."
                ) from None
            row = Row(
                ask,
                prompt,
                limit=limit,
                spelling=self._spelling,
                emit=stream.emit,
                asked_at=asked_at,
                seconds=seconds,
                scored_from=scored_from,
            )
            if forgettings != self._forgettings:
                row.owner = ""  # someone was forgotten meanwhile, perhaps whoever asks
            stream.follow(row)
            self._worker.submit(row)
        except BaseException:
            self._adapters.release(ask.version)
            raise
        return stream

    async def _score(self, request: ProbeRequest, pair: Labelled) -> list[float]:
        ask = Ask(request.model, tuple(pair.ids), Drawing(temperature=0), background=request.priority > 0)
        self._writing.room(len(pair.ids) - 1, 1)

        async def written() -> tuple[list[int], int]:
            return pair.ids, 0

        stream = await self._admit(ask, written, scored_from=pair.start)
        try:
            async for part in stream:
                if isinstance(part, Ended):
                    return [token.logprob for token in part.prompt]
        finally:
            stream.cancel()
        raise AssertionError("a row ends with its end")

    def _pause(self) -> None:
        if any(self._worker.counts()):
            time.sleep(PAUSE_SECONDS)

    def _freed(self, version: str) -> None:
        def drop() -> None:
            self.model.network.drop(version)
            self._prefixes.drop(version)
            self._adapters.gone(version)

        with suppress(EngineUnavailable):  # it is stopping, and its memory goes with it
            self._worker.call(drop)

    async def _between_steps(self, work: Callable[[], T]) -> T:
        """Have the model's thread do something, and wait for what it gives."""
        run, future = promised(work)
        self._worker.call(run)
        return await future

    def _ended(self, row: Row) -> None:
        """Told by the worker of every row, once."""
        self._adapters.release(row.version)
        self.metrics.ended(row)


def _beside(device: torch.device) -> Any:
    """On a GPU, a stream of its own, so that a load's copies do not wait for the answers' kernels."""
    return torch.cuda.stream(torch.cuda.Stream(device) if device.type == "cuda" else None)
