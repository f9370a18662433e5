"""OpenAI's routes of the engine, with vLLM's additions: what they take, refuse and answer."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_process import Process, body, code, events, said, shared
from tiny_engine import make_tokenizer

from serve.engine.asking import Token
from serve.engine.spelling import Spelling
from serve.engine.token_bytes import bytes_of


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Process:
    return shared(tiny_model)


def completion(prompt: Any = "Tell me", **more: Any) -> dict[str, Any]:
    return {"model": "base", "temperature": 0, "max_tokens": 8, "prompt": prompt, **more}


def streamed(engine: Process, path: str, asked: dict[str, Any]) -> list[Any]:
    with engine.http.stream("POST", path, json={**asked, "stream": True}) as stream:
        raw = "".join(stream.iter_text())
    assert raw.endswith("\n\ndata: [DONE]\n\n")
    return list(events(iter(raw.splitlines())))


def test_a_whole_answer_has_openais_shape(engine: Process) -> None:
    answer = engine.chat().json()
    assert answer["id"].startswith("chatcmpl-")
    assert answer["object"] == "chat.completion"
    assert answer["system_fingerprint"] == answer["model"] == "base"
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["logprobs"] is None
    assert choice["finish_reason"] == "length"
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 16


def test_log_probabilities_are_those_of_the_tokens_that_were_said(engine: Process) -> None:
    choice = engine.chat(logprobs=True, top_logprobs=3).json()["choices"][0]
    content = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == choice["message"]["content"]
    assert len(content) == 16
    for entry in content:
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert len(entry["top_logprobs"]) == 3
        likeliest = entry["top_logprobs"][0]
        # A greedy answer says the likeliest token each time.
        assert (likeliest["token"], likeliest["logprob"]) == (entry["token"], entry["logprob"])
        assert entry["logprob"] <= 0


def test_a_stream_carries_the_same_log_probabilities(engine: Process) -> None:
    asked = body(logprobs=True, top_logprobs=2)
    whole = engine.chat(logprobs=True, top_logprobs=2).json()["choices"][0]["logprobs"]["content"]
    parts = streamed(engine, "/v1/chat/completions", asked)
    told = [part["choices"][0]["logprobs"] for part in parts]
    assert [entry for logprobs in told if logprobs for entry in logprobs["content"]] == whole


@pytest.mark.parametrize("text", ["안녕하세요, France 🙂", "\ufffd", "a\tb\n\n c"])
def test_the_bytes_of_tokens_make_the_text_also_where_a_token_is_half_a_character(text: str) -> None:
    spelling = Spelling(tokenizer := make_tokenizer())
    tokens = [spelling.plain(id) for id in tokenizer(text)["input_ids"]]
    joined = [byte for token in tokens for byte in bytes_of(tokenizer, token) or []]
    assert bytes(joined) == text.encode()


def test_a_tokenizer_that_names_its_bytes_is_understood_and_no_bytes_are_made_up() -> None:
    class Sentences:
        def convert_ids_to_tokens(self, id: int) -> str:
            return ("<0xEC>", "▁안")[id]

    assert bytes_of(Sentences(), Token(0, "\ufffd", 0.0)) == [0xEC]
    assert bytes_of(Sentences(), Token(1, "\ufffd", 0.0)) is None


def test_a_stop_string_hides_no_token(engine: Process) -> None:
    text = said(engine.chat())
    choice = engine.chat(stop=[text[4:7]], logprobs=True).json()["choices"][0]
    assert choice["message"]["content"] == text[: text.index(text[4:7])]
    tokens = "".join(entry["token"] for entry in choice["logprobs"]["content"])
    assert text.startswith(tokens)
    assert len(tokens) >= 7


def test_usage_comes_with_a_stream_only_where_it_is_asked_for(engine: Process) -> None:
    for path, asked in (("/v1/chat/completions", body()), ("/v1/completions", completion())):
        assert all("usage" not in part for part in streamed(engine, path, asked))
        *parts, counted = streamed(engine, path, {**asked, "stream_options": {"include_usage": True}})
        assert {part["usage"] for part in parts} == {None}
        assert counted["choices"] == []
        assert counted["usage"]["completion_tokens"] == asked["max_tokens"]


def test_a_prompts_own_log_probabilities_come_in_vllms_shape(engine: Process) -> None:
    answer = engine.chat(prompt_logprobs=1).json()
    first, *others = answer["prompt_logprobs"]
    assert first is None
    assert len(others) + 1 == answer["usage"]["prompt_tokens"]
    for entry in others:
        ((token, told),) = entry.items()
        assert token.isdigit()
        assert told["logprob"] < 0
        assert set(told) == {"logprob", "rank", "decoded_token"}
    assert "prompt_logprobs" not in engine.chat().json()
    choice = engine.http.post("/v1/completions", json=completion(prompt_logprobs=0)).json()["choices"][0]
    assert choice["prompt_logprobs"][0] is None


def test_a_raw_prompt_is_text_or_token_ids(engine: Process) -> None:
    answer = engine.http.post("/v1/completions", json=completion()).json()
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "length"
    tokens = engine.http.post("/tokenize", json={"inputs": "Tell me"}).json()
    assert answer["usage"]["prompt_tokens"] == len(tokens)
    again = engine.http.post("/v1/completions", json=completion([token["id"] for token in tokens])).json()
    assert again["choices"][0]["text"] == choice["text"]
    parts = streamed(engine, "/v1/completions", completion())
    assert "".join(part["choices"][0]["text"] for part in parts) == choice["text"]
    assert [part["choices"][0]["finish_reason"] for part in parts][-2:] == [None, "length"]


def test_a_raw_prompts_log_probabilities_have_the_older_shape(engine: Process) -> None:
    choice = engine.http.post("/v1/completions", json=completion(logprobs=2)).json()["choices"][0]
    told = choice["logprobs"]
    assert "".join(told["tokens"]) == choice["text"]
    assert [choice["text"][at:][: len(t)] for at, t in zip(told["text_offset"], told["tokens"], strict=True)]
    assert [token in top for token, top in zip(told["tokens"], told["top_logprobs"], strict=True)] == [
        True
    ] * 8
    parts = streamed(engine, "/v1/completions", completion(logprobs=2))
    offsets = [
        part["choices"][0]["logprobs"]["text_offset"] for part in parts if part["choices"][0]["logprobs"]
    ]
    assert [at for some in offsets for at in some] == told["text_offset"]


def test_a_null_parameter_means_its_default(engine: Process) -> None:
    names = (
        "top_p,top_k,min_p,repetition_penalty,presence_penalty,frequency_penalty,logprobs,top_logprobs,stop,seed,n,"
        "tools,response_format,logit_bias,stream,stream_options,cache_salt,priority,timeout,prompt_logprobs,user"
    )
    nulls = dict.fromkeys(names.split(","))
    assert said(engine.chat(**nulls)) == said(engine.chat())
    neutral = {"n": 1, "tools": [], "logit_bias": {}, "response_format": {"type": "text"}, "user": "someone"}
    assert said(engine.chat(**neutral)) == said(engine.chat())


def test_a_message_may_come_in_parts_of_text(engine: Process) -> None:
    parts = [{"type": "text", "text": "Tell "}, {"type": "text", "text": "me"}]
    asked = body(messages=[{"role": "user", "content": parts}])
    assert said(engine.http.post("/v1/chat/completions", json=asked)) == said(engine.chat())
    system = [{"role": role, "content": "Be brief."} for role in ("developer", "system")]
    answers = [
        said(engine.chat(messages=[orders, {"role": "user", "content": "Tell me"}])) for orders in system
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 2},
        {"best_of": 2},
        {"tools": [{"type": "function"}]},
        {"tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"5": -100}},
        {"echo": True},
        {"use_beam_search": True},
        {"skip_special_tokens": False},
        {"temprature": 0.3},
        {"stream_options": {"continuous_usage_stats": True}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_is_not_supported_is_refused_by_name(engine: Process, wrong: dict[str, Any]) -> None:
    for path, asked in (("/v1/chat/completions", body()), ("/v1/completions", completion())):
        refused = engine.http.post(path, json={**asked, **wrong})
        assert (refused.status_code, code(refused)) == (400, "bad_request")
        name = next(iter(wrong))
        assert name in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": "hot"},
        {"top_p": 0},
        {"top_k": -2},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"presence_penalty": 3},
        {"frequency_penalty": -3},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"logprobs": True, "top_logprobs": 21},
        {"top_logprobs": 2},
        {"prompt_logprobs": 5},
        {"prompt_logprobs": 0, "stream": True},
        {"stop": ["a"] * 17},
        {"stop": [""]},
        {"stop": "x" * 201},
        {"seed": -1},
        {"timeout": 0},
        {"cache_salt": "x" * 201},
        {"messages": [{"role": "user", "content": "x"}] * 1001},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
    ],
    ids=lambda wrong: "+".join(wrong),
)
def test_a_value_out_of_bounds_is_refused(engine: Process, wrong: dict[str, Any]) -> None:
    refused = engine.http.post("/v1/chat/completions", json=body(**wrong))
    assert (refused.status_code, code(refused)) == (400, "bad_request")


def test_a_temperature_close_to_nothing_is_greedy(engine: Process) -> None:
    for temperature in (1e-5, 1e-50, 5e-324):
        assert said(engine.chat(temperature=temperature, seed=1)) == said(engine.chat())


@pytest.mark.parametrize("prompt", ["", [], [-1], [10**6], [2**70], ["a", "b"], [[1]], {}, None, [1.5]])
def test_a_prompt_that_is_none_is_refused(engine: Process, prompt: Any) -> None:
    refused = engine.http.post("/v1/completions", json=completion(prompt))
    assert (refused.status_code, code(refused)) == (400, "bad_request")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000])
def test_a_number_that_is_none_is_refused(engine: Process, value: str) -> None:
    content = json.dumps(body()).replace('"temperature": 0', f'"temperature": {value}')
    refused = engine.http.post(
        "/v1/chat/completions", content=content, headers={"Content-Type": "application/json"}
    )
    assert (refused.status_code, code(refused)) == (400, "bad_request")


def test_an_answer_that_takes_too_long_ends_at_its_deadline(engine: Process) -> None:
    late = engine.chat(max_tokens=3000, timeout=0.05)
    assert (late.status_code, code(late)) == (504, "deadline_exceeded")
    parts = streamed(engine, "/v1/chat/completions", body(max_tokens=3000, timeout=0.2))
    assert parts[-1]["error"]["code"] == "deadline_exceeded"


def test_forgetting_somebody_who_left_nothing_is_no_error(engine: Process) -> None:
    assert engine.http.post("/v1/forget", json={"cache_salt": "nobody"}).json() == {"forgotten": 0}
    assert engine.http.post("/v1/forget", json={}).status_code == 400


def test_a_prefix_is_reused_for_its_owner_alone_until_it_is_forgotten(engine: Process) -> None:
    asked = body("Tell me a long story, please. " * 20)

    def cached(**more: Any) -> int:
        answer: httpx.Response = engine.http.post("/v1/chat/completions", json={**asked, **more})
        return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])

    assert cached(cache_salt="kim") == 0
    assert cached(cache_salt="kim") > 0
    assert cached(cache_salt="lee") == 0
    assert cached() == 0
    assert engine.http.post("/v1/forget", json={"cache_salt": "kim"}).json()["forgotten"] > 0
    assert cached(cache_salt="kim") == 0
