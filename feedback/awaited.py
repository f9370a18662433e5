"""An answer that one thread waits for and another gives, once. Knows no store.

A bare lock, because a `Future` wakes whoever waits twice: to be told, and again to look.
"""

import threading
from typing import Any


class Awaited:
    """An answer to come."""

    __slots__ = ("_answer", "_fault", "_given")

    def __init__(self) -> None:
        self._given = threading.Lock()
        self._given.acquire()
        self._answer: Any = None
        self._fault: BaseException | None = None

    def give(self, answer: Any = None) -> None:
        self._answer = answer
        self._given.release()

    def refuse(self, fault: BaseException) -> None:
        """Let the fault be raised where the answer is waited for."""
        self._fault = fault
        self._given.release()

    def wait(self) -> Any:
        """The answer, when it is there; or the fault, raised."""
        self._given.acquire()
        if self._fault is not None:
            raise self._fault
        return self._answer
