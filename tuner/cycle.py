"""One pass of the tuner, as a table of contents: snapshot, train, prove, judge, roll out, account.

Each step leaves a file in `runs/0007-general/` and is skipped where that is there, so a run whose
process was killed anywhere goes on where it was. Every step and the end are in the ledger. One run at
a time. What the steps do is in `tuner/steps.py`; when a run is due is not known here.

Trail: tuner/schedule.py -> here -> tuner/steps.py
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from opentelemetry.context import Context

from feedback import spans
from feedback.errors import (
    CannotSwap,
    Conflict,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    HoneError,
    NoRoom,
    TunerBusy,
)
from feedback.ledger import Ledger
from feedback.records import Principal, Run, RunState, VersionState, new_id
from feedback.snapshot import MANIFEST
from tuner.job import Job, NothingToLearn
from tuner.meter import Meter
from tuner.plan import RunFolder, append_line, read_json, write_json
from tuner.steps import Steps

WAITS = (1.0, 5.0, 15.0, 30.0, 60.0, *[120.0] * 30)
"""Seconds between tries of a step while the engine is starting, restarting or full: an hour in all, since a
slow machine takes minutes to load a model, and what was trained for hours is not thrown away for that."""
FAULTS = 3
"""Tries that may end in a fault of the engine's, such as an answer that was not finished in time."""

GOING: tuple[RunState, ...] = ("queued", "running")
ORDER = (
    *("snapshot", "plan", "recall", "train", "register", "prove", "evaluate", "gate"),
    *("roll out", "account"),
)
"""The steps of a run by name."""
ENDS: dict[str, RunState] = {"pass": "passed", "abstain": "abstained", "refuse": "refused"}
Step = tuple[str, Path, Callable[[Job], Awaitable[None]]]
log = logging.getLogger(__name__)


class Cycle:
    """The runs of one home, one at a time."""

    def __init__(self, ledger: Ledger, steps: Steps, home: Path, *, waits: Sequence[float] = WAITS) -> None:
        self._ledger, self._steps, self._home, self._waits = ledger, steps, home, waits
        self._task: asyncio.Task[Run] | None = None
        self.running = ""
        """The run in progress, in words; empty where there is none."""

    async def run(self, assistant: str, principal: Principal, *, forced: bool = False) -> Run:
        """A whole run, however it ends."""
        run = await self.begin(assistant, principal, forced=forced)
        return await self.wait() or run

    async def begin(self, assistant: str, principal: Principal, *, forced: bool = False) -> Run:
        """Start a run and return it as it begins; `forced` notes that a person asked, due or not.

        Raises:
            TunerBusy: A run is in progress; the message names it.
        """
        self._claim(f"a run of {assistant}")
        try:
            run = await asyncio.to_thread(self._record_new, assistant, principal, forced)
        except BaseException:
            self.running = ""
            raise
        return self._start(run)

    async def resume(self, run: Run) -> Run:
        """Go on with a run that an ended process left behind.

        Raises:
            TunerBusy: A run is in progress; the message names it.
        """
        self._claim(f"run {run.number} of {run.assistant}")
        return self._start(run)

    async def wait(self) -> Run | None:
        """How the run in progress, or the last one, ended; None where there was none."""
        return await asyncio.shield(self._task) if self._task else None

    async def stop(self) -> None:
        """Leave the run in progress where it is, for `resume`."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _claim(self, what: str) -> None:
        if self.running:
            raise TunerBusy(f"The tuner is busy with {self.running}.", "Wait until it has ended.")
        self.running = what

    def _start(self, run: Run) -> Run:
        self.running = f"run {run.number} of {run.assistant}"
        self._task = asyncio.create_task(self._walk(run), name=self.running)
        return run

    def _record_new(self, assistant: str, principal: Principal, forced: bool) -> Run:
        number = self._ledger.next_number(assistant)
        folder = RunFolder.named(self._home, number, assistant).path
        run_id = new_id()
        self._ledger.record_run(
            run_id=run_id,
            assistant=assistant,
            number=number,
            state="running",
            step="snapshot",
            principal=principal.name,
            folder=str(folder),
            detail={"forced": forced},
        )
        return self._ledger.run(run_id)

    def _contents(self, folder: RunFolder) -> tuple[Step, ...]:
        steps = self._steps
        taken = (
            (folder.snapshot / MANIFEST, steps.snapshot),
            (folder.plan, steps.plan),
            (folder.replay, steps.recall),
            (folder.trained, steps.train),
            (folder.registered, steps.register),
            (folder.proof, steps.prove),
            (folder.evaluation, steps.evaluate),
            (folder.verdict, steps.gate),
            (folder.rollout, steps.roll_out),
            (folder.account, steps.account),
        )
        return tuple((name, *each) for name, each in zip(ORDER, taken, strict=True))

    async def _walk(self, run: Run) -> Run:
        """Take the steps that are left, and record how the run ended."""
        told = {"hone.run": run.id, "hone.number": run.number, "hone.assistant": run.assistant}
        with spans.span("run", told, parent=Context()) as span:
            ended = await self._walked(run)
            spans.tell(span, {"hone.state": ended.state, "hone.version": ended.version})
        return ended

    async def _walked(self, run: Run) -> Run:
        job = Job(run, RunFolder(Path(run.folder)))
        step = run.step
        try:
            self._open(job)
            for step, done, take in self._contents(job.folder):
                if not done.exists():
                    await self._take(job, step, take)
            return await self._passed_through(job)
        except NothingToLearn as nothing:
            return await self._record(job, "skipped", step, str(nothing))
        except HoneError as failed:
            return await self._failed(job, step, failed, str(failed))
        except Exception as bug:
            log.exception("run %s of %s failed", run.number, run.assistant)
            return await self._failed(job, step, bug, f"An unexpected error ended it: {bug!r}.")
        finally:
            self.running = ""

    def _open(self, job: Job) -> None:
        """Make the run's folder say whose it is; another run's folder is never written to."""
        if job.folder.job.exists():
            if read_json(job.folder.job)["run_id"] != job.run.id:
                raise Conflict(f"{job.folder.path} belongs to another run.", "Move it away, then run again.")
            return
        told = {"run_id": job.run.id, "assistant": job.run.assistant, "number": job.run.number}
        write_json(job.folder.job, {**told, "principal": job.run.principal})

    async def _take(self, job: Job, step: str, take: Callable[[Job], Awaitable[None]]) -> None:
        """One step, tried again while the engine is away; what it cost is noted, however it ended."""
        await self._record(job, "running", step)
        meter = Meter(lambda: self._steps.answered)
        try:
            async with meter:
                with spans.span(step):
                    await self._patiently(job, step, take)
        finally:
            append_line(job.folder.times, {"step": step, **meter.told})

    async def _patiently(self, job: Job, step: str, take: Callable[[Job], Awaitable[None]]) -> None:
        faults = 0
        for wait in self._waits:
            try:
                return await take(job)
            except CannotSwap:
                raise
            except EngineError as trouble:
                faults += not isinstance(trouble, EngineUnavailable | EngineBusy)
                if faults == FAULTS:
                    raise
                log.info("%s waits %.0f s: %s", step, wait, trouble)
                await asyncio.sleep(wait)
        await take(job)

    async def _passed_through(self, job: Job) -> Run:
        """The end; a version that passed may still be refused by its shadow, or wait for a pin to end."""
        verdict, rolled = read_json(job.folder.verdict), read_json(job.folder.rollout)["state"]
        ended, reason = ENDS[verdict["decision"]], " ".join(verdict["reasons"])
        if ended == "passed" and rolled in ("refused", "candidate"):
            version = await asyncio.to_thread(self._ledger.version, job.version)
            ended, reason = "refused" if rolled == "refused" else ended, f"{version.reason} {reason}"
        return await self._record(job, ended, "account", reason, read_json(job.folder.account))

    async def _failed(self, job: Job, step: str, error: Exception, reason: str) -> Run:
        """Record the failure; a version that takes no traffic yet is put aside, refused where it can't be
        served."""
        if job.version and await self._waits_for_its_end(job.version):
            unfit = isinstance(error, CannotSwap) and not isinstance(error, NoRoom)
            state: VersionState = "refused" if unfit else "abstained"
            try:
                await self._steps.put_aside(job, state, f"The run failed before it was judged: {reason}")
            except HoneError as also:
                log.warning("%s could not be put aside: %s", job.version, also)
        return await self._record(job, "failed", step, reason)

    async def _waits_for_its_end(self, version: str) -> bool:
        """Whether a run may still say what becomes of its version: not once that takes traffic."""
        found = await asyncio.to_thread(self._ledger.version, version)
        return found.state in ("training", "candidate")

    async def _record(
        self, job: Job, state: RunState, step: str, reason: str = "", detail: dict[str, Any] | None = None
    ) -> Run:
        def record() -> Run:
            run = job.run
            self._ledger.record_run(
                run_id=run.id,
                assistant=run.assistant,
                number=run.number,
                state=state,
                step=step,
                principal=run.principal,
                folder=run.folder,
                version=job.version,
                reason=reason,
                detail={**run.detail, **(detail or {})},
            )
            return self._ledger.run(run.id)

        return await asyncio.to_thread(record)


def unfinished(ledger: Ledger) -> list[Run]:
    """The runs that an ended process left behind, the oldest first."""
    return [run for run in reversed(ledger.runs()) if run.state in GOING]
