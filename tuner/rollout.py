"""Which version is live and which is a canary: promote one, give one a share, or roll back.

Order of a change: bytes checked, loaded beside, routed, recorded, and only then is what nobody needs
any more unloaded, when its answers in flight have ended. Live, previous and canary stay in memory, so
going back is a change of route. Knows nothing of gates and thumbs: whoever promotes has a reason.

Trail: tuner/launch.py, tuner/watch.py -> here -> serve/router.py
"""

import asyncio
import logging
from pathlib import Path
from typing import Any

from feedback import spans
from feedback.errors import BadAdapter, BadRequest, CannotSwap, Conflict, EngineError, HoneError, OtherBase
from feedback.ledger import Ledger
from feedback.records import Principal, Role, Version, VersionState
from feedback.rollouts import Event
from tuner import registry
from tuner.server import Server

ITSELF = Principal("hone", Role.OPERATOR)
"""Who does what nobody asked for by hand."""
log = logging.getLogger(__name__)


class Rollout:
    """The changes of route of one home, one at a time."""

    def __init__(self, ledger: Ledger, server: Server, home: Path) -> None:
        self._ledger, self._server, self._home = ledger, server, home
        self._turn = asyncio.Lock()
        self._freeing: set[asyncio.Task[None]] = set()

    async def begin(self, version: str, principal: Principal, reason: str, run_id: str = "") -> VersionState:
        """Let a version that passed take traffic, all of it at once; `tuner/launch.py` goes by stages."""
        return (await self.promote(version, principal, reason, run_id)).state

    async def promote(
        self,
        version: str,
        principal: Principal,
        reason: str,
        run_id: str = "",
        *,
        at_stage: float = 0.0,
        evidence: dict[str, Any] | None = None,
    ) -> Version:
        """Give all new requests to a version, and end the canary; promoting what is live changes nothing.

        Raises:
            UnknownVersion: There is no such version.
            BadRequest: No reason was given.
            Conflict: Its words were erased, or it is no longer a canary with the share `at_stage`.
            BadAdapter: Its files are not those it was made with.
        """
        if not reason.strip():
            raise BadRequest(
                "A promotion needs a reason.", "Say in a sentence why this version should answer."
            )
        async with self._turn:
            found = await self._servable(version, at_stage)
            before = await asyncio.to_thread(self._ledger.live, found.assistant)
            older = await asyncio.to_thread(self._ledger.previous, found.assistant)
            canary = await self._canary(found.assistant)
            await self._route(found)
            if canary:
                await self._server.share(found.assistant, canary.version, 0.0)
            if before.version == version:
                return before
            now = await self._record(found, reason, principal, run_id, evidence)
            if canary and canary.version != version:
                await self._retire(canary, f"{version} was promoted instead.", principal)
            if older.version not in (version, before.version):
                await self._retire(older, "A newer version is kept for rolling back.", principal)
            return now

    async def stage(
        self,
        version: str,
        share: float,
        principal: Principal,
        reason: str,
        *,
        evidence: dict[str, Any] | None = None,
        run_id: str = "",
        at_stage: float = 0.0,
    ) -> None:
        """Make a version the canary with this share of its assistant's conversations, in another's place.

        Raises:
            Conflict: It is live, its words were erased, or its share is no longer `at_stage` (0: none).
            BadAdapter: Its files are not those it was made with.
        """
        async with self._turn:
            found = await self._servable(version, at_stage)
            if found.state == "live":
                raise Conflict(f"Version {version} is live.", "A canary is a version that is not.")
            other = await self._canary(found.assistant)
            with spans.span("publish", {"hone.version": version, "hone.share": share}):
                await self._load(found)
                await self._server.share(found.assistant, version, share)
            await self._note(
                found, "canary", reason, principal, share=share, evidence=evidence, run_id=run_id
            )
            if other and other.version != version:
                await self._retire(other, f"{version} takes its place as canary.", principal)

    async def withdraw(
        self, version: str, principal: Principal, reason: str, evidence: dict[str, Any] | None = None
    ) -> None:
        """End a canary: its conversations go on with the live version, its running answers to their end.

        Raises:
            Conflict: It is no canary.
        """
        async with self._turn:
            found = await asyncio.to_thread(self._ledger.version, version)
            if found.state != "canary":
                raise Conflict(f"Version {version} is no canary.", "Look at the versions again.")
            await self._withdraw(found, reason, principal, evidence)

    async def roll_back(self, assistant: str, principal: Principal, reason: str) -> Version:
        """Take back the newest change: end the canary, else return to the version live before, or the base.

        Raises:
            Conflict: The base answers already, so there is nothing to go back to.
        """
        async with self._turn:
            live = await asyncio.to_thread(self._ledger.live, assistant)
            canary = await self._canary(assistant)
            if canary:
                await self._withdraw(canary, reason.strip() or "Its canary was ended.", principal)
                return live
            if live.is_base:
                raise Conflict(f"The base of {assistant} answers already.", "Promote a version instead.")
            target = await self._usable(assistant, live)
            why = reason.strip() or f"Rolled back from {live.version}."
            await self._route(target)
            now = await self._record(target, why, principal)
            await self._retire(live, why, principal)
            return now

    async def restore(self) -> None:
        """Route every assistant to what the ledger says is live, its canary's share included.

        A kill between a change of route and its record leaves the two apart; the ledger, which is what
        was acknowledged, wins. A version that cannot be loaded is said so and keeps its route: its
        assistant then answers with an error, and never with another version in disguise. Where another base
        model was set, its assistants go back to that base, and the next run begins there. Versions that
        learnt from erased words leave memory.
        """
        async with self._turn:
            versions = await asyncio.to_thread(self._ledger.versions)
            for version in versions:
                if version.state == "live":
                    try:
                        await self._route(version)
                    except OtherBase as other:
                        await self._to_base(version, str(other))
                    except HoneError as broken:
                        log.error("%s is live and cannot be served: %s", version.version, broken)
                    await self._restore_canary(version.assistant)
            for version in versions:
                if version.state == "erased":
                    self._free_soon(version.version)

    async def _to_base(self, live: Version, reason: str) -> None:
        base = await asyncio.to_thread(self._ledger.version, f"{live.assistant}@0")
        await self._route(base)
        await self._record(base, reason, ITSELF)
        await self._retire(live, reason, ITSELF)
        log.warning("%s answers with the base: %s", live.assistant, reason)

    async def _restore_canary(self, assistant: str) -> None:
        """The stage as it was recorded; a canary that can't be served is withdrawn, as nobody needs it."""
        stages = await asyncio.to_thread(self._ledger.rollouts.stages, assistant)
        if not stages:
            await self._server.share(assistant, "", 0.0)
            return
        now: Event = stages[-1]
        found = await asyncio.to_thread(self._ledger.version, now.version)
        try:
            await self._load(found)
            await self._server.share(assistant, now.version, now.share or 0.0)
        except (BadRequest, CannotSwap) as broken:
            await self._withdraw(found, f"It cannot be served: {broken}", ITSELF)
        except EngineError as away:
            log.warning("the canary %s waits for the engine: %s", now.version, away)

    async def _servable(self, version: str, at_stage: float) -> Version:
        found = await asyncio.to_thread(self._ledger.version, version)
        if found.state == "erased":
            raise Conflict(f"Version {version} learnt from erased words.", "Promote another version.")
        if at_stage:
            stages = await asyncio.to_thread(self._ledger.rollouts.stages, found.assistant)
            if not stages or (stages[-1].version, stages[-1].share) != (version, at_stage):
                raise Conflict(f"The rollout of {version} was changed meanwhile.", "Look at it again.")
        return found

    async def _canary(self, assistant: str) -> Version | None:
        stages = await asyncio.to_thread(self._ledger.rollouts.stages, assistant)
        return await asyncio.to_thread(self._ledger.version, stages[-1].version) if stages else None

    async def _withdraw(
        self, canary: Version, reason: str, principal: Principal, evidence: dict[str, Any] | None = None
    ) -> None:
        await self._server.share(canary.assistant, canary.version, 0.0)
        await self._note(canary, "withdrawn", reason, principal, evidence=evidence)
        self._free_soon(canary.version)

    async def _usable(self, assistant: str, live: Version) -> Version:
        """The version before, or the base where that one's files were damaged meanwhile."""
        before = await asyncio.to_thread(self._ledger.previous, assistant)
        if before.is_base or before.version == live.version:
            return await asyncio.to_thread(self._ledger.version, f"{assistant}@0")
        try:
            base = await self._server.base_folder()
            await asyncio.to_thread(registry.usable, self._home, before.version, base)
        except BadAdapter as unfit:
            log.warning("rolling back to the base: %s", unfit)
            return await asyncio.to_thread(self._ledger.version, f"{assistant}@0")
        return before

    async def _route(self, version: Version) -> None:
        with spans.span("publish", {"hone.version": version.version, "hone.share": 1.0}):
            await self._load(version)
            with spans.span("route"):
                await self._server.route(version.assistant, version.version)

    async def _load(self, version: Version) -> None:
        if not version.is_base:
            base = await self._server.base_folder()
            with spans.span("verify"):
                await asyncio.to_thread(registry.usable, self._home, version.version, base)
            with spans.span("load"):
                await self._server.load(version.version, registry.folder(self._home, version.version))

    async def _note(
        self, version: Version, state: VersionState, reason: str, principal: Principal, **more: Any
    ) -> None:
        await asyncio.to_thread(
            self._ledger.rollouts.record,
            assistant=version.assistant,
            version=version.version,
            state=state,
            reason=reason,
            principal=principal.name,
            **more,
        )

    async def _record(
        self,
        version: Version,
        reason: str,
        principal: Principal,
        run_id: str = "",
        evidence: dict[str, Any] | None = None,
    ) -> Version:
        name = version.version
        set_state = self._ledger.set_state
        return await asyncio.to_thread(set_state, name, "live", reason, principal.name, run_id, evidence)

    async def _retire(self, version: Version, reason: str, principal: Principal) -> None:
        """Mark a version that nobody needs at hand; its memory is freed when its answers have ended."""
        if version.is_base or version.state == "erased":
            return
        set_state = self._ledger.set_state
        await asyncio.to_thread(set_state, version.version, "withdrawn", reason, principal.name)
        self._free_soon(version.version)

    def _free_soon(self, version: str) -> None:
        freeing = asyncio.create_task(self._free(version), name=f"free {version}")
        self._freeing.add(freeing)
        freeing.add_done_callback(self._freeing.discard)

    async def _free(self, version: str) -> None:
        try:
            await self._server.unload(version)
        except HoneError as stays:  # it holds a slot until the engine restarts, and harms nobody
            log.warning("%s stays in memory: %s", version, stays)

    async def freed(self) -> None:
        """Wait until all that was retired has left memory."""
        await asyncio.gather(*self._freeing)
