"""Every word the pages show, in English and Korean, and which of the two a visitor reads.

Labels go through Gradio's own translation (`label`); what a handler writes itself (toasts, HTML) is
looked up by the visitor's language (`say`). Knows no page.
"""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from string import Formatter
from typing import Literal, Protocol

import gradio as gr
from gradio.i18n import I18nData

from feedback.errors import HoneError
from feedback.records import Assistant
from serve.pages.refusal_texts import REFUSALS
from serve.pages.texts import ERRORS, TEXTS

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")

translations = gr.I18n(
    **{name: {key: pair[place] for key, pair in TEXTS.items()} for place, name in enumerate(LANGUAGES)}
)


class HasLanguage(Protocol):
    """What of a request tells the language; Starlette's and Gradio's both have it."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def cookies(self) -> Mapping[str, str]: ...


def language_of(request: HasLanguage) -> Language:
    """The one chosen on the page, else the browser's first, else English."""
    chosen = request.cookies.get("lang") or request.headers.get("accept-language") or ""
    return "ko" if chosen.lower().startswith("ko") else "en"


def label(key: str) -> I18nData:
    """A text that the browser translates; for labels, placeholders and buttons."""
    if key not in TEXTS:
        raise KeyError(key)
    return translations(key)


def say(language: Language, key: str, **values: object) -> str:
    """A text in one language, its `{places}` filled in; for toasts and HTML."""
    return TEXTS[key][LANGUAGES.index(language)].format(**values)


def say_known(language: Language, key: str, otherwise: str) -> str:
    """A text as HTML; for a key that the pages don't know, what the layers below call it."""
    return say(language, key) if key in TEXTS else escape(otherwise)


def scripted(key: str) -> str:
    """A text in the language that the page shows, as an expression of a browser's script."""
    english, korean = (json.dumps(text, ensure_ascii=False) for text in TEXTS[key])
    return f"(document.documentElement.lang === 'ko' ? {korean} : {english})"


def say_error(language: Language, error: HoneError) -> str:
    """What happened and what to do; in Korean by its sentence, else by its code with that after it."""
    if language == "en":
        return str(error)
    for told, korean in _REFUSALS:
        if found := told.fullmatch(error.what):
            return korean.format(**found.groupdict())
    translated = ERRORS.get(error.code)
    return f"{translated} ({error})" if translated else str(error)


def pattern(template: str) -> re.Pattern[str]:
    """What matches the template with anything in its places."""
    parts = ((re.escape(text), name) for text, name, _, _ in Formatter().parse(template))
    return re.compile("".join(text + (f"(?P<{name}>.+)" if name else "") for text, name in parts), re.DOTALL)


_REFUSALS = [(pattern(english), korean) for english, korean in REFUSALS.items()]


def assistant_choices(assistants: Iterable[Assistant]) -> list[tuple[str, str]]:
    """Assistants as choices: the title, or the name where there is none, and the name."""
    return [(known.title or known.name, known.name) for known in assistants]


def reason_choices(language: Language, keys: tuple[str, ...]) -> list[tuple[str, str]]:
    """Reason keys with their words, as choices."""
    return [(say(language, f"reason_{key}"), key) for key in keys]
