"""Token ids become text as they arrive: never half a character, and never past a stop string.

Knows only a function that decodes ids, so any tokenizer will do.
"""

from collections.abc import Callable, Sequence

Decode = Callable[[list[int]], str]

BROKEN = "\ufffd"
LONGEST_CHARACTER = 8
"""A character spans at most four byte tokens; past twice that, the bytes are junk and are let go."""


class Decoder:
    """Decodes one answer piece by piece; the pieces together are the decoded whole."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._window: list[int] = []  # the last piece's tokens, as context, then those not yet shown
        self._shown = 0  # how many of the window's tokens were shown
        self._context = ""  # what those tokens read as

    def push(self, token: int) -> str:
        """Add a token; return the text that is now certain, often a word, sometimes nothing."""
        self._window.append(token)
        text = self._decode(self._window)
        waiting = len(self._window) - self._shown
        if text.endswith(BROKEN) and waiting < LONGEST_CHARACTER:
            return ""
        return self._show(text)

    def flush(self) -> str:
        """What is left at the end, without a character that was cut in the middle."""
        return self._show(self._decode(self._window)).rstrip(BROKEN)

    def _show(self, text: str) -> str:
        piece = text[len(self._context) :]
        self._window = self._window[self._shown :]
        self._shown = len(self._window)
        self._context = self._decode(self._window)
        return piece


class StopStrings:
    """Lets text through up to the first stop string, holding back what might become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.met = ""

    def push(self, piece: str) -> str:
        """The part of the text so far that may be shown; `met` is the stop string once one was found."""
        if not self._stops:
            return piece
        text = self._held + piece
        found = [(at, stop) for at, stop in ((text.find(stop), stop) for stop in self._stops) if at >= 0]
        if found:
            at, self.met = min(found)
            self._held = ""
            return text[:at]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back and turned out harmless."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text with which the stop string begins."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
