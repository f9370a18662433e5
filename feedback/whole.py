"""Files that are whole or not there, and on the disk when their writer returns, whatever kills it meanwhile.

A file is written beside its place and put there at once. Knows nothing of what files hold.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"
"""How the name ends of what a killed writer left; the next writer of that file replaces it."""


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write into that takes the place of `path` when the block ends; if it fails, `path` stays.

    Only its owner can read a private one. Two writers of one path at a time are the caller's to prevent.
    """
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)  # with it goes whatever rights it had
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    durable(path.parent)


def write(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Replace the file by one with these bytes, or this text in UTF-8."""
    with replacing(path, private=private) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def durable(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
