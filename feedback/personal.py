"""Whether a text may leave the house: what looks like somebody's data or a key keeps it here.

Curation's finds (`private.py`), and beyond them, on the side of keeping, any seven digits in a row, anything
long that looks like a key, and passwords. Names of people and places are not recognised. Changes no text.

Trail: hone/proposing.py -> here -> feedback/private.py
"""

import re

from feedback import private

_FINDS = {
    "number": re.compile(r"\d(?:[\s().,/\-\u2010-\u2013]{0,3}\d){6,}"),
    "network address": re.compile(
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}|\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b",
        re.I,
    ),
    "account in an address": re.compile(r"\w://[^\s/@]{1,300}@"),
    "key": re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:sk|pk|rk|ghp|gho|ghs|glpat|hf|xox[abprs]|AKIA|ASIA|AIza|eyJ)"
        r"[-_A-Za-z0-9.]{12,}"
        r"|(?<![A-Za-z0-9+/_-])(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{32,}"
    ),
    "password": re.compile(
        r"(?:password|passwd|passphrase|secret|token|비밀번호|암호)\s*(?:is|[:=]|은|는)\s*\S+", re.I
    ),
}


def finds(text: str) -> list[str]:
    """The kinds of what was found, none where the text may go."""
    known = dict.fromkeys(span.kind for span in private.find(text))
    return [*known, *(kind for kind, pattern in _FINDS.items() if pattern.search(text))]
