"""What the routes ask of the engine and what it answers with, whatever dialect it came in.

OpenAI's routes and TGI's both become an `Ask`; both read `Piece`s and one `Ended` back. Knows nothing
of HTTP, tensors or threads.

Trail: serve/engine/openai.py, serve/engine/tgi.py -> here -> serve/engine/engine.py
"""

from dataclasses import dataclass, field

from feedback.records import Message


@dataclass(frozen=True, slots=True)
class Drawing:
    """How tokens are drawn and when the answer ends.

    Temperature 0 is greedy. `top_k` 0, `top_p` 1, `min_p` 0 and penalties of 1, 0 and 0 change nothing.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    """None: as many as the context has room for."""
    ignore_stop_token: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: a conversation or a raw prompt (text or token ids), and what is wanted back."""

    version: str
    prompt: tuple[Message, ...] | str | tuple[int, ...]
    drawing: Drawing = field(default_factory=Drawing)
    top_logprobs: int | None = None
    """None: no details of tokens; 0: the chosen token's log-probability; k: the k likeliest beside it."""
    prompt_logprobs: bool = False
    owner: str = ""
    """Whose prefix this may reuse and leave behind; empty: nobody's."""
    background: bool = False
    seconds: float | None = None
    """The deadline of the whole answer, from admission."""
    truncate: int | None = None
    """Keep only the last so many tokens of the prompt (TGI's `truncate`)."""
    trace: str = ""
    """Whose trace this goes on, as its `traceparent` header says."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token with its natural log-probability under the model's own, unaltered distribution."""

    id: int
    text: str
    logprob: float
    special: bool = False
    rank: int = 0
    """Its place among all tokens, 1 being the likeliest; 0 where that was not asked."""
    top: tuple["Token", ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step added: text that is now certain (may be empty), and its tokens where asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of an answer.

    `reason` is `stop` or `length`; `stopped_by` is the stop string that was met, if one was.
    `prompt` holds the prompt's tokens, where they were asked for; the first has a logprob of 0.
    """

    reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    stopped_by: str = ""
    seed: int | None = None
    prompt: tuple[Token, ...] = ()
