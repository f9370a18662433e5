"""Which version is live: promote one, or roll back to the one before.

Order of a change: bytes checked, loaded beside, routed, recorded, and only then is what nobody needs
any more unloaded, when its answers in flight have ended. Live and previous stay in memory, so going
back is a change of route. Knows nothing of gates: whoever promotes has a reason.

Trail: tuner/gate.py -> here -> serve/router.py
"""

import asyncio
import logging
from pathlib import Path

from feedback.errors import BadRequest, Conflict, HoneError
from feedback.ledger import Ledger
from feedback.records import Principal, Version
from tuner import registry
from tuner.server import Server

log = logging.getLogger(__name__)


class Rollout:
    """The changes of route of one home, one at a time."""

    def __init__(self, ledger: Ledger, server: Server, home: Path) -> None:
        self._ledger, self._server, self._home = ledger, server, home
        self._turn = asyncio.Lock()
        self._freeing: set[asyncio.Task[None]] = set()

    async def promote(self, version: str, principal: Principal, reason: str, run_id: str = "") -> Version:
        """Give all new requests to a version; promoting what is live changes nothing.

        Raises:
            UnknownVersion: There is no such version.
            BadRequest: No reason was given.
            Conflict: Its words were erased.
            BadAdapter: Its files are not those it was made with.
        """
        if not reason.strip():
            raise BadRequest(
                "A promotion needs a reason.", "Say in a sentence why this version should answer."
            )
        async with self._turn:
            found = await asyncio.to_thread(self._ledger.version, version)
            if found.state == "erased":
                raise Conflict(f"Version {version} learnt from erased words.", "Promote another version.")
            before = await asyncio.to_thread(self._ledger.live, found.assistant)
            older = await asyncio.to_thread(self._ledger.previous, found.assistant)
            await self._route(found)
            if before.version == version:
                return before
            now = await self._record(found, reason, principal, run_id)
            if older.version not in (version, before.version):
                await self._retire(older, "A newer version is kept for rolling back.", principal)
            return now

    async def roll_back(self, assistant: str, principal: Principal, reason: str) -> Version:
        """Give an assistant's requests back to the version that was live before, or to the base.

        Raises:
            Conflict: The base answers already, so there is nothing to go back to.
        """
        async with self._turn:
            live = await asyncio.to_thread(self._ledger.live, assistant)
            if live.is_base:
                raise Conflict(f"The base of {assistant} answers already.", "Promote a version instead.")
            target = await self._usable(assistant, live)
            why = reason.strip() or f"Rolled back from {live.version}."
            await self._route(target)
            now = await self._record(target, why, principal)
            await self._retire(live, why, principal)
            return now

    async def restore(self) -> None:
        """Route every assistant to what the ledger says is live.

        A kill between a change of route and its record leaves the two apart; the ledger, which is what
        was acknowledged, wins. A version that cannot be loaded is said so and keeps its route: its
        assistant then answers with an error, and never with another version in disguise.
        """
        async with self._turn:
            versions = await asyncio.to_thread(self._ledger.versions)
            for version in versions:
                if version.state == "live":
                    try:
                        await self._route(version)
                    except HoneError as broken:
                        log.error("%s is live and cannot be served: %s", version.version, broken)

    async def _usable(self, assistant: str, live: Version) -> Version:
        """The version before, or the base where that one's files were damaged meanwhile."""
        before = await asyncio.to_thread(self._ledger.previous, assistant)
        if before.is_base or before.version == live.version:
            return await asyncio.to_thread(self._ledger.version, f"{assistant}@0")
        try:
            await asyncio.to_thread(registry.verify, self._home, before.version)
        except HoneError as damaged:
            log.warning("rolling back to the base: %s", damaged)
            return await asyncio.to_thread(self._ledger.version, f"{assistant}@0")
        return before

    async def _route(self, version: Version) -> None:
        if not version.is_base:
            await asyncio.to_thread(registry.verify, self._home, version.version)
            await self._server.load(version.version, registry.folder(self._home, version.version))
        await self._server.route(version.assistant, version.version)

    async def _record(self, version: Version, reason: str, principal: Principal, run_id: str = "") -> Version:
        name = version.version
        return await asyncio.to_thread(self._ledger.set_state, name, "live", reason, principal.name, run_id)

    async def _retire(self, version: Version, reason: str, principal: Principal) -> None:
        """Mark a version that nobody needs at hand; its memory is freed when its answers have ended."""
        if version.is_base or version.state == "erased":
            return
        set_state = self._ledger.set_state
        await asyncio.to_thread(set_state, version.version, "withdrawn", reason, principal.name)
        freeing = asyncio.create_task(self._free(version.version), name=f"free {version.version}")
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
