"""A text as a rule reads it, with the place of each character in the original.

Digits, letters and spaces of any width become plain ones, what shows nothing is gone, and a dash between two
digits is a hyphen: a card number is one however it is typed. Nothing but searching uses this form.

Trail: feedback/private.py -> here
"""

import re
import unicodedata

# What shows nothing and is no format character: variation selectors, joiners, fillers, key caps.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u20e3\u3164\ufe00-\ufe0f\uffa0]")
_DASH = re.compile(r"(?<=\d)[\u2010-\u2015\u2212\u2e3a\u2e3b](?=\d)")


class _Table(dict[int, str]):
    """What each character becomes, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _plain(chr(code))
        return found


_table = _Table()


def plain(text: str) -> tuple[str, list[int] | None]:
    """The text in plain characters and, where its length changed, the place of each in the original."""
    if text.isascii():
        return text, None
    read = text.translate(_table)
    if len(read) == len(text) and all(len(_table[ord(character)]) == 1 for character in text):
        return _DASH.sub("-", read), None
    places = [place for place, character in enumerate(text) for _ in _table[ord(character)]]
    return _DASH.sub("-", read), places


def _plain(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cf" or _UNSEEN.match(character):
        return ""
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    if kind == "Zs":
        return " "
    # Superscripts and circled numbers stay: "10²" is not 102.
    return character if kind == "No" else unicodedata.normalize("NFKC", character)
