"""Which erasures stop the run in progress: those of what it may hold, and no others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from erasure_home import LEE, SECRET, freeze, taught
from stories import ANA, BEN, ask

from feedback import erasure
from feedback.errors import StorageAway
from feedback.ledger import Ledger
from feedback.records import new_id
from feedback.store import Store
from tuner.cleansing import Cleansing


async def stopped(store: Store, home: Path, exchange: str) -> bool:
    """Whether the run in progress is stopped for the sake of this exchange."""
    stops: list[int] = []

    async def stop() -> None:
        stops.append(1)

    cycle: Any = SimpleNamespace(running="run 1 of general", stop=stop)
    rollout: Any = None
    await Cleansing(store, Ledger(store), cycle, rollout, home).stop_learning([exchange])
    return bool(stops)


@pytest.mark.parametrize("frozen", [False, True])
async def test_only_what_the_run_may_hold_stops_it(store: Store, tmp_path: Path, frozen: bool) -> None:
    run, folder = new_id(), tmp_path / "runs" / "0001-general"
    told: dict[str, Any] = {"run_id": run, "assistant": "general", "number": 1, "principal": "hone"}
    Ledger(store).record_run(**told, state="running", step="snapshot", folder=str(folder))
    held = taught(store, LEE, SECRET, "Indeed.")
    if frozen:
        freeze(store, run, folder / "snapshot")
    late = taught(store, ANA, "What was approved after that?", "This.")
    chat = ask(store, BEN, "A throw-away chat.")
    assert not await stopped(store, tmp_path, chat.id)
    assert await stopped(store, tmp_path, held.id)
    assert await stopped(store, tmp_path, late.id) is not frozen
    job = erasure.new(LEE, "exchange", held.id, account=False, policy="keep")
    erasure.take(store, tmp_path, job, LEE)
    assert await stopped(store, tmp_path, held.id), "its words may still be in memory"


@pytest.mark.parametrize("frozen", [True, False])
def test_what_trainings_elsewhere_were_given_is_deleted_unless_it_holds_none_of_it(
    store: Store, tmp_path: Path, frozen: bool
) -> None:
    run, folder, url = new_id(), tmp_path / "runs" / "0001-general", f"{tmp_path}/shared"
    told: dict[str, Any] = {"run_id": run, "assistant": "general", "number": 1, "principal": "hone"}
    Ledger(store).record_run(**told, state="running", step="train", folder=str(folder))
    held = taught(store, LEE, SECRET, "Indeed.")
    freeze(store, run, folder / "snapshot")
    chat = ask(store, BEN, "A throw-away chat.")
    going, left = (Path(url) / "hone-runs" / name for name in ("0001-general", "0003-law"))

    def given() -> None:
        for place in (going, left):
            place.mkdir(parents=True, exist_ok=True)
            (place / "words").write_text(SECRET)

    nobody: Any = None
    cleansing = Cleansing(store, Ledger(store), nobody, nobody, tmp_path, url)
    given()
    cleansing.forget_elsewhere([chat.id])
    assert (going.exists(), left.exists()) == (True, False), "one left by a run that has ended"
    given()
    if frozen:
        cleansing.forget_elsewhere([held.id])
    else:
        cleansing.forget_elsewhere()  # at a start, when nobody knows what is going on there
    assert not going.exists()


def test_a_storage_that_is_away_is_an_error_and_no_receipt(store: Store, tmp_path: Path) -> None:
    nobody: Any = None
    cleansing = Cleansing(store, Ledger(store), nobody, nobody, tmp_path, "nosuch://bucket")
    with pytest.raises(StorageAway, match="nosuch"):
        cleansing.forget_elsewhere([])
