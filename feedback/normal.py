"""Texts as they are learnt, and as they are compared: Unicode, line ends, spacing. Pure; judges nothing.

What is learnt keeps its indentation and its inner line breaks. What is compared loses spacing, and
further down (`feedback/alike.py`) case and punctuation too.

Trail: feedback/pairs.py -> here -> feedback/curate.py
"""

import hashlib
import re
import unicodedata
from dataclasses import replace

from feedback.records import Message, Pair

# Zero-width space, word joiner, byte-order mark: invisible, and never meant. Joiners of emoji and of
# Persian (ZWJ, ZWNJ) stay.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")


def normal(text: str) -> str:
    """The text in Unicode NFC (decomposed Hangul composed), one kind of line end, nothing around it."""
    text = _LINE_ENDS.sub("\n", _INVISIBLE.sub("", text))
    return unicodedata.normalize("NFC", text).strip()


def normalise(pair: Pair) -> Pair:
    """The pair with all its texts normal."""
    messages = tuple(Message(m.role, normal(m.content)) for m in pair.messages)
    return replace(pair, messages=messages, response=normal(pair.response))


def compared(text: str) -> str:
    """The text as it is compared with others: spacing aside."""
    return " ".join(normal(text).split())


def asked(pair: Pair) -> str:
    """What was asked, with the conversation before it; a system prompt asks nothing."""
    return "\n".join(message.content for message in pair.messages if message.role != "system")


def question(pair: Pair) -> str:
    """A digest of what was asked: instruction and context, whatever the spacing and the system prompt."""
    told = "\x1e".join(f"{m.role}\x1f{compared(m.content)}" for m in pair.messages if m.role != "system")
    return "q:" + hashlib.sha256(told.encode()).hexdigest()[:32]
