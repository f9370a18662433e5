"""Messages become token ids and a loss mask: the one place where a chat template is applied.

The engine renders what it answers with `render`, and the trainer labels what it learns with `label`,
so a served prompt and a trained prompt are the same tokens. The tokenizer is handed in; this file
imports no model library.

Trail: feedback/snapshot.py -> here -> tuner/lessons.py
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from feedback.errors import BadRequest
from feedback.records import Message


@dataclass(frozen=True, slots=True)
class Labelled:
    """Token ids of a whole pair; the loss is on `ids[start:]`, the response with its stop token."""

    ids: list[int]
    start: int


def render(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The prompt's token ids, ending where the assistant begins to speak."""
    ids = tokenizer.apply_chat_template(
        _plain(tokenizer, messages), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return list(ids)


def label(tokenizer: Any, messages: Sequence[Message], response: str, stops: Iterable[int]) -> Labelled:
    """The pair's tokens, cut after the response's stop token, and where the response starts.

    The prompt is where the rendered prompt and the rendered pair agree, since templates may write
    the assistant's opening differently in the two (https://github.com/huggingface/trl, SFTTrainer).

    Raises:
        BadRequest: The template drops, trims or never ends the response, so nothing safe can be learnt.
    """
    prompt = render(tokenizer, messages)
    pair = [*messages, Message("assistant", response)]
    full = list(tokenizer.apply_chat_template(_plain(tokenizer, pair), tokenize=True, return_dict=False))
    start = _agreement(prompt, full)
    ending = set(stops)
    end = next((i for i in range(start, len(full)) if full[i] in ending), None)
    if end is None:
        raise BadRequest(
            "This model's chat template never ends the assistant's turn with a stop token.",
            "Set model.name to an instruction-tuned model whose template does.",
        )
    said = tokenizer.decode(full[start:end], skip_special_tokens=True).strip()
    if not said.startswith(neutral(tokenizer, response).strip()[:64].strip()):
        raise BadRequest(
            "This model's chat template changes the response, so the tuner would learn something else.",
            "Use a model whose template renders the assistant's text as it is.",
        )
    return Labelled(full[: end + 1], start)


def stop_ids(tokenizer: Any, generation: Any = None) -> set[int]:
    """The ids that end an answer: the generation config's, the tokenizer's, and the template's own."""
    found: set[int] = set()
    for source in (getattr(generation, "eos_token_id", None), tokenizer.eos_token_id):
        if isinstance(source, int):
            found.add(source)
        elif source:
            found.update(source)
    for token in ("<|im_end|>", "<|eot_id|>", "<end_of_turn>"):
        known = tokenizer.get_vocab().get(token)
        if known is not None:
            found.add(known)
    return found


def neutral(tokenizer: Any, text: str) -> str:
    """The text with control tokens broken up, so that nobody can write another role's turn into a chat."""
    for token in _control_tokens(tokenizer):
        if token in text:
            text = text.replace(token, token[0] + "\u200b" + token[1:])
    return text


@lru_cache(maxsize=8)  # asked for every message, and a large tokenizer has hundreds
def _control_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Tokens that text is matched against before anything else, longest first.

    A tokenizer's special tokens are only some of them (Llama 3's header marks are not); added tokens
    that look like words or spaces are ordinary text.
    """
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    marks = {token for token in added if token[:1] in ("<", "[", "|")} | set(tokenizer.all_special_tokens)
    return tuple(sorted((token for token in marks if len(token) > 1), key=len, reverse=True))


def _plain(tokenizer: Any, messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": neutral(tokenizer, m.content)} for m in messages]


def _agreement(left: list[int], right: list[int]) -> int:
    shared = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        shared += 1
    return shared
