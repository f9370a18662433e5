"""The versions that are loaded: their slots, and who still uses each.

A version takes a slot beside the others before its files are read, is counted from a request's
admission to its last token, and is never let go while it is referenced. Knows nothing of files,
weights or requests.

Trail: serve/engine/engine.py -> here -> serve/engine/network.py
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from feedback.errors import NotFound, UnknownVersion
from serve.engine.lora import Delta
from serve.engine.network import Network
from serve.engine.protocol import BASE
from serve.engine.refusals import AlreadyLoaded, NoSlot, StillInUse

SLOT_SECONDS = 10.0
"""How long a load waits for a version that is on its way out, where every slot is taken."""


@dataclass(slots=True)
class _Slot:
    folder: str
    users: int = 0
    ready: bool = False
    leaving: bool = False
    freed: bool = False


class Adapters:
    """The loaded versions. Every method may be called from any thread."""

    def __init__(self, network: Network, slots: int, freed: Callable[[str], None]) -> None:
        """`freed` is told of a version that nobody uses any more, and calls `gone` once its weights are."""
        self._network = network
        self.slots = slots
        self._freed = freed
        self._slots: dict[str, _Slot] = {}
        self._changed = threading.Condition()

    def acquire(self, version: str) -> None:
        """Count one more user of a version, which then stays loaded until it is released.

        Raises:
            UnknownVersion: It is not loaded, or it is on its way out.
        """
        if version == BASE:
            return
        with self._changed:
            slot = self._slots.get(version)
            if slot is None or not slot.ready or slot.leaving:
                raise UnknownVersion(f"No version {version} is loaded here.", "Load it, then ask again.")
            slot.users += 1

    def release(self, version: str) -> None:
        """Count one user less; a leaving version goes with its last user."""
        if version == BASE:
            return
        with self._changed:
            slot = self._slots[version]
            slot.users -= 1
            self._free_if_done(version, slot)

    def load(self, version: str, folder: str, read: Callable[[], Mapping[str, Delta]]) -> None:
        """Take a slot, read the deltas, lay them beside the base's; nothing changes where reading fails."""
        with self._changed:
            self._reserve(version, folder)
        try:
            self._network.add(version, read())
        except BaseException:
            with self._changed:
                self._slots[version].leaving = True
                self._free_if_done(version, self._slots[version])
            raise
        with self._changed:
            self._slots[version].ready = True

    def unload(self, version: str, timeout: float) -> None:
        """Admit nobody new to a version, wait for its users (seconds), then free its slot.

        Raises:
            StillInUse: Its users outlasted the wait; it goes by itself with the last of them.
        """
        with self._changed:
            slot = self._slots.get(version)
            if slot is None or not slot.ready:
                raise NotFound(f"No version {version} is loaded here.", "GET /v1/models lists what is.")
            slot.leaving = True
            self._free_if_done(version, slot)
            if not self._changed.wait_for(lambda: self._slots.get(version) is not slot, timeout):
                raise StillInUse(
                    f"Version {version} still answers {slot.users} requests after {timeout:g} seconds.",
                    "It takes no new ones and leaves with the last; nothing needs to be done.",
                )

    def gone(self, version: str) -> None:
        """Give a freed version's slot to the next."""
        with self._changed:
            del self._slots[version]
            self._changed.notify_all()

    def loaded(self) -> dict[str, str]:
        """The folders of the versions that take requests, by version, oldest first."""
        with self._changed:
            return {name: s.folder for name, s in self._slots.items() if s.ready and not s.leaving}

    def references(self) -> int:
        """How many requests hold a version."""
        with self._changed:
            return sum(slot.users for slot in self._slots.values())

    def _reserve(self, version: str, folder: str) -> None:
        def free() -> bool:
            return version not in self._slots and len(self._slots) < self.slots

        if not free() and any(slot.leaving for slot in self._slots.values()):
            self._changed.wait_for(free, SLOT_SECONDS)
        if version == BASE or version in self._slots:
            raise AlreadyLoaded(f"A version named {version} is here already.", "Versions never change.")
        if len(self._slots) >= self.slots:
            raise NoSlot(f"All {self.slots} slots hold a version.", "Unload one first.")
        self._slots[version] = _Slot(folder)

    def _free_if_done(self, version: str, slot: _Slot) -> None:
        if slot.leaving and slot.users == 0 and not slot.freed:
            slot.freed = True
            self._freed(version)
