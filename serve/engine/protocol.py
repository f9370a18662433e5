"""What the dialects share on the wire: texts, messages, the engine's own verbs, and server-sent events.

`openai.py` and `tgi.py` build their requests from these. A null parameter means its default, and one
that would change the answer but is not supported is refused by name, never ignored. Knows nothing of
models, threads or HTTP.

Trail: serve/engines/ -> here -> serve/engine/openai.py
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from feedback.records import Message

BASE = "base"
"""The name under which the base model answers."""

DONE = b"data: [DONE]\n\n"

UNLIKELY = -9999.0
"""What stands for a log-probability of minus infinity, which JSON cannot carry; vLLM's number."""

GREEDY_BELOW = 1e-5
"""Temperatures below this are greedy, as in vLLM."""


def _encodable(text: str) -> str:
    """JSON can carry half a surrogate pair, which is no text and which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode text") from None
    return text


def greedy_when_cold(temperature: float) -> float:
    return 0.0 if temperature < GREEDY_BELOW else temperature


Text = Annotated[str, AfterValidator(_encodable)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Stops = Annotated[list[Name], Field(max_length=16)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Request(BaseModel):
    """A request's body: a null parameter means its default.

    What asks for words also refuses what it does not know (`refuse_unsupported`); the rest ignores it.
    """

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data

    def refuse_unsupported(self, harmless: frozenset[str], neutral: dict[str, Any]) -> None:
        """Names what is not supported and asks for something.

        Harmless parameters do not change an answer; others are neutral at the value given here or,
        where none is given, when they are false or empty.
        """
        asked = [
            name[:60]
            for name, value in (self.model_extra or {}).items()
            if name not in harmless and (value != neutral[name] if name in neutral else value)
        ]
        if asked:
            raise ValueError(f"not supported by this engine: {', '.join(asked[:20])}")


class Words(BaseModel):
    """One message as a client sends it: plain text, or parts that are all text."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text

    @field_validator("content", mode="before")
    @classmethod
    def _parts_together(cls, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise ValueError("only text can be sent")
        return "".join(part["text"] for part in content)

    def message(self) -> Message:
        return Message("system" if self.role == "developer" else self.role, self.content)


Conversation = Annotated[list[Words], Field(min_length=1, max_length=1000)]


class EmbeddingsRequest(BaseModel):
    input: list[Text] = Field(min_length=1, max_length=2048)

    @field_validator("input", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class ProbeItem(BaseModel):
    messages: Conversation
    response: Text = Field(min_length=1)


class ProbeRequest(BaseModel):
    """Answers whose tokens are to be scored, not generated."""

    model: Text
    items: list[ProbeItem] = Field(min_length=1, max_length=256)
    priority: int = 0


class LoadRequest(BaseModel):
    lora_name: Name
    lora_path: Text = Field(min_length=1)


class UnloadRequest(BaseModel):
    lora_name: Name


class ForgetRequest(BaseModel):
    """Whose kept prefixes are to be dropped."""

    cache_salt: Name


def finite(logprob: float) -> float:
    return max(logprob, UNLIKELY)


def event(body: dict[str, Any]) -> bytes:
    """One server-sent event; ASCII, since some clients break lines at U+2028 and its like."""
    return b"data: " + json.dumps(body, separators=(",", ":"), allow_nan=False).encode() + b"\n\n"
