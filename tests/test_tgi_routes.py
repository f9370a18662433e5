"""text-generation-inference's routes of the engine: shapes, parameters and errors, on a tiny model.

Much of it through huggingface_hub's client, which was written for the original.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_process import BUSY, SECRET, Process, until
from huggingface_hub import InferenceClient
from huggingface_hub.errors import GenerationError, OverloadedError, UnknownError, ValidationError
from tiny_engine import make_adapter

from serve.engine.asking import Ended, Piece, Token
from serve.engine.tgi import GenerateAnswer, GenerateRequest

GREEDY = {"do_sample": False, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def engine(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    options = ("--max-active", "1", "--max-queue", "1")
    process = Process(tiny_model, tmp_path_factory.mktemp("cache"), *options).wait()
    assert (
        process.load("v1", make_adapter(tiny_model, tmp_path_factory.mktemp("v1"), seed=3)).status_code == 200
    )
    yield process
    process.end()


@pytest.fixture
def hub(engine: Process) -> Iterator[InferenceClient]:
    with InferenceClient(base_url=f"{engine.url}/", token=SECRET, timeout=30) as client:
        yield client


def generate(
    engine: Process, path: str = "/generate", inputs: Any = "Tell me", **parameters: Any
) -> httpx.Response:
    return engine.http.post(path, json={"inputs": inputs, "parameters": {**GREEDY, **parameters}})


def text(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["generated_text"])


def events(engine: Process, path: str = "/generate_stream", **more: Any) -> list[dict[str, Any]]:
    parameters = {**GREEDY, **more.pop("parameters", {})}
    asked = {"inputs": "Tell me", "parameters": parameters, **more}
    with engine.http.stream("POST", path, json=asked) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        raw = "".join(stream.iter_text())
    assert raw.endswith("\n\n")
    return [json.loads(block.removeprefix("data:")) for block in raw.strip().split("\n\n")]


def test_a_whole_answer_and_its_details(engine: Process) -> None:
    assert set(generate(engine).json()) == {"generated_text"}
    answer = generate(engine, details=True, decoder_input_details=True, top_n_tokens=2, seed=5)
    details = answer.json()["details"]
    assert (details["finish_reason"], details["generated_tokens"], details["seed"]) == ("length", 8, None)
    assert "".join(token["text"] for token in details["tokens"]) == text(answer) == text(generate(engine))
    assert set(details["tokens"][0]) == {"id", "text", "logprob", "special"}
    assert [len(top) for top in details["top_tokens"]] == [2] * 8
    assert [top[0] for top in details["top_tokens"]] == details["tokens"]
    prompt = engine.http.post("/tokenize", json={"inputs": "Tell me"}).json()
    assert [token["id"] for token in details["prefill"]] == [token["id"] for token in prompt]
    assert details["prefill"][0]["logprob"] is None
    assert all(token["logprob"] < 0 for token in details["prefill"][1:])
    assert answer.headers["x-generated-tokens"] == "8"
    assert answer.headers["x-prompt-tokens"] == str(len(prompt))


def test_a_stream_has_one_event_a_token_and_the_text_in_the_last(engine: Process) -> None:
    parts = events(engine, parameters={"details": True, "top_n_tokens": 1})
    assert [part["index"] for part in parts] == list(range(1, 9))
    assert "".join(part["token"]["text"] for part in parts) == text(generate(engine))
    assert {part["generated_text"] for part in parts[:-1]} == {None}
    assert {part["details"] for part in parts[:-1]} == {None}
    last = parts[-1]
    assert last["generated_text"] == text(generate(engine))
    prompt = engine.http.post("/tokenize", json={"inputs": "Tell me"}).json()
    assert last["details"] == {
        "finish_reason": "length",
        "generated_tokens": 8,
        "seed": None,
        "input_length": len(prompt),
    }
    assert all(len(part["top_tokens"]) == 1 for part in parts)
    assert all("top_tokens" not in part and part["details"] is None for part in events(engine))


def test_the_compatible_route_answers_a_list_or_a_stream_with_the_prompt_in_it(engine: Process) -> None:
    (answer,) = generate(engine, "/").json()
    assert answer["generated_text"] == "Tell me" + text(generate(engine))
    (answer,) = generate(engine, "/", return_full_text=False).json()
    assert answer["generated_text"] == text(generate(engine))
    assert text(generate(engine, return_full_text=True)) == "Tell me" + text(generate(engine))
    assert events(engine, "/", stream=True)[-1]["generated_text"] == "Tell me" + text(generate(engine))


def test_a_stop_string_ends_the_text_and_stays_in_it(engine: Process) -> None:
    whole = text(generate(engine))
    stop = whole[4:6]
    answer = generate(engine, stop=[stop], details=True)
    assert text(answer) == whole[: whole.index(stop) + 2]
    assert answer.json()["details"]["finish_reason"] == "stop_sequence"
    parts = events(engine, parameters={"stop": [stop], "details": True})
    assert parts[-1]["generated_text"] == text(answer)
    assert "".join(part["token"]["text"] for part in parts) == text(answer)
    assert len(parts) == parts[-1]["details"]["generated_tokens"]


def test_an_answer_that_ends_by_itself_ends_with_its_stop_token() -> None:
    tokens = [Token(1, "Hel", -0.1), Token(2, "\ufffd", -0.2), Token(3, "<end>", -0.3, special=True)]
    answer = GenerateAnswer(GenerateRequest.model_validate({"inputs": "x"}), full_text=False)
    said = [*answer.say(Piece("Hel", (tokens[0],))), *answer.say(Piece("", (tokens[1],)))]
    said += answer.say(Piece("lo", (tokens[2],)))  # what was held back comes with the last token
    said += answer.end(Ended("stop", 1, 3))
    assert [event["token"]["text"] for event in said] == ["Hel", "lo", "<end>"]
    assert [event["token"]["special"] for event in said] == [False, False, True]
    assert said[-1]["generated_text"] == "Hello"


def test_an_answer_without_a_word_still_has_its_last_event() -> None:
    asked = {"inputs": "x", "parameters": {"details": True}}
    answer = GenerateAnswer(GenerateRequest.model_validate(asked), full_text=False)
    (last,) = answer.end(Ended("stop", 1, 1))
    assert (last["generated_text"], last["details"]["finish_reason"]) == ("", "eos_token")


def test_tokens_are_drawn_where_sampling_is_asked_for_and_only_there(engine: Process) -> None:
    def drawn(**parameters: Any) -> str:
        return text(engine.http.post("/generate", json={"inputs": "Tell me", "parameters": parameters}))

    greedy = drawn(max_new_tokens=24)
    assert drawn(max_new_tokens=24, do_sample=False, temperature=5, seed=1) == greedy
    seeded = [drawn(max_new_tokens=24, do_sample=True, temperature=3, seed=seed) for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
    assert seeded[0] == drawn(max_new_tokens=24, temperature=3, seed=1) != greedy
    answer = generate(engine, do_sample=True, seed=7, details=True)
    assert answer.json()["details"]["seed"] == 7


def test_truncation_keeps_the_end_of_the_prompt(engine: Process) -> None:
    short = generate(engine, inputs="France is Paris.", details=True, decoder_input_details=True)
    prefill = short.json()["details"]["prefill"]
    cut = generate(engine, inputs="Tell me. France is Paris.", truncate=3, decoder_input_details=True)
    assert [t["id"] for t in cut.json()["details"]["prefill"]] == [t["id"] for t in prefill[-3:]]


def test_an_adapter_is_picked_by_its_id_and_an_unknown_one_is_not_the_base(engine: Process) -> None:
    assert text(generate(engine, adapter_id="v1")) != text(generate(engine))
    assert text(generate(engine, adapter_id=None)) == text(generate(engine))
    for path in ("/", "/generate", "/generate_stream"):
        unknown = generate(engine, path, adapter_id="general@9-00000000")
        assert (unknown.status_code, unknown.json()["error_type"]) == (404, "unknown_version")


@pytest.mark.parametrize(
    "wrong",
    [
        {"best_of": 2},
        {"watermark": True},
        {"grammar": {"type": "regex", "value": "a+"}},
        {"typical_p": 0.5},
        {"temperature": 0},
        {"top_k": 0},
        {"top_p": 1.5},
        {"repetition_penalty": 0},
        {"max_new_tokens": 0},
        {"max_new_tokens": 5000},
        {"stop": ["a"] * 17},
        {"truncate": 0},
        {"top_n_tokens": 21},
        {"seed": -1},
        {"nonsense": 1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_done_fails_as_its_validation_does(engine: Process, wrong: dict[str, Any]) -> None:
    for path in ("/", "/generate", "/generate_stream"):
        refused = generate(engine, path, **wrong)
        assert refused.status_code == 422
        assert refused.json()["error_type"] == "validation"
        assert refused.json()["error"]


def test_bodies_that_are_no_request_fail_as_its_validation_does(engine: Process) -> None:
    for content in (b"{", b"", b'{"inputs": ""}', b'{"inputs": "half \\ud83d"}', b"[1]", b'{"inputs": 5}'):
        refused = engine.http.post("/generate", content=content, headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.json()["error_type"]) == (422, "validation")
    prefill = generate(engine, "/generate_stream", decoder_input_details=True)
    assert (prefill.status_code, prefill.json()["error_type"]) == (422, "validation")
    stranger = httpx.post(f"{engine.url}/generate", json={"inputs": "x"}, trust_env=False)
    assert (stranger.status_code, stranger.json()["error_type"]) == (401, "not_signed_in")


def test_a_full_queue_is_an_overload(engine: Process, hub: InferenceClient) -> None:
    with (
        engine.http.stream(
            "POST", "/generate_stream", json={"inputs": "x", "parameters": {"max_new_tokens": 3000}}
        ),
        engine.http.stream(
            "POST", "/generate_stream", json={"inputs": "x", "parameters": {"max_new_tokens": 3000}}
        ),
    ):
        until(lambda: sum(map(engine.metric, BUSY)) == 2)
        refused = generate(engine)
        assert (refused.status_code, refused.json()["error_type"]) == (429, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        with pytest.raises(OverloadedError):
            hub.text_generation("x")
    until(lambda: sum(map(engine.metric, BUSY)) == 0)


def test_a_failed_generation_is_told_in_both_forms(engine: Process, tiny_model: Path, tmp_path: Path) -> None:
    engine.load("broken", make_adapter(tiny_model, tmp_path / "broken", size=1e20))
    refused = generate(engine, adapter_id="broken")
    assert (refused.status_code, refused.json()["error_type"]) == (424, "generation")
    assert events(engine, parameters={"adapter_id": "broken"})[-1]["error_type"] == "generation"
    engine.unload("broken")
    assert text(generate(engine))


@pytest.mark.parametrize("said", ["Tell me a story", "안녕하세요, France! 🙂 ok", "a a a", "\n\tx  y"])
def test_tokens_have_their_places_in_the_text(engine: Process, said: str) -> None:
    tokens = engine.http.post("/tokenize", json={"inputs": said}).json()
    at = 0
    for token in tokens:
        assert token["text"] == said[token["start"] : token["stop"]] != ""
        assert token["start"] in (at, tokens[tokens.index(token)]["start"])
        assert token["start"] <= at <= token["stop"]
        at = token["stop"]
    assert at == len(said)


def test_a_conversation_is_tokenized_as_it_is_asked(engine: Process) -> None:
    messages = [{"role": "user", "content": "Tell me"}]
    answer = engine.http.post("/chat_tokenize", json={"model": "base", "messages": messages}).json()
    assert answer["templated_text"] == "<|im_start|>user\nTell me<|im_end|>\n<|im_start|>assistant\n"
    counted = engine.chat(max_tokens=1).json()["usage"]["prompt_tokens"]
    assert len(answer["tokenize_response"]) == counted


def test_it_says_what_it_is(engine: Process, tiny_model: Path) -> None:
    info = engine.http.get("/info").json()
    assert info["model_id"] == str(tiny_model)
    assert (info["max_total_tokens"], info["max_best_of"]) == (4096, 1)
    names = "model_sha model_pipeline_tag max_concurrent_requests max_stop_sequences max_input_tokens"
    names += " validation_workers max_client_batch_size router version sha docker_label"
    assert set(names.split()) <= set(info)


def test_the_hubs_client_generates_with_details(engine: Process, hub: InferenceClient) -> None:
    asked: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "return_full_text": False}
    assert hub.text_generation("Tell me", **asked) == text(generate(engine))
    output = hub.text_generation("Tell me", details=True, decoder_input_details=True, top_n_tokens=2, **asked)
    assert output.details is not None
    assert output.details.finish_reason == "length"
    assert [token.text for token in output.details.tokens]
    assert output.details.top_tokens is not None
    assert len(output.details.prefill) > 1
    assert hub.text_generation("Tell me", adapter_id="v1", **asked) == text(generate(engine, adapter_id="v1"))


def test_the_hubs_client_streams(engine: Process, hub: InferenceClient) -> None:
    asked: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "return_full_text": False}
    assert "".join(hub.text_generation("Tell me", stream=True, **asked)) == text(generate(engine))
    parts = list(hub.text_generation("Tell me", stream=True, details=True, **asked))
    assert parts[-1].generated_text == text(generate(engine))
    assert parts[-1].details is not None
    assert parts[-1].details.generated_tokens == 8


def test_the_hubs_client_knows_the_errors(
    engine: Process, hub: InferenceClient, tiny_model: Path, tmp_path: Path
) -> None:
    for streaming in (False, True):
        with pytest.raises(ValidationError):
            list(hub.text_generation("x", max_new_tokens=5000, stream=streaming))
        with pytest.raises(UnknownError, match="nobody"):
            list(hub.text_generation("x", adapter_id="nobody", stream=streaming))
    engine.load("broken", make_adapter(tiny_model, tmp_path / "broken", size=1e20))
    for streaming in (False, True):
        with pytest.raises(GenerationError):
            list(hub.text_generation("x", adapter_id="broken", stream=streaming))
    engine.unload("broken")
