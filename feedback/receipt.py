"""Receipts of erasures: what was done, signed with a key that never leaves the home.

The signature is HMAC-SHA256 over the receipt as canonical JSON, so a changed receipt, or another home's,
does not verify. Knows nothing of how an erasure is done.

Trail: feedback/erasure.py -> here
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedback import whole
from feedback.errors import BadRequest

SIGNATURE = "signature"
KEY = "receipt-key"
FOLDER = "receipts"


def key(home: Path) -> bytes:
    """The home's signing key, made on first use, readable by its owner alone."""
    path = home / KEY
    if not path.exists():
        whole.write(path, secrets.token_hex(32), private=True)
    return bytes.fromhex(path.read_text("utf-8").strip())


def sign(receipt: Mapping[str, Any], secret: bytes) -> dict[str, Any]:
    return {**receipt, SIGNATURE: _mark(receipt, secret)}


def verify(receipt: Mapping[str, Any], secret: bytes) -> bool:
    """Whether this home signed the receipt, and nothing in it was changed since."""
    given = receipt.get(SIGNATURE)
    if not isinstance(given, str) or not given.isascii():
        return False
    return hmac.compare_digest(given, _mark(receipt, secret))


def read(path: Path) -> dict[str, Any]:
    """A receipt from a file.

    Raises:
        BadRequest: It is not one.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as bad:
        raise BadRequest(f"{path} is no receipt: {bad}.", "Give the file as it was saved.") from None
    if not isinstance(told, dict) or "erasure" not in told:
        raise BadRequest(f"{path} is no receipt.", "Give the file as it was saved.")
    return told


def save(home: Path, receipt: Mapping[str, Any]) -> Path:
    """Keep a receipt beside the store too; an erasure that was done again keeps its first one as well."""
    folder = home / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    number, path = 1, folder / f"{receipt['erasure']}.json"
    while path.exists() and read(path).get(SIGNATURE) != receipt[SIGNATURE]:
        number += 1
        path = folder / f"{receipt['erasure']}-{number}.json"
    whole.write(path, json.dumps(receipt, ensure_ascii=False, indent=1) + "\n", private=True)
    return path


def _mark(receipt: Mapping[str, Any], secret: bytes) -> str:
    told = {name: value for name, value in receipt.items() if name != SIGNATURE}
    canonical = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(secret, canonical.encode(), hashlib.sha256).hexdigest()
