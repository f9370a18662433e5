"""Backups of a home and their return: a folder of files with a manifest of their digests, written last.

The store's copy holds what was in the store at one moment, and nothing that was deleted before. Secrets that
can be made anew (token, password) stay out. A restore changes nothing until every byte was checked; what was
there before is moved aside, and a restore that was killed is finished by whoever opens the home next.

Trail: hone/commands/keeping.py -> here -> feedback/store.py
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from feedback import audit, erasure, whole
from feedback.erasure_jobs import LIST
from feedback.errors import BadRequest, Conflict, StoreError
from feedback.receipt import KEY
from feedback.records import COMMAND_LINE
from feedback.store import Store
from feedback.whole import durable
from hone.home import REVIEW_SALT, SALTS, Home, HomeLock

MANIFEST = "manifest.json"
FORM = 1
STORE = "hone.duckdb"
FOLDERS = ("versions", "runs")
ENTRIES = (STORE, *SALTS, "desired.json", *FOLDERS, LIST)
"""What a restore puts in place."""
SETTINGS = "hone.toml"
ONCE = (SETTINGS, KEY)
"""What it puts in place only where the home has none."""
PRIVATE = (*SALTS, *ONCE)
"""What its owner alone may read, in a backup too."""
BLOCK = 2**20


def _erase_again(store: Store, _: Path | None) -> None:
    """Take out again what was erased since the backup was made."""
    staging = store.path.parent
    erasure.reapply(store, staging.parent, files=staging)


on_restored: list[Callable[[Store, Path | None], None]] = [_erase_again]
"""Called with a restored store before it counts, and with the store it will replace, if there is one."""


def back_up(home: Home, store: Store, target: Path) -> dict[str, Any]:
    """Copy the home to the new folder `target`, while it is in use; its manifest.

    Raises:
        BadRequest: The folder is inside the home, or cannot be made.
        Conflict: There is something in it already, or an erasure is not finished; others wait meanwhile.
        StoreError: The disk refused; no folder is left.
    """
    target = target.expanduser()
    if not target.is_absolute() or target.resolve().is_relative_to(home.folder):
        raise BadRequest(f"{target} cannot hold a backup.", "Name a folder outside of the home.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(f"{target} holds something already.", "Name a new folder for each backup.")
    with erasure.none_under_way(home.folder):
        return _made(home, store, target)


def _made(home: Home, store: Store, target: Path) -> dict[str, Any]:
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        store.copy(partial / STORE)
        for path in _kept(home.folder):
            _copy(path, partial / path.relative_to(home.folder))
        manifest = _manifest(partial)
        whole.write(partial / MANIFEST, json.dumps(manifest, indent=1), private=True)
        durable(partial)
        partial.replace(target)
        durable(target.parent)
    except OSError as fault:
        raise StoreError(f"The backup {target} failed: {fault.strerror}.", "Check that disk.") from fault
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def restore(home: Home, source: Path) -> Path | None:
    """Make the home what the backup says; the folder that now holds what was there before.

    Raises:
        HomeBusy: A running Hone owns the home.
        BadRequest: That is no backup, or a file of it is damaged; nothing was changed.
    """
    manifest = _read(source)
    home.prepare()
    lock = HomeLock(home)
    try:
        finish(home)
        staging = home.folder / ".restoring"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            _stage(source, manifest, staging)
            _open(staging / STORE, home.store if home.store.exists() else None, source)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside = home.folder / f"before-restore-{stamp}"
        # What the backup has not must not stay either: a run of a later time would be taken for one to come.
        # But the secret of imports, which older backups lack, stays, or it would be another for certain.
        lacking = [name for name in ENTRIES if name != REVIEW_SALT and not (staging / name).exists()]
        whole.write(_journal(home), json.dumps({"aside": aside.name, "lacking": lacking}), private=True)
        finish(home)
        return aside if aside.exists() else None
    finally:
        lock.release()


def knows_imports(source: Path) -> bool:
    """Whether the backup holds the secret by which an import finds its conversations; older ones do not."""
    return REVIEW_SALT in _read(source)["files"]


def finish(home: Home) -> None:
    """End a restore that has begun to move files; without one, nothing. The home must be the caller's."""
    journal = _journal(home)
    staging = home.folder / ".restoring"
    if not journal.exists():
        shutil.rmtree(staging, ignore_errors=True)  # of a restore that was killed: people's words once more
        return
    plan = json.loads(journal.read_text("utf-8"))
    aside = home.folder / plan["aside"]
    aside.mkdir(exist_ok=True, mode=0o700)
    for name in (*ENTRIES, *ONCE):
        staged, placed = staging / name, home.folder / name
        if name in ONCE and placed.exists():
            continue
        if staged.exists() or name in plan["lacking"]:
            for old in (placed, placed.with_name(name + ".wal")):
                if old.exists():
                    old.rename(aside / old.name)
        if staged.exists():
            staged.rename(placed)
    for index in (home.words, home.words.with_name(home.words.name + ".wal")):
        index.unlink(missing_ok=True)
    durable(home.folder)
    journal.unlink()
    shutil.rmtree(staging, ignore_errors=True)
    home.prepare()
    if not any(aside.iterdir()):
        aside.rmdir()


def _journal(home: Home) -> Path:
    return home.folder / "restore.json"


def _kept(folder: Path) -> Iterator[Path]:
    """The files beside the store that a backup keeps."""
    for name in (*ENTRIES[1:], *ONCE):
        place = folder / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not path.is_symlink():
                yield path


def _copy(source: Path, target: Path) -> str | None:
    """Copy a file and wait until it is on the disk; its digest, or None where it is gone by now."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        reading = source.open("rb")
    except FileNotFoundError:  # a run that tidies up
        return None
    if target.name in PRIVATE:
        target.touch(mode=0o600)
    with reading, target.open("wb") as writing:
        while block := reading.read(BLOCK):
            digest.update(block)
            writing.write(block)
    durable(target)
    return digest.hexdigest()


def _manifest(folder: Path) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _digest(path)}
        for path in files
    }
    return {"form": FORM, "made_at": datetime.now(UTC).isoformat(timespec="seconds"), "files": listed}


def _digest(path: Path) -> str:
    with path.open("rb") as reading:
        return hashlib.file_digest(reading, "sha256").hexdigest()


def _read(source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((source / MANIFEST).read_text("utf-8"))
        form, files = manifest["form"], manifest["files"]
        known = all(_inside(name) and isinstance(told["sha256"], str) for name, told in files.items())
    except OSError as fault:
        raise BadRequest(
            f"{source} is no backup: {fault.strerror}.", "Name a folder made by `hone backup`."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BadRequest(
            f"{source} is no whole backup: {fault}.", "Name a folder made by `hone backup`."
        ) from None
    if form != FORM or not known or STORE not in files:
        raise BadRequest(f"{source} is no backup that this Hone knows.", "Name one made by `hone backup`.")
    return dict(manifest)


def _inside(name: str) -> bool:
    """Whether a manifest's name is of a file that a backup holds, and of no other place."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or str(path) != name:
        return False
    return path.parts[0] in FOLDERS if len(path.parts) > 1 else name in {*ENTRIES, *ONCE} - {*FOLDERS}


def _stage(source: Path, manifest: dict[str, Any], staging: Path) -> None:
    """Copy what the manifest names, and check it on the way."""
    try:
        staging.mkdir(mode=0o700)
        _bring(source, manifest, staging)
    except OSError as fault:
        raise StoreError(
            f"The backup could not be copied: {fault.strerror}; nothing was changed.", "Check both disks."
        ) from fault


def _bring(source: Path, manifest: dict[str, Any], staging: Path) -> None:
    for name, told in manifest["files"].items():
        found = _copy(source / name, staging / name) if _plain(source, name) else None
        if found != told["sha256"]:
            what = "missing" if found is None else "damaged"
            raise BadRequest(
                f"The backup's {name} is {what}; nothing was changed.", "Restore another backup."
            )


def _plain(source: Path, name: str) -> bool:
    """Whether this is a file of the backup itself: a link may lead to any file of the machine."""
    return (source / name).is_file() and (source / name).resolve() == source.resolve() / name


def _open(path: Path, replaced: Path | None, source: Path) -> None:
    """Open the store once, so that it is migrated and known to be whole, and let others have their say.

    That it was restored is the newest of its events: those between the backup and now it never had.
    """
    store = Store(path)
    try:
        if not store.check():
            store.rebuild()
        for hook in on_restored:
            hook(store, replaced)
        audit.record(store, COMMAND_LINE, "home.restored", str(source))
    finally:
        store.close()
    if path.with_name(path.name + ".wal").exists():
        raise StoreError(
            "The backup's store could not be closed; nothing was changed.", "Check the disk for space."
        )
