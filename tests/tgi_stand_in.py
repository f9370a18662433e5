"""A small honest stand-in for text-generation-inference 3.3.7 (commit db931fcf of its repository).

A real model and real adapters behind TGI's documented rules, the awkward ones above all:

- an unknown adapter is answered by the base, with 200 (server/.../models/flash_causal_lm.py:569,1067);
- adapters are read once, at the start, from LORA_ADAPTERS (server/.../cli.py:92), whose entries may hold
  one = and no further @ (server/.../utils/adapter.py:56-75); a broken one keeps it from starting;
- chat names its adapter as `model`, "tgi" being the base (router/src/lib.rs:1031), takes temperature 0 for
  greedy (lib.rs:967), and samples all the same where top_p is below 1 (server/.../utils/tokens.py:303);
- top_p lies in (0, 1), and prompt and answer within the total (router/src/validation.rs:258,999);
- a stop string is part of the text and ends it as `stop_sequence` (lib.rs:1416-1438);
- errors are {"error", "error_type"}: 422 validation, 424 generation, 429 overloaded (server.rs:2407);
- the key guards all but /info, /health and /chat_tokenize, whatever its case (server.rs:2203).

The launcher keeps the imports and forks the server, so that a restart takes no seconds:
`tgi_stand_in.py STATE --model M --port P --key K`, and `tgi_stand_in.py STATE --restart ADAPTERS`.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

LONGEST = 256
"""max_total_tokens"""
MOST = 16
"""max_concurrent_requests"""


class Refused(Exception):
    """Its arguments are the message, the status and the type."""


def parse(adapters: str) -> dict[str, str]:
    """LORA_ADAPTERS as TGI reads it."""
    found = {}
    for entry in filter(None, adapters.split(",")):
        if entry.count("=") > 1 or entry.count("@") > 1:
            raise ValueError(f"Invalid LoRA adapter format: {entry}")
        match = re.match(r"^([^=@]+)(?:=([^@]+))?(?:@(.+))?$", entry.strip())
        if match is None:
            raise ValueError(f"Invalid LoRA adapter format: {entry}")
        found[match[1]] = match[2] or match[1]
    return found


class Model:
    """The base and its adapters, each a model of its own."""

    def __init__(self, folder: str, adapters: dict[str, str]) -> None:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.adapted = {
            name: PeftModel.from_pretrained(
                AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), path
            ).eval()
            for name, path in adapters.items()
        }

    def render(self, messages: list[dict[str, str]]) -> str:
        text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return str(text)

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def prefill(self, adapter: str | None, ids: list[int]) -> list[dict[str, Any]]:
        torch = self.torch
        with torch.inference_mode():
            logits = self.adapted.get(adapter or "", self.base)(torch.tensor([ids])).logits[0].float()
        scores = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        values = [None, *scores.tolist()]
        return [
            {"id": i, "text": self.tokenizer.decode([i]), "logprob": v}
            for i, v in zip(ids, values, strict=True)
        ]

    def speak(self, ids: list[int], asked: dict[str, Any]) -> Iterator[tuple[int, str, str | None]]:
        """Token, the text it adds, and the finish reason on the last."""
        torch = self.torch
        model = self.adapted.get(asked["adapter_id"] or "", self.base)
        drawn = asked["do_sample"] or asked["temperature"] != 1.0 or asked["top_p"] < 1.0
        chance = torch.Generator().manual_seed(asked["seed"])
        past, step, said, text = None, ids, [], ""
        for count in range(1, asked["max_new_tokens"] + 1):
            with torch.inference_mode():
                out = model(torch.tensor([step]), past_key_values=past, use_cache=True)
            past, logits = out.past_key_values, out.logits[0, -1].float() / asked["temperature"]
            token = int(
                torch.multinomial(logits.softmax(-1), 1, generator=chance) if drawn else logits.argmax()
            )
            step, said = [token], [*said, token]
            whole = self.tokenizer.decode(said, skip_special_tokens=True)
            new, text = whole[len(text) :], whole
            reason = "length" if count == asked["max_new_tokens"] else None
            if any(stop in text for stop in asked["stop"]):
                reason = "stop_sequence"
            if token == self.tokenizer.eos_token_id:
                reason = "eos_token"
            yield token, new, reason
            if reason and reason != "length":
                return


def invalid(what: str) -> Refused:
    return Refused(f"Input validation error: {what}", 422, "validation")


def validated(ids: list[int], told: dict[str, Any]) -> dict[str, Any]:
    temperature, top_p = told.get("temperature"), told.get("top_p")
    most = told.get("max_new_tokens") or 1024
    if temperature is not None and temperature <= 0:
        raise invalid("`temperature` must be strictly positive")
    if top_p is not None and not 0 < top_p < 1:
        raise invalid("`top_p` must be > 0.0 and < 1.0")
    if len(ids) + most > LONGEST:
        raise invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {LONGEST}. "
            f"Given: {len(ids)} `inputs` tokens and {most} `max_new_tokens`"
        )
    return {
        "temperature": temperature or 1.0,
        "top_p": top_p or 1.0,
        "do_sample": bool(told.get("do_sample")),
        "seed": told.get("seed") if told.get("seed") is not None else int.from_bytes(os.urandom(4), "big"),
        "stop": told.get("stop") or [],
        "max_new_tokens": most,
        "adapter_id": told.get("adapter_id"),
    }


def build(model: Model, name: str, key: str) -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, Response, StreamingResponse

    app = FastAPI()
    running: set[object] = set()

    @app.middleware("http")
    async def guard(request: Request, go_on: Any) -> Any:
        open_routes = ("/info", "/health", "/chat_tokenize")
        given = request.headers.get("authorization", "").lower()
        if request.url.path not in open_routes and given != f"bearer {key}".lower():
            return Response(status_code=401)
        return await go_on(request)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        message, status, kind = error.args
        return JSONResponse({"error": message, "error_type": kind}, status)

    async def speak(ids: list[int], asked: dict[str, Any]) -> AsyncIterator[tuple[int, str, str | None]]:
        if len(running) >= MOST:
            raise Refused("Model is overloaded", 429, "overloaded")
        place = object()
        running.add(place)
        try:
            for told in model.speak(ids, asked):
                yield told
                await asyncio.sleep(0)
        finally:
            running.discard(place)

    @app.get("/health")
    async def health() -> Response:
        return Response()

    @app.get("/info")
    async def info() -> dict[str, Any]:
        return {
            "model_id": name,
            "max_total_tokens": LONGEST,
            "max_concurrent_requests": MOST,
            "version": "3.3.7",
        }

    @app.post("/chat_tokenize")
    async def chat_tokenize(request: Request) -> dict[str, Any]:
        text = model.render((await request.json())["messages"])
        tokens = [{"id": i, "text": model.tokenizer.decode([i])} for i in model.ids(text)]
        return {"tokenize_response": tokens, "templated_text": text}

    @app.post("/generate")
    async def generate(request: Request) -> dict[str, Any]:
        body = await request.json()
        told = body.get("parameters") or {}
        ids = model.ids(body["inputs"])
        asked = validated(ids, told)
        said = [part async for part in speak(ids, asked)]
        details = {
            "finish_reason": said[-1][2],
            "generated_tokens": len(said),
            "prefill": model.prefill(asked["adapter_id"], ids) if told.get("decoder_input_details") else [],
        }
        return {"generated_text": "".join(text for _, text, _ in said), "details": details}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Any:
        body = await request.json()
        ids = model.ids(model.render(body["messages"]))
        greedy = body.get("temperature") == 0
        asked = validated(
            ids,
            {
                **body,
                "temperature": None if greedy else body.get("temperature"),
                "do_sample": not greedy,
                "max_new_tokens": body.get("max_tokens"),
                "adapter_id": body.get("model") if body.get("model") != "tgi" else None,
            },
        )
        spoken = speak(ids, asked)
        first = await anext(spoken)  # what is refused has a status, not an event

        async def events() -> AsyncIterator[str]:
            count, part = 0, first
            while True:
                count += 1
                delta = {"role": "assistant", "content": part[1]}
                reason = "stop" if part[2] == "eos_token" else part[2]
                choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
                yield event(name, [choice])
                if part[2]:
                    break
                part = await anext(spoken)
            usage = {"prompt_tokens": len(ids), "completion_tokens": count, "total_tokens": len(ids) + count}
            yield event(name, [], usage)
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


def event(model: str, choices: list[Any], usage: dict[str, int] | None = None) -> str:
    chunk = {"object": "chat.completion.chunk", "id": "", "created": int(time.time()), "model": model}
    told = {**chunk, "system_fingerprint": "3.3.7-native", "choices": choices, "usage": usage}
    return f"data: {json.dumps(told)}\n\n"


def serve(options: argparse.Namespace) -> None:
    import uvicorn

    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    adapters = parse((options.state / "adapters").read_text())
    app = build(Model(options.model, adapters), options.model, options.key)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


def launch(options: argparse.Namespace) -> None:
    """Fork a server, and another in its place for each hang-up signal."""
    import peft  # noqa: F401  # imported once, before the forks
    import transformers  # noqa: F401

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM})
    while True:
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGTERM})
            serve(options)
            os._exit(0)
        (options.state / "launcher").write_text(str(os.getpid()))
        (options.state / "server").write_text(str(child))
        got = signal.sigwait({signal.SIGHUP, signal.SIGTERM})
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if got == signal.SIGTERM:
            return


def restart(options: argparse.Namespace) -> None:
    """What an operator's restart command does: new adapters, the old server gone, a new one begun."""
    before = (options.state / "server").read_text()
    (options.state / "adapters").write_text(options.restart)
    os.kill(int((options.state / "launcher").read_text()), signal.SIGHUP)
    until = time.monotonic() + 10
    while (options.state / "server").read_text() in ("", before):
        if time.monotonic() > until:
            sys.exit("the launcher did not restart it")
        time.sleep(0.02)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default="")
    parser.add_argument("--restart")
    asked = parser.parse_args()
    restart(asked) if asked.restart is not None else launch(asked)
