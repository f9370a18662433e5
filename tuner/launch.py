"""How a version that passed the gate begins to take traffic: by stages where thumbs can decide, else at once.

A shadow replay comes first. A pinned live version is not replaced, whatever passed. Each way ends in a
state that is recorded with its reason, and may be begun again after a kill. What the stages then do is
the watch's.

Trail: tuner/steps.py -> here -> tuner/shadow.py, tuner/rollout.py, tuner/watch.py
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from feedback.errors import HoneError
from feedback.ledger import Ledger
from feedback.records import Principal, Version, VersionState, now
from feedback.rollouts import Thumb
from tuner import registry
from tuner.canary import LADDER, Terms, percent
from tuner.rollout import Rollout
from tuner.server import Server
from tuner.shadow import Shadow, shadow
from tuner.wager import Weights, needed


class Launch:
    """Begins the rollouts of one home."""

    def __init__(
        self,
        ledger: Ledger,
        server: Server,
        rollout: Rollout,
        home: Path,
        terms: Terms,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ledger, self._server, self._rollout = ledger, server, rollout
        self._home, self._terms, self._clock = home, terms, clock

    async def begin(self, version: str, principal: Principal, reason: str, run_id: str = "") -> VersionState:
        """The state in which a version that passed is now: live, canary, refused, or a candidate that waits.

        Raises:
            EngineUnavailable, EngineBusy: Later it may do; nothing was changed.
        """
        found = await asyncio.to_thread(self._ledger.version, version)
        if found.state not in ("training", "candidate", "erased"):
            return found.state  # begun before a kill, and perhaps taken back by a person since
        live = await asyncio.to_thread(self._ledger.live, found.assistant)
        orders = await asyncio.to_thread(self._ledger.orders.standing, found.assistant, live.version)
        if "pin" in orders:
            return await self._aside(found, "candidate", f"It passed, but {orders['pin']}", principal, run_id)
        seen = await self._shadowed(found)
        if seen.refused:
            why = f"The shadow replay refused it. {seen.refused}"
            return await self._aside(found, "refused", why, principal, run_id, seen)
        at_once = await self._at_once(found.assistant)
        if at_once:
            why = f"{reason} {at_once}".strip()
            shown = {"shadow": seen.as_dict()}
            return (await self._rollout.promote(version, principal, why, run_id, evidence=shown)).state
        told = f"{reason} It begins with {percent(LADDER[0])} of the conversations.".strip()
        await self._rollout.stage(
            *(version, LADDER[0], principal, told), evidence={"shadow": seen.as_dict()}, run_id=run_id
        )
        return "canary"

    async def _shadowed(self, version: Version) -> Shadow:
        """The version's answers to recent prompts; it is loaded for them, and routed nothing."""
        recent = self._ledger.rollouts.recent
        limit = self._terms.shadow
        exchanges = await asyncio.to_thread(recent, version.assistant, limit) if limit else ()
        folder = registry.folder(self._home, version.version)
        base = await self._server.base_folder()
        await asyncio.to_thread(registry.usable, self._home, version.version, base)
        await self._server.load(version.version, folder)
        return await shadow(self._server, version.version, exchanges)

    async def _at_once(self, assistant: str) -> str:
        """Why a version goes live without stages; empty where it goes by stages."""
        if self._terms.rollout == "live":
            return "It goes live at once, as set."
        since = self._clock() - timedelta(days=self._terms.days)
        thumbs = await asyncio.to_thread(self._ledger.rollouts.thumbs, assistant, since)
        worth, wanted = enough(thumbs, since, self._terms.days)
        if worth >= wanted:
            return ""
        return (
            f"In {self._terms.days:g} days thumbs worth {worth:.0f} users' ratings came and a canary needs "
            f"{wanted:.0f}, so it goes live at once, with the drift alarm on."
        )

    async def _aside(
        self,
        version: Version,
        state: VersionState,
        reason: str,
        principal: Principal,
        run_id: str,
        seen: Shadow | None = None,
    ) -> VersionState:
        """Mark it and free its memory, unless the engine is away or slow to let go."""
        await asyncio.to_thread(
            self._ledger.rollouts.record,
            assistant=version.assistant,
            version=version.version,
            state=state,
            reason=reason,
            principal=principal.name,
            run_id=run_id,
            evidence={"shadow": seen.as_dict()} if seen else None,
        )
        try:
            await self._server.unload(version.version)
        except HoneError:
            return state
        return state


def enough(thumbs: list[Thumb], since: datetime, days: float) -> tuple[float, float]:
    """How many users' ratings the thumbs of these days are worth, and how many a canary needs at their rate.

    Each stage is reckoned to take an equal part of the days, as it does at most.
    """
    weights = Weights()
    conversations: dict[str, Thumb] = {}
    for thumb in thumbs:
        if conversations.setdefault(thumb.conversation_id, thumb) is thumb:
            weights.next(thumb.user, (thumb.asked_at - since) * len(LADDER) // timedelta(days=days))
    down = sum(thumb.down for thumb in conversations.values())
    return weights.worth, needed((1 + down) / (4 + len(conversations)), LADDER)
