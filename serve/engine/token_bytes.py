"""The bytes that a single token stands for, also where they are only a part of a character.

A client that joins the bytes of an answer's tokens gets its text exactly. Knows the two ways in which
tokenizers write bytes, and nothing of requests.

Trail: serve/engine/openai_answers.py -> here
"""

from typing import Any

from serve.engine.asking import Token
from serve.engine.text import BROKEN


def _alphabet() -> dict[str, int]:
    """GPT-2's letters for bytes: printable ones stand for themselves, the others follow from 256 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


ALPHABET = _alphabet()


def bytes_of(tokenizer: Any, token: Token) -> list[int] | None:
    """The token's bytes; None where its text is broken and its tokenizer writes bytes in a third way."""
    if BROKEN not in token.text:
        return list(token.text.encode())
    written = str(tokenizer.convert_ids_to_tokens(token.id))
    if written.startswith("<0x") and len(written) == 6:
        return [int(written[3:5], 16)]
    if all(letter in ALPHABET for letter in written):
        return [ALPHABET[letter] for letter in written]
    return None
