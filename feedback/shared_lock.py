"""A lock that many may share and one may have alone: whoever wants it alone goes before new sharers.

Nobody who shares it may ask for it again in the same thread. Knows nothing of what it guards.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Shared by those who use something, had alone by who replaces it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharers = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            while self._alone:
                self._changed.wait()
            self._sharers += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharers -= 1
                if self._alone and not self._sharers:
                    self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: self._sharers == 0)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
