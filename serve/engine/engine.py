"""Everything the routes can ask for: admits requests to the worker and hands their results back.

A request is checked, pinned to its version and counted before it is queued, and released when the
worker ends it. Text becomes tokens here, off the event loop. Knows nothing of HTTP.

Trail: serve/engine/server.py -> here -> serve/engine/worker.py
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import TemplateError

from feedback.errors import BadRequest, HoneError
from feedback.template import Labelled, label, render
from serve.engine.adapters import Adapters, shapes
from serve.engine.embedder import Embedder
from serve.engine.generation import Generation
from serve.engine.lora import read
from serve.engine.metrics import Metrics
from serve.engine.model import Loaded
from serve.engine.protocol import BASE, ChatRequest, Ended, ProbeRequest
from serve.engine.refusals import ContextTooLong
from serve.engine.sampling import Sampler
from serve.engine.scoring import Embedding, Probe, Scores
from serve.engine.worker import Job, Worker

T = TypeVar("T")

UNLOAD_SECONDS = 60.0
"""How long an unload waits for the answers that the version still gives."""


class Stream:
    """One answer as it comes: iterate for its pieces and its end; cancel it when nobody listens."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[str | Ended | HoneError] = asyncio.Queue()
        self._job: Job | None = None

    def follow(self, job: Job) -> None:
        self._job = job

    def emit(self, event: str | Ended | HoneError) -> None:
        """Called from the worker's thread."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancelled = True

    async def __aiter__(self) -> AsyncIterator[str | Ended]:
        while True:
            event = await self._events.get()
            if isinstance(event, HoneError):
                raise event
            yield event
            if isinstance(event, Ended):
                return


class Engine:
    """A loaded model behind its worker. `slots` versions fit beside the base; close it at the end."""

    def __init__(self, model: Loaded, *, slots: int, active: int, queue: int) -> None:
        self.model = model
        self._adapters = Adapters(model.layers, slots)
        self._worker = Worker(model.switch, active=active, queue=queue, ended=self._ended)
        self._embedder = Embedder(model.device)
        self._writing = ThreadPoolExecutor(1, "tokenizer")
        self.metrics = Metrics(self._worker.load, lambda: len(self._adapters.loaded()))
        self._worker.start()

    def close(self) -> None:
        self._worker.stop()
        self._writing.shutdown(cancel_futures=True)

    async def chat(self, request: ChatRequest) -> Stream:
        """Admit one request; its answer comes through the stream.

        Raises:
            UnknownVersion: Its model is neither the base nor a loaded version.
            ContextTooLong: Its prompt and the tokens it may make do not fit the model.
            EngineBusy: Too many wait already.
        """
        stream = Stream()

        def job(prompt: list[int]) -> Generation:
            return Generation(
                self.model,
                request.model,
                prompt,
                sampler=Sampler(request.temperature, request.top_p, request.seed),
                max_tokens=self._room(len(prompt), request.max_tokens),
                stops=request.stop,
                emit=stream.emit,
                background=request.priority > 0,
            )

        messages = request.conversation()
        stream.follow(await self._admit(request.model, lambda: render(self.model.tokenizer, messages), job))
        return stream

    async def probe(self, request: ProbeRequest) -> Scores:
        """The log-probability of each token of each answer, stop token included."""
        result = _Result()

        def tokens() -> list[Labelled]:
            return [
                label(
                    self.model.tokenizer,
                    [m.message() for m in item.messages],
                    item.response,
                    self.model.stops,
                )
                for item in request.items
            ]

        def job(pairs: list[Labelled]) -> Probe:
            self._room(max(len(pair.ids) for pair in pairs) - 1, 1)
            return Probe(self.model, request.model, pairs, result.report, background=request.priority > 0)

        return await result.wait(await self._admit(request.model, tokens, job))

    async def embed(self, texts: Sequence[str]) -> Scores:
        """One unit vector of 384 numbers a text."""
        await asyncio.to_thread(self._embedder.load)
        result = _Result()
        job = Embedding(self._embedder, texts, result.report)
        self._worker.submit(job)
        return await result.wait(job)

    async def load(self, version: str, folder: Path) -> None:
        """Load an adapter beside whatever runs.

        Raises:
            AlreadyLoaded, NoSlot, BadAdapter: It was refused; nothing has changed.
        """
        expected = shapes(self.model.layers)
        await asyncio.to_thread(
            self._adapters.load,
            version,
            str(folder),
            lambda: read(folder, expected, self.model.dtype, self.model.device),
        )

    async def unload(self, version: str) -> None:
        """Admit nothing new to a version, wait for what it still answers, and free its slot."""
        await asyncio.to_thread(self._adapters.unload, version, UNLOAD_SECONDS)

    def versions(self) -> dict[str, str]:
        """What may be asked for: names and folders, the base first."""
        return {BASE: str(self.model.folder), **self._adapters.loaded()}

    async def _admit(self, version: str, write: Callable[[], T], job: Callable[[T], Job]) -> Job:
        """Pin the version, make the tokens off the event loop, queue the job they become."""
        self._adapters.acquire(version)
        try:
            tokens = await asyncio.get_running_loop().run_in_executor(self._writing, _written, write)
            queued = job(tokens)
            self._worker.submit(queued)
        except BaseException:
            self._adapters.release(version)
            raise
        return queued

    def _room(self, prompt: int, wanted: int | None) -> int:
        """How many tokens the answer may have."""
        room = self.model.longest - prompt
        if room < (wanted or 1):
            raise ContextTooLong(
                f"The conversation has {prompt} tokens and the answer may have {wanted or 1}; "
                f"this model reads {self.model.longest} together.",
                "Shorten the conversation or ask for fewer tokens.",
            )
        return wanted or room

    def _ended(self, job: Job) -> None:
        """Told by the worker of every job, once."""
        self._adapters.release(job.version)
        route = type(job).__name__.lower()
        self.metrics.requests.labels(route, job.outcome).inc()
        if isinstance(job, Generation):
            self.metrics.answered(job.prompt_tokens, job.made, job.first_token_seconds)


class _Result:
    """The rows of one job, awaited; a waiter that goes away cancels the job."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Scores] = self._loop.create_future()

    def report(self, rows: Scores | HoneError | None) -> None:
        """Called from the worker's thread."""
        self._loop.call_soon_threadsafe(self._settle, rows)

    async def wait(self, job: Job) -> Scores:
        try:
            return await self._future
        except asyncio.CancelledError:
            job.cancelled = True
            raise

    def _settle(self, rows: Any) -> None:
        if self._future.done():
            return
        if isinstance(rows, HoneError):
            self._future.set_exception(rows)
        elif rows is None:
            self._future.cancel()
        else:
            self._future.set_result(rows)


def _written(write: Callable[[], T]) -> T:
    """The tokens, or a refusal in words where the model's own template objects."""
    try:
        return write()
    except TemplateError as error:
        raise BadRequest(
            f"This model's chat template refuses the conversation ({error}).", "Change the messages' order."
        ) from error
