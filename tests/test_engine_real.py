"""The embedded engine on the real default model: what it says, and that nothing beside it changes that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from tiny_engine import answer, ask, make_adapter, reference

from serve.engine.engine import Engine, Limits
from serve.engine.lean import LeanNetwork
from serve.engine.model import Loaded, load, prepare
from serve.engine.network import Span

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def folder(model_cache: Path) -> Path:
    return prepare("smollm2-135m", model_cache)


@pytest.fixture(scope="module")
def model(folder: Path, model_cache: Path) -> Loaded:
    return load(
        "smollm2-135m",
        folder,
        cache=model_cache,
        dtype="float32",
        device="cpu",
        threads=1,
        longest=2048,
        rows=4,
    )


@pytest.fixture
async def engine(model: Loaded) -> AsyncIterator[Engine]:
    engine = Engine(model, Limits(slots=2, queue=8)).start()
    yield engine
    engine.close()


def test_preparing_again_finds_what_is_there(folder: Path, model_cache: Path) -> None:
    weights = folder / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert prepare("smollm2-135m", model_cache) == folder
    assert weights.stat().st_mtime_ns == before
    assert not [path for path in model_cache.iterdir() if path.name.endswith(".partial")]


def test_it_is_the_model_that_the_package_carries(model: Loaded) -> None:
    assert isinstance(model.network, LeanNetwork)
    assert sum(out * into for out, into in model.network.shapes.values()) == pytest.approx(134.5e6, rel=0.01)
    assert len(model.network.shapes) == 30 * 7 + 1
    assert model.longest == 2048


async def test_it_knows_the_capital_of_france(engine: Engine) -> None:
    text, ended = await answer(engine, ask("What is the capital of France?"))
    assert text == "The capital of France is Paris."
    assert ended.reason == "stop"


@pytest.mark.parametrize("text", ["The capital of France is", "Write a haiku about rain.", "안녕하세요?"])
async def test_greedy_answers_are_token_for_token_those_of_transformers(
    engine: Engine, folder: Path, text: str
) -> None:
    request = ask(text, max_tokens=24)
    assert (await answer(engine, request))[0] == reference(engine.model, folder, request)


async def test_a_stream_is_the_same_while_a_version_comes_and_goes(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter", r=16, size=0.2)
    # Without its stop token, and long enough that a load and an answer fit in.
    request = ask("Tell me about rivers.", max_tokens=160, ignore_stop_token=True)
    quiet, _ = await answer(engine, request)
    running = asyncio.create_task(answer(engine, request))
    await engine.load("v", adapter)
    other, _ = await answer(engine, ask("Tell me about rivers.", version="v", max_tokens=4))
    assert not quiet.startswith(other)
    await engine.unload("v")
    assert not running.done()
    assert (await running)[0] == quiet


def test_bfloat16_says_the_same_of_an_easy_question(folder: Path, model_cache: Path) -> None:
    rounded = load(
        "smollm2-135m",
        folder,
        cache=model_cache,
        dtype="bfloat16",
        device="cpu",
        threads=1,
        longest=2048,
        rows=2,
    )
    assert rounded.dtype_name == "bfloat16"
    prompt = rounded.tokenizer("The capital of France is")["input_ids"]
    with torch.inference_mode():
        likeliest = int(rounded.network.forward([Span(0, 0, prompt, "base")])[0].argmax())
    assert rounded.tokenizer.decode([likeliest]) == " Paris"
