"""Private data marked where a reviewer reads it, and what a run makes of a pair that holds it.

Finds nothing itself and forbids nothing: what is found is shown with its kind, and the reviewer decides.

Trail: serve/pages/desk.py -> here -> feedback/private.py, feedback/screen.py
"""

from collections.abc import Sequence
from functools import cache
from html import escape

from feedback import private
from feedback.private import Span
from feedback.records import Message
from feedback.screen import Policy
from serve.pages.words import Language, say


class Finds:
    """What is private in the texts of one view, each looked through once; then let go with it."""

    def __init__(self, policy: Policy, language: Language) -> None:
        self._policy = policy
        self._language = language
        self._find = cache(lambda text: private.find(text, policy.allowed))

    def marked(self, text: str) -> str:
        """The text as HTML, each find in a `mark` that names its kind."""
        parts: list[str] = []
        at = 0
        for span in self._find(text):
            name = say(self._language, f"find_{span.kind}")
            found = escape(text[span.start : span.end])
            parts += [
                escape(text[at : span.start]),
                f'<mark data-find="{span.kind}" data-name="{name}">{found}</mark>',
            ]
            at = span.end
        return "".join([*parts, escape(text[at:])])

    def asked(self, messages: Sequence[Message]) -> str:
        """A sentence on what was asked, where that is private; a system prompt is the operator's own."""
        said = [message.content for message in messages if message.role != "system"]
        return self._sentence("finds_asked", [span for text in said for span in self._find(text)])

    def taught(self, words: str) -> str:
        """The words about to be taught with their finds, and what a run makes of them; empty without any."""
        spans = self._find(words)
        if not spans:
            return ""
        shown = f'<section class="quote"><div>{self.marked(words)}</div></section>'
        return self._sentence("finds_taught", spans) + shown

    def _sentence(self, key: str, spans: Sequence[Span]) -> str:
        if not spans:
            return ""
        found = {span.kind for span in spans}
        kinds = [kind for kind in private.KINDS if kind in found]
        names = ", ".join(say(self._language, f"find_{kind}") for kind in kinds)
        told = say(self._language, key, kinds=names)
        return f'<p class="flags" role="status">{told} {say(self._language, _then(kinds, self._policy))}</p>'


def _then(kinds: Sequence[str], policy: Policy) -> str:
    """What a run does about a pair with these."""
    if any(kind in policy.block - policy.redact for kind in kinds):
        return "finds_block"
    return "finds_redact" if any(kind in policy.redact for kind in kinds) else "finds_flag"
