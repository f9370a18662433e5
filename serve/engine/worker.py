"""The one thread that owns the model: jobs take turns on it, and each turn has its own version in.

A turn is short (one token, or one chunk of a prompt), so a new request waits for a turn and not for
an answer, and a cancelled one is gone by its next turn. Whatever goes wrong in a turn ends that job
alone. Knows nothing of tokens, text or HTTP.

Trail: serve/engine/engine.py -> here -> serve/engine/generation.py
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Literal

import torch

from feedback.errors import EngineBusy, EngineUnavailable, HoneError
from serve.engine.adapters import Switch
from serve.engine.refusals import GenerationFailed

log = logging.getLogger(__name__)

BACKGROUND_SHARE = 8
"""While people wait, background jobs get one turn in this many rounds: slow, but never starved."""


class Job(ABC):
    """One request's work on one version, done in turns.

    Any thread may set `cancelled`; `error` and `outcome` are the worker's, and final at `end`.
    """

    def __init__(self, version: str, *, background: bool) -> None:
        self.version = version
        self.background = background
        self.cancelled = False
        self.error: HoneError | None = None
        self.outcome: Literal["done", "failed", "cancelled"] = "cancelled"

    @abstractmethod
    def turn(self) -> bool:
        """Do one step; true when there is nothing left to do."""

    @abstractmethod
    def end(self) -> None:
        """Let go of memory and tell whoever waits how it went."""


class _Lane:
    """The jobs of one priority: some take turns, the rest wait."""

    def __init__(self) -> None:
        self.waiting: deque[Job] = deque()
        self.active: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self.waiting) + len(self.active)

    def admit(self, limit: int) -> None:
        while self.waiting and len(self.active) < limit:
            self.active.append(self.waiting.popleft())

    def drop_cancelled(self) -> list[Job]:
        gone = [job for job in self.waiting if job.cancelled]
        for job in gone:
            self.waiting.remove(job)
        return gone

    def next(self) -> list[Job]:
        """The job whose turn it is, as a list of one or none."""
        self.active.rotate(-1)
        return [self.active[-1]] if self.active else []


class Worker:
    """Runs jobs. At most `active` of each priority take turns, and at most `queue` more may wait."""

    def __init__(self, switch: Switch, *, active: int, queue: int, ended: Callable[[Job], None]) -> None:
        self._switch = switch
        self._active = active
        self._queue = queue
        self._ended = ended
        self._normal, self._background = _Lane(), _Lane()
        self._rounds = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; it will be ended exactly once, by the worker.

        Raises:
            EngineBusy: The queue of its priority is full.
        """
        with self._changed:
            lane = self._lane(job)
            if self._stopping:
                raise EngineUnavailable("The engine is stopping.", "Try again in a moment.")
            if len(lane) >= self._active + self._queue:
                raise EngineBusy(
                    f"{len(lane)} requests are being answered or wait already.", "Try again in a moment."
                )
            lane.waiting.append(job)
            self._changed.notify()

    def stop(self, timeout: float = 10) -> None:
        """End every job with an error and then the thread; waits for the turn in progress (seconds)."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def load(self) -> tuple[int, int]:
        """How many jobs take turns, and how many wait."""
        with self._changed:
            lanes = (self._normal, self._background)
            return sum(len(lane.active) for lane in lanes), sum(len(lane.waiting) for lane in lanes)

    def _lane(self, job: Job) -> _Lane:
        return self._background if job.background else self._normal

    def _run(self) -> None:
        with torch.inference_mode():
            while True:
                turns = self._round()
                if turns is None:
                    return
                for job in turns:
                    self._take(job)

    def _round(self) -> list[Job] | None:
        """The jobs that take a turn now; waits for work, and is None when the worker is to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or len(self._normal) or len(self._background))
            gone = self._normal.drop_cancelled() + self._background.drop_cancelled()
            turns = self._turns()
            stopping = self._stopping
        for job in gone:
            self._finish(job)
        if not stopping:
            return turns
        self._abandon()
        return None

    def _turns(self) -> list[Job]:
        self._normal.admit(self._active)
        self._background.admit(self._active)
        self._rounds += 1
        turns = list(self._normal.active)
        if not turns or self._rounds % BACKGROUND_SHARE == 0:
            turns += self._background.next()
        return turns

    def _take(self, job: Job) -> None:
        """Give a job its turn; one that is done, failed or cancelled leaves its lane."""
        if not job.cancelled and not self._turn(job):
            return
        with self._changed:
            self._lane(job).active.remove(job)
        self._finish(job)

    def _turn(self, job: Job) -> bool:
        self._switch.version = job.version
        try:
            done = job.turn()
        except HoneError as error:
            job.error, done = error, True
        except Exception:
            log.exception("a turn of version %s failed", job.version)
            job.error, done = (
                GenerationFailed("The engine failed on this request.", "Its log says why."),
                True,
            )
        if done:
            job.outcome = "failed" if job.error else "done"
        return done

    def _finish(self, job: Job) -> None:
        try:
            job.end()
        except Exception:
            log.exception("a job of version %s could not be ended", job.version)
        finally:
            self._ended(job)

    def _abandon(self) -> None:
        with self._changed:
            left = [job for lane in (self._normal, self._background) for job in (*lane.active, *lane.waiting)]
        for job in left:
            job.error = EngineUnavailable("The engine stopped before this was answered.", "Ask again.")
            job.outcome = "failed"
            self._finish(job)
