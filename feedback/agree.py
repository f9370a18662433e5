"""Whether two answers can both be right, by what a rule can see: yes and no, numbers, negation.

Says only that they contradict each other, never which is right; wording and order are free. English and
Korean. The gate's matching of meaning (`tuner/meaning.py`) has a model besides and judges more finely.

Trail: feedback/curate.py -> here
"""

import re
from decimal import Decimal, InvalidOperation

from feedback.alike import overlap, runs

SHORT = 200
"""Characters up to which an answer is taken to be about one thing, so that its numbers must agree."""
SAME_SUBJECT = 0.3
SAME_SENTENCE = 0.5

_YES = re.compile(
    r"(?:yes|yeah|yep|true|correct|네|예|응|맞(?:아요|습니다|아)|그렇습니다|그래요)(?!\w)", re.I
)
_NO = re.compile(
    r"(?:(?:no|nope|false|incorrect|wrong|아니(?:요|오|야)?|아닙니다|아뇨|틀렸(?:어요|습니다))(?!\w)"
    r"|그렇지 않)",
    re.I,
)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?")
_DIGITS = re.compile(r"\d+")
LIST_MARK = re.compile(r"^[^\S\n]*\d+[.)]\s", re.M)
_NOT = re.compile(
    r"\b(?:not|never|no|none|nor|neither|without|cannot)\b|n['’]t\b"
    r"|않|(?<!잘)못|아니|아닙|없|금지|불가(?!피)|(?<![가-힣])안\s|지\s?(?:마|말)",
    re.I,
)


def contradiction(one: str, other: str) -> str:
    """What two answers of one instruction contradict each other in: yes_no, numbers, negation, or nothing."""
    said = _yes_no(one), _yes_no(other)
    if all(said) and said[0] != said[1]:
        return "yes_no"
    if _numbers_differ(one, other):
        return "numbers"
    if _odd(one) != _odd(other) and overlap(runs(one), runs(other)) >= SAME_SENTENCE:
        return "negation"
    return ""


def same_facts(one: str, other: str) -> bool:
    """Whether two nearly equal texts have the same digits, wherever they stand, and as much negation."""
    return _DIGITS.findall(one) == _DIGITS.findall(other) and len(_NOT.findall(one)) == len(
        _NOT.findall(other)
    )


def numbers(text: str) -> frozenset[Decimal]:
    """The numbers that a text states in digits, the marks of its lists aside."""
    found = set()
    for digits in _NUMBER.findall(LIST_MARK.sub("", text)):
        try:
            found.add(Decimal(digits.replace(",", "")).normalize())
        except InvalidOperation:  # digits of another script, which Decimal may not take
            continue
    return frozenset(found)


def _numbers_differ(one: str, other: str) -> bool:
    """Each names a number that the other does not; an answer that says more is no contradiction."""
    ours, theirs = numbers(one), numbers(other)
    if ours <= theirs or theirs <= ours:
        return False
    short = len(one) <= SHORT and len(other) <= SHORT
    return short or overlap(runs(one), runs(other)) >= SAME_SUBJECT


def _yes_no(text: str) -> str:
    lead = text.lstrip(" \t\n\"'*_`-([#")
    if _YES.match(lead):
        return "yes"
    return "no" if _NO.match(lead) else ""


def _odd(text: str) -> bool:
    return len(_NOT.findall(text)) % 2 == 1
