"""What an erasure means for what is running: the run that learns, the versions that answer, their files.

The ledger says which versions learnt from erased words (`feedback/affected.py`); here the running server
is made to match. Takes no words away itself.

Trail: hone/erasing.py -> here -> tuner/rollout.py
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from feedback import affected, scrub
from feedback.ledger import Ledger
from feedback.store import Store
from tuner.cycle import Cycle, unfinished
from tuner.launchers import elsewhere
from tuner.rollout import Rollout


class Cleansing:
    """Follows erasures in one home."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        cycle: Cycle,
        rollout: Rollout,
        home: Path,
        storage: str = "",
    ) -> None:
        """`storage` is where runs that other machines train have their files."""
        self._store, self._ledger, self._cycle, self._storage = store, ledger, cycle, storage
        self._rollout, self._home = rollout, home

    async def stop_learning(self, exchanges: Sequence[str]) -> None:
        """Stop the run in progress if it may hold any of these; it goes on without them at the next look.

        No other is stopped: whoever chats and erases again and again would keep every run from its end.
        """
        held = await asyncio.to_thread(self._may_hold, exchanges)
        if held and self._cycle.running:
            await self._cycle.stop()

    def _may_hold(self, exchanges: Sequence[str]) -> bool:
        return any(affected.may_hold(self._store, run, exchanges) for run in unfinished(self._ledger))

    def forget_elsewhere(self, exchanges: Sequence[str] | None = None) -> None:
        """Delete what trainings on other machines were given, but for a run that holds none of these.

        Raises:
            StorageAway: It cannot be reached, so that words may be left on it.
        """
        if self._storage:
            going = [run for run in unfinished(self._ledger) if run.folder and exchanges is not None]
            clean = [run for run in going if not affected.may_hold(self._store, run, exchanges or ())]
            elsewhere.sweep(self._storage, [Path(run.folder).name for run in clean])

    async def follow(self) -> None:
        """Route and unload as the ledger says since versions were withdrawn, and delete their files."""
        await self._rollout.restore()
        await asyncio.to_thread(scrub.withdrawn_versions, self._store, self._home)

    async def retire(self) -> None:
        """Withdraw what was kept in service only until it was rebuilt, once it was."""
        if await asyncio.to_thread(affected.retire, self._store):
            await self.follow()
