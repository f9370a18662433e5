"""The shapes that cross the wire: OpenAI's chat, vLLM's adapter verbs, and the error body.

Requests check themselves, and a parameter that would change the answer but is not supported is
refused, never ignored. This file knows nothing of models, threads or HTTP.

Trail: serve/engines/ -> here -> serve/engine/server.py
"""

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from feedback.errors import HoneError
from feedback.records import Message

BASE = "base"
"""The name under which the base model answers."""

DONE = b"data: [DONE]\n\n"

UNSUPPORTED = ("tools", "functions", "response_format", "logprobs", "logit_bias", "best_of")
NEUTRAL = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1}


def _encodable(text: str) -> str:
    """JSON can carry half a surrogate pair, which is no text and which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode text") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
StopString = Annotated[Text, Field(min_length=1, max_length=200)]


class Words(BaseModel):
    """One message as a client sends it: plain text only."""

    role: Literal["system", "user", "assistant"]
    content: Text

    def message(self) -> Message:
        return Message(self.role, self.content)


class ChatRequest(BaseModel):
    """What `/v1/chat/completions` takes; temperature 0 is greedy, `max_tokens` counts new tokens."""

    model_config = ConfigDict(extra="allow")

    model: Text
    messages: list[Words] = Field(min_length=1)
    temperature: float = Field(default=1.0, ge=0, le=5)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(
        default=None, ge=1, validation_alias=AliasChoices("max_tokens", "max_completion_tokens")
    )
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: list[StopString] = Field(default=[], max_length=16)
    stream: bool = False
    priority: int = 0

    @field_validator("temperature", "top_p", mode="before")
    @classmethod
    def _null_is_default(cls, value: Any) -> Any:
        return 1.0 if value is None else value

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value or []

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "ChatRequest":
        extra = self.model_extra or {}
        asked = [name for name in UNSUPPORTED if extra.get(name)]
        asked += [name for name, value in NEUTRAL.items() if extra.get(name, value) not in (None, value)]
        if asked:
            raise ValueError(f"not supported by this engine: {', '.join(asked)}")
        last = self.messages[-1]
        if last.role != "user" or not last.content.strip():
            raise ValueError("the last message must be the user's and must say something")
        return self

    def conversation(self) -> list[Message]:
        return [words.message() for words in self.messages]


class EmbeddingsRequest(BaseModel):
    input: list[Text] = Field(min_length=1, max_length=2048)

    @field_validator("input", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class ProbeItem(BaseModel):
    messages: list[Words] = Field(min_length=1)
    response: Text = Field(min_length=1)


class ProbeRequest(BaseModel):
    """Answers whose tokens are to be scored, not generated."""

    model: Text
    items: list[ProbeItem] = Field(min_length=1, max_length=256)
    priority: int = 0


class LoadRequest(BaseModel):
    lora_name: Text = Field(min_length=1, max_length=200)
    lora_path: Text = Field(min_length=1)


class UnloadRequest(BaseModel):
    lora_name: Text = Field(min_length=1, max_length=200)


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int

    def body(self) -> dict[str, int]:
        return {**self.model_dump(), "total_tokens": self.prompt_tokens + self.completion_tokens}


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of an answer: `reason` is `stop` or `length`."""

    reason: str
    usage: Usage


def error_body(error: HoneError) -> dict[str, Any]:
    """OpenAI's error shape around one of our errors."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": str(error), "type": kind, "code": error.code}}


def completion(answer_id: str, version: str, text: str, reason: str, usage: Usage) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": version,
        "system_fingerprint": version,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": usage.body(),
    }


def chunk(
    answer_id: str, version: str, delta: dict[str, str], reason: str | None = None, usage: Usage | None = None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": version,
        "system_fingerprint": version,
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}],
    }
    if usage is not None:
        body["usage"] = usage.body()
    return body


def event(body: dict[str, Any]) -> bytes:
    """One server-sent event; ASCII, since some clients break lines at U+2028 and its like."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
