"""Erasure in a running Hone: the words first, then whoever still holds them, then the proof.

Between the steps of `feedback/erasure.py` the run in progress is stopped where it may hold what was erased,
the engine forgets the conversations, and routes follow the versions that were withdrawn. Those that are asked
for meanwhile wait, and are then done together.

Trail: serve/api/erase.py -> here -> feedback/erasure.py, tuner/cleansing.py, serve/router.py
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from feedback import erased, erasure, receipt
from feedback.affected import Policy
from feedback.erasure import NOTHING_KEPT, Job
from feedback.errors import BadRequest, NotAllowed, NotFound, StorageAway, TryLater
from feedback.reach import Scope
from feedback.records import Principal, Role
from feedback.search import Search
from feedback.store import Store
from serve.engines.base import KEEPS
from serve.router import Router
from tuner.cleansing import Cleansing

log = logging.getLogger(__name__)

REST = 4.0
"""How long somebody waits for their next erasure, in times of what the last one took."""


class Tuner(Protocol):
    """What an erasure asks of the tuner."""

    @property
    def cleansing(self) -> Cleansing: ...

    def wake(self) -> None: ...


@dataclass(eq=False, slots=True)
class _Asked:
    """An erasure that waits for its turn, and what will be told of it."""

    job: Job
    principal: Principal
    told: asyncio.Future[dict[str, Any]] = field(default_factory=asyncio.Future)

    def end(self, receipts: Sequence[dict[str, Any]]) -> None:
        if not self.told.done():
            self.told.set_result(next(told for told in receipts if told["erasure"] == self.job.id))

    def fail(self, fault: BaseException) -> None:
        if not self.told.done():
            self.told.set_exception(fault)


class Erasing:
    """The erasures of one home."""

    def __init__(
        self, store: Store, home: Path, router: Router, tuner: Tuner, index: Search, *, policy: Policy
    ) -> None:
        """`policy` is what happens to versions that learnt from erased words and are serving."""
        self._store, self._home, self._router, self._tuner = store, home, router, tuner
        self._index = index
        self._policy: Policy = policy
        self._turn = asyncio.Lock()
        self._asked: list[_Asked] = []
        self._running: set[asyncio.Task[dict[str, Any]]] = set()
        self._rests: dict[str, float] = {}
        self.serving = False
        """Whether an engine and a tuner run here; otherwise nobody holds words but the files."""

    async def preview(
        self, principal: Principal, scope: Scope, target: str, *, account: bool = False
    ) -> dict[str, Any]:
        """What it would take, with the policy that would hold; nothing is changed."""
        told = await asyncio.to_thread(
            erasure.preview, self._store, principal, scope, target, account=account
        )
        return {**told, "policy": self._policy}

    async def erase(
        self,
        principal: Principal,
        scope: Scope,
        target: str,
        *,
        account: bool = False,
        policy: Policy | None = None,
    ) -> dict[str, Any]:
        """Erase, and return the signed receipt; what was begun is finished even if the caller leaves.

        Raises:
            TryLater: Whoever is no operator just had something erased; writers wait for each.
        """
        self._brake(principal)
        job = erasure.new(principal, scope, target, account=account, policy=policy or self._policy)
        task = asyncio.create_task(self._timed(job, principal), name=f"erasure {job.id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    def resume(self) -> None:
        """End what a killed process left behind; before anything is served."""

        def forget() -> None:
            self._tuner.cleansing.forget_elsewhere()
            self._index.forget()

        kept = self.kept_by_engine
        try:
            for done in erasure.resume(self._store, self._home, engine=kept, forget=forget):
                log.warning("erasure %s was resumed and is finished", done["erasure"])
        except StorageAway as away:  # Hone starts; the next erasure ends this one first
            log.error("an erasure is not finished: %s", away)

    async def settled(self) -> None:
        """Wait until no erasure is on its way; one that failed is ended by the next, or at the next start."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def listed(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(erased.listed, self._store)

    async def receipt(self, erasure_id: str) -> dict[str, Any]:
        return await asyncio.to_thread(erased.get, self._store, erasure_id)

    async def verify(self, told: dict[str, Any]) -> bool:
        """Whether this home signed the receipt, and nothing in it was changed since."""
        return receipt.verify(told, await asyncio.to_thread(receipt.key, self._home))

    def _brake(self, principal: Principal) -> None:
        wait = self._rests.get(principal.name, 0.0) - time.monotonic()
        if wait > 0 and not principal.role.covers(Role.OPERATOR):
            raise TryLater("You have just had something erased.", "Try again in a moment.", min(wait, 60.0))

    async def _timed(self, job: Job, principal: Principal) -> dict[str, Any]:
        """Erase, and let nobody spend more than a share of the house's time on it."""
        began = time.monotonic()
        self._rests[principal.name] = began + 3600.0
        try:
            return await self._erase(job, principal)
        except (BadRequest, NotAllowed, NotFound):
            began = time.monotonic()  # refused, so nothing was done that one would have to rest from
            raise
        finally:
            ended = time.monotonic()
            self._rests[principal.name] = ended + REST * (ended - began)

    async def _erase(self, job: Job, principal: Principal) -> dict[str, Any]:
        """Wait for those before, who may have done this one with theirs: the file is written once for all."""
        asked = _Asked(job, principal)
        self._asked.append(asked)
        async with self._turn:
            try:
                if not asked.told.done():
                    await self._all_asked()
            finally:
                if asked in self._asked:
                    self._asked.remove(asked)
        return await asked.told

    async def _all_asked(self) -> None:
        """First what one that failed has left, whose words these would not look for; then all that wait."""
        if left := await asyncio.to_thread(list, erasure.take_up(self._store, self._home)):
            await self._carry_out(left)
        all_asked, self._asked = self._asked, []
        try:
            taken = [job for asked in all_asked if (job := await self._taken(asked))]
            done = await self._carry_out(taken) if taken else []
        except BaseException as fault:
            for asked in all_asked:
                asked.fail(fault)
            return
        for asked in all_asked:
            asked.end(done)

    async def _taken(self, asked: "_Asked") -> Job | None:
        try:
            return await asyncio.to_thread(erasure.take, self._store, self._home, asked.job, asked.principal)
        except Exception as refused:
            asked.fail(refused)
            return None

    async def _carry_out(self, taken: Sequence[Job]) -> list[dict[str, Any]]:
        if self.serving:
            await self._tuner.cleansing.stop_learning([name for job in taken for name in job.exchanges])
        for job in taken:
            await asyncio.to_thread(erasure.settle, self._store, job)
        engine = self.kept_by_engine
        if self.serving:
            await self._tuner.cleansing.follow()
            for owner in dict.fromkeys(owner for job in taken for owner in job.owners):
                await self._router.forget(owner)
        names = [name for job in taken for name in job.exchanges]
        await asyncio.to_thread(self._tuner.cleansing.forget_elsewhere, names)
        await asyncio.to_thread(self._index.forget)  # it holds digests of the words
        done = await asyncio.to_thread(erasure.finish_all, self._store, self._home, taken, engine=engine)
        if self.serving:
            self._tuner.wake()
        return done

    @property
    def kept_by_engine(self) -> str:
        """What the engine keeps of erased prompts, in a sentence."""
        return NOTHING_KEPT if self._router.engine.forgets else KEEPS
