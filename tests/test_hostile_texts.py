"""What people write is read by rules in a time that grows with its length, whatever it is.

A rule that takes the square of it holds up everybody: Python looks for a pattern without letting others run.
"""

import subprocess
import sys

import pytest

from feedback import agree, personal, private, suspect
from feedback.policy import flags
from feedback.screen import Policy, found_in

LONGEST = 100_000
REPEATED = (
    *("a", "a-", "_", "1", "1-", "1 ", "1.", " ", "\n", "<", "< ", "/", "@", "a@", "a.", "a@b.co "),
    *(
        "a://",
        "x:",
        "sk-",
        "eyJ",
        "eyJa.",
        "ignor",
        "ignore a ",
        "reveal",
        "모든 지시",
        "모든지시",
        "시스템프롬프트",
    ),
    *(
        "`",
        "```",
        "[",
        "](",
        "<a on",
        "javascript",
        "-----BEGIN ",
        "token ",
        "clkey ",
        "xoxb-1-",
        "010-1234-5678 ",
    ),
)
BEGUN = (
    ("<", " "),
    ("clkey", " "),
    ("password", " "),
    ("ignore ", "a"),
    ("![", "/"),
    ("https://", "A:"),
    ("a", "\n"),
)
READ = """
import sys
sys.path.insert(0, "tests")
from test_hostile_texts import everything, read
for text in everything():
    read(text)
"""


def everything():
    for beginning, repeated in (*(("", repeated) for repeated in REPEATED), *BEGUN):
        yield (beginning + repeated * LONGEST)[:LONGEST]


def read(text):
    """All that reads a text by a rule, from the queue to the run."""
    from stories import admitted

    exchange = admitted("c", instruction=text)
    flags(exchange, f"{text}!")
    found_in(exchange, Policy())
    personal.finds(text)
    suspect.flags(text, text)
    agree.numbers(text)
    agree.same_facts(text, text)


def test_no_text_holds_everybody_up():
    """The limit only ends what would take hours."""
    done = subprocess.run([sys.executable, "-c", READ], timeout=300, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "key",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "sk-" + "a1B2c3D4e5F6g7H8i9J0" + "T3BlbkFJ" + "a1B2c3D4e5F6g7H8i9J0",
        "//registry.example/:_authToken=npm_" + "a1B2" * 9,
        "cloudant_api_key = " + "0123456789abcdef" * 4,
        "cl-password: 'abcdefghijklmnopqrstuvwx'",
    ],
)
def test_what_is_bounded_still_finds_keys(key):
    text = f"Here: {key} for you."
    (span,) = private.find(text)
    assert (span.kind, text[span.start : span.end].startswith(key.rstrip("'"))) == ("secret", True)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("see https://ana:geheim@host.example/", "account in an address"),
        ("x" * 40 + "1", "key"),
        ("-" + "x1" * 16, "key"),
    ],
)
def test_what_is_bounded_still_keeps_what_may_be_somebodys(text, kind):
    assert kind in personal.finds(text)


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("Look at evil.com for it", "link"),
        ("Look at " + "x" * 70 + "evil.com for it", "link"),
        ("Write to ana.lee+x@mail.example", "address"),
        ("< / script >", "markup"),
    ],
)
def test_what_is_bounded_still_raises_flags(text, flag):
    from stories import admitted

    raised = {*flags(admitted("c"), text), *suspect.flags("q", text)}
    assert flag in raised
