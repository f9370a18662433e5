"""Versions: what PEFT saves is served as PEFT would, beside others and while they come and go; slots."""

import asyncio
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_engine import (
    LINEAR,
    Watched,
    answer,
    ask,
    at_rest,
    gauges,
    make_adapter,
    make_model,
    open_model,
    reference,
    reference_tokens,
    whole,
)
from transformers import AutoModelForCausalLM

from feedback.errors import BadAdapter, NotFound, UnknownVersion
from feedback.fingerprint import digest
from serve.engine import adapters as slots_module
from serve.engine import assembly
from serve.engine.adapters import Adapters
from serve.engine.engine import Engine, Limits
from serve.engine.lora import CONFIG, WEIGHTS, read
from serve.engine.model import Loaded
from serve.engine.network import Span
from serve.engine.refusals import AlreadyLoaded, NoSlot, StillInUse

CPU = torch.device("cpu")
KINDS: dict[str, dict[str, object]] = {
    "all": {},
    "rslora": {"use_rslora": True, "r": 6},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj": 3}},
    "some": {"target_modules": r".*\.(q|v)_proj", "r": 1},
    "one layer": {"layers_to_transform": [1]},
    "head": {"target_modules": ["lm_head", "o_proj"], "r": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of every kind."""
    home = tmp_path_factory.mktemp("adapters")
    return {
        kind: make_adapter(folder, home / kind, seed=seed, **config)
        for seed, (kind, config) in enumerate(KINDS.items())
    }


@pytest.fixture(params=["lean", "whole"])
def model(
    request: pytest.FixtureRequest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Loaded:
    """The tiny model on both forward passes; what the engine asks of them is written down."""
    if request.param == "whole":
        monkeypatch.setattr(assembly, "fits", lambda config: False)
    loaded = open_model(folder, tmp_path)
    return replace(loaded, network=Watched(loaded.network))


@pytest.fixture
async def engine(model: Loaded) -> AsyncIterator[Engine]:
    engine = Engine(model, Limits(slots=len(KINDS), queue=64)).start()
    yield engine
    await at_rest(engine)
    engine.close()


# What is served


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_answers_as_peft_does(
    kind: str, folder: Path, model: Loaded, adapters: dict[str, Path]
) -> None:
    network = model.network
    network.add("v", read(adapters[kind], network.shapes, torch.float32, CPU))
    ids = list(range(5, 40))
    peft = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), adapters[kind]
    )
    with torch.inference_mode():
        ours = network.forward([Span(0, 0, ids, "v", "all")])
        torch.testing.assert_close(ours, peft(torch.tensor([ids])).logits[0], atol=2e-4, rtol=1e-4)
        assert not torch.allclose(ours, network.forward([Span(1, 0, ids, "base", "all")]), atol=0.1)


def test_a_pass_of_every_version_gives_each_what_it_gets_alone(
    model: Loaded, adapters: dict[str, Path]
) -> None:
    network = model.network
    for kind, adapter in adapters.items():
        network.add(kind, read(adapter, network.shapes, torch.float32, CPU))
    chance = random.Random(1)
    mixed: list[Span] = []
    alone: list[torch.Tensor] = []
    with torch.inference_mode():
        for _ in range(8):
            chosen = chance.sample([*KINDS, "base"], 6)
            spans = [
                Span(row, 0, [chance.randrange(3, 250) for _ in range(chance.choice((1, 1, 7, 40)))], version)
                for row, version in enumerate(chosen)
            ]
            chance.shuffle(spans)
            alone = [network.forward([span]) for span in spans]
            mixed = [replace(span, wanted="last") for span in spans]
            torch.testing.assert_close(network.forward(mixed), torch.cat(alone), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("seed", range(2))
async def test_rows_of_all_versions_that_come_and_go_each_say_what_they_would_alone(
    engine: Engine, folder: Path, adapters: dict[str, Path], seed: int
) -> None:
    chance = random.Random(seed)
    paths: dict[str, Path | None] = {"base": None, **adapters}
    for kind, adapter in adapters.items():
        await engine.load(kind, adapter)
    texts = ["One", "Tell me a story. " * 9, "A longer question about the weather, please?"]
    longest = {
        (version, text): reference_tokens(
            engine.model, folder, ask(text, version, max_tokens=24), paths[version]
        )
        for version in paths
        for text in texts
    }

    async def one() -> None:
        await asyncio.sleep(chance.random() * 0.3)
        version, text, limit = chance.choice(list(paths)), chance.choice(texts), chance.choice([1, 5, 17, 24])
        stream = await engine.generate(ask(text, version, max_tokens=limit, top_logprobs=0))
        if chance.random() < 0.2:
            await asyncio.sleep(chance.random() * 0.02)
            stream.cancel()
            return
        said = [token.id async for part in stream for token in getattr(part, "tokens", ())]
        assert said == longest[version, text][:limit]

    async with asyncio.timeout(60):
        await asyncio.gather(*(one() for _ in range(40)))


# What is refused


def edit_config(**change: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    return edit


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return edit


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
SPOILED = {
    "dora": edit_config(use_dora=True),
    "a bias": edit_config(bias="all"),
    "saved modules": edit_config(modules_to_save=["lm_head"]),
    "a start that changes the base": edit_config(init_lora_weights="pissa"),
    "another method": edit_config(peft_type="IA3"),
    "no rank": edit_config(r=None),
    "another rank": edit_config(r=8),
    "a scale that is no number": edit_config(lora_alpha=float("nan")),
    "a scale that makes its numbers none": edit_config(lora_alpha=1e40),
    "more targets than weights": edit_config(target_modules=[*LINEAR, "lm_head"]),
    "no config": lambda folder: (folder / CONFIG).unlink(),
    "a config that is no JSON": lambda folder: (folder / CONFIG).write_text("{"),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "a truncated file": lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-900]),
    "an empty file": lambda folder: (folder / WEIGHTS).write_bytes(b""),
    "nothing at all": edit_weights(lambda tensors: tensors.clear()),
    "a wrong shape": edit_weights(lambda tensors: tensors.update({FIRST: torch.zeros(4, 63)})),
    "numbers that are none": edit_weights(lambda tensors: tensors[FIRST].fill_(float("nan"))),
    "one matrix of two": edit_weights(lambda tensors: tensors.pop(FIRST)),
    "an unknown module": edit_weights(
        lambda tensors: tensors.update({FIRST.replace("layers.0", "layers.9"): torch.zeros(4, 64)})
    ),
    "a lost layer": edit_weights(
        lambda tensors: [tensors.pop(key) for key in list(tensors) if "layers.1" in key]
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
async def test_an_adapter_that_would_be_served_wrongly_is_refused(
    spoil: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    engine = Engine(open_model(folder, tmp_path), Limits(slots=1)).start()
    try:
        fine = make_adapter(folder, tmp_path / "fine", r=2)
        spoil(adapter)
        with pytest.raises(BadAdapter, match="refused"):
            await engine.load("v", adapter)
        assert list(engine.versions()) == ["base"]
        with pytest.raises(UnknownVersion):
            await engine.generate(ask(version="v"))
        await engine.load("w", fine)  # the slot is free again
    finally:
        engine.close()


async def test_a_folder_with_other_bytes_than_the_name_says_is_refused(
    engine: Engine, folder: Path, adapters: dict[str, Path]
) -> None:
    right, other = digest(adapters["all"])[:8], digest(adapters["some"])[:8]
    with pytest.raises(BadAdapter, match="digest"):
        await engine.load(f"general@7-{other}", adapters["all"])
    assert list(engine.versions()) == ["base"]
    await engine.load(f"general@7-{right}", adapters["all"])
    asked = ask(version=f"general@7-{right}")
    assert (await answer(engine, asked))[0] == reference(engine.model, folder, asked, adapters["all"])


# Coming and going under load


async def test_loading_and_unloading_beside_a_stream_do_not_change_a_token(
    engine: Engine, folder: Path, adapters: dict[str, Path]
) -> None:
    await engine.load("all", adapters["all"])
    request = ask(version="all", max_tokens=600)
    stream = await engine.generate(request)
    running = asyncio.create_task(whole(stream))
    for _ in range(2):
        await engine.load("some", adapters["some"])
        await answer(engine, ask(version="some", max_tokens=2))
        await engine.unload("some")
        assert not running.done()
    assert (await running)[0] == reference(engine.model, folder, request, adapters["all"])


async def test_many_swaps_under_load_lose_no_answer_and_mix_no_versions(
    engine: Engine, folder: Path, adapters: dict[str, Path]
) -> None:
    held: list[tuple[str, str]] = []
    network = engine.model.network
    drop = network.drop

    def dropped(version: str) -> None:
        held.extend((version, row.version) for row in engine._worker._rows if row.version == version)
        drop(version)

    network.drop = dropped  # type: ignore[method-assign]
    base = reference(engine.model, folder, ask())
    kinds = ["all", "head", "patterns"]
    alone = {kind: reference(engine.model, folder, ask(), adapters[kind]) for kind in kinds}
    for number in range(12):
        version, kind = f"general@{number}", kinds[number % 3]
        await engine.load(version, adapters[kind])
        requests = [ask(), *(ask(version=version) for _ in range(4))]
        streams = [await engine.generate(request) for request in requests]
        leaving = asyncio.create_task(engine.unload(version))
        said = await asyncio.gather(*(whole(stream) for stream in streams))
        await leaving
        assert [text for text, _ in said] == [base, *[alone[kind]] * 4]
    assert held == []
    assert list(engine.versions()) == ["base"]
    await at_rest(engine)
    await engine.forget("nobody")  # what was posted before it is done
    assert gauges(engine)["adapters"] == 0
    for kind in kinds:
        await engine.load(kind, adapters[kind])
    said = await asyncio.gather(*(answer(engine, ask(version=kind)) for kind in kinds))
    assert [text for text, _ in said] == list(alone.values())


@pytest.mark.parametrize("again", ["all", "some"])
async def test_a_version_that_comes_back_at_once_is_never_the_base_in_disguise(
    engine: Engine, folder: Path, adapters: dict[str, Path], again: str
) -> None:
    """The thread that owns the model is in a long step while the version goes and comes."""
    await engine.load("v", adapters["all"])
    goes_on, begun = threading.Event(), threading.Event()

    def long_step(spans: Sequence[Span]) -> None:
        begun.set()
        assert goes_on.wait(20)

    network = engine.model.network
    assert isinstance(network, Watched)
    network.before = long_step
    busy = asyncio.create_task(answer(engine, ask(max_tokens=4)))
    await asyncio.to_thread(begun.wait, 10)
    going = asyncio.create_task(engine.unload("v"))
    await asyncio.sleep(0.05)
    coming = asyncio.create_task(engine.load("v", adapters[again]))
    await asyncio.sleep(0.3)
    goes_on.set()
    async with asyncio.timeout(20):
        await asyncio.gather(busy, going, coming)
    asked = ask(version="v")
    assert (await answer(engine, asked))[0] == reference(engine.model, folder, asked, adapters[again])


async def test_a_cancelled_answer_lets_its_version_go_within_a_step(
    engine: Engine, adapters: dict[str, Path]
) -> None:
    await engine.load("all", adapters["all"])
    stream = await engine.generate(ask(version="all", max_tokens=4000))
    async for _ in stream:
        break
    assert gauges(engine)["references"] == 1
    stream.cancel()
    await asyncio.wait_for(engine.unload("all"), 2)
    assert b'requests_total{kind="answer",outcome="cancelled"} 1.0' in engine.metrics.text()


# Slots


class Shelf:
    """A network that holds versions and computes nothing."""

    def add(self, version: str, deltas: object) -> None: ...


def slots(count: int, freed: list[str] | None = None) -> Adapters:
    def gone(version: str) -> None:
        if freed is not None:
            freed.append(version)
        made.gone(version)

    made = Adapters(Shelf(), count, gone)  # type: ignore[arg-type]
    return made


def test_slots_are_never_taken_from_a_version_that_holds_one() -> None:
    adapters = slots(1)
    adapters.load("a", "folder", dict)
    begun = time.monotonic()
    with pytest.raises(NoSlot):
        adapters.load("b", "folder", dict)
    assert time.monotonic() - begun < 1  # nobody is leaving, so there is nothing to wait for
    with pytest.raises(AlreadyLoaded):
        adapters.load("a", "folder", dict)
    with pytest.raises(AlreadyLoaded):
        adapters.load("base", "folder", dict)
    assert adapters.loaded() == {"a": "folder"}


def test_a_version_takes_its_slot_before_it_is_read_and_answers_after() -> None:
    adapters = slots(1)

    def reading() -> dict[str, object]:
        assert adapters.loaded() == {}
        with pytest.raises(UnknownVersion):
            adapters.acquire("a")
        with pytest.raises(NoSlot):
            adapters.load("b", "folder", dict)
        with pytest.raises(NotFound):
            adapters.unload("a", 0.01)
        return {}

    adapters.load("a", "folder", reading)  # type: ignore[arg-type]
    adapters.acquire("a")
    assert adapters.references() == 1
    adapters.release("a")
    assert adapters.references() == 0


def test_a_full_house_waits_for_who_is_leaving_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    adapters = slots(1)
    adapters.load("a", "folder", dict)
    adapters.acquire("a")
    with pytest.raises(StillInUse):
        adapters.unload("a", timeout=0.01)
    monkeypatch.setattr(slots_module, "SLOT_SECONDS", 0.05)
    with pytest.raises(NoSlot):
        adapters.load("b", "folder", dict)
    monkeypatch.setattr(slots_module, "SLOT_SECONDS", 20)
    coming = threading.Thread(target=adapters.load, args=("b", "folder", dict))
    coming.start()
    time.sleep(0.05)
    assert coming.is_alive()
    adapters.release("a")
    coming.join(5)
    assert adapters.loaded() == {"b": "folder"}


def test_unloading_waits_for_the_last_user_and_admits_nobody_new() -> None:
    freed: list[str] = []
    adapters = slots(1, freed)
    adapters.load("a", "folder", dict)
    adapters.acquire("a")
    leaving = threading.Thread(target=adapters.unload, args=("a", 10))
    leaving.start()
    while adapters.loaded():
        time.sleep(0.001)
    with pytest.raises(UnknownVersion):
        adapters.acquire("a")
    assert leaving.is_alive()
    assert freed == []
    adapters.release("a")
    leaving.join(5)
    assert not leaving.is_alive()
    assert freed == ["a"]
    adapters.load("b", "folder", dict)


def test_a_wait_for_users_is_bounded_and_the_version_leaves_with_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots_module, "SLOT_SECONDS", 0.01)
    adapters = slots(1)
    adapters.load("a", "folder", dict)
    adapters.acquire("a")
    with pytest.raises(StillInUse):
        adapters.unload("a", timeout=0.01)
    with pytest.raises(NoSlot):
        adapters.load("b", "folder", dict)
    adapters.release("a")
    adapters.load("b", "folder", dict)
    with pytest.raises(NotFound):
        adapters.unload("a", timeout=0.01)
