"""Erasures on a store of any size: the steps that the server takes, without its engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.storing.reading import busiest
from feedback import erasure
from feedback.reach import Scope
from feedback.records import Principal, Role
from feedback.search import Search
from feedback.store import Store

ADA = Principal("ada", Role.ADMIN)
Timed = Callable[[str, Callable[[], Any]], Any]
"""Calls, keeps the seconds under the name, and gives back the answer."""


def erase(store: Store, index: Search, home: Path, timed: Timed) -> None:
    """Take one exchange, then everything that somebody said, out of the home; each is proven."""
    exchange = store.rows("SELECT exchange_id FROM exchange_state WHERE state = 'approved' LIMIT 1")[0]
    _erase(store, index, home, "exchange", exchange["exchange_id"], timed)
    _erase(store, index, home, "user", busiest(store), timed)


def _erase(store: Store, index: Search, home: Path, scope: Scope, target: str, timed: Timed) -> None:
    job = erasure.new(ADA, scope, target, account=False, policy="keep")
    taken = timed(f"erase_{scope}_take_s", lambda: erasure.take(store, home, job, ADA))
    timed(f"erase_{scope}_settle_s", lambda: erasure.settle(store, taken))
    timed(f"erase_{scope}_index_s", index.forget)
    done = timed(f"erase_{scope}_finish_s", lambda: erasure.finish(store, home, taken))
    assert done["proof"]["clean"], done["proof"]
