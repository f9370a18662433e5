"""The words of the house as types: frozen, slotted, and all that the layers pass to each other.

They carry no behaviour beyond what follows from their own fields, and know nothing of storage.
Times are UTC and timezone-aware. Ids are UUIDv7 strings, minted by whoever makes the record, so that
a retried write is the same row.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from uuid6 import uuid7

BASE_NUMBER = 0
MAX_ASKED = 1_000_000
"""Characters that an exchange may hold of what was asked, with all that was said before it."""
COMMAND_LINE = "cli"
"""The principal of whoever holds the home's token."""


def new_id() -> str:
    """A fresh UUIDv7: unique, and sorted by the time it was made."""
    return str(uuid7())


def is_id(text: str) -> bool:
    """Whether this is an id as the store writes them."""
    try:
        return str(UUID(text)) == text
    except (ValueError, AttributeError, TypeError):  # what a browser sends may be no text at all
        return False


def is_import(source: str) -> bool:
    """Whether this `source` of an exchange says that an operator brought it in."""
    return source in ("import", "demo") or source.startswith("import:")


def now() -> datetime:
    return datetime.now(UTC)


class Role(StrEnum):
    """What a principal may do; each role may also do everything before it."""

    USER = "user"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who does something: an account, or the home's command-line token (`cli`)."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, in the form that chat templates take."""

    role: Literal["system", "user", "assistant"]
    content: str

    def as_dict(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn. `temperature` 0 is greedy; `max_tokens` counts new tokens."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 512
    seed: int | None = None
    stop: tuple[str, ...] = ()


FinishReason = Literal["stop", "length", "stopped", "cut", "error"]
"""`stop` and `length` are the model's; a person `stopped` it; a failure `cut` it; `error`: no answer."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One instruction, the conversation before it, and the answer it got.

    `response` and `finish_reason` are None while the turn runs. `context` holds the messages before
    the instruction, system prompt first. `tokens` are those of all of it and of the answer, as its engine
    counted them.
    """

    id: str
    at: datetime
    principal: str
    conversation_id: str
    assistant: str
    version: str
    context: tuple[Message, ...]
    instruction: str
    sampling: dict[str, Any] = field(default_factory=dict)
    source: str = "chat"
    replaces: str | None = None
    response: str | None = None
    tokens: int | None = None
    finish_reason: FinishReason | None = None
    rating: Literal["up", "down"] | None = None
    reasons: tuple[str, ...] = ()
    comment: str = ""
    correction: str = ""
    state: str = "unrated"
    verdict: str | None = None
    approved_response: str | None = None
    reviewed_by: str | None = None

    @property
    def proposed(self) -> str:
        """What approving this exchange as it stands would teach: the correction, else the answer."""
        return self.correction or self.response or ""

    @property
    def messages(self) -> tuple[Message, ...]:
        return (*self.context, Message("user", self.instruction))

    @property
    def imported(self) -> bool:
        return is_import(self.source)

    @property
    def asked(self) -> int:
        """The characters of all its messages."""
        return sum(len(message.content) for message in self.messages)


REASONS_DOWN = (
    "not_factually_correct",
    "didnt_fully_follow_instructions",
    "not_helpful",
    "too_verbose",
    "dont_like_the_style",
    "refused_when_it_shouldnt_have",
    "unsafe",
    "being_lazy",
    "other",
)
REASONS_UP = (
    "accurate_information",
    "followed_instructions_perfectly",
    "thorough_explanation",
    "attention_to_detail",
    "positive_attitude",
    "showcased_creativity",
    "other",
)


@dataclass(frozen=True, slots=True)
class Assistant:
    """A name with its system prompt and domain, and its own line of versions over the shared base."""

    name: str
    title: str = ""
    system_prompt: str = ""
    domain: str = "general"
    greeting: str = ""
    examples: tuple[str, ...] = ()
    notice: str = ""
    """What stands under every conversation with it, such as what it must not be relied on for."""

    @property
    def base_version(self) -> str:
        return f"{self.name}@{BASE_NUMBER}"


@dataclass(frozen=True, slots=True)
class Pair:
    """An approved instruction-response pair: what the tuner may learn from.

    `messages` ends with the user's instruction; `response` is the approved answer. `author` is who
    wrote the response's words (the correcting user, the editing reviewer, or the importing operator);
    `own` marks a pair whose author also approved it. `contributor` is who asked: the end user behind the
    exchange; `alone`: there was no other account when it was approved; `disowned`: a reviewer approved it
    who is suspended, and nobody else did.
    """

    exchange_id: str
    review_id: str
    assistant: str
    conversation_id: str
    messages: tuple[Message, ...]
    response: str
    author: str
    reviewer: str
    source: str
    at: datetime
    own: bool = False
    contributor: str = ""
    alone: bool = False
    disowned: bool = False

    @property
    def imported(self) -> bool:
        return is_import(self.source)


VersionState = Literal[
    "training", "candidate", "abstained", "refused", "canary", "live", "previous", "withdrawn", "erased"
]


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable adapter, or the base (`number` 0, no digest, no folder)."""

    version: str
    assistant: str
    number: int
    state: VersionState
    created_at: datetime
    digest: str = ""
    folder: str = ""
    run_id: str = ""
    reason: str = ""
    changed_by: str = ""
    changed_at: datetime | None = None
    by_hand: str = ""
    """Who promoted it though it had not passed, and why; once so, for ever so."""

    @property
    def is_base(self) -> bool:
        return self.number == BASE_NUMBER


RunState = Literal["queued", "running", "passed", "abstained", "refused", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of the tuner as its newest event tells it. `step` is the step it is in or ended in."""

    id: str
    assistant: str
    number: int
    state: RunState
    step: str
    started_at: datetime
    changed_at: datetime
    principal: str
    folder: str = ""
    version: str = ""
    reason: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
