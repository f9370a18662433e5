"""How answers look in OpenAI's dialect: whole bodies, a stream's chunks, log-probabilities, errors.

One writer per answer keeps its id and what a stream has said so far. Knows nothing of engines or HTTP.

Trail: serve/engine/openai.py -> here -> serve/engine/delivery.py
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from uuid6 import uuid7

from feedback.errors import HoneError
from serve.engine.asking import Ended, Piece, Token
from serve.engine.openai import ChatRequest, CompletionRequest
from serve.engine.protocol import DONE, finite


def error_body(error: HoneError) -> dict[str, Any]:
    """OpenAI's error shape around one of our errors."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}


class ChatAnswer:
    """`chat.completion` and its chunks."""

    closing = DONE
    failure = staticmethod(error_body)

    def __init__(self, request: ChatRequest, bytes_of: Callable[[Token], list[int] | None]) -> None:
        self._request = request
        self._bytes_of = bytes_of
        self._head = _head("chatcmpl", "chat.completion", request.version)

    def whole(self, text: str, tokens: Sequence[Token], ended: Ended) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        body = {
            **self._head,
            "choices": [_choice("message", message, ended.reason, self._logprobs(tokens))],
            "usage": usage(ended),
        }
        if self._request.prompt_logprobs is not None:
            body["prompt_logprobs"] = prompt_logprobs(ended.prompt)
        return body

    def begin(self) -> Iterator[dict[str, Any]]:
        yield self._chunk([_choice("delta", {"role": "assistant", "content": ""})])

    def say(self, piece: Piece) -> Iterator[dict[str, Any]]:
        if piece.text or piece.tokens:
            delta = {"content": piece.text}
            yield self._chunk([_choice("delta", delta, None, self._logprobs(piece.tokens))])

    def end(self, ended: Ended) -> Iterator[dict[str, Any]]:
        yield self._chunk([_choice("delta", {}, ended.reason)])
        if self._request.stream_options.include_usage:
            yield self._chunk([], usage(ended))

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        if self._request.top is None:
            return None
        content = [
            {**self._likely(token), "top_logprobs": [self._likely(other) for other in token.top]}
            for token in tokens
        ]
        return {"content": content, "refusal": None}

    def _likely(self, token: Token) -> dict[str, Any]:
        return {"token": token.text, "logprob": finite(token.logprob), "bytes": self._bytes_of(token)}

    def _chunk(self, choices: list[dict[str, Any]], counted: dict[str, Any] | None = None) -> dict[str, Any]:
        more = {"usage": counted} if self._request.stream_options.include_usage else {}
        return {**self._head, "object": "chat.completion.chunk", "choices": choices, **more}


class CompletionAnswer:
    """`text_completion`, whole and in parts, with the older shape of log-probabilities."""

    closing = DONE
    failure = staticmethod(error_body)

    def __init__(self, request: CompletionRequest) -> None:
        self._request = request
        self._head = _head("cmpl", "text_completion", request.version)
        self._offset = 0

    def whole(self, text: str, tokens: Sequence[Token], ended: Ended) -> dict[str, Any]:
        choice = _choice("text", text, ended.reason, self._logprobs(tokens))
        if self._request.prompt_logprobs is not None:
            choice["prompt_logprobs"] = prompt_logprobs(ended.prompt)
        return {**self._head, "choices": [choice], "usage": usage(ended)}

    def begin(self) -> Iterator[dict[str, Any]]:
        yield from ()

    def say(self, piece: Piece) -> Iterator[dict[str, Any]]:
        if piece.text or piece.tokens:
            yield self._chunk([_choice("text", piece.text, None, self._logprobs(piece.tokens))])

    def end(self, ended: Ended) -> Iterator[dict[str, Any]]:
        yield self._chunk([_choice("text", "", ended.reason)])
        if self._request.stream_options.include_usage:
            yield self._chunk([], usage(ended))

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        if self._request.top is None:
            return None
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token.text)
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [finite(token.logprob) for token in tokens],
            "top_logprobs": [
                {other.text: finite(other.logprob) for other in (*token.top, token)} for token in tokens
            ],
            "text_offset": offsets,
        }

    def _chunk(self, choices: list[dict[str, Any]], counted: dict[str, Any] | None = None) -> dict[str, Any]:
        more = {"usage": counted} if self._request.stream_options.include_usage else {}
        return {**self._head, "choices": choices, **more}


def usage(ended: Ended) -> dict[str, Any]:
    return {
        "prompt_tokens": ended.prompt_tokens,
        "completion_tokens": ended.completion_tokens,
        "total_tokens": ended.prompt_tokens + ended.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": ended.cached_tokens},
    }


def prompt_logprobs(tokens: Sequence[Token]) -> list[dict[str, Any] | None]:
    """vLLM's list: null for the first token, which nothing precedes, then one entry a token."""
    return [None, *(_ranked(token) for token in tokens[1:])]


def _ranked(token: Token) -> dict[str, Any]:
    told = {"logprob": finite(token.logprob), "rank": token.rank, "decoded_token": token.text}
    return {str(token.id): told}


def _head(kind: str, name: str, version: str) -> dict[str, Any]:
    return {
        "id": f"{kind}-{uuid7()}",
        "object": name,
        "created": int(time.time()),
        "model": version,
        "system_fingerprint": version,
    }


def _choice(
    key: str, said: Any, reason: str | None = None, logprobs: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"index": 0, key: said, "logprobs": logprobs, "finish_reason": reason}
