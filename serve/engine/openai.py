"""What OpenAI's routes take, with vLLM's additions: chats and raw prompts, each becoming an `Ask`.

Requests check themselves. How answers look is in `openai_answers.py`; nothing here knows of models,
threads or HTTP.

Trail: serve/engine/protocol.py -> here -> serve/engine/asking.py
"""

from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field, field_validator, model_validator

from serve.engine.asking import Ask, Drawing
from serve.engine.protocol import BASE, Conversation, Name, Number, Request, Stops, Text, greedy_when_cold

TGI_BASE = "tgi"
"""What text-generation-inference calls the base in OpenAI's routes; its own client can say nothing else."""

HARMLESS = frozenset(
    (
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "parallel_tool_calls",
        "tool_prompt",
        "request_id",
    )
)
NEUTRAL: dict[str, Any] = {
    "n": 1,
    "best_of": 1,
    "response_format": {"type": "text"},
    "tool_choice": "none",
    "modalities": ["text"],
    "length_penalty": 1,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "add_generation_prompt": True,
}

Temperature = Annotated[Number, Field(ge=0, le=5), AfterValidator(greedy_when_cold)]
Top = Annotated[int, Field(ge=0, le=20)]


class StreamOptions(Request):
    include_usage: bool = False

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "StreamOptions":
        self.refuse_unsupported(frozenset(("include_obfuscation",)), {})
        return self


class Drawn(Request):
    """How an answer is drawn, named as in OpenAI's API and vLLM's; temperature 0 is greedy."""

    model: Text
    temperature: Temperature = 1.0
    top_p: Number = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=-1, le=1_000_000)
    min_p: Number = Field(default=0.0, ge=0, le=1)
    repetition_penalty: Number = Field(default=1.0, gt=0, le=10)
    presence_penalty: Number = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: Number = Field(default=0.0, ge=-2, le=2)
    max_tokens: int | None = Field(
        default=None, ge=1, validation_alias=AliasChoices("max_tokens", "max_completion_tokens")
    )
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: Stops = Field(default=[])
    ignore_eos: bool = False
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    prompt_logprobs: int | None = Field(default=None, ge=0, le=1)
    cache_salt: Name | None = None
    priority: int = Field(default=0, ge=-(2**31), lt=2**31)
    timeout: Number | None = Field(default=None, gt=0, le=86_400)

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "Drawn":
        self.refuse_unsupported(HARMLESS, NEUTRAL)
        if self.stream and self.prompt_logprobs is not None:
            raise ValueError("prompt_logprobs comes with whole answers only, not with a stream")
        return self

    @property
    def version(self) -> str:
        return BASE if self.model == TGI_BASE else self.model

    @property
    def top(self) -> int | None:
        """How many of the likeliest tokens are wanted; None: no details of tokens at all."""
        raise NotImplementedError

    def drawing(self) -> Drawing:
        return Drawing(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=max(self.top_k, 0),
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=self.seed,
            stop=tuple(self.stop),
            max_tokens=self.max_tokens,
            ignore_stop_token=self.ignore_eos,
        )

    def asking(self, prompt: Any) -> Ask:
        return Ask(
            version=self.version,
            prompt=prompt,
            drawing=self.drawing(),
            top_logprobs=self.top,
            prompt_logprobs=self.prompt_logprobs is not None,
            owner=self.cache_salt or "",
            background=self.priority > 0,
            seconds=self.timeout,
        )


class ChatRequest(Drawn):
    """What `/v1/chat/completions` takes."""

    messages: Conversation
    logprobs: bool = False
    top_logprobs: Top = 0

    @model_validator(mode="after")
    def _answerable(self) -> "ChatRequest":
        last = self.messages[-1]
        if last.role != "user" or not last.content.strip():
            raise ValueError("the last message must be the user's and must say something")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self

    @property
    def top(self) -> int | None:
        return self.top_logprobs if self.logprobs else None

    def ask(self) -> Ask:
        return self.asking(tuple(words.message() for words in self.messages))


class CompletionRequest(Drawn):
    """What `/v1/completions` takes: one prompt, as text or as token ids, and no chat template."""

    prompt: Annotated[Text, Field(min_length=1)] | Annotated[list[int], Field(min_length=1)]
    logprobs: Top | None = None

    @property
    def top(self) -> int | None:
        return self.logprobs

    def ask(self) -> Ask:
        return self.asking(self.prompt if isinstance(self.prompt, str) else tuple(self.prompt))
