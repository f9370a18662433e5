"""One person's erasure, on a store of any size: the steps that the server takes, without its engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from feedback import erasure
from feedback.records import Principal, Role
from feedback.search import Search
from feedback.store import Store

ADA = Principal("ada", Role.ADMIN)
Timed = Callable[[str, Callable[[], Any]], Any]
"""Calls, keeps the seconds under the name, and gives back the answer."""


def erase(store: Store, index: Search, home: Path, owner: str, timed: Timed) -> None:
    """Take everything that somebody said out of the home."""
    job = erasure.new(ADA, "user", owner, account=False, policy="keep")
    taken = timed("erase_take_s", lambda: erasure.take(store, home, job, ADA))
    timed("erase_settle_s", lambda: erasure.settle(store, taken))
    index.rebuild()
    done = timed("erase_finish_s", lambda: erasure.finish(store, home, taken))
    assert done["proof"]["clean"], done["proof"]
