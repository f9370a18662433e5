"""What in `[notices]` contradicts itself, and the secrets it names; no address is repeated, it may be one.

Trail: hone/settings.py -> here
"""

import base64
import binascii
import re
from collections.abc import Iterator

from feedback.errors import SettingsError
from hone.secret_files import secret as secret_of
from hone.secret_files import twice
from hone.sections import LOOPBACK, Notices

PREFIX = "whsec_"
_PERSON = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")


def contradictions(notices: Notices) -> Iterator[str]:
    """Each as a line for the person who wrote the settings."""
    for number, url in enumerate(notices.webhooks, start=1):
        if not re.fullmatch(r"https?://[^/?#\s@]+([/?][^#\s]*)?", url):
            yield f"notices.webhooks has no address in place {number}; write https://host/path"
    if len(set(notices.webhooks)) < len(notices.webhooks):
        yield "notices.webhooks names an address twice"
    yield from twice(notices, "secret", "smtp_password")
    given = notices.secret.get_secret_value()
    if given and decoded(given) is None:
        yield (
            "notices.secret is not whsec_ and 24 to 64 bytes in base64; make one with "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
    if notices.public_url and not re.fullmatch(r"https?://[^?#\s@]+", notices.public_url):
        yield f"notices.public_url is {notices.public_url!r}; write https://chat.example.org"
    yield from _mail(notices)


def _mail(notices: Notices) -> Iterator[str]:
    if notices.mail_to and not (notices.smtp_host and notices.mail_from):
        yield "notices.mail_to is set, but notices.smtp_host or notices.mail_from is empty; set both"
    for address in (*notices.mail_to, *filter(None, [notices.mail_from])):
        if not _PERSON.fullmatch(address) or not address.isascii():
            yield f"notices has {address!r} for an e-mail address; write name@host"
    signs_in = bool(notices.smtp_user)
    if signs_in and notices.smtp_security == "none" and notices.smtp_host not in LOOPBACK:
        yield "notices.smtp_security is none, which would send the password openly; use starttls or tls"


def decoded(secret: str) -> bytes | None:
    """The bytes that sign, or None where that is no secret of the form."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if secret.startswith(PREFIX) and 24 <= len(key) <= 64 else None


def signing_key(notices: Notices) -> bytes | None:
    """What signs webhooks; None where nothing does.

    Raises:
        SettingsError: The file cannot be read, or does not hold such a secret.
    """
    secret = secret_of(notices, "secret")
    if not secret:
        return None
    key = decoded(secret)
    if key is None:
        raise SettingsError(
            "notices.secret_file does not hold whsec_ and 24 to 64 bytes in base64.",
            'Make one with: echo "whsec_$(openssl rand -base64 32)".',
        )
    return key


def password(notices: Notices) -> str:
    """What Hone signs in with at the mail server."""
    return secret_of(notices, "smtp_password")
