"""When the tuner runs by itself, and the reason, in words, whenever it does not.

Looks every few minutes at each assistant: its rollout is looked after, then a run left behind by an
ended process goes on, then one that is due begins. Only this file knows APScheduler. What a run does is
the cycle's, what a rollout does the watch's.

Trail: hone/app.py -> here -> tuner/watch.py, tuner/cycle.py
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from feedback import affected, pairs
from feedback.assistants import Assistants
from feedback.errors import Conflict, HoneError
from feedback.ledger import Ledger
from feedback.records import Pair, Run, now
from feedback.store import Store
from tuner.cycle import GOING, Cycle, unfinished
from tuner.rollout import ITSELF
from tuner.watch import Watch

JUDGED = ("passed", "abstained", "refused")
REBUILT = (*JUDGED, "skipped")
"""How a run ends that saw what was left after an erasure."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """When a run is due."""

    new_pairs: int = 50
    """New approved pairs that make a run due ..."""
    new_share: float = 0.10
    """... or this share of all approved pairs, where that is more."""
    max_age: timedelta = timedelta(days=30)
    """How long any new pair may wait."""
    cooldown: timedelta = timedelta(hours=6)
    """Least time between the end of a run and the next."""
    hours: tuple[int, int] | None = None
    """Local hours, from and to, in which runs start; None is any."""

    def open_at(self, hour: int) -> bool:
        if self.hours is None:
            return True
        begin, end = self.hours
        return begin <= hour < end if begin <= end else hour >= begin or hour < end


def due(
    terms: Terms,
    approved: Sequence[Pair],
    runs: Sequence[Run],
    at: datetime,
    erased_at: datetime | None = None,
) -> tuple[bool, str]:
    """Whether a run is due, and why or why not; `runs` are the assistant's, the newest first.

    `erased_at` is when rows were erased that a serving version had learnt from: it is due to be rebuilt
    without them, however few pairs are new. The reason changes only when something did, so that
    recording changes keeps a short history.
    """
    judged = next((run for run in runs if run.state in JUDGED), None)
    new = [pair for pair in approved if judged is None or pair.at > judged.started_at]
    if erased_at and not any(run.state in REBUILT and run.started_at > erased_at for run in runs):
        return _when(terms, "A version learnt from words that were erased", runs, at)
    enough = max(terms.new_pairs, ceil(terms.new_share * len(approved)))
    since = f" since run {judged.number}" if judged else ""
    if not new:
        return False, f"There is no new approved pair{since}."
    counted = f"{len(new)} new approved pair{'s' if len(new) > 1 else ''}{since}"
    old = min(pair.at for pair in new) + terms.max_age <= at
    if len(new) < enough and not old:
        return False, f"{counted}; {enough} start a run."
    why = f"{counted}" if len(new) >= enough else f"{counted}, the oldest over {terms.max_age.days} days old"
    return _when(terms, why, runs, at)


def _when(terms: Terms, why: str, runs: Sequence[Run], at: datetime) -> tuple[bool, str]:
    """Whether a run that there is reason for may start now."""
    last = next((run for run in runs if run.state not in GOING), None)
    if last and at < last.changed_at + terms.cooldown:
        rested = _clock(last.changed_at + terms.cooldown)
        return False, f"{why}; after run {last.number} the tuner rests until {rested}."
    if not terms.open_at(at.astimezone().hour):
        begin, end = terms.hours or (0, 24)
        return False, f"{why}; runs start by themselves between {begin} and {end} o'clock."
    return True, f"{why}."


class Schedule:
    """Looks, decides and starts runs, from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        cycle: Cycle,
        terms: Terms,
        *,
        minutes: float = 5.0,
        enabled: bool = True,
        clock: Callable[[], datetime] = now,
        watch: Watch | None = None,
        tidy: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`minutes` between looks; not `enabled`, only runs left behind and rollouts go on by themselves.

        `tidy` is called at each look: it withdraws what was kept only until it was rebuilt.
        """
        self._tidy = tidy
        self._store, self._ledger, self._cycle, self._terms = store, ledger, cycle, terms
        self._minutes, self._enabled, self._clock, self._watch = minutes, enabled, clock, watch
        self._looking, self._again = asyncio.Lock(), False
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    async def start(self) -> None:
        self._scheduler.add_job(
            self.look,
            "interval",
            minutes=self._minutes,
            id="look",
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            next_run_time=now(),
        )
        self._scheduler.start()

    async def stop(self) -> None:
        """Look no more; a run in progress stays where it is and goes on after the next start."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        async with self._looking:
            await self._cycle.stop()

    def wake(self) -> None:
        """Look soon instead of in a few minutes: an engine came up, or pairs were approved."""
        if self._looking.locked():
            self._again = True  # the scheduler would skip a look that begins during another
        elif self._scheduler.running:
            self._scheduler.modify_job("look", next_run_time=now())

    async def look(self) -> None:
        """Go on with what was left behind, else start the first run that is due; errors end no look.

        Looks can come twice in a burst after the loop was held up, so a second one leaves at once.
        """
        if self._looking.locked():
            return
        async with self._looking:
            self._again = True
            while self._again:
                self._again = False
                await self._look_once()

    async def due(self, assistant: str) -> tuple[bool, str]:
        """Whether a run of this assistant is due, and why or why not."""

        def read() -> tuple[list[Pair], list[Run], datetime | None, str]:
            approved, erased_at = (
                pairs.approved(self._store, assistant),
                affected.rebuild_since(self._store, assistant),
            )
            return approved, self._ledger.runs(assistant), erased_at, self._barred(assistant)

        approved, runs, erased_at, barred = await asyncio.to_thread(read)
        wanted, reason = due(self._terms, approved, runs, self._clock(), erased_at)
        return (False, f"{reason} {barred}") if wanted and barred else (wanted, reason)

    def _barred(self, assistant: str) -> str:
        """Why no run of an assistant starts by itself, due or not; empty where one may."""
        if not self._enabled:
            return "The tuner starts no run by itself (tuner.enabled)."
        pause = self._ledger.orders.standing(assistant).get("pause")
        if pause:
            return f"{pause}"
        stages = self._ledger.rollouts.stages(assistant)
        return f"The canary {stages[0].version} is decided first." if stages else ""

    async def _look_once(self) -> None:
        try:
            if self._watch:
                known = await asyncio.to_thread(Assistants(self._store).list)
                await self._watch.look([assistant.name for assistant in known])
            if self._tidy:
                await self._tidy()
            if not self._cycle.running:
                await self._go_on()
            await self._begin_what_is_due()
        except HoneError as trouble:
            log.warning("the tuner could not look: %s", trouble)

    async def _go_on(self) -> None:
        left = await asyncio.to_thread(unfinished, self._ledger)
        if left:
            await self._cycle.resume(left[0])

    async def _begin_what_is_due(self) -> None:
        for assistant in await asyncio.to_thread(Assistants(self._store).list):
            wanted, reason = await self.due(assistant.name)
            if wanted and self._cycle.running:
                wanted, reason = False, f"{reason[:-1]}; it waits for {self._cycle.running}."
            await asyncio.to_thread(self._ledger.record_decision, assistant.name, wanted, reason)
            if wanted:
                try:
                    await self._cycle.begin(assistant.name, ITSELF)
                except Conflict as busy:
                    log.info("the run of %s waits: %s", assistant.name, busy)


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M")
