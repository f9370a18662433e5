"""Which version answers: assistants have a live version, requests are pinned to it when admitted.

A canary answers a share of an assistant's conversations instead; which, a secret hash decides, so that a
conversation stays with its version while the share grows. The router keeps the desired state (what should
be loaded, what each assistant routes to, who is canary with what share) in a file, because no
engine remembers versions over a restart, and makes the engine match it. A version is unloaded only when
our own count of requests on it is zero. What an engine cannot do it says itself
(`loads_at_run_time` and the like); here that decides. Of people it knows one word, whose conversation a
request belongs to, and only its hash leaves this process.

Trail: serve/conversation.py -> here -> serve/engines/base.py
"""

import asyncio
import hmac
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feedback import whole
from feedback.errors import Conflict, EngineUnavailable, HoneError, UnknownVersion
from feedback.lots import lot
from feedback.records import BASE_NUMBER, Message, Sampling
from serve.engines.base import BASE, HttpEngine, Piece


def engine_name(version: str) -> str:
    """The engine's name of a version: every assistant's version 0 is the shared base."""
    return BASE if version.endswith(f"@{BASE_NUMBER}") else version


@dataclass(frozen=True, slots=True)
class Canary:
    """A version and its share of an assistant's conversations."""

    version: str
    share: float


class Router:
    """Routes and pins. Used from one event loop only, so its counts need no lock."""

    def __init__(
        self,
        engine: HttpEngine,
        desired: Path,
        *,
        verify: Callable[[str, Path], object] = lambda version, base: None,
        drain_timeout: float = 300.0,
        secret: str = "",
    ) -> None:
        """`verify` raises BadAdapter for a version that is damaged, or made for another base than the given.

        `drain_timeout` is how many seconds an unload waits for answers in flight. `secret` is what
        conversations draw their lots by; without one, they draw anew after each start.
        """
        self.engine = engine
        self._verify = verify
        self._path = desired
        self._drain_timeout = drain_timeout
        self._in_flight: Counter[str] = Counter()
        self._swap = asyncio.Lock()
        # New at each start: names are few, so a plain hash of one could be guessed back.
        self._salt = secrets.token_bytes(32)
        state = json.loads(desired.read_text("utf-8")) if desired.exists() else {}
        self._loaded: dict[str, str] = state.get("loaded", {})
        self._routes: dict[str, str] = state.get("routes", {})
        self._canaries: dict[str, Canary] = {
            assistant: Canary(**canary) for assistant, canary in state.get("canaries", {}).items()
        }
        self._secret = secret or secrets.token_hex(32)
        self.refused: dict[str, str] = {}

    def live(self, assistant: str) -> str:
        """The version that new requests of an assistant get."""
        return self._routes.get(assistant, f"{assistant}@{BASE_NUMBER}")

    def serves(self, version: str) -> bool:
        return engine_name(version) == BASE or version in self._loaded

    def chosen(self, assistant: str, conversation_id: str) -> str:
        """The version that a conversation's next request gets: the canary by lot, else the live one."""
        canary = self._canaries.get(assistant)
        if not canary or canary.version in self.refused or not self.serves(canary.version):
            return self.live(assistant)  # a canary that can't answer is nobody's loss
        on_it = lot(self._secret, canary.version, conversation_id) < canary.share
        return canary.version if on_it else self.live(assistant)

    def beside(self, assistant: str, version: str, before: Sequence[str]) -> str | None:
        """A version that may answer beside `version`: the live one or its canary, else one that was live.

        `before` are those that were, the last first. None where no other is being served.
        """
        canary = self._canaries.get(assistant)
        known = [self.live(assistant), *([canary.version] if canary else []), *before]
        fit = (one for one in known if one != version and one not in self.refused and self.serves(one))
        return next(fit, None)

    @contextmanager
    def admitted(
        self, assistant: str, version: str | None = None, *, conversation_id: str = ""
    ) -> Iterator[str]:
        """Pin a request to a version until the block ends; only conversations can be on a canary.

        Raises:
            UnknownVersion: The exact version asked for is not being served; never the base instead.
        """
        pinned = version or (
            self.chosen(assistant, conversation_id) if conversation_id else self.live(assistant)
        )
        if not self.serves(pinned):
            raise UnknownVersion(f"Version {pinned} is not being served.", "See GET /v1/versions.")
        self._in_flight[pinned] += 1
        try:
            yield pinned
        finally:
            self._in_flight[pinned] -= 1

    async def stream(
        self,
        version: str,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        priority: int = 0,
        owner: str = "",
    ) -> AsyncIterator[Piece]:
        """The answer of an admitted version; what is kept of its prompt is `owner`'s alone.

        An engine that just restarted may not have the version yet: it is given it, and asked again.
        """
        salt = self.salt(owner)
        for attempt in (1, 2):
            spoken = self.engine.stream(
                engine_name(version), messages, sampling, priority=priority, owner=salt
            )
            try:
                async with aclosing(spoken) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        yield piece
                return
            except UnknownVersion:
                given_again = self.engine.loads_at_run_time and version not in self.refused
                if attempt == 2 or not given_again:
                    raise
                await self.reconcile()

    def salt(self, owner: str) -> str:
        """What the engine knows an owner by (its `cache_salt`): the same for this process's life."""
        return hmac.new(self._salt, owner.encode(), "sha256").hexdigest() if owner else ""

    async def forget(self, owner: str) -> None:
        """Have the engine drop what it keeps of somebody's conversations, where it can."""
        if self.engine.forgets:
            with suppress(EngineUnavailable):  # one that is gone or restarting remembers nothing
                await self.engine.forget(self.salt(owner))

    async def load(self, version: str, folder: Path) -> None:
        """Load a version beside the others; it takes no request until it is routed or named."""
        async with self._swap:
            held = {model["id"] for model in await self.engine.models()}
            if version in held:
                self.engine.expect(version, folder)
            else:
                await self.engine.load(version, folder)
            self.refused.pop(version, None)
            self._loaded[version] = str(folder)
            self._save()

    async def route(self, assistant: str, version: str) -> str:
        """Give an assistant's new requests to `version`; returns the version they went to before."""
        if not self.serves(version):
            raise UnknownVersion(f"Version {version} is not loaded, so it cannot take requests.")
        before = self.live(assistant)
        self._routes[assistant] = version
        self._save()
        return before

    async def share(self, assistant: str, version: str, share: float) -> None:
        """Make `version` the canary for a share of the conversations; 0 ends the assistant's canary."""
        if share and not self.serves(version):
            raise UnknownVersion(f"Version {version} is not loaded, so it cannot take requests.")
        before = self._canaries.pop(assistant, None)
        if share:
            self._canaries[assistant] = Canary(version, share)
        if before != self._canaries.get(assistant):
            self._save()

    async def unload(self, version: str) -> None:
        """Wait until no request is on the version, then take it from the engine.

        Raises:
            Conflict: It is some assistant's live version or canary, or answers on it did not end in time.
        """
        if version in self._routes.values():
            raise Conflict(f"Version {version} is live.", "Route its assistant elsewhere first.")
        if any(canary.version == version for canary in self._canaries.values()):
            raise Conflict(f"Version {version} is a canary.", "Withdraw it first.")
        async with self._swap:
            folder = self._loaded.pop(version, None)
            if folder is None:
                return
            self.refused.pop(version, None)
            self._save()
        # Not under the lock: other versions can be swapped while these answers end.
        try:
            await self._drained(version)
        except Conflict:
            self._loaded[version] = folder  # it still takes a slot, and can be unloaded again
            self._save()
            raise
        async with self._swap:
            if version not in self._loaded:  # unless it is wanted again
                await self.engine.unload(version)

    async def _drained(self, version: str) -> None:
        for _ in range(int(self._drain_timeout / 0.05)):
            if not self._in_flight[version]:
                return
            await asyncio.sleep(0.05)
        raise Conflict(f"Answers on {version} did not end within {self._drain_timeout:.0f} seconds.")

    async def reconcile(self) -> None:
        """Make the engine hold exactly what is desired; what it refuses is noted, the rest goes on."""
        async with self._swap:
            models = await self.engine.models()
            held = {model["id"] for model in models} - {BASE}
            base = next(Path(model["root"]) for model in models if model["id"] == BASE)
            for version, folder in self._loaded.items():
                try:
                    await asyncio.to_thread(self._verify, version, base)
                    if version in held:
                        self.engine.expect(version, Path(folder))
                    else:
                        await self.engine.load(version, Path(folder))
                    self.refused.pop(version, None)
                except EngineUnavailable:
                    raise
                except HoneError as bad:
                    self.refused[version] = str(bad)
            await self.engine.keep({*self._loaded, *(+self._in_flight)})

    def status(self) -> dict[str, Any]:
        """What is loaded, routed and in flight, for the operate page and `hone status`."""
        in_flight = {version: count for version, count in self._in_flight.items() if count}
        return {
            "loaded": sorted(self._loaded),
            "routes": dict(self._routes),
            "canaries": {assistant: asdict(canary) for assistant, canary in self._canaries.items()},
            "in_flight": in_flight,
            "refused": dict(self.refused),
            "limits": list(self.engine.limits()),
        }

    def _save(self) -> None:
        canaries = {assistant: asdict(canary) for assistant, canary in self._canaries.items()}
        state = {"loaded": self._loaded, "routes": self._routes, "canaries": canaries}
        whole.write(self._path, json.dumps(state, indent=1))
