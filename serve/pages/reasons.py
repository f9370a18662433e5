"""The tuner's reasons in the reader's language: by their codes where there are some, else by their words.

What neither says is shown as it was recorded. Escapes nothing: that is for whoever makes HTML of it.

Trail: serve/pages/operate.py -> here -> serve/pages/gate_texts.py
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from serve.pages.gate_texts import GATE, RECORD
from serve.pages.words import Language, pattern

Verdicts = Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]]
"""By version, its gate's reasons in English and in codes."""
Word = Callable[[str, str], str]
"""Words what the record says of a version, given its name and the text."""


def reason(coded: Mapping[str, Any] | None, otherwise: str, language: Language) -> str:
    """One of the gate's reasons."""
    if language == "en" or not coded:
        return otherwise
    try:
        return _korean(coded)
    except (KeyError, TypeError, AttributeError):
        return otherwise  # of a gate that had no codes yet, or words that were erased since


def recorded(text: str, language: Language) -> str:
    """A sentence that the record holds."""
    if language == "en":
        return text
    for told, korean in _RECORD:
        if found := told.fullmatch(text):
            pieces = {name: recorded(piece, language) for name, piece in found.groupdict().items()}
            return korean.format(**pieces)
    return text


def wording(verdicts: Verdicts, language: Language) -> Word:
    """What words the reasons of versions: those of their gates, with what stands around them."""

    def word(version: str, text: str) -> str:
        english, coded = verdicts.get(version, ((), ()))
        judged = " ".join(english)
        if language == "en" or not judged or judged not in text:
            return recorded(text, language)
        pairs = zip(english, [*coded, *[None] * len(english)], strict=False)
        own = " ".join(reason(one, said, language) for said, one in pairs)
        around = (recorded(part.strip(), language) for part in text.split(judged, 1))
        return own.join(f"{part} " if place == 0 and part else part for place, part in enumerate(around))

    return word


def _korean(coded: Mapping[str, Any]) -> str:
    values = {name: _korean(v) if isinstance(v, dict) else v for name, v in coded["values"].items()}
    return GATE[coded["code"]].format(**values)


_RECORD = [(pattern(english), korean) for english, korean in RECORD.items()]
