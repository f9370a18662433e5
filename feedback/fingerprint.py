"""The digest that names a version: over an adapter's configuration and weights, byte by byte.

The registry gives a version its name by it, and the engine checks by it that what it loads is what the
name says.
"""

import hashlib
import re
from pathlib import Path

from feedback.errors import BadAdapter

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
NAMED = re.compile(r"@\d+-(?P<digest>[0-9a-f]{8})$")


def digest(adapter: Path) -> str:
    """SHA-256 over an adapter's configuration and weights, hex.

    Raises:
        BadAdapter: A file is missing.
    """
    total = hashlib.sha256()
    for name in ADAPTER_FILES:
        try:
            content = (adapter / name).read_bytes()
        except OSError as missing:
            raise BadAdapter(
                f"The adapter folder {adapter} has no readable {name}.", "Train a new version."
            ) from missing
        total.update(f"{name}:{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()


def require(version: str, adapter: Path) -> None:
    """Check that a folder holds what the version's name says; names without a digest promise nothing.

    Raises:
        BadAdapter: The bytes are others.
    """
    named = NAMED.search(version)
    if named and digest(adapter)[:8] != named["digest"]:
        raise BadAdapter(
            f"The folder {adapter} does not hold version {version}: its bytes have another digest.",
            "Restore the folder from a backup, or train a new version.",
        )
