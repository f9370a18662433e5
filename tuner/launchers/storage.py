"""A run's folder on a storage that two machines reach: S3 and its like, or a folder that both have mounted.

A file is a blob named by the SHA-256 of its bytes, and an index says which blobs a folder has: who reads
sees the old files or the new ones, never half of one, and checks every byte. Only this file speaks fsspec.
Others may write there too, so no link is followed below it, no name climbs, and no file is read to its end
however large it is. Keys come from AWS's own variables or files, and are neither read nor kept.

Trail: tuner/launchers/elsewhere.py, tuner/keeper.py -> here
"""

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec

from feedback.errors import StorageAway

PIECE = 1 << 20
RUNS = "hone-runs"
"""The folder of all runs under the address that the house chose; below it no link is followed."""
MOST_TOLD = 16 << 20
"""Bytes that an index or a sign may have."""
MOST_KEPT = 1 << 38
"""Bytes that any file may have; less where the disk has less room."""
TRIES = 10
"""Times that a folder is emptied, a second apart, before what is left in it counts as held."""
WHOSE = "Look who else writes to training.storage, and delete what is not Hone's."


class Taken(Exception):
    """The file that was to be made is there already."""


class Storage:
    """The files under one address, such as `s3://bucket/hone/runs/0007-general`."""

    def __init__(self, url: str) -> None:
        """Opens nothing yet.

        Raises:
            StorageAway: No library for such addresses is installed.
        """
        with _in_words(url):
            options = {"skip_instance_cache": True}  # keys and endpoint are those of now
            if url.startswith("s3:"):
                options["use_listings_cache"] = False
            self._files, self._root = fsspec.core.url_to_fs(url, **options)
        self.url = url
        self._local = "file" in self._files.protocol
        above, found, _ = self._root.rpartition(f"/{RUNS}")
        self._ours = Path(f"{above}{found}" if found else self._root)

    def read(self, name: str) -> Any:
        """The JSON value of a file; None where there is none."""
        with _in_words(self.url):
            try:
                told = self._files.cat_file(self._file(name), start=0, end=MOST_TOLD + 1)
            except FileNotFoundError:
                return None
            if not told:  # a claim that is being made
                return None
            if len(told) > MOST_TOLD:
                raise _too_large(name, self.url, MOST_TOLD)
            return json.loads(told)

    def write(self, name: str, value: Any) -> None:
        """Put a JSON value in place of what was there, at once."""
        with _in_words(self.url):
            self._put(name, lambda at: self._files.pipe_file(at, json.dumps(value).encode()))

    def claim(self, name: str) -> None:
        """Make a file that nobody else has made; the storage decides who was first.

        Raises:
            Taken: Somebody was.
        """
        with _in_words(self.url):
            self._room(name)
            try:
                if self._local:  # where fsspec looks first and writes then
                    with Path(self._at(name)).open("xb", buffering=0) as file:
                        file.write(b"1")
                else:
                    self._files.pipe_file(self._at(name), b"1", mode="create")
            except FileExistsError:
                raise Taken from None

    def send(self, folder: str, path: Path) -> str:
        """Upload a file that nobody writes to, unless its bytes are there; returns their digest."""
        made = digest(path)
        with _in_words(self.url):
            if not self._files.exists(self._at(f"{folder}/{made}")):
                self._put(f"{folder}/{made}", lambda at: self._files.put_file(str(path), at))
        return made

    def fetch(self, folder: str, sought: str, path: Path, *, most: int = MOST_KEPT) -> None:
        """Download the blob of that digest: whole, and the very bytes, or not at all.

        Raises:
            StorageAway: It is not there, holds other bytes, or has more than `most` of them.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        most = min(most, shutil.disk_usage(path.parent).free // 2)
        partial = path.with_name(path.name + ".partial")
        try:
            with _in_words(self.url):
                at = self._file(f"{folder}/{sought}")
                if self._files.size(at) > most:
                    raise _too_large(path.name, self.url, most)
                self._files.get_file(at, str(partial))
            if digest(partial) != sought:
                raise StorageAway(
                    f"The bytes of {path.name} at {self.url} are not those that were put there.",
                    "Check the storage; the training goes on from an earlier file.",
                )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def keep_only(self, folder: str, blobs: set[str]) -> None:
        """Delete the blobs of a folder that no index names any more."""
        with _in_words(self.url):
            for at in self._found(folder):
                name = at.rsplit("/", 1)[-1]
                if len(name) == 64 and name not in blobs:
                    self._files.rm_file(at)

    def remove(self, name: str = "") -> None:
        """Delete all of a folder, and look that it is gone; who still writes there ends at the sight of that.

        A link goes, and not what it leads to.

        Raises:
            StorageAway: Something is left.
        """
        with _in_words(self.url):
            for _ in range(TRIES):
                if self._local:
                    _clear(Path(self._at(name)))
                else:
                    for at in self._found(name):
                        with suppress(FileNotFoundError):
                            self._files.rm_file(at)
                if not (left := self._found(name)):
                    return
                time.sleep(1)
            raise StorageAway(
                f"{len(left)} files under {self.url} could not be deleted.", "Look what holds them."
            )

    def folders(self) -> list[str]:
        """The names of the folders that hold any file."""
        with _in_words(self.url):
            below = len(self._root.rstrip("/")) + 1
            return sorted({at[below:].split("/")[0] for at in self._found("") if "/" in at[below:]})

    def _found(self, name: str) -> list[str]:
        at = self._at(name)
        if self._local:
            _no_link(Path(at))
        try:
            return list(self._files.find(at))
        except FileNotFoundError:
            return []

    def _at(self, name: str) -> str:
        """The address of a name, to which no link leads; its last part may be one."""
        if name and not all(part.strip(".") for part in name.split("/")):
            raise StorageAway(f"{name[:80]!r} cannot be a name at {self.url}.", WHOSE)
        at = f"{self._root.rstrip('/')}/{name}".rstrip("/")
        if self._local:
            for above in Path(at).parents:
                if above.is_relative_to(self._ours):
                    _no_link(above)
        return at

    def _file(self, name: str) -> str:
        """The address of a file to read, which is one: no link, and nothing that never ends."""
        at = self._at(name)
        if self._local:
            _no_link(Path(at))
            if Path(at).exists() and not Path(at).is_file():
                raise StorageAway(f"{at} is no file.", WHOSE)
        return at

    def _room(self, name: str) -> None:
        if self._local:
            Path(self._at(name)).parent.mkdir(parents=True, exist_ok=True)

    def _put(self, name: str, put: Callable[[str], Any]) -> None:
        """An object store shows an object when it is whole; a file system needs a second name for that."""
        self._room(name)
        if not self._local:
            put(self._at(name))
            return
        # A name that nobody else knows, so that nobody put a link there.
        partial = f"{self._at(name)}.{secrets.token_hex(8)}.partial"
        put(partial)
        Path(partial).replace(self._at(name))


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            total.update(piece)
    return total.hexdigest()


def _clear(folder: Path) -> None:
    """Delete a folder, or the link in its place."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _no_link(path: Path) -> None:
    if path.is_symlink():
        raise StorageAway(f"{path} is a link, and would lead elsewhere.", WHOSE)


def _too_large(name: str, url: str, most: int) -> StorageAway:
    return StorageAway(f"{name} at {url} is larger than {most:,} bytes, or than half of what is free.", WHOSE)


@contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Make a person's sentence of whatever a storage's library throws; none of them quotes a key."""
    try:
        yield
    except (StorageAway, Taken):
        raise
    except ImportError as missing:
        raise StorageAway(
            f"There is no library here for {url}: {missing}.", "Install hone-chat[s3], or what it names."
        ) from None
    except Exception as fault:
        raise StorageAway(
            f"The storage at {url} cannot be used: {type(fault).__name__}: {fault}".rstrip(".") + ".",
            "Check its address and its keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL).",
        ) from None
