"""Adapters: what PEFT saves is served as PEFT would, what would be served wrongly is refused; slots."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_engine import LINEAR, make_adapter, make_model
from transformers import AutoModelForCausalLM

from feedback.errors import BadAdapter, NotFound, UnknownVersion
from serve.engine.adapters import Adapters, shapes
from serve.engine.lora import CONFIG, WEIGHTS, read
from serve.engine.model import Loaded, load
from serve.engine.refusals import AlreadyLoaded, NoSlot, StillInUse

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> Loaded:
    return load("tiny", folder, cache=tmp_path, dtype="float32", device="cpu", threads=1, longest=4096)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj": 3}},
        {"target_modules": r".*\.(q|v)_proj"},
        {"layers_to_transform": [1]},
    ],
)
def test_an_adapter_answers_as_peft_does(
    config: dict[str, object], folder: Path, model: Loaded, tmp_path: Path
) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter", **config)
    for name, delta in read(adapter, shapes(model.layers), torch.float32, CPU).items():
        model.layers[name].deltas["v"] = delta
    model.switch.version = "v"
    ids = list(range(5, 40))
    peft = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), adapter
    )
    with torch.inference_mode():
        ours = model.forward(ids, model.cache(), keep=len(ids))
        torch.testing.assert_close(ours, peft(torch.tensor([ids])).logits[0], atol=2e-4, rtol=1e-4)
        model.switch.version = "base"
        assert not torch.allclose(ours, model.forward(ids, model.cache(), keep=len(ids)), atol=0.1)


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
def test_an_adapter_that_would_be_served_wrongly_is_refused(
    spoil: Callable[[Path], None], folder: Path, model: Loaded, tmp_path: Path
) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    spoil(adapter)
    loaded = Adapters(model.layers, slots=1)
    with pytest.raises(BadAdapter, match="refused"):
        loaded.load("v", "f", lambda: read(adapter, shapes(model.layers), torch.float32, CPU))
    assert loaded.loaded() == {}
    assert not any(layer.deltas for layer in model.layers.values())
    loaded.load("v", "f", dict)  # the slot is free again


def test_slots_are_never_taken_from_a_version_that_holds_one() -> None:
    adapters = Adapters({}, slots=1)
    adapters.load("a", "folder", dict)
    with pytest.raises(NoSlot):
        adapters.load("b", "folder", dict)
    with pytest.raises(AlreadyLoaded):
        adapters.load("a", "folder", dict)
    assert adapters.loaded() == {"a": "folder"}


def test_unloading_waits_for_the_last_user_and_admits_nobody_new() -> None:
    adapters = Adapters({}, slots=1)
    adapters.load("a", "folder", dict)
    adapters.acquire("a")
    leaving = threading.Thread(target=adapters.unload, args=("a", 10))
    leaving.start()
    while adapters.loaded():
        time.sleep(0.001)
    with pytest.raises(UnknownVersion):
        adapters.acquire("a")
    assert leaving.is_alive()
    adapters.release("a")
    leaving.join(5)
    assert not leaving.is_alive()
    adapters.load("b", "folder", dict)


def test_a_wait_for_users_is_bounded_and_the_version_leaves_with_the_last() -> None:
    adapters = Adapters({}, slots=1)
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
