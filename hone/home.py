"""The folder in which all of one Hone's files live, its lock, and its secrets.

One process owns a home at a time. The lock is the kernel's, so it is gone with the process however that
ended; the note beside it says who holds it and where it answers. Knows paths, not what is in them.
"""

import fcntl
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedback import whole
from feedback.errors import HomeBusy, SettingsError

REVIEW_SALT = "review-salt"
"""Decides which contributor has which pseudonym, and which conversation an imported row belongs to."""
SALTS = ("salt", REVIEW_SALT)
"""Secrets that the store's rows were made with: another one would make others of them."""


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of a home. Nothing is created until `prepare`."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "hone.duckdb"

    @property
    def words(self) -> Path:
        """The search index: made from the store, and made again where it is missing."""
        return self.folder / "hone.words.duckdb"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def versions(self) -> Path:
        return self.folder / "versions"

    @property
    def desired(self) -> Path:
        return self.folder / "desired.json"

    @property
    def outbox(self) -> Path:
        """Notices that did not arrive yet. No backup has it: what is restored begins at its newest event."""
        return self.folder / "notices.json"

    @property
    def password_file(self) -> Path:
        return self.folder / "admin-password"

    @property
    def engine_log(self) -> Path:
        return self.folder / "engine.log"

    def prepare(self) -> None:
        """Make the folders and secrets that are missing.

        Raises:
            SettingsError: The folder cannot be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for inner in (self.models, self.runs, self.versions):
                inner.mkdir(exist_ok=True)
            for secret in ("token", *SALTS):
                self.secret(secret)
            probe = self.folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as fault:
            raise SettingsError(
                f"The home {self.folder} cannot be written: {fault.strerror}.",
                "Give --home a folder that you may write, or mend its permissions.",
            ) from None

    def secret(self, name: str) -> str:
        """The secret kept in the file `name`, made on first use, readable by its owner alone."""
        path = self.folder / name
        if not path.exists():
            # Web process and engine may both be first: one secret is put there, and both read it.
            made = self.folder / f"{name}.{secrets.token_hex(4)}"
            whole.write(made, secrets.token_urlsafe(32), private=True)
            with suppress(FileExistsError):
                os.link(made, path)
            made.unlink()
        return path.read_text("utf-8").strip()

    def running(self) -> dict[str, Any] | None:
        """What the owner of this home says of itself (`pid`, `url`), or None where nobody owns it."""
        lock = self.folder / "lock"
        if not lock.exists():
            return None
        try:
            handle = lock.open("r+", encoding="utf-8")
        except PermissionError:
            raise SettingsError(
                f"The home {self.folder} belongs to another account of this machine.",
                "Run the command as that account, or give --home one of yours.",
            ) from None
        with handle:
            try:
                # Shared, so that those who only look do not get in each other's way.
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                with suppress(ValueError):  # the owner is just writing it
                    return dict(json.loads(handle.read()))
                return {}
        return None


class HomeLock:
    """Ownership of a home for as long as this process holds it."""

    def __init__(self, home: Home, *, patience: float = 10.0) -> None:
        """Waits up to `patience` seconds for a command that holds the home for a moment.

        Raises:
            HomeBusy: A running Hone owns it.
        """
        self._handle = (home.folder / "lock").open("a+", encoding="utf-8")
        until = time.monotonic() + patience
        while not self._taken():
            owner = home.running() or {}
            if owner.get("url") or time.monotonic() > until:
                self._handle.close()
                where = f" at {owner['url']}" if owner.get("url") else ""
                raise HomeBusy(
                    f"Another Hone (process {owner.get('pid', '?')}) is using {home.folder}{where}.",
                    "Use that one, stop it first, or give --home another folder.",
                )
            time.sleep(0.1)
        self.say()

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def say(self, url: str = "") -> None:
        """Tell other commands which process this is and where it answers."""
        self._handle.seek(0)
        self._handle.truncate()
        json.dump({"pid": os.getpid(), "url": url}, self._handle)
        self._handle.flush()

    def release(self) -> None:
        self._handle.seek(0)
        self._handle.truncate()
        self._handle.close()
