"""`/v1/chat/completions` in OpenAI's shape: `model` is an assistant or, for operators, a version.

The response's `id` is the exchange id, so that a program can rate what it got.

Trail: a client -> here -> serve/conversation.py
"""

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.types import Receive, Scope, Send

from feedback.errors import BadRequest, HoneError
from feedback.records import MAX_ASKED, Message, Principal, Role, Sampling
from serve.api.errors import error_body
from serve.conversation import Conversations, Turn
from serve.identity import Identity

Text = Annotated[str, Field(max_length=MAX_ASKED)]
Stop = Annotated[str, Field(max_length=200)]

UNSUPPORTED: dict[str, Any] = {
    "n": 1,
    "best_of": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "prompt_logprobs": None,
    "logit_bias": {},
    "tools": [],
    "functions": [],
    "response_format": {"type": "text"},
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repetition_penalty": 1,
    "top_k": 0,
    "min_p": 0,
    "ignore_eos": False,
}
"""What would change the answer and is not taken, each at the value that changes nothing."""


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[dict[str, Any]]

    def text(self) -> str:
        """The words of the message; parts other than text are refused."""
        if isinstance(self.content, str):
            return self.content
        if any(part.get("type") != "text" for part in self.content):
            raise BadRequest("Only text can be sent.", "Leave out images, audio and files.")
        return "".join(str(part.get("text", "")) for part in self.content)


class ChatRequest(BaseModel):
    """OpenAI's request; fields that don't change an answer are ignored, as other servers do."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(
        None, description="At most 16 texts of 200 characters"
    )
    stream_options: dict[str, Any] | None = None
    conversation_id: str | None = Field(None, description="Hone's own: groups exchanges of one conversation")

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "ChatRequest":
        extra = self.model_extra or {}
        asked = [name for name, same in UNSUPPORTED.items() if extra.get(name, same) not in (None, same)]
        if asked:
            raise ValueError(f"not supported here: {', '.join(asked)}")
        return self


def routes(identity: Identity, conversations: Conversations) -> APIRouter:
    router = APIRouter(tags=["chat"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]

    @router.post("/v1/chat/completions", response_model=None)
    async def complete(request: ChatRequest, principal: user) -> Response:
        """Answer a conversation, whole or as a stream of server-sent events."""
        turn = await _begin(conversations, principal, request)
        headers = {"x-hone-version": turn.version, "x-hone-exchange": turn.exchange.id}
        if turn.unkept:
            headers["x-hone-kept"] = "no"
        if request.stream:
            apart = bool((request.stream_options or {}).get("include_usage"))
            return _TurnStream(turn, headers, counted_apart=apart)
        try:
            async for _ in turn.pieces:
                pass
        finally:
            await turn.close()
        return JSONResponse(_completion(turn), headers=headers)

    return router


async def _begin(conversations: Conversations, principal: Principal, request: ChatRequest) -> Turn:
    if request.messages[-1].role != "user":
        raise BadRequest("The last message must be the user's.", "End `messages` with role `user`.")
    name, _, number = request.model.partition("@")
    assistant = await conversations.assistant(name)
    said = [m for m in request.messages[:-1] if m.role not in ("system", "developer")]
    orders = [assistant.system_prompt] if assistant.system_prompt else []
    orders += [m.text() for m in request.messages if m.role in ("system", "developer")]
    context = [Message("system", "\n\n".join(orders))] if orders else []
    context += [Message("user" if m.role == "user" else "assistant", m.text()) for m in said]
    instruction = request.messages[-1].text()
    conversations.check_text(instruction, context)
    return await conversations.begin(
        principal,
        name,
        context,
        instruction,
        conversation_id=request.conversation_id,
        begins=True,
        sampling=_sampling(request, conversations.sampling),
        version=request.model if number else None,
        source="api",
    )


def _sampling(request: ChatRequest, default: Sampling) -> Sampling:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return Sampling(
        temperature=default.temperature if request.temperature is None else request.temperature,
        top_p=request.top_p or default.top_p,
        max_tokens=request.max_completion_tokens or request.max_tokens or default.max_tokens,
        seed=request.seed,
        stop=tuple(stop),
    )


def _finish(turn: Turn) -> str:
    # OpenAI's clients know `stop` and `length`; the exchange keeps the finer word.
    return "length" if turn.finish_reason == "length" else "stop"


def _usage(turn: Turn) -> dict[str, int]:
    return {
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
        "total_tokens": turn.prompt_tokens + turn.completion_tokens,
    }


def _completion(turn: Turn) -> dict[str, Any]:
    message = {"role": "assistant", "content": turn.text}
    return {
        "id": turn.exchange.id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": turn.version,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(turn), "logprobs": None}],
        "usage": _usage(turn),
    }


class _TurnStream(StreamingResponse):
    """A turn as server-sent events; closes the turn even if the client left before the first byte."""

    def __init__(self, turn: Turn, headers: dict[str, str], *, counted_apart: bool) -> None:
        self._turn = turn
        self._counted_apart = counted_apart
        headers |= {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(self._events(), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._turn.close()

    async def _events(self) -> AsyncIterator[str]:
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for piece in self._turn.pieces:
                yield self._chunk({"content": piece})
        except HoneError as trouble:
            yield _event(error_body(trouble))
            yield "data: [DONE]\n\n"
            return
        counted = {"usage": _usage(self._turn)}
        if self._counted_apart:  # OpenAI's way where a client asks for the counts: a chunk of their own
            yield self._chunk({}, _finish(self._turn))
            yield self._event([], **counted)
        else:
            yield self._chunk({}, _finish(self._turn), **counted)
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, str], finish: str | None = None, **more: Any) -> str:
        return self._event([{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}], **more)

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> str:
        return _event(
            {
                "id": self._turn.exchange.id,
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": self._turn.version,
                "choices": choices,
                **more,
            }
        )


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
