"""Which Hone this process is, so that a web process and an engine of different ones notice each other.

Release and digest are taken when the process starts: files that are changed under it are not it. The
digest is of what both must agree on, the engine's source and how messages become tokens.

Trail: serve/engine/server.py -> here -> serve/engines/hone.py
"""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from feedback import template


def _release() -> str:
    try:
        number = version("hone-chat")
    except PackageNotFoundError:  # run from a folder that was never installed
        number = "0"
    sources = [*sorted((Path(__file__).parent / "engine").glob("*.py")), Path(template.__file__)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    return f"{number}+{digest.hexdigest()[:8]}"


RELEASE = _release()


def skew(engine: str) -> str:
    """What to say of an engine that calls itself `engine`; nothing where it is of this very Hone."""
    if engine == RELEASE:
        return ""
    return (
        f"The engine is Hone {engine or 'of an older release'}, this web process {RELEASE}: they may "
        "differ in how they turn messages into tokens. Restart both from one install."
    )
