"""Gradio without the work that it does for nobody: what it left as it is, what it looks for, what it keeps.

Read in Gradio 6.31, measured in decision 029. Each for every page:

- an output that a handler skips is made anew as a component, with its whole configuration (`blocks.py`,
  `postprocess_data`): most of what a view of a growing answer cost. Skipped, it is left alone here.
- a view that goes on with a generator wraps its function anew, to throw that away, and makes every message
  of the chat anew in a thread (`blocks.py`, `call_function`), for which loop and thread wait in turns. Here
  the generator goes on, and of a `Grown` chat only the last message is made.
- the queue looks for events a thousand times a second and for progress a hundred times, whether anybody is
  there or not (`queueing.py`). Here a new event and the end of one wake it, and no handler reports progress.
- it imports matplotlib before and after each view (`utils.py`, `MatplotlibBackendMananger`); where there is
  none, every folder is searched for it each time. Here it is known not to be there.
- a page is given a queue and an app when it is begun, and another app with the queue that counts. Here it
  has the app of its end, and the one that is mounted.
- what each of ten thousand tabs was shown and sent is kept (`state_holder.py`), a page's whole configuration
  for each, and described anew each time as a JSON schema, though handlers here read the store. Here nothing
  of it is: all tabs of a page have one state, which nobody writes to.

Trail: serve/pages/frame.py -> here
"""

import asyncio
import copy
import inspect
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import gradio as gr
from gradio.queueing import Event, Queue
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import run_coro_in_background, set_task_name

if find_spec("matplotlib") is None:
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # the interpreter's word for "there is none"
SKIP = gr.skip()


class Page(gr.Blocks):
    """A page's blocks, on a queue that sleeps until there is something to do."""

    def sleep_well(self, *, calls: int, limit: int) -> None:
        """Set the queue up for so many calls at once; `limit` is for each handler without its own."""
        self.max_threads = calls
        self.api_open = False
        self._queue = WokenQueue(
            live_updates=True,
            concurrency_count=calls,
            update_intervals=1,
            max_size=calls,
            blocks=self,
            default_concurrency_limit=limit,
        )

    def queue(self, *_: Any, **__: Any) -> "Page":
        """Nothing: a page that is begun has no use yet for a queue, nor for an app that goes with it."""
        return self

    async def process_api(self, *given: Any, **named: Any) -> dict[str, Any]:
        """As Gradio's; a view that goes on has no files, whose addresses would be looked for in all of it."""
        if named.get("iterator") is not None:
            named["root_path"] = None
        return dict(await super().process_api(*given, **named))

    async def call_function(
        self, block_fn: Any, processed_input: Any, iterator: Any = None, *given: Any, **named: Any
    ) -> dict[str, Any]:
        """As Gradio's; what is begun already just goes on."""
        if inspect.isasyncgen(iterator):
            began = time.time()
            with suppress(StopAsyncIteration):
                shown = await anext(iterator)
                took = time.time() - began
                return {"prediction": shown, "duration": took, "is_generating": True, "iterator": iterator}
        return dict(await super().call_function(block_fn, processed_input, iterator, *given, **named))

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """As Gradio's, of those outputs alone that are told something."""
        several = isinstance(predictions, list | tuple) and len(predictions) == len(block_fn.outputs) > 1
        told = [place for place, value in enumerate(predictions) if value != SKIP] if several else []
        if not several or len(told) == len(predictions):
            return list(await super().postprocess_data(block_fn, predictions, _Forgetful()))
        shown: list[Any] = [dict(SKIP) for _ in predictions]
        for place in [place for place in told if isinstance(predictions[place], Grown)]:
            shown[place] = predictions[place].told(block_fn.outputs[place])
            told.remove(place)
        if told:
            part = copy.copy(block_fn)
            part.outputs = [block_fn.outputs[place] for place in told]
            values = [predictions[place] for place in told]
            found = await super().postprocess_data(part, values if len(told) > 1 else values[0], _Forgetful())
            for place, value in zip(told, found, strict=True):
                shown[place] = value
        return shown


class Settled:
    """Messages of a chat that stay while the one after them grows; made once for all its views."""

    def __init__(self, messages: list[Any]) -> None:
        self.messages = messages
        self._made: list[Any] | None = None

    def made(self, chatbot: gr.Chatbot) -> list[Any]:
        if self._made is None:
            self._made = list(chatbot.postprocess(self.messages).model_dump())
        return self._made


@dataclass(frozen=True, slots=True)
class Grown:
    """A view of a chat whose last message has grown. Of texts alone: a file in one would not be served."""

    settled: Settled
    last: dict[str, Any]

    def told(self, chatbot: gr.Chatbot) -> list[Any]:
        return [*self.settled.made(chatbot), *chatbot.postprocess([self.last]).model_dump()]


class _Forgetful:
    """What Gradio asks of a tab's state while it shows one view."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def __contains__(self, block: int) -> bool:
        return block in self._made

    def __getitem__(self, block: int) -> Any:
        return self._made[block]

    def __setitem__(self, block: int, component: Any) -> None:
        self._made[block] = component

    def get(self, block: int, otherwise: Any = None) -> Any:
        return self._made.get(block, otherwise)

    def _update_config(self, block: int) -> None: ...

    def _update_value_in_config(self, block: int, value: Any) -> None: ...


class _Unwritten(SessionState):
    """A page as it was built."""

    def __setitem__(self, block: int, component: Any) -> None: ...

    def _update_config(self, block: int) -> None: ...

    def _update_value_in_config(self, block: int, value: Any) -> None: ...


class OneState(StateHolder):
    """The same state for every tab of a page, which therefore can have no `gr.State`."""

    def __init__(self, app: App) -> None:
        super().__init__()
        page = app.get_blocks()
        assert not any(block.stateful for block in page.blocks.values()), "people would share it"
        self.set_blocks(page)
        self._state = _Unwritten(page)
        app.state_holder = self

    def __contains__(self, tab: str) -> bool:
        return True

    def __getitem__(self, tab: str) -> SessionState:
        return self._state


class WokenQueue(Queue):
    """Gradio's queue, which begins events when one arrives or ends."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.stopped = False
        self._wake = asyncio.Event()

    def start(self) -> None:
        self.active_jobs = [None] * self.max_thread_count
        self._wake = asyncio.Event()
        run_coro_in_background(self.start_processing)

    def close(self) -> None:
        super().close()
        self._wake.set()

    async def push(self, *given: Any, **named: Any) -> Any:
        answer = await super().push(*given, **named)
        self._wake.set()
        return answer

    async def process_events(self, *given: Any, **named: Any) -> None:
        try:
            await super().process_events(*given, **named)
        finally:
            self._wake.set()

    async def start_processing(self) -> None:
        try:
            while not self.stopped:
                await self._wake.wait()
                self._wake.clear()
                while None in self.active_jobs and (found := self.get_events()):
                    self._begin(*found)
        finally:
            self.stopped = True
            self._cancel_asyncio_tasks()

    def _begin(self, events: list[Event], batch: bool, concurrency_id: str) -> None:
        """What Gradio's own loop does with events that it found."""
        jobs: list[Any] = self.active_jobs
        jobs[jobs.index(None)] = events
        started, first = time.time(), events[0]
        waiting = self.event_queue_per_concurrency_id[concurrency_id]
        waiting.current_concurrency += 1
        waiting.start_times_per_fn[first.fn].add(started)
        for event in events:
            if (told := self.event_analytics.get(event._id)) is not None:
                told["status"] = "processing"
        task = run_coro_in_background(self.process_events, events, batch, started, first.fn)
        set_task_name(task, first.session_hash, first.fn._id, first._id, batch)
        self._asyncio_tasks.add(task)
        task.add_done_callback(self._asyncio_tasks.discard)
        self.broadcast_estimations(concurrency_id)
