"""What the engines that others run have in common: they render the chat, and Hone must know its tokens.

An outside engine parses control tokens in what people write, so a message could speak in another role's
name; ours breaks them up, and here the driver does before it sends. To prove a version, the engine's own
rendering is cut by the very function that the trainer labels with, so both score the same tokens or the
proof fails. The tokens are read from the base model's files, without a model library.

Trail: serve/engines/base.py -> here -> serve/engines/vllm.py, serve/engines/tgi.py
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from tokenizers import Tokenizer

from feedback import template
from feedback.errors import EngineError
from feedback.records import Message, Sampling
from feedback.template import Labelled
from serve.engines.base import HttpEngine

_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")


class Tokens:
    """A base model's tokens, from its own files; has what `feedback/template.py` asks of a tokenizer."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        told = _json(folder / "special_tokens_map.json") | _json(folder / "tokenizer_config.json")
        named = {name: _text(told[name]) for name in _NAMED if told.get(name)}
        self.added_tokens_decoder = dict(self._tokenizer.get_added_tokens_decoder())
        self.all_special_tokens = [*named.values(), *map(_text, told.get("additional_special_tokens") or ())]
        self.bos = named.get("bos_token", "")
        eos = named.get("eos_token", "")
        self.eos_token_id = self._tokenizer.token_to_id(eos) if eos else None
        generation = _json(folder / "config.json") | _json(folder / "generation_config.json")
        self.stops = template.stop_ids(self, SimpleNamespace(eos_token_id=generation.get("eos_token_id")))

    def get_vocab(self) -> dict[str, int]:
        return dict(self._tokenizer.get_vocab())

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def text(self, token: int) -> str:
        return str(self._tokenizer.id_to_token(token))

    def neutral(self, text: str) -> str:
        """The text with control tokens broken up."""
        return template.neutral(self, text)

    def label(
        self, prompt: list[int], pair: list[int], messages: Sequence[Message], response: str
    ) -> Labelled:
        """Where the response lies in a pair that an engine rendered, as the trainer would say."""
        return template.label(_Rendered(self, prompt, pair), messages, response, self.stops)


class _Rendered:
    """A tokenizer whose chat template has been applied already, by the engine."""

    def __init__(self, tokens: Tokens, prompt: list[int], pair: list[int]) -> None:
        self.added_tokens_decoder = tokens.added_tokens_decoder
        self.all_special_tokens = tokens.all_special_tokens
        self.decode = tokens.decode
        self._prompt = prompt
        self._pair = pair

    def apply_chat_template(self, _: Any, *, add_generation_prompt: bool = False, **__: Any) -> list[int]:
        return self._prompt if add_generation_prompt else self._pair


class OutsideEngine(HttpEngine):
    """An engine that Hone did not start."""

    def __init__(self, secret: str, *, url: str, silence: float = 120.0, base: str = "") -> None:
        """`base` is the folder or id of the base model here, where the engine's own word for it is no use."""
        super().__init__(secret, url=url, silence=silence)
        self._base = base
        self._known: Tokens | None = None

    async def _question(
        self, version: str, messages: Sequence[Message], sampling: Sampling, priority: int, owner: str
    ) -> dict[str, Any]:
        asked = await super()._question(version, messages, sampling, priority, owner)
        return asked | {"messages": await self._safe(messages)}

    async def _safe(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        tokens = await self._tokens()
        return [{"role": m.role, "content": tokens.neutral(m.content)} for m in messages]

    async def _tokens(self) -> Tokens:
        if self._known is None:
            root = self._base or str((await self.models())[0]["root"])
            self._known = await asyncio.to_thread(_read, root)
        return self._known


def _read(root: str) -> Tokens:
    """The tokens of a folder, or of a model id from the hub's cache on this machine or the hub."""
    folder = Path(root)
    try:
        if not folder.is_dir():
            folder = Path(snapshot_download(root, allow_patterns=["*.json"]))
        return Tokens(folder)
    except (OSError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, ValueError) as fault:
        raise _unread(root, fault) from None
    except Exception as fault:  # what the tokenizer library raises has no class of its own
        raise _unread(root, fault) from fault


def _unread(root: str, fault: Exception) -> EngineError:
    return EngineError(
        f"The tokens of the engine's base model {root} cannot be read here ({type(fault).__name__}), "
        "so control tokens in what people write could not be made harmless.",
        "Set model.name to a folder or a Hugging Face id of that very model that this machine can read.",
    )


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _text(token: Any) -> str:
    """Tokenizer files write a token as text, or as an object that holds it."""
    return str(token["content"]) if isinstance(token, dict) else str(token)
