"""The tuner as the pages and the API know it: keeps the promise of `serve/operations.py`.

Builds the tuner's parts from the settings and translates their records; decides nothing itself.

Trail: serve/operations.py -> here -> tuner/cycle.py, tuner/rollout.py, tuner/schedule.py
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from feedback import tallies, verdicts
from feedback.errors import Conflict, HoneError
from feedback.ledger import Ledger
from feedback.orders import Order
from feedback.records import Principal, Run, Version, now
from feedback.store import Store
from hone.home import Home
from hone.judging import judge
from hone.learning_sections import Tuner as TunerSettings
from hone.machine import physical_cores
from hone.policy import policy
from hone.server_verbs import ServerVerbs
from hone.settings import Settings
from hone.training import launcher
from serve.api.operate import run_record
from tuner import account, canary, child
from tuner.cleansing import Cleansing
from tuner.cycle import ORDER, Cycle
from tuner.gate import Rules
from tuner.launch import Launch
from tuner.plan import RunFolder, read_json
from tuner.rollout import Rollout
from tuner.schedule import Schedule, Terms
from tuner.steps import Steps
from tuner.watch import Watch

TOLD = 500
"""Pairs left out that are told one by one; the counts are of all."""


class Tuning:
    """The tuner of one home, from `start` to `stop`."""

    def __init__(
        self, home: Home, settings: Settings, store: Store, ledger: Ledger, server: ServerVerbs
    ) -> None:
        tuner = settings.tuner
        self._ledger = ledger
        self._store = store
        self._policy = policy(settings.curation)
        self._rollout = Rollout(ledger, server, home.folder)
        terms = _rollout_terms(tuner)
        self._watch = Watch(ledger, self._rollout, terms, secret=home.secret("salt"))
        threads = tuner.threads or max(1, physical_cores() // tuner.processes)
        trained_by = launcher(settings.training, threads=threads, processes=tuner.processes)
        steps = Steps(
            store,
            ledger,
            server,
            Launch(ledger, server, self._rollout, home.folder, terms),
            home.folder,
            salt=tuner.salt or home.secret("salt"),
            threads=threads,
            launcher=trained_by,
            max_tokens=tuner.max_tokens,
            plan={"replay_share": tuner.replay_share},
            rules=Rules(margin=tuner.gate_margin),
            general_items=tuner.general_items,
            engine=f"{settings.engine.kind} {settings.engine.device} {settings.engine.dtype}",
            policy=self._policy,
            judge=judge(tuner.judge_url, tuner.judge_model),
        )
        self._verdicts: dict[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]] = {}
        self._verdicts_to = 0
        self._steps = steps
        self._cycle = Cycle(ledger, steps, home.folder)
        self.cleansing = Cleansing(
            store, ledger, self._cycle, self._rollout, home.folder, settings.training.storage
        )
        self._schedule = Schedule(
            *(store, ledger, self._cycle, _terms(tuner)),
            minutes=tuner.check_minutes,
            enabled=tuner.enabled,
            watch=self._watch,
            tidy=self.cleansing.retire,
        )

    async def start(self) -> None:
        await self._schedule.start()

    async def stop(self) -> None:
        await self._schedule.stop()

    async def engine_ready(self) -> None:
        """Make the routes what the ledger says, and look whether a run waits for the engine."""
        await self._rollout.restore()
        self._schedule.wake()

    def wake(self) -> None:
        """Look soon whether a run is due."""
        self._schedule.wake()

    async def start_run(self, assistant: str, principal: Principal) -> Run:
        return await self._cycle.begin(assistant, principal, forced=True)

    async def run(self, run_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(self._told, run_id)

    async def runs(self, assistant: str | None = None) -> Sequence[Run]:
        return await asyncio.to_thread(self._ledger.runs, assistant)

    async def versions(self, assistant: str | None = None) -> Sequence[Version]:
        return await asyncio.to_thread(self._ledger.versions, assistant)

    async def verdicts(self) -> Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]]:
        fresh = await asyncio.to_thread(verdicts.said, self._store, self._verdicts_to)
        for row in fresh:  # pages ask every two seconds, and what was judged stays so
            self._verdicts[row["version"]] = row["reasons"], row["coded"] or ()
            self._verdicts_to = row["seq"]
        return self._verdicts

    async def promote(self, version: str, principal: Principal, reason: str) -> Version:
        return await self._rollout.promote(version, principal, reason)

    async def roll_back(self, assistant: str, principal: Principal, reason: str) -> Version:
        return await self._rollout.roll_back(assistant, principal, reason)

    async def order(self, assistant: str, order: Order, principal: Principal, reason: str) -> dict[str, Any]:
        def give() -> None:
            version = "" if order == "pause" else self._ledger.live(assistant).version
            if order == "hold":
                stages = self._ledger.rollouts.stages(assistant)
                if not stages:
                    raise Conflict(f"{assistant} has no canary to hold.", "Pin its live version instead.")
                version = stages[0].version
            give_order = self._ledger.orders.give
            give_order(assistant, order, version=version, reason=reason, principal=principal.name)

        await asyncio.to_thread(give)
        return await self.rollout(assistant)

    async def rollout(self, assistant: str) -> dict[str, Any]:
        compared = await asyncio.to_thread(tallies.tallies, self._store, assistant)
        return {**await self._watch.told(assistant), "comparisons": compared}

    async def decisions(self, assistant: str) -> Sequence[dict[str, Any]]:
        return await asyncio.to_thread(self._ledger.decisions, assistant)

    async def curation(self, assistant: str) -> dict[str, Any]:
        checked = True
        try:
            curated = await self._steps.curated(assistant)
        except HoneError:  # no engine, so no tokenizer: all but the lengths can still be told
            checked = False
            curated = await asyncio.to_thread(self._steps.curate, assistant, 1, lambda _: 0)
        left = [
            {"exchange_id": out.pair.exchange_id, "reason": out.reason, "detail": out.detail}
            for out in curated.left_out[:TOLD]
        ]
        return {
            **curated.account,
            "groups": len(curated.groups),
            "lengths_checked": checked,
            "pairs_left_out": left,
        }

    def _told(self, run_id: str) -> dict[str, Any]:
        """The run's newest record with what its folder tells: progress, verdict, and what it cost."""
        run = self._ledger.run(run_id)
        folder = RunFolder(Path(run.folder))
        progress = _progress(folder)
        return {
            **run_record(run),
            "detail": run.detail,
            "progress": progress,
            "gate": _gate(folder),
            **self._left(run, progress),
        }

    def _left(self, run: Run, progress: dict[str, Any] | None) -> dict[str, Any]:
        """About how many seconds a run in progress may still take, by what an earlier one took.

        `left_of` is `training` where there was none: then only that much can be told.
        """
        if run.state != "running":
            return {"left_seconds": None, "left_of": ""}
        earlier = [other for other in self._ledger.runs() if other.detail.get("steps")]
        earlier.sort(key=lambda other: other.assistant != run.assistant)
        before = earlier[0].detail["steps"] if earlier else {}
        inside = (now() - run.changed_at).total_seconds()
        left = account.left(ORDER, run.step, inside, progress, before)
        return {"left_seconds": left, "left_of": "run" if before else "training"}


def _terms(tuner: TunerSettings) -> Terms:
    begin, _, end = tuner.quiet_hours.partition("-")
    return Terms(
        new_pairs=tuner.min_new_pairs,
        new_share=tuner.min_new_share,
        max_age=timedelta(days=tuner.max_age_days),
        cooldown=timedelta(hours=tuner.cooldown_hours),
        hours=(int(begin), int(end)) if end else None,
    )


def _rollout_terms(tuner: TunerSettings) -> canary.Terms:
    return canary.Terms(
        rollout=tuner.rollout,
        days=tuner.canary_days,
        hours=tuner.canary_hours,
        ratings=tuner.canary_ratings,
        margin=tuner.canary_margin,
        shadow=tuner.shadow_prompts,
        drift=tuner.drift,
    )


def _progress(folder: RunFolder) -> dict[str, Any] | None:
    """The training child's last line, with all lines as its `history`."""
    history = child.progress(folder)
    return {**history[-1], "history": history} if history else None


def _gate(folder: RunFolder) -> dict[str, Any] | None:
    """The verdict, and every held-out item with what both versions said."""
    if not folder.verdict.exists():
        return None
    told = read_json(folder.verdict)
    items = read_json(folder.evaluation)["items"]
    return {
        "verdict": told["decision"],
        "reasons": told["reasons"],
        "coded": told.get("coded", []),
        "numbers": told["numbers"],
        "items": items,
    }
