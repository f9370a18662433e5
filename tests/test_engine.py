"""The embedded engine from the inside: text, answers, details, scores, ends; a tiny model, no HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_engine import (
    ENDS,
    Watched,
    answer,
    ask,
    at_rest,
    gauges,
    make_adapter,
    make_model,
    make_tokenizer,
    open_model,
    reference,
    reference_tokens,
    tokens,
    whole,
)
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

from feedback.errors import (
    BadRequest,
    EngineBusy,
    EngineUnavailable,
    HoneError,
    SettingsError,
    UnknownVersion,
)
from feedback.records import Message
from feedback.template import label, render
from serve.engine import assembly, precision
from serve.engine.asking import Ask, Drawing, Ended, Piece, Token
from serve.engine.embedder import AT_ONCE
from serve.engine.engine import Engine, Limits
from serve.engine.model import Loaded, load, prepare
from serve.engine.network import Span
from serve.engine.pace import LARGEST
from serve.engine.protocol import ProbeRequest
from serve.engine.refusals import ContextTooLong, DeadlineExceeded, GenerationFailed
from serve.engine.text import Decoder, StopStrings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("adapters")
    return [make_adapter(folder, home / str(seed), seed=seed) for seed in (1, 2)]


@pytest.fixture(params=["lean", "whole"])
def model(
    request: pytest.FixtureRequest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Loaded:
    """The tiny model, on both forward passes."""
    if request.param == "whole":
        monkeypatch.setattr(assembly, "fits", lambda config: False)
    return open_model(folder, tmp_path)


@pytest.fixture
async def engine(model: Loaded) -> AsyncIterator[Engine]:
    engine = Engine(model, Limits(slots=2, queue=8)).start()
    yield engine
    await at_rest(engine)
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


# Answers


async def test_greedy_answers_are_token_for_token_those_of_transformers(engine: Engine, folder: Path) -> None:
    request = ask()
    text, ended = await answer(engine, request)
    assert text == reference(engine.model, folder, request)
    assert (ended.reason, ended.completion_tokens, ended.stopped_by) == ("length", 24, "")


async def test_a_prompt_read_in_pieces_gives_the_same_answer(engine: Engine, folder: Path) -> None:
    request = ask("Tell me a story. " * 200)
    text, ended = await answer(engine, request)
    assert ended.prompt_tokens > 2 * LARGEST
    assert text == reference(engine.model, folder, request)


@pytest.mark.parametrize("kind", ["text", "ids"])
async def test_a_raw_prompt_is_read_as_it_is(engine: Engine, folder: Path, kind: str) -> None:
    ids = engine.model.tokenizer("The capital of France is")["input_ids"]
    prompt = "The capital of France is" if kind == "text" else tuple(ids)
    drawing = Drawing(temperature=0, max_tokens=9)
    said, ended = await tokens(engine, Ask("base", prompt, drawing, top_logprobs=0))
    assert ended.prompt_tokens == len(ids)
    assert said == reference_tokens(engine.model, folder, Ask("base", tuple(ids), drawing))
    cut, shorter = await tokens(engine, Ask("base", prompt, drawing, top_logprobs=0, truncate=3))
    assert shorter.prompt_tokens == 3
    assert cut == reference_tokens(engine.model, folder, Ask("base", tuple(ids[-3:]), drawing))


async def test_an_answer_without_a_limit_ends_where_the_context_does(engine: Engine) -> None:
    _, ended = await answer(engine, ask("Tell me a story. " * 330, max_tokens=None))
    assert ended.prompt_tokens + ended.completion_tokens == engine.model.longest
    assert ended.reason == "length"


async def test_versions_answered_at_once_each_answer_as_alone(
    engine: Engine, folder: Path, adapters: list[Path]
) -> None:
    versions: dict[str, Path | None] = {"base": None, "v1": adapters[0], "v2": adapters[1]}
    for name in ("v1", "v2"):
        await engine.load(name, versions[name] or Path())
    requests = [ask(text, name) for name in versions for text in ("One", "Two")]
    answers = await asyncio.gather(*(answer(engine, request) for request in requests))
    alone = [reference(engine.model, folder, r, versions[r.version]) for r in requests]
    assert [text for text, _ in answers] == alone
    assert len(set(alone)) == len(alone)


async def test_a_seed_means_the_same_answer_whoever_else_is_asking(engine: Engine) -> None:
    request = ask(temperature=1.0, top_p=0.9, seed=5)
    alone, ended = await answer(engine, request)
    crowd = await asyncio.gather(*(answer(engine, r) for r in [ask("x"), request, ask("y", temperature=2.0)]))
    assert crowd[1][0] == alone
    assert ended.seed == 5
    _, unseeded = await answer(engine, ask(temperature=1.0))
    again = await answer(engine, ask(temperature=1.0, seed=unseeded.seed))
    assert again[0] == (await answer(engine, ask(temperature=1.0, seed=unseeded.seed)))[0]


async def test_what_was_refused_is_not_counted_as_in_use(engine: Engine) -> None:
    with pytest.raises(UnknownVersion):
        await engine.generate(ask(version="general@1-ffffffff"))
    with pytest.raises(ContextTooLong, match="4096"):
        await engine.generate(ask(max_tokens=4096))
    with pytest.raises(BadRequest, match="empty"):
        await engine.generate(Ask("base", ""))
    with pytest.raises(BadRequest, match="not below"):
        await engine.generate(Ask("base", (3, 999_999)))
    assert not any(gauges(engine).values())


async def test_a_full_house_refuses_and_recovers(model: Loaded) -> None:
    engine = Engine(model, Limits(queue=2)).start()
    try:
        streams = [await engine.generate(ask(max_tokens=2000)) for _ in range(8)]
        with pytest.raises(EngineBusy):
            await engine.generate(ask())
        for stream in streams:
            stream.cancel()
        await at_rest(engine)
        assert (await answer(engine, ask()))[1].completion_tokens == 24
    finally:
        engine.close()


async def test_a_deadline_ends_an_answer_in_its_middle(model: Loaded) -> None:
    engine = Engine(model, Limits(seconds=0.2)).start()
    try:
        for asked in (ask(max_tokens=4000), ask(max_tokens=4000, seconds=900.0)):
            with pytest.raises(DeadlineExceeded):
                await answer(engine, asked)
        await at_rest(engine)
    finally:
        engine.close()


# How an answer ends


async def test_a_stop_token_ends_an_answer_and_is_counted_but_not_shown(model: Loaded) -> None:
    plain = Engine(model, Limits()).start()
    ids, _ = await tokens(plain, ask(max_tokens=6, top_logprobs=0))
    text, _ = await answer(plain, ask(max_tokens=6))
    plain.close()
    ending = Engine(replace(model, stops=frozenset({ids[-1]})), Limits()).start()
    shorter, ended = await answer(ending, ask(max_tokens=60))
    detailed, _ = await tokens(ending, ask(max_tokens=60, top_logprobs=0))
    on, further = await answer(ending, ask(max_tokens=6, ignore_stop_token=True))
    ending.close()
    first = ids.index(ids[-1])
    assert (ended.reason, ended.stopped_by, ended.completion_tokens) == ("stop", "", first + 1)
    assert shorter == plain._spelling.text(ids[:first])
    assert detailed == ids[: first + 1]
    assert (on, further.reason) == (text, "length")


@pytest.mark.parametrize("details", [None, 2])
async def test_a_stop_string_over_the_borders_of_tokens_ends_an_answer_before_itself(
    engine: Engine, details: int | None
) -> None:
    text, _ = await answer(engine, ask())
    for begin in range(0, 12, 3):
        stop = text[begin : begin + 6]
        stream = await engine.generate(ask(stop=("not this", stop), top_logprobs=details))
        parts = [part async for part in stream]
        ended = parts.pop()
        assert isinstance(ended, Ended)
        assert "".join(part.text for part in parts if isinstance(part, Piece)) == text[: text.index(stop)]
        assert (ended.reason, ended.stopped_by) == ("stop", stop)
        made = [token for part in parts if isinstance(part, Piece) for token in part.tokens]
        assert len(made) == (0 if details is None else ended.completion_tokens)


SAID = "안녕하세요 👩‍👩‍👧 é, 힣!"


def speaking(model: Loaded, said: Sequence[int]) -> Loaded:
    """The same model made to say these tokens, whatever it is asked."""

    def speak(spans: Sequence[Span], logits: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros_like(logits)
        at = 0
        for span in spans:
            at += span.logits
            if span.logits:
                starts.setdefault(span.row, span.start + len(span.ids))
                logits[at - 1, said[(span.start + len(span.ids) - starts[span.row]) % len(said)]] = 9
        return logits

    starts: dict[int, int] = {}
    network = Watched(model.network)
    network.after = speak
    return replace(model, network=network)


@pytest.mark.parametrize("details", [None, 0])
@pytest.mark.parametrize("missing", [0, 2, 5])
async def test_characters_of_many_tokens_are_never_shown_in_pieces(
    model: Loaded, details: int | None, missing: int
) -> None:
    ids = model.tokenizer(SAID)["input_ids"]
    assert len(ids) > 2 * len(SAID)
    limit = len(ids) - missing
    engine = Engine(speaking(model, ids), Limits()).start()
    try:
        stream = await engine.generate(ask(max_tokens=limit, top_logprobs=details))
        pieces = [part async for part in stream if isinstance(part, Piece)]
        assert "".join(piece.text for piece in pieces) == engine._spelling.text(ids[:limit]).rstrip("\ufffd")
        assert not any("\ufffd" in piece.text for piece in pieces)
        said = [token.id for piece in pieces for token in piece.tokens]
        assert said == ([] if details is None else ids[:limit])
    finally:
        engine.close()


# Details and scores


async def test_the_details_of_tokens_are_what_transformers_gives(engine: Engine, folder: Path) -> None:
    request = ask(max_tokens=12, top_logprobs=3, temperature=1.5, seed=4, presence_penalty=1.0)
    parts = [part async for part in await engine.generate(request)]
    made = [token for part in parts if isinstance(part, Piece) for token in part.tokens]
    assert all(len(part.tokens) == 1 for part in parts if isinstance(part, Piece))
    prompt = render(engine.model.tokenizer, [Message("user", "Tell me")])
    logs = _logs(folder, [*prompt, *(token.id for token in made)])[len(prompt) - 1 :]
    assert len(made) == 12
    for token, row in zip(made, logs, strict=False):
        assert token.logprob == pytest.approx(float(row[token.id]), abs=1e-4)
        values, ids = row.topk(3)
        assert [other.id for other in token.top] == ids.tolist()
        assert [other.logprob for other in token.top] == pytest.approx(values.tolist(), abs=1e-4)
        assert token.text == engine.model.tokenizer.decode([token.id])


async def test_the_scores_of_a_prompt_are_what_transformers_gives(engine: Engine, folder: Path) -> None:
    request = ask("Tell me a story. " * 90, max_tokens=3, prompt_logprobs=True, top_logprobs=1)
    beside = asyncio.create_task(answer(engine, ask(max_tokens=200)))
    said, ended = await tokens(engine, request)
    prompt = render(engine.model.tokenizer, [Message("user", "Tell me a story. " * 90)])
    logs = _logs(folder, prompt)
    scored = ended.prompt[-(len(prompt) - 1) :]
    assert [token.id for token in scored] == prompt[1:]
    assert [token.logprob for token in scored] == pytest.approx(
        [float(logs[i, id]) for i, id in enumerate(prompt[1:])], abs=2e-4
    )
    assert [token.top[0].id for token in scored] == logs[:-1].argmax(-1).tolist()
    assert said == reference_tokens(engine.model, folder, request)
    await beside


def _logs(folder: Path, ids: list[int]) -> torch.Tensor:
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        logs: torch.Tensor = network(torch.tensor([ids])).logits[0].log_softmax(-1)
    return logs


def probing(*said: str, version: str = "base") -> ProbeRequest:
    messages = [{"role": "user", "content": "The capital of France is"}]
    items = [{"messages": messages, "response": response} for response in said]
    return ProbeRequest.model_validate({"model": version, "items": items})


async def test_a_probe_gives_the_log_probabilities_that_transformers_gives(
    engine: Engine, folder: Path
) -> None:
    said = ["Paris, of course. " * 20, "No.", *("Maybe. " * n for n in range(1, 8))]
    rows = await engine.probe(probing(*said))
    assert len(rows) == len(said)
    for row, response in zip(rows, said, strict=True):
        asked = [Message("user", "The capital of France is")]
        pair = label(engine.model.tokenizer, asked, response, engine.model.stops)
        assert engine.model.tokenizer.convert_ids_to_tokens(pair.ids[-1]) == ENDS
        logs = _logs(folder, pair.ids)
        expected = [float(logs[i - 1, pair.ids[i]]) for i in range(pair.start, len(pair.ids))]
        assert row == pytest.approx(expected, abs=2e-4)


async def test_a_probe_that_cannot_be_made_is_refused_in_words(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownVersion):
        await engine.probe(probing("No.", "Yes.", version="general@1-ffffffff"))
    with pytest.raises(ContextTooLong):
        await engine.probe(probing("No. " * 3000))
    await engine.load("broken", make_adapter(folder, tmp_path / "broken", size=1e20))
    with pytest.raises(GenerationFailed):
        await engine.probe(probing("No.", version="broken"))


async def test_a_prompts_tokens_are_those_that_the_model_reads(engine: Engine) -> None:
    found = await engine.tokenize((Message("user", "힣"),))
    assert [token.id for token in found] == render(engine.model.tokenizer, [Message("user", "힣")])
    assert found[0] == Token(found[0].id, "<|im_start|>", 0.0, special=True)
    assert [token.text for token in await engine.tokenize("Tell me")] != []


# Faults


async def test_a_version_whose_numbers_break_down_fails_alone(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    await engine.load("broken", make_adapter(folder, tmp_path / "broken", size=1e20))
    fine = asyncio.create_task(answer(engine, ask()))
    with pytest.raises(GenerationFailed):
        await answer(engine, ask(version="broken"))
    assert (await fine)[0] == reference(engine.model, folder, ask())
    assert b'requests_total{kind="answer",outcome="failed"} 1.0' in engine.metrics.text()


async def test_closing_ends_every_answer_with_an_error(model: Loaded) -> None:
    engine = Engine(model, Limits()).start()
    streams = [await engine.generate(ask(max_tokens=3000)) for _ in range(9)]
    running = [asyncio.create_task(whole(stream)) for stream in streams]
    await asyncio.sleep(0.01)
    engine.close()
    ended = await asyncio.gather(*running, return_exceptions=True)
    assert [type(error) for error in ended] == [EngineUnavailable] * 9


@pytest.mark.parametrize("asked", ["generate", "forget", "embed"])
async def test_what_is_asked_of_a_closed_engine_is_refused_and_does_not_hang(
    model: Loaded, asked: str
) -> None:
    engine = Engine(model, Limits()).start()
    engine.close()
    given = {"generate": ask(), "forget": "ann", "embed": ["Paris"]}[asked]
    with pytest.raises(HoneError):
        await asyncio.wait_for(getattr(engine, asked)(given), 2)


# Meaning


async def test_texts_that_mean_the_same_lie_closer_than_texts_that_do_not(engine: Engine) -> None:
    rows = torch.tensor(
        await engine.embed(["The capital is Paris.", "Paris is the capital.", "I like soup."] * 7)
    )
    assert rows.shape == (21, 384)
    assert float(rows[0] @ rows[1]) > 0.9 > 0.4 > float(rows[0] @ rows[2])
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(21))
    torch.testing.assert_close(rows[0], rows[18], atol=1e-5, rtol=0)


async def test_embedding_never_holds_the_answers_up_for_more_than_a_bounded_batch(engine: Engine) -> None:
    texts = ["word " * 400, "short", "word " * 90, "word " * 90, *["tiny"] * 100]
    await engine.embed(["load it"])
    split = engine._embedder.batches(texts)
    assert sum(len(batch) for batch in split) == len(texts)
    assert max(len(batch) * max(map(len, batch)) for batch in split) <= AT_ONCE
    assert len(split[0]) == 1  # the long one goes alone, cut to what the model reads
    together, alone = await engine.embed(texts), await engine.embed(texts[2:3])
    torch.testing.assert_close(torch.tensor(together[2]), torch.tensor(alone[0]), atol=1e-5, rtol=0)


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
        load("x", tmp_path, cache=tmp_path, dtype="float32", device="cpu", threads=1, longest=0, rows=2)


def test_a_family_that_cannot_use_fast_attention_is_loaded_all_the_same(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = Gemma2Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    assert open_model(tmp_path, tmp_path).vocabulary == 320


def test_a_base_model_without_a_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(SettingsError, match="chat template"):
        load("x", tmp_path, cache=tmp_path, dtype="float32", device="cpu", threads=1, longest=0, rows=2)


async def test_a_template_that_objects_is_a_bad_request(model: Loaded) -> None:
    model.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    engine = Engine(model, Limits()).start()
    with pytest.raises(BadRequest, match="roles must alternate"):
        await engine.generate(ask())
    engine.close()
