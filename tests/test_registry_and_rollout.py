"""Versions are immutable, proved before they are served, and going back is a change of route."""

import asyncio
import json
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path

import pytest
from stories import new_store

from feedback.errors import BadAdapter, BadRequest, CannotSwap, Conflict, EngineError, UnknownVersion
from feedback.ledger import Ledger
from feedback.records import Message, Principal, Role, Version
from tuner import registry
from tuner.prove import prove
from tuner.registry import Card
from tuner.rollout import Rollout
from tuner.server import Answer

ANN = Principal("ann", Role.OPERATOR)


class Swapper:
    """A server that only swaps, and keeps to the rules: nothing unloaded is routed, nothing live unloaded."""

    def __init__(self) -> None:
        self.loaded: dict[str, Path] = {}
        self.routes: dict[str, str] = {}
        self.shares: dict[str, tuple[str, float]] = {}
        self.broken = False
        self.base = Path("/models/base")
        self.log_probabilities: dict[str, list[list[float]]] = {}

    async def load(self, version: str, folder: Path) -> None:
        if self.broken:
            raise EngineError("The engine refused.", "Look at its log.")
        self.loaded.setdefault(version, folder)

    async def unload(self, version: str) -> None:
        if version in self.routes.values() or version in {canary for canary, _ in self.shares.values()}:
            raise Conflict(f"Version {version} takes traffic.")
        self.loaded.pop(version, None)

    async def route(self, assistant: str, version: str) -> None:
        if version not in self.loaded and not version.endswith("@0"):
            raise UnknownVersion(f"Version {version} is not loaded.")
        self.routes[assistant] = version

    async def share(self, assistant: str, version: str, share: float) -> None:
        self.shares.pop(assistant, None)
        if share:
            assert version in self.loaded
            self.shares[assistant] = (version, share)

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        assert version.endswith("@0") or version in self.loaded
        return self.log_probabilities[version]

    async def answer(self, version: str, messages: Sequence[Message], **_: object) -> Answer:
        raise NotImplementedError

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise NotImplementedError

    async def base_folder(self) -> Path:
        return self.base


def make_adapter(folder: Path, content: str) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text(content)
    return folder


def card_for(adapter: Path, number: int, assistant: str = "general") -> Card:
    digest = registry.digest(adapter)
    name = registry.version_name(assistant, number, digest)
    return Card(name, assistant, number, digest, base_of(adapter), "r", "s", "p", "2025-01-01T00:00:00+00:00")


def base_of(adapter: Path) -> str:
    """The folder's name of the model that PEFT made an adapter for; `base` where none did."""
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    return Path(config.get("base_model_name_or_path") or "base").name


class House:
    """A home with a store, a server and a rollout."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = new_store(home / "hone.duckdb")
        self.ledger = Ledger(self.store)
        self.server = Swapper()
        self.rollout = Rollout(self.ledger, self.server, home)

    def version(self, number: int) -> str:
        adapter = make_adapter(self.home / f"adapter-{number}", f"weights {number}")
        card = card_for(adapter, number)
        folder = registry.register(self.home, adapter, card)
        self.ledger.add_version(
            version=card.version,
            assistant="general",
            number=number,
            digest=card.digest,
            folder=str(folder),
            run_id="",
            principal="ann",
        )
        self.ledger.set_state(card.version, "candidate", "Trained.", "ann")
        return card.version

    def promote(self, version: str, reason: str = "It is better.") -> None:
        asyncio.run(self._freed(self.rollout.promote(version, ANN, reason)))

    def roll_back(self, reason: str = "It rambles.") -> str:
        return asyncio.run(self._freed(self.rollout.roll_back("general", ANN, reason))).version

    async def _freed(self, change: Awaitable[Version]) -> Version:
        done = await change
        await self.rollout.freed()
        return done

    def states(self) -> dict[int, str]:
        return {version.number: version.state for version in self.ledger.versions("general")}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


def test_a_version_is_named_by_its_number_and_its_bytes(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a", "weights")
    card = card_for(adapter, 7)
    assert card.version == f"general@7-{card.digest[:8]}"
    folder = registry.register(tmp_path, adapter, card)
    assert folder == tmp_path / "versions" / card.version
    assert registry.verify(tmp_path, card.version) == card
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == [card.version]


def test_what_a_killed_copy_left_is_gone_once_it_is_registered(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a", "weights")
    card = card_for(adapter, 7)
    half = tmp_path / "versions" / f".{card.version}-0190"
    half.mkdir(parents=True)
    (half / "adapter_model.safetensors").write_text("wei")
    registry.register(tmp_path, adapter, card)
    assert [path.name for path in (tmp_path / "versions").iterdir()] == [card.version]


def test_registering_again_changes_nothing_and_never_overwrites(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a", "weights")
    card = card_for(adapter, 1)
    folder = registry.register(tmp_path, adapter, card)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    registry.register(tmp_path, adapter, card)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    (folder / "adapter_model.safetensors").write_text("others")
    with pytest.raises(BadAdapter, match="not the ones it was made with"):
        registry.register(tmp_path, adapter, card)
    assert (folder / "adapter_model.safetensors").read_text() == "others"


def test_an_adapter_that_is_not_what_the_card_says_never_appears(tmp_path: Path) -> None:
    card = card_for(make_adapter(tmp_path / "a", "weights"), 1)
    with pytest.raises(BadAdapter):
        registry.register(tmp_path, make_adapter(tmp_path / "b", "other weights"), card)
    with pytest.raises(BadAdapter):
        registry.register(tmp_path, tmp_path / "nowhere", card)
    assert list((tmp_path / "versions").iterdir()) == []


@pytest.mark.parametrize("damage", ["adapter_model.safetensors", "adapter_config.json", "card.json"])
@pytest.mark.parametrize("gone", [True, False])
def test_damage_to_any_file_is_found(damage: str, gone: bool, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a", "weights")
    card = card_for(adapter, 1)
    folder = registry.register(tmp_path, adapter, card)
    (folder / damage).unlink() if gone else (folder / damage).write_text('{"version": "x"}')
    with pytest.raises(BadAdapter, match="general@1") as found:
        registry.verify(tmp_path, card.version)
    assert found.value.todo


def test_a_promoted_version_is_live_and_the_one_before_stays_warm(house: House) -> None:
    one, two, three = (house.version(number) for number in (1, 2, 3))
    house.promote(one)
    assert house.states() == {0: "previous", 1: "live", 2: "candidate", 3: "candidate"}
    house.promote(two)
    house.promote(three)
    assert house.states() == {0: "previous", 1: "withdrawn", 2: "previous", 3: "live"}
    assert house.server.routes == {"general": three}
    assert set(house.server.loaded) == {two, three}
    now = house.ledger.version(three)
    assert (now.reason, now.changed_by) == ("It is better.", "ann")


def test_rolling_back_goes_to_the_version_before_and_then_to_the_base(house: House) -> None:
    one, two = house.version(1), house.version(2)
    house.promote(one)
    house.promote(two)
    assert house.roll_back() == one
    assert house.states() == {0: "previous", 1: "live", 2: "withdrawn"}
    assert house.server.routes == {"general": one}
    assert set(house.server.loaded) == {one}
    assert house.roll_back() == "general@0"
    assert house.states() == {0: "live", 1: "withdrawn", 2: "withdrawn"}
    with pytest.raises(Conflict, match="base of general answers already"):
        house.roll_back()


def test_a_withdrawn_version_can_be_promoted_again(house: House) -> None:
    one = house.version(1)
    house.promote(one)
    house.roll_back()
    house.promote(one, "It was not its fault.")
    assert house.states() == {0: "previous", 1: "live"}
    assert set(house.server.loaded) == {one}


def test_promoting_what_is_live_only_makes_sure_of_it(house: House) -> None:
    one = house.version(1)
    house.promote(one)
    house.server.loaded.clear()
    house.server.routes.clear()
    house.promote(one, "Again.")
    assert house.ledger.version(one).reason == "It is better."
    assert house.server.routes == {"general": one}


def test_a_promotion_needs_a_reason_and_whole_files(house: House) -> None:
    one = house.version(1)
    with pytest.raises(BadRequest, match="reason"):
        house.promote(one, " ")
    with pytest.raises(UnknownVersion):
        house.promote("general@9-00000000")
    (registry.folder(house.home, one) / "adapter_model.safetensors").write_text("x")
    with pytest.raises(BadAdapter):
        house.promote(one)
    assert house.server.routes == {}
    assert house.states() == {0: "live", 1: "candidate"}


def test_a_failing_engine_leaves_everything_as_it_was(house: House) -> None:
    one, two = house.version(1), house.version(2)
    house.promote(one)
    house.server.broken = True
    with pytest.raises(EngineError):
        house.promote(two)
    assert house.states() == {0: "previous", 1: "live", 2: "candidate"}
    assert house.server.routes == {"general": one}


def test_damage_to_the_version_before_rolls_back_to_the_base(house: House) -> None:
    one, two = house.version(1), house.version(2)
    house.promote(one)
    house.promote(two)
    (registry.folder(house.home, one) / "card.json").unlink()
    assert house.roll_back() == "general@0"
    assert house.server.routes == {"general": "general@0"}


def test_two_changes_at_once_are_taken_one_after_the_other(house: House) -> None:
    names = [house.version(number) for number in (1, 2, 3)]

    async def all_at_once() -> None:
        await asyncio.gather(*(house.rollout.promote(name, ANN, "Better.") for name in names))

    asyncio.run(all_at_once())
    states = list(house.states().values())
    assert states.count("live") == 1
    live = house.ledger.live("general")
    assert house.server.routes == {"general": live.version}


PROBE = {
    "items": [
        {
            "messages": [{"role": "user", "content": "Hi"}],
            "response": "Yes.",
            "candidate": [-0.1, -0.2],
            "base": [-3.0, -2.0],
        }
    ]
}
VERSION = "general@1-x"


@pytest.mark.parametrize(
    ("version", "base", "words"),
    [
        ([-0.1, -0.2], [-3.0, -2.0], ""),
        ([-0.12, -0.22], [-3.01, -2.01], ""),  # bfloat16 moves both
        ([-0.5, -0.2], [-3.0, -2.0], "not serve general@1-x as it was trained"),
        ([-0.3, -0.4], [-3.1, -2.1], ""),
        ([-3.0, -2.0], [-3.0, -2.0], "not serve general@1-x as it was trained"),
        ([-0.1, -0.2], [-4.0, -2.0], "base model is not the one"),
        ([float("nan"), -0.2], [-3.0, -2.0], "not serve"),
        ([-0.1, -0.2], [float("nan"), -2.0], "base model"),
        ([-0.1, -0.2, -0.3], [-3.0, -2.0, -1.0], "same tokenizer"),
    ],
)
def test_a_version_is_proved_by_repeating_what_was_trained(
    version: list[float], base: list[float], words: str, tmp_path: Path
) -> None:
    server = Swapper()
    server.log_probabilities = {VERSION: [version], "general@0": [base]}
    if not words:
        proof = asyncio.run(prove(server, VERSION, "general@0", tmp_path, PROBE))
        assert proof.version_apart <= proof.allowed
        assert json.loads(json.dumps(proof.as_dict()))["tokens"] == 2
        assert VERSION in server.loaded
        return
    with pytest.raises(CannotSwap, match=words) as refused:
        asyncio.run(prove(server, VERSION, "general@0", tmp_path, PROBE))
    assert refused.value.todo


def test_an_adapter_that_moves_nothing_cannot_be_told_from_the_base(tmp_path: Path) -> None:
    item = {**PROBE["items"][0], "candidate": [-3.004, -2.0]}
    server = Swapper()
    server.log_probabilities = {VERSION: [[-3.0, -2.0]], "general@0": [[-3.0, -2.0]]}
    with pytest.raises(CannotSwap, match="answers as the base"):
        asyncio.run(prove(server, VERSION, "general@0", tmp_path, {"items": [item]}))


def test_after_a_kill_between_route_and_record_what_was_acknowledged_answers(house: House) -> None:
    one, two = house.version(1), house.version(2)
    house.promote(one)
    house.server.loaded[two] = house.home
    house.server.routes["general"] = two  # the kill fell before the ledger was told
    asyncio.run(house.rollout.restore())
    assert house.server.routes["general"] == one


def test_a_live_version_that_cannot_be_loaded_keeps_its_route_and_the_others_are_restored(
    house: House,
) -> None:
    one = house.version(1)
    house.promote(one)
    (registry.folder(house.home, one) / "adapter_model.safetensors").write_text("damaged")
    asyncio.run(house.rollout.restore())
    assert house.server.routes["general"] == one


def test_a_roll_back_does_not_wait_for_the_answers_in_flight(house: House) -> None:
    one, two = house.version(1), house.version(2)
    house.promote(one)
    house.promote(two)
    answering = asyncio.Event()

    async def slow(version: str) -> None:
        await answering.wait()
        house.server.loaded.pop(version)

    house.server.unload = slow  # type: ignore[method-assign]

    async def story() -> None:
        back = await asyncio.wait_for(house.rollout.roll_back("general", ANN, "It rambles."), 5)
        assert (back.version, house.server.routes["general"]) == (one, one)
        assert two in house.server.loaded
        answering.set()
        await house.rollout.freed()
        assert two not in house.server.loaded

    asyncio.run(story())
