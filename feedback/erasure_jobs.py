"""Erasures on their way: the job file that a kill leaves behind, and the list that outlives the store.

A job's file lies in `erasing/` from the moment before any word goes until its receipt is written, and is
the only place where the words themselves still are meanwhile. `erasures.jsonl` has a line for every
erasure, without any words. Does nothing of what a job says.

Trail: feedback/erasure.py -> here
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from feedback import whole
from feedback.affected import Policy
from feedback.errors import StoreError
from feedback.reach import Scope
from feedback.records import Principal, is_id, new_id, now

LIST = "erasures.jsonl"
FOLDER = "erasing"


@dataclass(frozen=True, slots=True)
class Job:
    """One erasure. `texts` are the words themselves, kept until none of them is left anywhere else."""

    id: str
    asked_at: str
    """UTC, ISO 8601."""
    asked_by: str
    scope: Scope
    target: str
    policy: Policy
    account: str = ""
    """The account that ends with it, if one does."""
    owners: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    """Those that go whole."""
    exchanges: tuple[str, ...] = ()
    removed: dict[str, int] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    again: bool = False
    """Taken from the list, in a store that was restored."""


def new(principal: Principal, scope: Scope, target: str, *, account: bool, policy: Policy) -> Job:
    """An erasure as it is asked for; `account` asks that a user's account ends too."""
    ends = target if account and scope == "user" else ""
    return Job(new_id(), now().isoformat(), principal.name, scope, target, policy, account=ends)


def restored(record: Mapping[str, Any]) -> Job:
    """The job of a line of the list, to be done again."""
    return _job({**record, "again": True})


def keep(home: Path, job: Job) -> None:
    (home / FOLDER).mkdir(exist_ok=True, mode=0o700)
    whole.write(home / FOLDER / f"{job.id}.json", json.dumps(asdict(job), ensure_ascii=False), private=True)


def drop(home: Path, job: Job) -> None:
    path = home / FOLDER / f"{job.id}.json"
    if path.exists():
        path.unlink()
        whole.durable(path.parent)


def unfinished(home: Path) -> list[Job]:
    """Erasures that were asked for and have no receipt yet, the oldest first."""
    return [_job(json.loads(path.read_text("utf-8"))) for path in sorted((home / FOLDER).glob("*.json"))]


def enlist(home: Path, job: Job) -> None:
    """Add the erasure to the list unless it is there; on the disk when this returns."""
    if job.again or any(record["id"] == job.id for record in records(home)):
        return
    told = {name: value for name, value in asdict(job).items() if name not in ("texts", "again", "removed")}
    path = home / LIST
    ended = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(("" if ended else "\n") + json.dumps(told, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    whole.durable(home)


def merge(home: Path, files: Path) -> None:
    """Make the list among restored `files` hold the home's too, so that it can take that one's place."""
    known = {told["id"]: told for told in (*records(files), *records(home))}
    if files != home and known:
        lines = (json.dumps(told, ensure_ascii=False) + "\n" for told in known.values())
        whole.write(files / LIST, "".join(lines), private=True)


def records(home: Path) -> list[dict[str, Any]]:
    """The list: one record an erasure."""
    path = home / LIST
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:  # a kill in the middle of the last line, which is written again
            continue
        if not isinstance(told, dict) or not is_id(str(told.get("id"))):  # it names files
            raise _no_erasure(path)
        found[told["id"]] = told
    return list(found.values())


def _job(told: Mapping[str, Any]) -> Job:
    lists = {name: tuple(told.get(name, ())) for name in ("owners", "conversations", "exchanges", "texts")}
    try:
        return Job(**{**told, **lists})
    except TypeError:
        raise _no_erasure(Path(LIST)) from None


def _no_erasure(path: Path) -> StoreError:
    return StoreError(f"{path.name} has a line that is no erasure.", "Put a sound copy of it in its place.")
