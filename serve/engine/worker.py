"""The one thread that owns the model: in each step all rows go on together, each on its own version.

A step is one token of every answer and a bounded piece of the waiting prompts, so a new request waits
for a step and not for an answer, and a cancelled one is gone by the next. Whatever goes wrong with a
row ends that row alone. Knows nothing of text or HTTP.

Trail: serve/engine/engine.py -> here -> serve/engine/row.py, serve/engine/lean.py
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

import torch

from feedback.errors import EngineUnavailable, HoneError
from serve.engine.drawing import blame, draw
from serve.engine.network import Network, Span
from serve.engine.pace import Pace
from serve.engine.prefixes import Prefixes
from serve.engine.protocol import BASE
from serve.engine.queue import BACKGROUND_SHARE, Queue
from serve.engine.refusals import DeadlineExceeded, our_fault, stopping
from serve.engine.row import Row

log = logging.getLogger(__name__)

TOGETHER = 8
"""Steps in a row that the same versions must have to themselves before the network settles on them."""

Chore = Callable[[], object]
"""Something short that is done between two steps."""


class Worker:
    """Runs rows. At most the network's rows go on at once, and at most `queue` more wait in each line."""

    def __init__(
        self,
        network: Network,
        prefixes: Prefixes,
        stops: frozenset[int],
        *,
        queue: int,
        ended: Callable[[Row], None],
        flush: Callable[[], None],
    ) -> None:
        """`ended` is told of every row, once; `flush` hands on what a step's rows said."""
        self._network, self._prefixes, self._stops = network, prefixes, stops
        self._ended, self._flush = ended, flush
        self._queue = Queue(rows=network.rows, longest=queue)
        self._rows: list[Row] = []  # by their place in the network's memory
        self._chores: deque[Chore] = deque()
        self._pace = Pace()
        self._steps = 0
        self._together: tuple[frozenset[str], int] = (frozenset(), 0)
        self._stopping = False
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._over.set()
        self._thread = threading.Thread(target=self.run, name="model", daemon=True)

    def start(self) -> None:
        """Run on a thread of the worker's own."""
        self._thread.start()

    def run(self) -> None:
        """Take steps until the worker is stopped; the calling thread owns the model."""
        self._over.clear()
        with torch.inference_mode():
            while True:
                try:
                    if not self._round():
                        break
                except Exception:
                    # Nothing should come this far; whoever waits is told, and the next ones are served.
                    log.exception("the worker failed")
                    self._abandon(our_fault())
                self._flush()
            for chore in self._chores:
                self._do(chore)
            self._abandon(EngineUnavailable("The engine stopped before this was answered.", "Ask again."))
            self._flush()
        self._over.set()

    def submit(self, row: Row) -> None:
        """Queue a row; it will be ended exactly once, by the worker.

        Raises:
            EngineBusy: The queue of its priority is full.
        """
        with self._changed:
            if self._stopping:
                raise stopping()
            self._queue.join(row, len(self._rows))
            self._changed.notify()

    def call(self, chore: Chore) -> None:
        """Have something done between two steps, by the thread that owns the model.

        Raises:
            EngineUnavailable: There will be no more steps.
        """
        with self._changed:
            if self._stopping:
                raise stopping()
            self._chores.append(chore)
            self._changed.notify()

    def disown(self, owner: str) -> None:
        """Keep nothing of an owner's that is being answered now. To be called between two steps."""
        with self._changed:
            for row in [*self._rows, *self._queue]:
                if row.owner == owner:
                    row.owner = ""

    def stop(self, timeout: float = 10) -> None:
        """End every row with an error and then the thread; waits for the step in progress (seconds)."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._over.wait(timeout)

    def counts(self) -> tuple[int, int]:
        """How many rows are in use, and how many requests wait."""
        with self._changed:
            return len(self._rows), len(self._queue)

    @property
    def rows(self) -> int:
        """How many rows there can be at once."""
        return self._network.rows

    def used(self) -> float:
        """The share of the network's memory that rows in use have filled."""
        with self._changed:
            return sum(row.read for row in self._rows) / (self._network.rows * self._network.longest)

    def _round(self) -> bool:
        """Do what is to be done now, waiting for it to come; false when the worker is to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._rows or len(self._queue) or self._chores)
            if self._stopping:
                return False
            gone = self._queue.leave(time.monotonic())
            chore = self._chores.popleft() if self._chores else None
        if chore is not None:
            self._do(chore)
        for row in gone:
            self._finish(row)
        self._part([row for row in self._rows if row.cancelled or row.deadline < time.monotonic()])
        self._admit()
        if self._rows:
            self._step()
        return True

    def _do(self, chore: Chore) -> None:
        """Do what can fail without anyone's answer being wrong."""
        try:
            chore()
        except Exception:
            log.exception("something that is done between two steps failed")

    def _admit(self) -> None:
        while True:
            with self._changed:
                row = self._queue.next(self._rows)
                if row is None:
                    return
                self._rows.append(row)
            row.begun()
            if row.reusable:
                self._do(partial(self._recall, row, len(self._rows) - 1))

    def _recall(self, row: Row, place: int) -> None:
        """Let a row begin from what its conversation left behind."""
        found = self._prefixes.find(row.version, row.owner, row.tokens)
        if found is not None:
            kept, length = found
            self._network.put(place, kept, length)
            row.read = row.cached = length

    def _step(self) -> None:
        """One token of every answer, and a piece of the prompts."""
        self._steps += 1
        places = self._joining()
        reading = [row for row in places if not row.answering]
        answering = [row for row in places if row.answering]
        turns = [(row, 1) for row in answering]
        turns += self._pace.shares(reading, answering=answering)
        spans = [row.span(places[row], budget) for row, budget in turns]
        begun = time.monotonic()
        self._advance([row for row, _ in turns], spans)
        read = sum(len(span.ids) for span in spans) - len(answering)
        self._pace.took(time.monotonic() - begun, read, answering=bool(answering))
        self._part([row for row in places if row.complete or row.error])
        self._settle({span.version for span in spans})

    def _joining(self) -> dict[Row, int]:
        """The rows of this step with their places."""
        normal = [row for row in self._rows if not row.background]
        everyone = not normal or self._steps % BACKGROUND_SHARE == 0
        return {row: i for i, row in enumerate(self._rows) if everyone or not row.background}

    def _advance(self, rows: Sequence[Row], spans: Sequence[Span]) -> None:
        """Read the spans and draw what follows; where that fails for all, find out whose fault it is."""
        try:
            logits = self._network.forward(spans)
        except Exception as failure:
            if len(rows) == 1:
                blame(rows[0], failure)
                return
            log.warning("a step failed (%s); its rows go on one by one", type(failure).__name__)
            for row, span in zip(rows, spans, strict=True):
                self._advance([row], [span])
            return
        ends = accumulate(span.logits for span in spans)
        each = [logits[end - span.logits : end] for span, end in zip(spans, ends, strict=True)]
        chosen = draw(rows, spans, each)
        for row, span, mine in zip(rows, spans, each, strict=True):
            try:
                row.took(span, mine)
                if row in chosen:
                    row.say(*chosen[row], self._stops)
            except Exception as failure:
                blame(row, failure)

    def _part(self, leaving: Sequence[Row]) -> None:
        """Let rows go: keep what they remember, and close their ranks."""
        for row in leaving:
            if row.complete and row.error is None:
                row.outcome = "done"
            place = self._rows.index(row)
            if row.sound and self._prefixes.wants(row.owner, row.read):
                self._do(partial(self._keep, row, place))
            # Before any row is moved, lest it takes along what is no number.
            self._network.free(place, spoiled=0 if row.sound else len(row.tokens))
        for row in leaving:
            place, last = self._rows.index(row), len(self._rows) - 1
            if place != last:
                self._network.move(last, place, self._rows[last].read)
            with self._changed:
                self._rows[place] = self._rows[last]
                self._rows.pop()
            self._finish(row)

    def _keep(self, row: Row, place: int) -> None:
        kept = self._network.keep(place, row.read)
        if kept is not None:
            self._prefixes.keep(row.version, row.owner, row.tokens, kept)

    def _settle(self, versions: set[str]) -> None:
        """Once the same versions have had the engine to themselves for a while, settle on them."""
        own = versions - {BASE}
        # Beside two versions the base makes no difference; beside one it does.
        now = frozenset(versions if len(own) == 1 else own)
        known, steps = self._together
        self._together = (now, steps + 1 if now == known else 1)
        if now and self._together[1] > TOGETHER:
            self._do(partial(self._network.settle, now))

    def _finish(self, row: Row) -> None:
        if row.error is None and row.outcome == "cancelled" and not row.cancelled:
            row.error = DeadlineExceeded(
                "The answer's deadline passed before it was finished.", "Ask for less, or allow more time."
            )
        if row.error is not None:
            row.outcome = "failed"
        try:
            row.end()
        except Exception:
            log.exception("a row of version %s could not be ended", row.version)
        finally:
            self._ended(row)

    def _abandon(self, why: HoneError) -> None:
        """End everyone with this error."""
        with self._changed:
            left = [*self._rows, *self._queue.empty()]
            places = range(len(self._rows))
            self._rows.clear()
        for place in places:
            self._do(partial(self._network.free, place, spoiled=self._network.longest))
        for row in left:
            row.error = why
            self._finish(row)
