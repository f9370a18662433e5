"""How token ids read as text: whole answers without control tokens, single tokens with them.

Trail: serve/engine/row.py -> here
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from serve.engine.asking import Token
from serve.engine.sampling import Likely


class Spelling:
    """Reads ids through a fast tokenizer; safe from any thread."""

    def __init__(self, tokenizer: Any) -> None:
        self._decode = tokenizer.backend_tokenizer.decode
        self._special = frozenset(tokenizer.all_special_ids)
        self.one = lru_cache(maxsize=4096)(self._one)

    def text(self, ids: Sequence[int]) -> str:
        """What the ids read as together; control tokens are left out."""
        text: str = self._decode(list(ids), skip_special_tokens=True)
        return text

    def token(self, id: int, likely: Likely) -> Token:
        """A token with its log-probability, and the likeliest ones beside it."""
        ranked = enumerate(likely.top, 1)
        top = tuple(Token(i, self.one(i), p, i in self._special, rank) for rank, (i, p) in ranked)
        return Token(id, self.one(id), likely.logprob, id in self._special, likely.rank, top)

    def plain(self, id: int) -> Token:
        return Token(id, self.one(id), 0.0, id in self._special)

    def _one(self, id: int) -> str:
        text: str = self._decode([id], skip_special_tokens=False)
        return text
