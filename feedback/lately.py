"""What was read of the record lately, and is true until something that it was read from is changed.

For what is asked with every request and hardly ever changes, such as whose a session is. A commit that
changes one of the tables ends all that is held, before whoever asked for it is answered: once somebody was
told that an account is suspended, nothing from before it is found here. Only what was found is held, so
that nobody fills it with guesses.

Trail: feedback/accounts.py -> here -> feedback/store.py
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from feedback.store import Store

T = TypeVar("T")
SECONDS = 30.0
"""After which it is read again, whatever was heard of changes."""
MOST = 5000


class Lately(Generic[T]):
    """What was found by key, read from `tables`."""

    def __init__(self, store: Store, *tables: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._tables = tables
        self._clock = clock
        self._lock = threading.Lock()
        self._changes = -1
        self._held: dict[str, tuple[T, float]] = {}

    def get(self, key: str, read: Callable[[], T | None]) -> T | None:
        """What is held under the key, or else what `read` finds."""
        changes = self._store.changes.of(*self._tables)
        found = self._since(key, changes)
        if found is None and (found := read()) is not None:
            self._keep(key, found, changes)
        return found

    def held(self, key: str) -> T | None:
        """What is held under the key; nothing is read, so that this never takes long."""
        return self._since(key, self._store.changes.of(*self._tables))

    def _since(self, key: str, changes: int) -> T | None:
        with self._lock:
            if changes > self._changes:
                self._held.clear()
                self._changes = changes
            held = self._held.get(key) if changes == self._changes else None
        return held[0] if held and self._clock() < held[1] else None

    def _keep(self, key: str, found: T, changes: int) -> None:
        """Hold what was read after so many changes; where there was one more since, it may be old already."""
        with self._lock:
            if changes == self._changes:
                if len(self._held) >= MOST:
                    self._held.clear()
                self._held[key] = found, self._clock() + SECONDS
