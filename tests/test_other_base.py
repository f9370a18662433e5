"""Another base model is set: a version trained over the one before is never served over it."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import RunningHone
from lived_in import lived_in
from safetensors.torch import load_file, save_file
from test_registry_and_rollout import ANN, House, card_for, make_adapter

from feedback.errors import OtherBase
from tuner import bases, registry

pytestmark = pytest.mark.long


def make_base(folder: Path, weights: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(weights)
    return folder


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Its server serves the base that `house.trained` trains over, until another is set."""
    made = House(tmp_path)
    made.server.base = make_base(tmp_path / "one" / "base", "one")
    yield made
    made.store.close()


def trained(house: House, number: int) -> str:
    """A version whose card tells the base that is served now, as a run's does."""
    adapter = make_adapter(house.home / f"adapter-{number}", f"weights {number}")
    base = house.server.base
    card = replace(card_for(adapter, number), base=base.name, base_digest=bases.digest(base))
    folder = registry.register(house.home, adapter, card)
    house.ledger.add_version(
        version=card.version,
        assistant="general",
        number=number,
        digest=card.digest,
        folder=str(folder),
        run_id="",
        principal="ann",
    )
    return card.version


def test_a_base_is_told_by_its_bytes_wherever_it_lies(house: House, tmp_path: Path) -> None:
    version = trained(house, 1)
    moved = Path(shutil.move(house.server.base, tmp_path / "elsewhere"))
    assert registry.usable(house.home, version, moved).version == version
    tuned = make_base(tmp_path / "two" / "base", "One")
    with pytest.raises(OtherBase, match=r"Version general@1.*another base") as refused:
        registry.usable(house.home, version, tuned)
    assert "model.name" in refused.value.todo


def test_where_a_digest_is_lacking_the_bases_name_decides(house: House, tmp_path: Path) -> None:
    version = trained(house, 1)
    assert registry.usable(house.home, version, Path("/on/another/machine/base"))
    with pytest.raises(OtherBase):
        registry.usable(house.home, version, Path("org/large-chat"))


def test_the_assistants_of_another_base_go_back_to_the_base(house: House, tmp_path: Path) -> None:
    one, two = trained(house, 1), trained(house, 2)
    house.promote(one)
    house.promote(two)
    house.server.base = make_base(tmp_path / "two" / "base", "two")
    house.server.loaded.clear()

    async def restart() -> None:
        await house.rollout.restore()
        await house.rollout.freed()

    asyncio.run(restart())
    assert house.server.routes == {"general": "general@0"}
    assert not house.server.loaded
    assert house.states() == {0: "live", 1: "previous", 2: "withdrawn"}
    told = next(known for known in house.ledger.versions("general") if known.number == 2)
    assert "another base" in told.reason
    with pytest.raises(OtherBase):
        asyncio.run(house.rollout.promote(one, ANN, "It was good."))
    assert house.server.routes == {"general": "general@0"}


def test_a_roll_back_passes_over_a_version_of_another_base(house: House, tmp_path: Path) -> None:
    house.promote(trained(house, 1))
    house.server.base = make_base(tmp_path / "two" / "base", "two")
    house.promote(trained(house, 2))
    assert house.roll_back() == "general@0"


def live(hone: RunningHone) -> dict[str, Any]:
    versions = hone.get("/v1/versions", params={"assistant": "general"}).json()["data"]
    return next(version for version in versions if version["state"] == "live")


def test_a_hone_that_is_given_another_base_answers_with_it(tiny_model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other" / tiny_model.name)
    weights = load_file(other / "model.safetensors")
    save_file({name: value * 1.01 for name, value in weights.items()}, other / "model.safetensors")
    with lived_in(tmp_path, tiny_model) as hone:
        assert live(hone)["number"] == 2
        hone.stop()
        hone.environment["HONE_MODEL__NAME"] = str(other)
        hone.start()
        assert live(hone)["number"] == 0
        assert "another base" in live(hone)["reason"]
        asked = {"model": "general", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 4}
        answered = hone.request("POST", "/v1/chat/completions", json=asked)
        assert answered.status_code == 200, answered.text
