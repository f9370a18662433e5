"""Several engines of one kind as one: each request to the one that is least busy.

A replica takes requests while it is in. One that fails drops out at once, and comes back only after it
holds every version that is wanted; so a version, once loaded, is on every replica that is in. A stream
that failed before its first word is asked of another. Engines are looked at by `health`, which whoever
keeps them in sight calls again and again. Knows nothing of how an engine speaks.

Trail: serve/router.py -> here -> serve/engines/replica.py
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from feedback.errors import (
    BadAdapter,
    CannotSwap,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    HoneError,
    UnknownVersion,
)
from feedback.records import Message, Sampling
from serve.engines.base import HttpEngine, Piece
from serve.engines.replica import Replica

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds in which a replica that came back must hold what is wanted, where loading is no restart."""
SAME = 0.1
"""Mean difference of log-probabilities, in nats per token, beyond which replicas are not the same."""


class Replicas(HttpEngine):
    """One engine to the router, whatever their number."""

    def __init__(
        self,
        engines: Sequence[HttpEngine],
        *,
        verify: Callable[[str], object] = lambda version: None,
        drain: float = 300.0,
    ) -> None:
        """`verify` raises BadAdapter for a version whose files changed.

        `drain` is how many seconds a replica's answers may take to end before it is restarted.
        """
        super().__init__("")
        self.replicas = [Replica(engine) for engine in engines]
        self._verify = verify
        self._drain = drain
        self._wanted: dict[str, Path] = {}
        self._tidied = False
        self._swap = asyncio.Lock()
        first = engines[0]
        self.loads_at_run_time = first.loads_at_run_time
        self.proves = first.proves
        self.embeds = first.embeds
        self.unknown_is_error = first.unknown_is_error
        self.refuses_when_full = first.refuses_when_full
        self.separates_owners = first.separates_owners
        self.forgets = first.forgets
        self.yields = first.yields

    def connect(self, url: str) -> None:
        """Replicas keep the addresses they were made with."""

    async def close(self) -> None:
        await super().close()
        for replica in self.replicas:
            await replica.engine.close()

    async def stream(
        self,
        version: str,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        priority: int = 0,
        owner: str = "",
    ) -> AsyncIterator[Piece]:
        trouble: HoneError = EngineUnavailable("No engine is answering.", "Try again in a moment.")
        tried: set[Replica] = set()
        while replica := self._least_busy(version, tried):
            tried.add(replica)
            begun = False
            with replica.counted():
                asked = replica.engine.stream(version, messages, sampling, priority=priority, owner=owner)
                try:
                    async with aclosing(asked) as pieces:  # type: ignore[type-var]
                        async for piece in pieces:
                            begun = True
                            yield piece
                    return
                except (EngineBusy, EngineError, UnknownVersion) as failed:
                    self._judge(replica, version, failed)
                    trouble = failed
                if begun:
                    raise trouble
        if not tried and self._in():
            trouble = UnknownVersion(f"No replica holds {version}.", "See `hone status`.")
        raise trouble

    def _least_busy(self, version: str, tried: set[Replica]) -> Replica | None:
        able = (
            r for r in self._in() if r not in tried and (version in r.held or version not in self._wanted)
        )
        return min(able, key=lambda replica: replica.in_flight, default=None)

    def _judge(self, replica: Replica, version: str, failed: HoneError) -> None:
        """A replica that is gone, or that lost what it should hold, drops out."""
        forgot = isinstance(failed, UnknownVersion) and version in self._wanted
        if forgot or isinstance(failed, EngineUnavailable):
            replica.drop(failed)

    async def health(self) -> dict[str, Any]:
        """Look at every replica, take back those that can be, and say how each is.

        Raises:
            EngineUnavailable: None is in.
        """
        told = await asyncio.gather(*(self._look(replica) for replica in self.replicas))
        facts = next((fact for fact, r in zip(told, self.replicas, strict=True) if fact and r.is_in), None)
        if facts is None:
            raise EngineUnavailable("No engine is ready.", "It is looked at again and again.")
        skews = dict.fromkeys(fact["skew"] for fact in told if fact and fact.get("skew"))
        return {**facts, "skew": " ".join(skews), "replicas": self.described()}

    def described(self) -> list[dict[str, Any]]:
        return [
            {"url": r.engine.url, "in": r.is_in, "in_flight": r.in_flight, "trouble": r.trouble}
            for r in self.replicas
        ]

    async def _look(self, replica: Replica) -> dict[str, Any] | None:
        """What a replica says of itself; it is in afterwards, or out with the reason."""
        if replica.rests:
            return None
        try:
            facts = await replica.engine.health()
            await replica.refresh()
            if not replica.is_in or not self._wanted.keys() <= replica.held | replica.refused.keys():
                await self._take_back(replica)
            return facts
        except (HoneError, TimeoutError) as lost:
            replica.drop(lost)
        except Exception as odd:
            # Whatever it is, this replica is looked at again.
            log.exception("%s answers oddly", replica.engine.url)
            replica.drop(EngineError(f"It does not answer as an engine of this kind does ({odd!r})."))
        replica.rest()
        return None

    async def _take_back(self, replica: Replica) -> None:
        """Give a replica every version that is wanted, then let it in.

        A version that it refuses keeps it from that version's requests only.
        """
        async with self._swap:
            replica.is_in = False
            replica.refused.clear()
            await replica.settle()
            async with asyncio.timeout(PATIENCE if self.loads_at_run_time else None):
                for version, folder in self._wanted.items():
                    if version not in replica.held:
                        await self._restore(replica, version, folder)
                if self._tidied:
                    for version in replica.held - self._wanted.keys():
                        await replica.take(version, drain=None)
            replica.let_in()

    async def _restore(self, replica: Replica, version: str, folder: Path) -> None:
        try:
            await asyncio.to_thread(self._verify, version)
            await replica.give(version, folder, drain=None)
        except (BadAdapter, CannotSwap) as refused:
            replica.refused[version] = str(refused)

    async def models(self) -> list[dict[str, Any]]:
        """The base, and the versions that every replica that is in holds."""
        if not self._in():
            await self.health()
        told = await self._some_in()[0].refresh()
        held = set.intersection(*(replica.held for replica in self._some_in()))
        return [told[0], *(model for model in told[1:] if model["id"] in held)]

    async def load(self, version: str, folder: Path) -> None:
        """Load on every replica, one after the other; what one refuses is taken from the others again.

        Raises:
            BadAdapter, CannotSwap: One replica refuses it; none keeps it.
        """
        async with self._swap:
            holding = [replica for replica in self._some_in() if version in replica.held]
            done = list(holding)
            for replica in self._some_in():
                if replica in holding:
                    continue
                try:
                    await replica.give(version, folder, drain=self._drained())
                    done.append(replica)
                except EngineUnavailable as lost:
                    replica.drop(lost)
                except (BadAdapter, CannotSwap) as refused:
                    if holding:
                        # It is served already, and what one replica lacks is not taken from the others.
                        replica.refused[version] = str(refused)
                        continue
                    await self._take(version, done)
                    raise
            if not done:
                raise EngineUnavailable(f"No engine could take {version}.", "See `hone status`.")
            self._wanted[version] = folder

    def expect(self, version: str, folder: Path) -> None:
        self._wanted[version] = folder

    async def unload(self, version: str) -> None:
        async with self._swap:
            self._wanted.pop(version, None)
            await self._take(version, self._in())

    async def keep(self, wanted: Collection[str]) -> None:
        """Unload what is not wanted, also from replicas that come back later."""
        async with self._swap:
            self._tidied = True
            for version in set[str]().union(*(replica.held for replica in self._in())) - set(wanted):
                await self._take(version, [r for r in self._in() if version in r.held])

    async def _take(self, version: str, replicas: Sequence[Replica]) -> None:
        for replica in replicas:
            try:
                await replica.take(version, drain=self._drained())
            except EngineUnavailable as lost:
                replica.drop(lost)

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        """Asked of every replica: one that scores otherwise would serve something else under the name.

        Raises:
            CannotSwap: Two replicas differ by more than rounding may.
        """
        asked = self._some_in()
        told = [await replica.engine.probe(version, items) for replica in asked]
        for replica, other in zip(asked[1:], told[1:], strict=True):
            if not _same(told[0], other):
                raise CannotSwap(
                    f"{asked[0].engine.url} and {replica.engine.url} score {version} differently.",
                    "Run the same base model, number format and release on every replica.",
                )
        return told[0]

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._some_in()[0].engine.embed(texts)

    async def forget(self, owner: str) -> None:
        """Of every replica: what is out may hold it too, and drops it before it is let in again."""
        for replica in self.replicas:
            replica.owes.add(owner)
            if replica.is_in:
                try:
                    await replica.settle()
                except EngineUnavailable as lost:
                    replica.drop(lost)

    async def metrics(self) -> str:
        """Of the first that is in; a scraper asks the others itself, since equal names cannot be joined."""
        return await self._some_in()[0].engine.metrics()

    def _in(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.is_in]

    def _some_in(self) -> list[Replica]:
        if found := self._in():
            return found
        raise EngineUnavailable("No engine is answering.", "Try again in a moment.")

    def _drained(self) -> float | None:
        """How long a replica's answers may take to end before its restart; None where nothing restarts.

        The only one that is in keeps taking requests: there is nobody else to take them.
        """
        return None if self.loads_at_run_time or len(self._in()) < 2 else self._drain


def _same(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> bool:
    one = [value for row in left for value in row]
    two = [value for row in right for value in row]
    return len(one) == len(two) and sum(abs(a - b) for a, b in zip(one, two, strict=True)) <= SAME * len(one)
