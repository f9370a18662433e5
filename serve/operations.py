"""What the pages and the API may ask of the tuner, without knowing it.

`serve` and `tuner` never import each other; the place where the parts meet hands in an object that
keeps this promise.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from feedback.orders import Order
from feedback.records import Principal, Run, Version


class Operations(Protocol):
    """The tuner's verbs as an operator sees them."""

    async def start_run(self, assistant: str, principal: Principal) -> Run:
        """Begin a run asked for by hand.

        Raises:
            Conflict: A run is in progress; the message names it.
        """
        ...

    async def run(self, run_id: str) -> dict[str, Any]:
        """The run's record, with `progress` (see `tuner/child.py`), once judged its `gate`, at the end its
        account in `detail`, and until then `left_seconds` and of what (`left_of`: run or training)."""
        ...

    async def runs(self, assistant: str | None = None) -> Sequence[Run]: ...

    async def versions(self, assistant: str | None = None) -> Sequence[Version]: ...

    async def verdicts(self) -> Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]]:
        """Of every version that a gate judged: its reasons in English, and the same by code and values."""
        ...

    async def promote(self, version: str, principal: Principal, reason: str) -> Version: ...

    async def roll_back(self, assistant: str, principal: Principal, reason: str) -> Version: ...

    async def curation(self, assistant: str) -> dict[str, Any]:
        """What a run would learn from now (`feedback/curate.py`), with `groups`, `lengths_checked` and, of
        `pairs_left_out`, the first few hundred as `exchange_id, reason, detail`."""
        ...

    async def order(self, assistant: str, order: Order, principal: Principal, reason: str) -> dict[str, Any]:
        """Hold the canary, pin the live version, pause the runs, or end that; what `rollout` then says.

        Raises:
            BadRequest: What begins to stand needs a reason.
            Conflict: It stands already, or there is nothing to hold or end.
        """
        ...

    async def rollout(self, assistant: str) -> dict[str, Any]:
        """`live`, `canary` (share, evidence, what comes next), `drift`, `orders`, the newest `events`, and
        `comparisons` (see `feedback/tallies.py`)."""
        ...

    async def decisions(self, assistant: str) -> Sequence[dict[str, Any]]:
        """Why the tuner did or didn't run, newest first: `at`, `due`, `reason`."""
        ...
