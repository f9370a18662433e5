"""The routes that answer with words, in OpenAI's dialect and in text-generation-inference's.

Each reads its own request, asks the engine, and lets the dialect's writer and `delivery.py` bring the
answer. Knows the shapes by name only.

Trail: serve/engine/server.py -> here -> serve/engine/engine.py
"""

import time
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from serve.engine import tgi
from serve.engine.delivery import Streaming, while_connected, whole
from serve.engine.openai import ChatRequest, CompletionRequest
from serve.engine.openai_answers import ChatAnswer, CompletionAnswer
from serve.engine.token_bytes import bytes_of

if TYPE_CHECKING:
    from serve.engine.server import Readiness


def add_openai(app: FastAPI, readiness: "Readiness") -> None:
    async def answered(
        asked: ChatRequest | CompletionRequest, writer: ChatAnswer | CompletionAnswer, request: Request
    ) -> Response:
        ask = replace(asked.ask(), trace=request.headers.get("traceparent", ""))
        stream = await readiness.engine.generate(ask)
        if asked.stream:
            return Streaming(stream, writer, readiness.count)
        return JSONResponse(writer.whole(*await whole(request, stream)))

    @app.post("/v1/chat/completions")
    async def chat(asked: ChatRequest, request: Request) -> Response:
        tokenizer = readiness.engine.model.tokenizer
        return await answered(asked, ChatAnswer(asked, partial(bytes_of, tokenizer)), request)

    @app.post("/v1/completions")
    async def completions(asked: CompletionRequest, request: Request) -> Response:
        return await answered(asked, CompletionAnswer(asked), request)


def add_tgi(app: FastAPI, readiness: "Readiness") -> None:
    async def streamed(asked: tgi.GenerateRequest, full_text: bool) -> Response:
        stream = await readiness.engine.generate(asked.ask(streamed=True))
        return Streaming(stream, tgi.GenerateAnswer(asked, full_text=full_text), readiness.count)

    async def answered(
        asked: tgi.GenerateRequest, request: Request, full_text: bool
    ) -> tuple[dict[str, Any], dict[str, str]]:
        began = time.perf_counter()
        stream = await readiness.engine.generate(asked.ask(streamed=False))
        text, tokens, ended = await whole(request, stream)
        seconds = time.perf_counter() - began
        headers = {
            "x-compute-type": str(readiness.engine.model.device),
            "x-compute-time": f"{seconds:.6f}",
            "x-compute-characters": str(len(asked.inputs)),
            "x-total-time": f"{seconds * 1000:.0f}",
            "x-prompt-tokens": str(ended.prompt_tokens),
            "x-generated-tokens": str(ended.completion_tokens),
        }
        return tgi.GenerateAnswer(asked, full_text=full_text).whole(text, tokens, ended), headers

    @app.post("/")
    async def compatible(asked: tgi.GenerateRequest, request: Request) -> Response:
        # Here, and only here, the prompt comes back with the answer unless that is declined.
        full_text = asked.parameters.return_full_text is not False
        if asked.stream:
            return await streamed(asked, full_text)
        body, headers = await answered(asked, request, full_text)
        return JSONResponse([body], headers=headers)

    @app.post("/generate")
    async def generate(asked: tgi.GenerateRequest, request: Request) -> Response:
        body, headers = await answered(asked, request, asked.parameters.return_full_text is True)
        return JSONResponse(body, headers=headers)

    @app.post("/generate_stream")
    async def generate_stream(asked: tgi.GenerateRequest) -> Response:
        return await streamed(asked, asked.parameters.return_full_text is True)

    @app.post("/tokenize")
    async def tokenize(asked: tgi.TokenizeRequest, request: Request) -> list[dict[str, Any]]:
        tokens = await while_connected(request, readiness.engine.tokenize(asked.inputs))
        return tgi.spans(asked.inputs, tokens)

    @app.post("/chat_tokenize")
    async def chat_tokenize(asked: tgi.ChatTokenizeRequest, request: Request) -> dict[str, Any]:
        engine = readiness.engine
        messages = tuple(words.message() for words in asked.messages)
        tokens = await while_connected(request, engine.tokenize(messages))
        text = engine.model.tokenizer.decode([token.id for token in tokens], skip_special_tokens=False)
        return {"tokenize_response": tgi.spans(text, tokens), "templated_text": text}

    @app.get("/info")
    async def info() -> dict[str, Any]:
        model = readiness.engine.model
        return {
            "model_id": model.name,
            "model_sha": None,
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": model.network.rows,
            "max_best_of": 1,
            "max_stop_sequences": 16,
            "max_input_tokens": model.longest - 1,
            "max_total_tokens": model.longest,
            "validation_workers": 1,
            "max_client_batch_size": 1,
            "router": "hone",
            "version": version("hone-chat"),
            "sha": None,
            "docker_label": None,
        }
