"""Private data marked where a reviewer reads it, and what a run makes of a pair that holds it.

Finds nothing itself and forbids nothing: what is found is shown with its kind, and the reviewer decides.

Trail: serve/pages/desk.py -> here -> feedback/private.py, feedback/screen.py
"""

from collections.abc import Collection, Sequence
from html import escape

from feedback import private
from feedback.private import Span
from feedback.records import Message
from feedback.screen import Policy
from serve.pages.words import Language, say


def marked(text: str, allowed: Collection[str], language: Language) -> str:
    """The text as HTML, each find in a `mark` that names its kind."""
    return _html(text, private.find(text, allowed), language)


def _html(text: str, spans: Sequence[Span], language: Language) -> str:
    parts: list[str] = []
    at = 0
    for span in spans:
        name = say(language, f"find_{span.kind}")
        found = escape(text[span.start : span.end])
        parts += [
            escape(text[at : span.start]),
            f'<mark data-find="{span.kind}" data-name="{name}">{found}</mark>',
        ]
        at = span.end
    return "".join([*parts, escape(text[at:])])


def asked(messages: Sequence[Message], policy: Policy, language: Language) -> str:
    """A sentence on what was asked, where it holds private data; a system prompt is the operator's own."""
    said = [message.content for message in messages if message.role != "system"]
    spans = [span for text in said for span in private.find(text, policy.allowed)]
    return _sentence("finds_asked", spans, policy, language)


def taught(words: str, policy: Policy, language: Language) -> str:
    """The words about to be taught with their finds, and what a run makes of them; empty without any."""
    spans = private.find(words, policy.allowed)
    if not spans:
        return ""
    shown = f'<section class="quote"><div>{_html(words, spans, language)}</div></section>'
    return _sentence("finds_taught", spans, policy, language) + shown


def _sentence(key: str, spans: Sequence[Span], policy: Policy, language: Language) -> str:
    if not spans:
        return ""
    found = {span.kind for span in spans}
    kinds = [kind for kind in private.KINDS if kind in found]
    names = ", ".join(say(language, f"find_{kind}") for kind in kinds)
    return f'<p class="flags">{say(language, key, kinds=names)} {say(language, _then(kinds, policy))}</p>'


def _then(kinds: Sequence[str], policy: Policy) -> str:
    """What a run does about a pair with these."""
    if any(kind in policy.block - policy.redact for kind in kinds):
        return "finds_block"
    return "finds_redact" if any(kind in policy.redact for kind in kinds) else "finds_flag"
