"""Personal data and secrets in a text, with the places where they stand.

What has a check digit is checked (cards, IBANs, national numbers), telephone numbers go through Google's
tables, keys through the patterns of detect-secrets. Names, addresses and birthdays are not looked for: no
rule finds them, and a model that does is larger than all of Hone. How a text is typed hides nothing: it is
searched in plain characters. Decides nothing: that is the policy's.

Trail: feedback/curate.py -> here -> feedback/plain.py
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import Literal, get_args

from feedback.plain import plain

Kind = Literal["secret", "email", "iban", "card", "national_id", "ip", "phone"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which a text's places are given away: an earlier kind keeps a place from a later one."""

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+%'-]{0,63}@(?:[A-Za-z0-9가-힣](?:[A-Za-z0-9가-힣-]{0,61}[A-Za-z0-9가-힣])?\.){1,5}"
    r"[A-Za-z]{2,24}(?![A-Za-z0-9-])",
    re.ASCII,
)
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,4})?(?![A-Za-z0-9])"
)
_CARD = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){11,18}(?![\d-]|[.,]\d)")
# Visa; Mastercard; Amex, Diners; JCB, Discover, UnionPay; Maestro; Korean cards for use at home.
_ISSUERS = re.compile(r"4|5[1-5]|2[2-7]|3[04-9]|1800|2131|6[02-57]|5[06-8]|94")
_SSN = re.compile(r"(?<![\d-])\d{3}([- ])\d{2}\1\d{4}(?![\d-])")
_RRN = re.compile(r"(?<!\d)\d{6}[- ]?[1-8]\d{6}(?!\d)")
_IP = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![\w:])"
)
_DIALLED = re.compile(
    r"(?<![\w.,:/=*<-])(?:\+|\(\+?)?\d(?:[().\- \u2010-\u2013]{0,3}\d){6,16}"
    r"(?:\s?(?:x|ext\.?|내선)\s?\d{1,5})?"
    r"(?!\w|[.,/*-]\d| ?[=+*/×÷])",
    re.A,
)
# Written as a number to dial: a country or trunk prefix, or as in North America. Others must be announced.
_SHAPED = re.compile(r"\+|\(|0\d{1,3}[-. )]|(?:1[-. ])?[2-9]\d\d[-. ][2-9]\d\d[-. ]\d{4}(?!\d)")
_DATE = re.compile(
    r"(?:1[5-9]|20)\d\d([-. ]{1,2})[01]?\d\1[0-3]?\d(?!\d)|[0-3]?\d([-. ])[0-3]?\d\2(?:1[5-9]|20)\d\d(?!\d)"
    r"|(?:1[5-9]|20)\d\d ?[-–] ?(?:1[5-9]|20)\d\d$"
)
_TOLD = re.compile(
    r"(?:\b(?:tele)?phone|\btel\b|\bmobile|\bcell|\bfax|\bcall(?:ing)?\b|\bdial|\bring\b|\btext (?:me|us)"
    r"|\bsms|whatsapp|\bdesk:|\boffice:|\bhotline|\bvoicemail|\breach (?:me|us)"
    r"|전화|연락처|휴대폰|핸드폰|팩스|문자)[^\n]{0,30}$",
    re.I,
)
_OWN_KEYS = re.compile(
    r"\b(?:sk-(?:ant|proj|svcacct)-[\w-]{20,}|sk-[A-Za-z0-9]{32,}|hf_[A-Za-z0-9]{30,}|AIza[\w-]{35}"
    r"|github_pat_\w{50,}|glsa_\w{30,})"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[^-]{0,20000}-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
# In place of patterns of detect-secrets that take the square of a text's length.
_BOUNDED_KEYS = re.compile(
    r"eyJ[A-Za-z0-9_=-]{1,1000}\.[A-Za-z0-9_=-]{1,4000}(?:\.[A-Za-z0-9_.+/=-]{1,4000})?"
    r"|sk-[A-Za-z0-9_-]{0,100}[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"
    r"|//[^\s]{1,200}/:_authToken=[ \t]{0,8}(?:npm_[^\s]{1,200}|[A-Fa-f0-9-]{36})"
    r"|(?i:(?<!\w)(?:cloudant|clou|cl)[_-]?(?:api[_-]?)?(?:key|pwd|pw|password|pass|token)"
    r"[\"']?\]?[ ]{0,8}[:=> ]{1,3}[ ]{0,8}[\"']?(?:[0-9a-f]{64}|[a-z]{24}(?![a-z])))"
)
_REBUILT = {"JSON Web Token", "OpenAI Token", "NPM tokens", "Cloudant Credentials"}
_REGIONS = ("US", "KR", "GB", "DE", "JP", "AU")


@dataclass(frozen=True, slots=True)
class Span:
    """One find: text[start:end] is of this kind."""

    kind: str
    start: int
    end: int


def find(text: str, allowed: Collection[str] = ()) -> tuple[Span, ...]:
    """All finds in order of place, none overlapping; what is in `allowed` is nobody's secret."""
    read, places = plain(text)
    taken = bytearray(len(text))
    spans: list[Span] = []
    for kind in KINDS:
        for begin, stop in _FINDERS[kind](read):
            start, end = (places[begin], places[stop - 1] + 1) if places else (begin, stop)
            free = not any(taken[start:end])
            if free and text[start:end] not in allowed and read[begin:stop] not in allowed:
                taken[start:end] = b"\1" * (end - start)
                spans.append(Span(kind, start, end))
    return tuple(sorted(spans, key=lambda span: span.start))


def redact(text: str, spans: Sequence[Span]) -> str:
    """The text with each span as its kind in brackets, such as `[email]`."""
    for span in sorted(spans, key=lambda span: span.start, reverse=True):
        text = f"{text[: span.start]}[{span.kind}]{text[span.end :]}"
    return text


Places = Iterator[tuple[int, int]]


def _secrets(text: str) -> Places:
    for pattern in (_OWN_KEYS, _BOUNDED_KEYS, *_key_patterns()):
        for match in pattern.finditer(text):
            yield match.span()


@cache
def _key_patterns() -> tuple[re.Pattern[str], ...]:
    """The patterns of detect-secrets that name an issuer; its guesses by entropy and keyword are left out."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    plugins = get_mapping_from_secret_type_to_class()
    skipped = {"Public IP (ipv4)", "SoftLayer Credentials", "IBM Cloud IAM Key", "IBM COS HMAC Credentials"}
    named = [plugin for kind, plugin in plugins.items() if kind not in skipped | _REBUILT]
    return tuple(pattern for plugin in named for pattern in getattr(plugin, "denylist", ()))


def _emails(text: str) -> Places:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def _ibans(text: str) -> Places:
    from stdnum import iban

    for match in _IBAN.finditer(text):
        # Words may follow in groups of four: the longest beginning that is one.
        for end in range(match.end(), match.start() + 14, -1):
            if iban.is_valid(text[match.start() : end]):
                yield match.start(), end
                break


def _cards(text: str) -> Places:
    from stdnum import luhn

    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _ISSUERS.match(digits) and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield match.span()


def _national_ids(text: str) -> Places:
    from stdnum.kr import rrn
    from stdnum.us import ssn

    for match in _SSN.finditer(text):
        if ssn.is_valid(match[0].replace(" ", "-")):
            yield match.span()
    for match in _RRN.finditer(text):
        # Numbers given since October 2020 have no check digit: there the hyphen and a birthday must do.
        if rrn.is_valid(match[0]) or ("-" in match[0] and _birthday(match[0])):
            yield match.span()


def _birthday(digits: str) -> bool:
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31


def _ips(text: str) -> Places:
    for match in _IP.finditer(text):
        try:
            address = ip_address(match[0])
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified or address.is_private):
            yield match.span()


def _phones(text: str) -> Places:
    for match in _DIALLED.finditer(text):
        if not _DATE.match(match[0]) and _is_phone(
            match[0], text[max(0, match.start() - 60) : match.start()]
        ):
            yield match.span()


def _is_phone(dialled: str, before: str) -> bool:
    """Announced as one, or written like one and valid somewhere; a bare run of digits could be anything."""
    return bool(_TOLD.search(before)) or (bool(_SHAPED.match(dialled)) and _valid(dialled))


@lru_cache(4096)
def _valid(dialled: str) -> bool:
    import phonenumbers

    for region in _REGIONS:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(dialled, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


_FINDERS: dict[str, Callable[[str], Places]] = {
    "secret": _secrets,
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "national_id": _national_ids,
    "ip": _ips,
    "phone": _phones,
}
