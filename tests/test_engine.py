"""The embedded engine from the inside: text, sampling, adapters, turns; a tiny model, no HTTP."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_engine import ENDS, answer, ask, make_adapter, make_model, make_tokenizer, reference, whole
from transformers import AutoModelForCausalLM

from feedback.errors import BadRequest, EngineBusy, SettingsError, UnknownVersion
from feedback.records import Message
from feedback.template import label, render
from serve.engine import precision
from serve.engine.adapters import adapt
from serve.engine.engine import Engine
from serve.engine.generation import CHUNK
from serve.engine.model import Loaded, load, prepare
from serve.engine.protocol import ProbeRequest
from serve.engine.refusals import ContextTooLong, GenerationFailed
from serve.engine.sampling import Sampler
from serve.engine.text import Decoder, StopStrings
from serve.engine.worker import Job, Worker

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("adapters")
    return [make_adapter(folder, home / str(seed), seed=seed) for seed in (1, 2)]


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> Loaded:
    return load("tiny", folder, cache=tmp_path, dtype="float32", device="cpu", threads=1, longest=4096)


@pytest.fixture
async def engine(model: Loaded) -> AsyncIterator[Engine]:
    engine = Engine(model, slots=2, active=8, queue=8)
    yield engine
    engine.close()


# Text


@pytest.mark.parametrize(
    "text", ["안녕하세요, 반갑습니다!", "👩‍👩‍👧 and 🇰🇷.", "plain words", "é\u2028\u0085line"]
)
def test_pieces_are_whole_characters_and_together_the_text(text: str) -> None:
    tokenizer = make_tokenizer()
    ids = tokenizer(text)["input_ids"]
    decoder = Decoder(lambda some: tokenizer.decode(some, skip_special_tokens=True))
    pieces = [decoder.push(token) for token in ids]
    assert "".join(pieces) + decoder.flush() == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_half_a_character_at_the_end_is_not_shown() -> None:
    tokenizer = make_tokenizer()
    ids = tokenizer("yes 🙂")["input_ids"]
    decoder = Decoder(lambda some: tokenizer.decode(some))
    assert "".join(decoder.push(token) for token in ids[:-1]) + decoder.flush() == "yes "


def test_bytes_that_are_no_text_do_not_hold_the_stream_back_for_ever() -> None:
    tokenizer = make_tokenizer()
    junk = tokenizer("힣")["input_ids"][-1]  # a continuation byte on its own
    decoder = Decoder(lambda some: tokenizer.decode(some))
    assert any(decoder.push(junk) for _ in range(20))
    assert len(decoder._window) < 20


def test_a_stop_string_is_found_across_pieces_and_nothing_after_it_is_shown() -> None:
    stops = StopStrings(["\nUser:", "END"])
    shown = [stops.push(piece) for piece in ["one\n", "Us", "er", ": two"]]
    assert "".join(shown) == "one"
    assert stops.met


def test_text_that_only_began_like_a_stop_string_is_let_through() -> None:
    stops = StopStrings(["ENDING"])
    shown = "".join(stops.push(piece) for piece in ["the EN", "D of", " EN"])
    assert shown == "the END of "
    assert shown + stops.flush() == "the END of EN"


# Sampling


def test_the_same_seed_draws_the_same_tokens() -> None:
    logits = torch.randn(500)
    first, second = Sampler(1.0, 0.9, 42), Sampler(1.0, 0.9, 42)
    assert [first.choose(logits) for _ in range(20)] == [second.choose(logits) for _ in range(20)]


def test_the_nucleus_leaves_unlikely_tokens_out() -> None:
    logits = torch.log(torch.tensor([0.6, 0.3, 0.05, 0.05]))
    sampler = Sampler(1.0, 0.8, 1)
    assert {sampler.choose(logits) for _ in range(200)} == {0, 1}


def test_a_nucleus_wider_than_the_likeliest_thousand_is_still_right() -> None:
    sampler = Sampler(1.0, 0.9, 1)
    assert max(sampler.choose(torch.zeros(5000)) for _ in range(50)) < 5000


def test_a_tiny_temperature_is_nearly_greedy_and_does_not_overflow() -> None:
    assert Sampler(1e-6, 1.0, 1).choose(torch.tensor([1.0, 900.0, 2.0])) == 1


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_and_not_sampled(broken: float) -> None:
    with pytest.raises(GenerationFailed):
        Sampler(0, 1, None).choose(torch.tensor([1.0, broken]))


# Answers


async def test_greedy_answers_are_token_for_token_those_of_transformers(engine: Engine, folder: Path) -> None:
    request = ask()
    text, ended = await answer(engine, request)
    assert text == reference(engine.model, folder, request)
    assert (ended.reason, ended.usage.completion_tokens) == ("length", 24)


async def test_a_prompt_read_in_chunks_gives_the_same_answer(engine: Engine, folder: Path) -> None:
    request = ask("Tell me a story. " * 100)
    assert len(render(engine.model.tokenizer, request.conversation())) > 3 * CHUNK
    assert (await answer(engine, request))[0] == reference(engine.model, folder, request)


async def test_versions_answered_at_once_each_answer_as_alone(
    engine: Engine, folder: Path, adapters: list[Path]
) -> None:
    versions: dict[str, Path | None] = {"base": None, "v1": adapters[0], "v2": adapters[1]}
    for name in ("v1", "v2"):
        await engine.load(name, versions[name] or Path())
    requests = [ask(text, model=name) for name in versions for text in ("One", "Two")]
    answers = await asyncio.gather(*(answer(engine, request) for request in requests))
    alone = [reference(engine.model, folder, r, versions[r.model]) for r in requests]
    assert [text for text, _ in answers] == alone
    assert len(set(alone)) == len(alone)


async def test_loading_and_unloading_beside_a_stream_do_not_change_a_token(
    engine: Engine, folder: Path, adapters: list[Path]
) -> None:
    await engine.load("v1", adapters[0])
    request = ask(model="v1", max_tokens=300)
    running = asyncio.create_task(answer(engine, request))
    for _ in range(3):
        await engine.load("v2", adapters[1])
        await answer(engine, ask(model="v2", max_tokens=2))
        await engine.unload("v2")
        assert not running.done()
    assert (await running)[0] == reference(engine.model, folder, request, adapters[0])


async def test_many_swaps_under_load_lose_no_answer_and_mix_no_versions(
    engine: Engine, folder: Path, adapters: list[Path]
) -> None:
    alone = [reference(engine.model, folder, ask(), adapter) for adapter in adapters]
    base = reference(engine.model, folder, ask())
    for number in range(12):
        version = f"general@{number}"
        await engine.load(version, adapters[number % 2])
        requests = [ask(), *(ask(model=version) for _ in range(4))]
        streams = [await engine.chat(request) for request in requests]
        leaving = asyncio.create_task(engine.unload(version))
        said = await asyncio.gather(*(whole(stream) for stream in streams))
        await leaving
        assert [text for text, _ in said] == [base, *[alone[number % 2]] * 4]
    assert list(engine.versions()) == ["base"]
    assert not any(layer.deltas for layer in engine.model.layers.values())


async def test_a_stop_token_ends_an_answer_and_is_counted_but_not_shown(model: Loaded) -> None:
    plain = Engine(model, slots=1, active=1, queue=0)
    text, _ = await answer(plain, ask(max_tokens=6))
    ids = model.tokenizer(text)["input_ids"]
    plain.close()
    ending = Engine(replace(model, stops=frozenset({ids[-1]})), slots=1, active=1, queue=0)
    shorter, ended = await answer(ending, ask(max_tokens=6))
    ending.close()
    assert ended.reason == "stop"
    assert text.startswith(shorter)
    assert len(shorter) < len(text)


async def test_a_stop_string_ends_an_answer_before_itself(engine: Engine) -> None:
    text, _ = await answer(engine, ask())
    stopped, ended = await answer(engine, ask(stop=text[5:9]))
    assert stopped == text[: text.index(text[5:9])]
    assert ended.reason == "stop"


async def test_a_seed_means_the_same_answer_whoever_else_is_asking(engine: Engine) -> None:
    request = ask(temperature=1.0, top_p=0.9, seed=5)
    alone, _ = await answer(engine, request)
    crowd = await asyncio.gather(*(answer(engine, r) for r in [ask("x"), request, ask("y", temperature=2.0)]))
    assert crowd[1][0] == alone


async def test_an_unknown_version_is_an_error_and_never_the_base(engine: Engine) -> None:
    with pytest.raises(UnknownVersion):
        await engine.chat(ask(model="general@1-ffffffff"))


async def test_a_conversation_that_does_not_fit_is_refused_with_its_size(engine: Engine) -> None:
    with pytest.raises(ContextTooLong, match="4096"):
        await engine.chat(ask(max_tokens=4096))


async def test_a_version_whose_numbers_break_down_fails_alone(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    await engine.load("broken", make_adapter(folder, tmp_path / "broken", size=1e20))
    fine = asyncio.create_task(answer(engine, ask()))
    with pytest.raises(GenerationFailed):
        await answer(engine, ask(model="broken"))
    assert (await fine)[0] == reference(engine.model, folder, ask())
    assert b'requests_total{outcome="failed",route="generation"} 1.0' in engine.metrics.text()


async def test_a_cancelled_answer_lets_its_version_go_within_a_step(
    engine: Engine, adapters: list[Path]
) -> None:
    await engine.load("v1", adapters[0])
    stream = await engine.chat(ask(model="v1", max_tokens=4000))
    async for _ in stream:
        break
    stream.cancel()
    await asyncio.wait_for(engine.unload("v1"), 2)
    assert b'requests_total{outcome="cancelled",route="generation"} 1.0' in engine.metrics.text()


async def test_a_probe_gives_the_log_probabilities_that_transformers_gives(
    engine: Engine, folder: Path
) -> None:
    said = "Paris, of course. " * 20
    messages = [{"role": "user", "content": "The capital of France is"}]
    asked = {"model": "base", "items": [{"messages": messages, "response": r} for r in (said, "No.")]}
    rows = await engine.probe(ProbeRequest.model_validate(asked))
    pair = label(engine.model.tokenizer, [Message("user", messages[0]["content"])], said, engine.model.stops)
    assert engine.model.tokenizer.convert_ids_to_tokens(pair.ids[-1]) == ENDS
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        logs = network(torch.tensor([pair.ids])).logits[0].log_softmax(-1)
    expected = [float(logs[i - 1, pair.ids[i]]) for i in range(pair.start, len(pair.ids))]
    assert rows[0] == pytest.approx(expected, abs=1e-4)
    assert len(rows) == 2


async def test_texts_that_mean_the_same_lie_closer_than_texts_that_do_not(engine: Engine) -> None:
    rows = torch.tensor(
        await engine.embed(["The capital is Paris.", "Paris is the capital.", "I like soup."] * 7)
    )
    assert rows.shape == (21, 384)
    assert float(rows[0] @ rows[1]) > 0.9 > 0.4 > float(rows[0] @ rows[2])
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(21))
    torch.testing.assert_close(rows[0], rows[18], atol=1e-5, rtol=0)


# Requests


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": [{"role": "user", "content": "  "}]},
        {"messages": [{"role": "assistant", "content": "me"}]},
        {"messages": [{"role": "tool", "content": "me"}]},
        {"temperature": -1},
        {"top_p": 0},
        {"max_tokens": 0},
        {"stop": [""]},
        {"n": 2},
        {"tools": [{"type": "function"}]},
        {"logprobs": True},
        {"frequency_penalty": 0.5},
    ],
)
def test_what_cannot_be_honoured_is_refused_and_not_ignored(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ask(**wrong)


def test_what_changes_nothing_is_let_through() -> None:
    asked = ask(
        n=1,
        presence_penalty=0.0,
        stream_options={"include_usage": True},
        user="x",
        stop=None,
        temperature=None,
    )
    assert (asked.stop, asked.temperature) == ([], 1.0)


# Turns


class Steps(Job):
    """A job of so many turns that writes its name at each."""

    def __init__(self, name: str, turns: int, seen: list[str], *, background: bool = False) -> None:
        super().__init__(name, background=background)
        self.left, self.seen = turns, seen
        self.finished = threading.Event()

    def turn(self) -> bool:
        self.seen.append(self.version)
        self.left -= 1
        time.sleep(0.001)
        if self.left < 0:
            raise RuntimeError("boom")
        return self.left == 0

    def end(self) -> None:
        self.finished.set()


@pytest.fixture
def worker() -> Iterator[Worker]:
    _, switch = adapt(torch.nn.Sequential())
    worker = Worker(switch, active=2, queue=1, ended=lambda job: None)
    yield worker
    worker.stop()


def test_jobs_take_turns(worker: Worker) -> None:
    seen: list[str] = []
    jobs = [Steps(name, 5, seen) for name in "ab"]
    for job in jobs:
        worker.submit(job)
    worker.start()
    assert all(job.finished.wait(5) for job in jobs)
    assert "".join(seen) == "ababababab"


def test_a_full_queue_says_so_and_empties_again(worker: Worker) -> None:
    seen: list[str] = []
    jobs = [Steps(name, 2, seen) for name in "abc"]
    for job in jobs:
        worker.submit(job)
    with pytest.raises(EngineBusy):
        worker.submit(Steps("d", 1, seen))
    worker.submit(Steps("e", 1, seen, background=True))  # its own lane has room
    worker.start()
    assert all(job.finished.wait(5) for job in jobs)
    worker.submit(Steps("d", 1, seen))


def test_background_work_yields_to_people_and_is_never_starved(worker: Worker) -> None:
    seen: list[str] = []
    person, machine = Steps("p", 40, seen), Steps("m", 20, seen, background=True)
    worker.submit(machine)
    worker.submit(person)
    worker.start()
    assert machine.finished.wait(5)
    at_the_end = len(seen) - 1 - seen[::-1].index("p")
    assert 3 <= seen[:at_the_end].count("m") <= 6


def test_a_job_that_fails_ends_alone(worker: Worker) -> None:
    seen: list[str] = []
    bad, good = Steps("bad", 0, seen), Steps("good", 5, seen)
    worker.submit(bad)
    worker.submit(good)
    worker.start()
    assert bad.finished.wait(5)
    assert good.finished.wait(5)
    assert isinstance(bad.error, GenerationFailed)
    assert (bad.outcome, good.outcome, good.error) == ("failed", "done", None)


def test_a_cancelled_job_that_waits_leaves_the_queue(worker: Worker) -> None:
    seen: list[str] = []
    jobs = [Steps(name, 10**6, seen) for name in "ab"]
    waiting = Steps("c", 1, seen)
    for job in (*jobs, waiting):
        worker.submit(job)
    worker.start()
    waiting.cancelled = True
    assert waiting.finished.wait(5)
    assert (waiting.outcome, "c" in seen) == ("cancelled", False)
    worker.stop()
    assert all(job.finished.is_set() and job.error is not None for job in jobs)


# The model on disk


def test_the_faster_dtype_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "measure", lambda: "bfloat16")
    assert precision.choose_dtype("auto", CPU, tmp_path / "cache", 2) is torch.bfloat16
    monkeypatch.setattr(precision, "measure", lambda: "float32")
    assert precision.choose_dtype("auto", CPU, tmp_path / "cache", 2) is torch.bfloat16
    (tmp_path / "cache" / "dtype.json").write_text("{half a fi")
    assert precision.choose_dtype("auto", CPU, tmp_path / "cache", 2) is torch.float32
    assert precision.choose_dtype("bfloat16", CPU, tmp_path / "cache", 2) is torch.bfloat16


def test_measuring_names_a_dtype() -> None:
    assert precision.measure() in precision.NAMED


def test_a_model_that_is_nowhere_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SettingsError, match="no folder here"):
        prepare(str(tmp_path / "no such model"), tmp_path)


def test_a_folder_without_a_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be loaded"):
        load("x", tmp_path, cache=tmp_path, dtype="float32", device="cpu", threads=1, longest=0)


def test_a_base_model_without_a_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(SettingsError, match="chat template"):
        load("x", tmp_path, cache=tmp_path, dtype="float32", device="cpu", threads=1, longest=0)


async def test_a_template_that_objects_is_a_bad_request(model: Loaded) -> None:
    model.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    engine = Engine(model, slots=1, active=1, queue=1)
    with pytest.raises(BadRequest, match="roles must alternate"):
        await engine.chat(ask())
    engine.close()
