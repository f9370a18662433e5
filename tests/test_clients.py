"""Clients that others wrote, against the engine and against the API of `hone up`.

OpenAI's SDK, huggingface_hub's client, curl, and what the `text-generation` package sends, whose
dependencies rule it out of an environment with a current huggingface_hub. The two hub clients of the
engine's own dialect are in `test_tgi_routes.py`.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from engine_process import SECRET, Process, shared
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

ASKED: Any = [{"role": "user", "content": "Tell me"}]


@dataclass(frozen=True)
class Server:
    """Where to ask, with what, and under which name something answers."""

    url: str
    token: str
    model: str
    details: bool
    """Whether it gives details of tokens; the API of `hone up` says that it does not."""


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Process:
    return shared(tiny_model)


@pytest.fixture(params=["engine", "gateway"])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "engine":
        process = request.getfixturevalue("engine")
        return Server(process.url, SECRET, "base", details=True)
    running = request.getfixturevalue("shared_hone")
    return Server(running.url, running.token, "general", details=False)


@pytest.fixture
def sdk(server: Server) -> Iterator[openai.OpenAI]:
    with (
        openai.DefaultHttpxClient(trust_env=False) as direct,
        openai.OpenAI(
            base_url=f"{server.url}/v1", api_key=server.token, max_retries=0, http_client=direct
        ) as client,
    ):
        yield client


@pytest.fixture
def hub(server: Server) -> Iterator[InferenceClient]:
    with InferenceClient(base_url=server.url, token=server.token, timeout=30) as client:
        yield client


def say(sdk: openai.OpenAI, server: Server, **more: Any) -> str:
    asked: dict[str, Any] = {"temperature": 0, "max_tokens": 16, **more}
    answer = sdk.chat.completions.create(model=server.model, messages=ASKED, **asked)
    return answer.choices[0].message.content or ""


def test_the_sdk_asks(sdk: openai.OpenAI, server: Server) -> None:
    answer = sdk.chat.completions.create(
        model=server.model, messages=ASKED, temperature=0, max_completion_tokens=16
    )
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 16
    assert choice.message.content == say(sdk, server)


def test_the_sdk_streams(sdk: openai.OpenAI, server: Server) -> None:
    with sdk.chat.completions.create(
        model=server.model,
        messages=ASKED,
        temperature=0,
        max_tokens=16,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        *chunks, counted = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == say(sdk, server)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "length"
    assert len({chunk.id for chunk in (*chunks, counted)}) == 1
    assert counted.choices == []
    assert counted.usage is not None
    assert counted.usage.completion_tokens == 16


def test_the_sdk_leaves_a_stream(sdk: openai.OpenAI, server: Server) -> None:
    with sdk.chat.completions.create(
        model=server.model, messages=ASKED, max_tokens=3000, stream=True
    ) as stream:
        next(stream)
    assert say(sdk, server)


def test_the_sdk_stops_at_a_string(sdk: openai.OpenAI, server: Server) -> None:
    whole = say(sdk, server)
    stop = whole[4:7]
    for given in (stop, [stop, "never said"]):
        answer = sdk.chat.completions.create(
            model=server.model, messages=ASKED, temperature=0, max_tokens=16, stop=given
        )
        assert answer.choices[0].message.content == whole[: whole.index(stop)]
        assert answer.choices[0].finish_reason == "stop"


def test_the_sdk_gets_the_same_again_with_a_seed(sdk: openai.OpenAI, server: Server) -> None:
    drawn = [say(sdk, server, temperature=2, top_p=0.9, max_tokens=24, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_sdk_gets_log_probabilities_or_a_clear_no(sdk: openai.OpenAI, server: Server) -> None:
    asked: dict[str, Any] = {"model": server.model, "messages": ASKED, "max_tokens": 4, "temperature": 0}
    if not server.details:
        with pytest.raises(openai.BadRequestError, match="logprobs"):
            sdk.chat.completions.create(**asked, logprobs=True)
        return
    choice = sdk.chat.completions.create(**asked, logprobs=True, top_logprobs=2).choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    assert [len(token.top_logprobs) for token in choice.logprobs.content] == [2] * 4
    legacy = sdk.completions.create(model="base", prompt="Tell me", max_tokens=4, temperature=0, logprobs=1)
    assert legacy.choices[0].logprobs is not None
    assert "".join(legacy.choices[0].logprobs.tokens or []) == legacy.choices[0].text


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"model": "nobody"}, openai.NotFoundError),
        ({"model": "general@9-00000000"}, openai.NotFoundError),
        ({"n": 2}, openai.BadRequestError),
        ({"temperature": -1}, openai.BadRequestError),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError),
        ({"logit_bias": {"5": 1}}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_knows_what_is_wrong(
    sdk: openai.OpenAI, server: Server, more: dict[str, Any], expected: type[openai.APIError], stream: bool
) -> None:
    asked: dict[str, Any] = {"model": server.model, "messages": ASKED, "stream": stream, **more}
    with pytest.raises(expected) as caught:
        sdk.chat.completions.create(**asked)
    assert caught.value.code
    assert caught.value.body["message"]  # type: ignore[index]


def test_the_sdk_hears_that_the_context_is_too_short(sdk: openai.OpenAI, server: Server) -> None:
    asked: dict[str, Any] = {"model": server.model, "messages": ASKED, "max_tokens": 5000}
    with pytest.raises(openai.BadRequestError):
        sdk.chat.completions.create(**asked)
    # `hone up` has begun its stream by then, so there it is an event.
    with pytest.raises(openai.APIError, match="4096"):
        list(sdk.chat.completions.create(**asked, stream=True))


def test_the_sdk_is_turned_away_without_the_secret(engine: Process) -> None:
    with openai.DefaultHttpxClient(trust_env=False) as direct:
        sdk = openai.OpenAI(base_url=f"{engine.url}/v1", api_key="wrong", max_retries=0, http_client=direct)
        with pytest.raises(openai.AuthenticationError):
            sdk.models.list()


def test_the_sdk_lists_what_there_is(sdk: openai.OpenAI, server: Server) -> None:
    assert server.model in [model.id for model in sdk.models.list()]


def test_the_hubs_client_chats(hub: InferenceClient, server: Server) -> None:
    asked: dict[str, Any] = {"model": server.model, "max_tokens": 16, "temperature": 0.0}
    answer = hub.chat_completion(ASKED, **asked)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 16
    pieces = list(hub.chat_completion(ASKED, stream=True, **asked))
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == answer.choices[0].message.content
    with pytest.raises(HfHubHTTPError, match="404"):
        hub.chat_completion(ASKED, model="general@9-00000000")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/generate", "/"])
def test_curl_gets_an_answer(engine: Process, path: str) -> None:
    asked = {"/v1/chat/completions": {"model": "base", "messages": ASKED, "max_tokens": 4}}
    body = asked.get(path, {"inputs": "Tell me", "parameters": {"max_new_tokens": 4}})
    answer = json.loads(curl(engine.url + path, SECRET, body))
    assert ("choices" in answer) if path in asked else ("generated_text" in json.dumps(answer))


def test_curl_streams(server: Server) -> None:
    asked = {"model": server.model, "messages": ASKED, "max_tokens": 4, "stream": True}
    raw = curl(f"{server.url}/v1/chat/completions", server.token, asked)
    assert raw.endswith("data: [DONE]\n\n")
    assert all(line.startswith("data: ") for line in raw.splitlines() if line)


def curl(url: str, token: str, body: dict[str, Any]) -> str:
    options = ["-sSN", "--fail-with-body", "--noproxy", "*", "-m", "30", "-d", json.dumps(body)]
    headers = ["-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json"]
    done = subprocess.run(["curl", *options, *headers, url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def as_the_text_generation_package_sends(inputs: str, *, stream: bool, **given: Any) -> dict[str, Any]:
    """The body of its `Client.generate` and `generate_stream`: every parameter, most of them null."""
    names = "best_of repetition_penalty frequency_penalty seed temperature top_k top_p truncate typical_p"
    parameters: dict[str, Any] = dict.fromkeys(f"{names} top_n_tokens grammar".split())
    parameters |= {"do_sample": False, "max_new_tokens": 20, "return_full_text": False, "stop": []}
    parameters |= {"watermark": False, "details": True, "decoder_input_details": not stream}
    return {"inputs": inputs, "parameters": {**parameters, **given}, "stream": stream}


def test_what_the_text_generation_package_sends_is_answered_as_it_reads_it(engine: Process) -> None:
    asked = as_the_text_generation_package_sends("Tell me", stream=False, max_new_tokens=4)
    (answer,) = engine.http.post("/", json=asked).json()
    details = answer["details"]
    assert details["finish_reason"] == "length"
    assert {"id", "text", "logprob"} <= set(details["prefill"][0])
    assert [set(token) for token in details["tokens"]] == [{"id", "text", "logprob", "special"}] * 4
    streaming = as_the_text_generation_package_sends("Tell me", stream=True, max_new_tokens=4)
    parts = []
    with engine.http.stream("POST", "/", json=streaming) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                parts.append(json.loads(line[5:]))
    assert "".join(p["token"]["text"] for p in parts if not p["token"]["special"]) == answer["generated_text"]
    assert parts[-1]["generated_text"] == answer["generated_text"]
    refused = engine.http.post("/", json=as_the_text_generation_package_sends("x", stream=False, best_of=2))
    assert (refused.status_code, refused.json()["error_type"]) == (422, "validation")


def test_its_chat_names_the_base_tgi(engine: Process) -> None:
    names = "repetition_penalty frequency_penalty logit_bias logprobs top_logprobs n presence_penalty seed"
    nulls = dict.fromkeys(f"{names} temperature top_p tools tool_prompt tool_choice stop".split())
    message = {**ASKED[0], "name": None, "tool_calls": None}
    asked = {**nulls, "model": "tgi", "messages": [message], "max_tokens": 4, "stream": False}
    answer = engine.http.post("/v1/chat/completions", json=asked).json()
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == "base"
