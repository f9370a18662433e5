"""text-generation-inference's dialect: what its routes take, how they answer, and its errors.

Its parameters become an `Ask`; `adapter_id` picks the version, and what is not supported fails as its
own validation does. A stop string is part of the text here, as there. Knows nothing of engines or HTTP.

Trail: serve/engine/protocol.py -> here -> serve/engine/asking.py
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from feedback.errors import BadRequest, EngineBusy, HoneError
from serve.engine.asking import Ask, Drawing, Ended, Piece, Token
from serve.engine.protocol import (
    BASE,
    Conversation,
    Name,
    Number,
    Request,
    Stops,
    Text,
    finite,
    greedy_when_cold,
)
from serve.engine.refusals import GenerationFailed, IncompleteAnswer, StillLoading

Temperature = Annotated[Number, Field(gt=0, le=100), AfterValidator(greedy_when_cold)]

ERRORS: dict[type[HoneError], tuple[int, str]] = {
    BadRequest: (422, "validation"),
    EngineBusy: (429, "overloaded"),
    GenerationFailed: (424, "generation"),
    IncompleteAnswer: (500, "incomplete_generation"),
    StillLoading: (503, "healthcheck"),
}
"""How its clients know our errors; others keep their status and are told apart by their own code."""


class Parameters(Request):
    """Named and bounded as in its API; `best_of` and `typical_p` only at the value that changes nothing."""

    temperature: Temperature | None = None
    repetition_penalty: Number = Field(default=1.0, gt=0, le=10)
    frequency_penalty: Number = Field(default=0.0, ge=-2, le=2)
    top_k: int | None = Field(default=None, gt=0, le=1_000_000)
    top_p: Number | None = Field(default=None, gt=0, le=1)
    do_sample: bool | None = None
    max_new_tokens: int | None = Field(default=None, ge=1)
    return_full_text: bool | None = None
    stop: Stops = Field(default=[])
    truncate: int | None = Field(default=None, ge=1)
    details: bool = False
    decoder_input_details: bool = False
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    top_n_tokens: int = Field(default=0, ge=0, le=20)
    adapter_id: Name | None = None

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "Parameters":
        self.refuse_unsupported(frozenset(), {"best_of": 1, "typical_p": 1})
        return self

    @property
    def sampled(self) -> bool:
        """Whether tokens are drawn; where `do_sample` is not said, a sampling parameter says so."""
        if self.do_sample is not None:
            return self.do_sample
        return any(given is not None for given in (self.temperature, self.top_k, self.top_p))

    def drawing(self) -> Drawing:
        drawing = Drawing(
            temperature=0.0,
            repetition_penalty=self.repetition_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=self.seed,
            stop=tuple(self.stop),
            max_tokens=self.max_new_tokens,
        )
        if not self.sampled:
            return drawing
        return replace(
            drawing,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k or 0,
            top_p=self.top_p or 1.0,
        )


class GenerateRequest(Request):
    """What `/generate`, `/generate_stream` and `/` take; without parameters, tokens are drawn."""

    inputs: Text = Field(min_length=1)
    parameters: Parameters = Parameters(do_sample=True)
    stream: bool = False

    @model_validator(mode="after")
    def _nothing_ignored(self) -> "GenerateRequest":
        self.refuse_unsupported(frozenset(), {})
        return self

    def ask(self, *, streamed: bool) -> Ask:
        """A stream tells of every token, a whole answer only where details are wanted.

        Raises:
            BadRequest: The prompt's details are wanted of a stream.
        """
        wanted = self.parameters
        if streamed and wanted.decoder_input_details:
            raise BadRequest("A stream has no decoder_input_details.", "Ask for the whole answer instead.")
        detailed = streamed or wanted.details or wanted.decoder_input_details
        return Ask(
            version=wanted.adapter_id or BASE,
            prompt=self.inputs,
            drawing=wanted.drawing(),
            top_logprobs=wanted.top_n_tokens if detailed else None,
            prompt_logprobs=wanted.decoder_input_details,
            truncate=wanted.truncate,
        )


class TokenizeRequest(Request):
    inputs: Text = Field(min_length=1)


class ChatTokenizeRequest(Request):
    messages: Conversation


class GenerateAnswer:
    """A whole answer, or a stream with one event a token.

    The last event of a stream carries the whole text, so each token waits for the next one or the end.
    """

    closing = b""

    def __init__(self, request: GenerateRequest, *, full_text: bool) -> None:
        self._parameters = request.parameters
        self._text = request.inputs if full_text else ""
        self._waiting: tuple[Token, str] | None = None
        self._index = 0

    def whole(self, text: str, tokens: Sequence[Token], ended: Ended) -> dict[str, Any]:
        wanted = self._parameters
        body: dict[str, Any] = {"generated_text": self._text + text + self._stop_string(ended)}
        if wanted.details or wanted.decoder_input_details:
            body["details"] = {
                **self._details(ended),
                "prefill": [_prefilled(place, token) for place, token in enumerate(ended.prompt)],
                "tokens": [_token(token, token.text) for token in tokens],
            }
            if wanted.top_n_tokens:
                body["details"]["top_tokens"] = [_top(token) for token in tokens]
        return body

    def begin(self) -> Iterator[dict[str, Any]]:
        yield from ()

    def say(self, piece: Piece) -> Iterator[dict[str, Any]]:
        self._text += piece.text
        text = piece.text
        for token in piece.tokens:
            if token.special or token is not piece.tokens[-1]:
                text = self._add_to_waiting(text)
            if self._waiting is not None:
                yield self._event(*self._waiting)
            self._waiting = (token, text + (token.text if token.special else ""))
            text = ""
        self._add_to_waiting(text)

    def _add_to_waiting(self, text: str) -> str:
        """Give text to the token before; returns what is left, which is all of it before the first."""
        if self._waiting is None:
            return text
        self._waiting = (self._waiting[0], self._waiting[1] + text)
        return ""

    def end(self, ended: Ended) -> Iterator[dict[str, Any]]:
        token, said = self._waiting or (Token(0, "", 0.0, special=True), "")
        stop = self._stop_string(ended)
        more: dict[str, Any] = {"generated_text": self._text + stop}
        if self._parameters.details:
            more["details"] = {**self._details(ended), "input_length": ended.prompt_tokens}
        yield {**self._event(token, said + stop), **more}

    @staticmethod
    def failure(error: HoneError) -> dict[str, Any]:
        return error_answer(error)[1]

    def _event(self, token: Token, said: str) -> dict[str, Any]:
        self._index += 1
        more = {"top_tokens": _top(token)} if self._parameters.top_n_tokens else {}
        return {
            "index": self._index,
            "token": _token(token, said),
            **more,
            "generated_text": None,
            "details": None,
        }

    def _details(self, ended: Ended) -> dict[str, Any]:
        return {
            "finish_reason": self._reason(ended),
            "generated_tokens": ended.completion_tokens,
            "seed": ended.seed if self._parameters.sampled else None,
        }

    def _reason(self, ended: Ended) -> str:
        if ended.reason == "length":
            return "length"
        return "stop_sequence" if self._stop_string(ended) else "eos_token"

    def _stop_string(self, ended: Ended) -> str:
        return ended.stopped_by if ended.stopped_by in self._parameters.stop else ""


def error_answer(error: HoneError) -> tuple[int, dict[str, str]]:
    """The status and the body of an error in this dialect."""
    known = (ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)
    status, name = next(known, (error.status, error.code))
    if isinstance(error, BadRequest) and error.status != BadRequest.status:
        status = error.status  # too large, too slow
    return status, {"error": str(error), "error_type": name}


def spans(text: str, tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """Each token with the part of the text that it stands for, in characters.

    Tokens that are parts of one character, or of a few, all get the whole of those characters.
    """
    found: list[dict[str, Any]] = []
    unplaced: list[Token] = []
    at = 0
    for token in tokens:
        start = text.find(token.text, at) if token.text and "\ufffd" not in token.text else -1
        if start < 0 or (start > at and not unplaced):
            unplaced.append(token)
            continue
        found += [_span(part, text, at, start) for part in unplaced]
        unplaced = []
        at = start + len(token.text)
        found.append(_span(token, text, start, at))
    return found + [_span(part, text, at, len(text)) for part in unplaced]


def _span(token: Token, text: str, start: int, stop: int) -> dict[str, Any]:
    return {"id": token.id, "text": text[start:stop], "start": start, "stop": stop}


def _token(token: Token, text: str) -> dict[str, Any]:
    return {"id": token.id, "text": text, "logprob": finite(token.logprob), "special": token.special}


def _top(token: Token) -> list[dict[str, Any]]:
    return [_token(other, other.text) for other in token.top]


def _prefilled(place: int, token: Token) -> dict[str, Any]:
    """A token of the prompt; nothing precedes the first, so it has no log-probability."""
    return {"id": token.id, "text": token.text, "logprob": finite(token.logprob) if place else None}
