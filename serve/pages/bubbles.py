"""Exchanges as the chat shows them: messages with the exchange's id, a badge, and notes.

Badges and notes are made for display and never reach the store; the id in a message's metadata is
what a thumb or a retry comes back with. Knows nothing of who asks.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from feedback.records import Exchange
from serve.pages.words import Language, say
from serve.prompts import NEARLY_FULL

THUMBS = {"up": "Like", "down": "Dislike", None: None}
WAITING = "…"
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_NOTES = {"stopped", "cut", "length"}


def bubbles(
    line: Sequence[Exchange],
    language: Language,
    trouble: Mapping[str, str] | None = None,
    shipped: Mapping[str, str] | None = None,
    unchosen: str | None = None,
    full: float = 0.0,
) -> list[Any]:
    """Two messages an exchange; by exchange id, `trouble` holds error sentences newer than the store's, and
    `shipped` the version that learnt from it. Of the `unchosen` one the answer is shown elsewhere. `full` is
    the share of what the conversation may hold that it holds, which the last answer tells once it is much."""
    shown: list[Any] = []
    for exchange in line:
        notice, learnt = (trouble or {}).get(exchange.id), (shipped or {}).get(exchange.id)
        shown.append(asked(exchange))
        if exchange.id != unchosen:
            told = full if exchange is line[-1] else 0.0
            shown.append(answered(exchange, language, notice, learnt, told))
    return shown


def thumbs(line: Sequence[Exchange]) -> list[str | None]:
    """The mark of each answer, as Gradio's `feedback_value` takes it."""
    return [THUMBS[exchange.rating] for exchange in line]


def asked(exchange: Exchange) -> dict[str, Any]:
    return {"role": "user", "content": inert(exchange.instruction), "metadata": {"id": exchange.id}}


def speaking(exchange: Exchange, text: str) -> dict[str, Any]:
    """An answer while it is being given."""
    return {"role": "assistant", "content": inert(text) or WAITING, "metadata": {"id": exchange.id}}


def answered(
    exchange: Exchange,
    language: Language,
    trouble: str | None = None,
    learnt: str | None = None,
    full: float = 0.0,
) -> dict[str, Any]:
    """An answer that ended, with what there is to say of its end."""
    text = exchange.response or ""
    parts = [_closed(inert(text))] if text else []
    if trouble or not text:
        parts.append("> ⚠ " + _plain(trouble or _absence(exchange, language)))
    notes = [exchange.version]
    if exchange.finish_reason in _NOTES and text:
        notes.append(say(language, f"note_{exchange.finish_reason}"))
    if exchange.finish_reason is None:
        notes.append(say(language, "note_running"))
    if learnt:
        corrected = "note_correction_learnt" if exchange.correction else "note_learnt"
        notes.append(say(language, corrected, version=learnt))
    elif exchange.state == "approved":
        notes.append(say(language, "note_shipped"))
    if full >= NEARLY_FULL:
        notes.append("⚠ " + say(language, "note_nearly_full", share=f"{min(full, 1.0):.0%}"))
    parts.append(f"<sub>{' · '.join(notes)}</sub>")
    return {"role": "assistant", "content": "\n\n".join(parts), "metadata": {"id": exchange.id}}


def inert(text: str) -> str:
    """Markdown whose tags are none, inside code too: a reader sees the same, a browser no markup.

    Gradio's own cleaning lets some through (a `javascript:` link inside an SVG). early.js takes the
    zero-width space out again when the text is copied.
    """
    return _TAG.sub("<\u200b", text)


def _absence(exchange: Exchange, language: Language) -> str:
    if exchange.finish_reason is None:
        return say(language, "note_running")
    specific = exchange.finish_reason in ("stopped", "cut")
    return say(language, f"no_answer_{exchange.finish_reason}" if specific else "no_answer")


def _closed(text: str) -> str:
    """The answer with an open code fence ended, so that the badge does not fall into the code."""
    opened = ""
    for fence in _FENCE.findall(text):
        if not opened:
            opened = fence
        elif fence[0] == opened[0] and len(fence) >= len(opened):
            opened = ""
    return f"{text}\n{opened}" if opened else text


def _plain(sentence: str) -> str:
    """A sentence that Markdown leaves as it is."""
    return re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", " ".join(sentence.split()))
