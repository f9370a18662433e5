"""Looks at each assistant's canary and live version, and takes the step that the thumbs ask for.

All it knows is in the store, so a process that was killed goes on where it was. Every step is recorded
with its evidence; what it says of its own accord is also in the log. Decides by `tuner/canary.py` and
`tuner/drift.py`; changes routes through `tuner/rollout.py` alone.

Trail: tuner/schedule.py -> here -> tuner/canary.py, tuner/drift.py, tuner/rollout.py
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from feedback.errors import HoneError
from feedback.ledger import Ledger
from feedback.records import now
from feedback.rollouts import Event
from tuner.canary import Step, Terms, after, judge, percent, rated_since, weigh
from tuner.drift import Drift, drift
from tuner.rollout import ITSELF, Rollout

PAST_DAYS = 90
"""How far back an earlier version's thumbs are asked for."""
log = logging.getLogger(__name__)


class Watch:
    """Watches the rollouts of one home."""

    def __init__(
        self,
        ledger: Ledger,
        rollout: Rollout,
        terms: Terms,
        *,
        secret: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """`secret` is what conversations draw their lots by (`serve/router.py`)."""
        self._ledger, self._rollout, self._terms = ledger, rollout, terms
        self._secret, self._clock = secret, clock
        self._told_before: dict[str, tuple[tuple[int, datetime], dict[str, Any]]] = {}

    async def look(self, assistants: list[str]) -> None:
        """Take each assistant's next step, if there is one; a fault with one leaves the others."""
        for assistant in assistants:
            try:
                if not await self._canary(assistant):
                    await self._drift(assistant)
            except HoneError as trouble:
                log.warning("the rollout of %s waits: %s", assistant, trouble)

    async def told(self, assistant: str) -> dict[str, Any]:
        """What `GET /v1/assistants/NAME/rollout` says: the canary, drift, standing orders and events."""
        return await asyncio.to_thread(self._told_once, assistant)

    async def _canary(self, assistant: str) -> bool:
        """Whether there is a canary; its step is taken."""
        stages = await asyncio.to_thread(self._ledger.rollouts.stages, assistant)
        if not stages:
            return False
        step, reason, evidence = await asyncio.to_thread(self._judged, assistant, stages)
        now_at = stages[-1]
        version, share = now_at.version, now_at.share or 0.0
        if step is Step.BACK:
            log.warning("notice: the canary %s is rolled back: %s", version, reason)
            await self._rollout.withdraw(version, ITSELF, reason, evidence)
        elif step is Step.ON:
            told = f"{reason} Now {percent(after(share))} of the conversations."
            await self._rollout.stage(
                *(version, after(share), ITSELF, told),
                evidence=evidence,
                run_id=now_at.run_id,
                at_stage=share,
            )
        elif step is Step.LIVE:
            await self._rollout.promote(
                *(version, ITSELF, reason, now_at.run_id), at_stage=share, evidence=evidence
            )
        return True

    def _judged(self, assistant: str, stages: list[Event]) -> tuple[Step, str, dict[str, Any]]:
        live = self._ledger.live(assistant).version
        thumbs = self._ledger.rollouts.thumbs(assistant, stages[0].at)
        wager = weigh(thumbs, stages, live, self._secret, self._terms.margin)
        orders = self._ledger.orders.standing(assistant, live, stages[0].version)
        barred = next((f"{orders[kind]}" for kind in ("hold", "pin") if kind in orders), "")
        rated = rated_since(thumbs, stages[0].version, stages[-1].at)
        step, reason = judge(wager, stages, rated, self._terms, self._clock(), barred)
        return step, reason, wager.as_dict()

    async def _drift(self, assistant: str) -> None:
        """Raise the alarm once for each version, and roll back where that is set and it isn't pinned."""
        events, seen = await asyncio.to_thread(self._drifted, assistant)
        if not events or not seen.alarm or any(_alarmed(event) for event in events):
            return
        version = events[0].version
        reason = f"Drift alarm: {seen}."
        log.warning("notice: %s: %s", version, reason)
        await asyncio.to_thread(
            self._ledger.rollouts.record,
            assistant=assistant,
            version=version,
            state="live",
            reason=reason,
            principal=ITSELF.name,
            evidence={"drift": seen.as_dict()},
        )
        orders = await asyncio.to_thread(self._ledger.orders.standing, assistant, version)
        if self._terms.drift == "rollback" and "pin" not in orders:
            await self._rollout.roll_back(assistant, ITSELF, reason)

    def _drifted(self, assistant: str) -> tuple[list[Event], Drift]:
        """What happened to the live version since it went live, and its thumbs beside the earlier one's."""
        live = self._ledger.live(assistant)
        events = self._ledger.rollouts.live_events(assistant, live.version)
        if not events or live.is_base:
            return [], drift((), ())
        began = events[0].at
        before = self._ledger.previous(assistant).version
        thumbs = self._ledger.rollouts.thumbs(assistant, began - timedelta(days=PAST_DAYS))
        ours = [t for t in thumbs if t.version == live.version and t.asked_at >= began]
        return events, drift(ours, [t for t in thumbs if t.version == before and t.asked_at < began])

    def _told_once(self, assistant: str) -> dict[str, Any]:
        """As `_told`, computed anew after an event or a minute only: pages ask every two seconds."""
        asked = self._ledger.rollouts.newest(), self._clock().replace(second=0, microsecond=0)
        before = self._told_before.get(assistant)
        if before is None or before[0] != asked:
            before = self._told_before[assistant] = asked, self._told(assistant)
        return before[1]

    def _told(self, assistant: str) -> dict[str, Any]:
        live = self._ledger.live(assistant).version
        stages = self._ledger.rollouts.stages(assistant)
        serving = [live, *(stage.version for stage in stages[:1])]
        orders = self._ledger.orders.standing(assistant, *serving)
        events, seen = self._drifted(assistant)
        history = reversed(self._ledger.rollouts.events(assistant))
        return {
            "live": live,
            "canary": self._canary_told(assistant, stages) if stages else None,
            "drift": seen.as_dict() | {"told": str(seen)} if events else None,
            "orders": {kind: _order(order) for kind, order in orders.items()},
            "events": [_event(event) for _, event in zip(range(50), history, strict=False)],
        }

    def _canary_told(self, assistant: str, stages: list[Event]) -> dict[str, Any]:
        step, reason, evidence = self._judged(assistant, stages)
        share = stages[-1].share or 0.0
        return {
            "version": stages[-1].version,
            "share": share,
            "next_share": after(share),
            "since": stages[-1].at.isoformat(),
            "began": stages[0].at.isoformat(),
            "step": step,
            "told": reason,
            "evidence": evidence,
        }


def _alarmed(event: Event) -> bool:
    return "drift" in (event.evidence or {})


def _order(order: Any) -> dict[str, str]:
    told = {"at": order.at.isoformat(), "principal": order.principal, "version": order.version}
    return {**told, "reason": order.reason}


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "version": event.version,
        "state": event.state,
        "share": event.share,
        "reason": event.reason,
        "evidence": event.evidence,
        "principal": event.principal,
    }
