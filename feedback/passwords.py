"""Passwords as argon2 hashes and tokens as SHA-256 digests, so that the store's file opens no door.

Trail: feedback/accounts.py -> here
"""

import hashlib
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from feedback.errors import BadRequest

MIN_PASSWORD = 10
MAX_PASSWORD = 1024


def hashed(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise BadRequest(
            f"A password has {MIN_PASSWORD} to {MAX_PASSWORD:,} characters; this one has {len(password):,}.",
            "Choose a longer one." if len(password) < MIN_PASSWORD else "Choose a shorter one.",
        )
    return PasswordHasher().hash(_bytes(password))


def matches(hashed: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(hashed, _bytes(password[: MAX_PASSWORD + 1]))
    except (VerificationError, InvalidHashError):
        return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")


@cache
def nobody() -> str:
    """A hash that nobody's password has, so that an unknown name takes as long as a known one."""
    return PasswordHasher().hash(secrets.token_bytes(16))


def digest(token: str) -> str:
    return hashlib.sha256(_bytes(token)).hexdigest()
