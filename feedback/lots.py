"""Which conversations a new version answers first: each draws a number once, by a hash that nobody can guess.

The number depends on the version and the conversation, so it is the same over stages, restarts and
processes, and one version's conversations say nothing of the next's. Knows neither shares nor stages.

Trail: serve/router.py, tuner/canary.py -> here
"""

import hashlib
import hmac

DIGITS = 13
"""Hex digits of the hash that are used: 52 bits, as many as a float holds exactly."""


def lot(secret: str, version: str, conversation_id: str) -> float:
    """The number from [0, 1) that a conversation draws for a version; below the share, it is on it.

    Whoever lacks the secret can neither compute it nor find an id that draws low.
    """
    drawn = hmac.new(secret.encode(), f"lot\x1f{version}\x1f{conversation_id}".encode(), hashlib.sha256)
    return int(drawn.hexdigest()[:DIGITS], 16) / 16.0**DIGITS
