"""Versions as immutable folders: an adapter's bytes, and a card that says what they are.

`HOME/versions/general@7-3fa9c1d2/` holds the adapter in PEFT's format and `card.json`. The name ends
in the first eight hex digits of the digest of the bytes, a folder appears whole or not at all, and
is never written again. Knows nothing of the store, of states or of the server.

Trail: tuner/train.py -> here -> tuner/prove.py
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from feedback import whole
from feedback.errors import BadAdapter, Conflict, OtherBase
from feedback.fingerprint import ADAPTER_FILES, digest
from feedback.records import new_id
from tuner import bases
from tuner.plan import read_json, write_json

CARD = "card.json"


@dataclass(frozen=True, slots=True)
class Card:
    """What a version is and what it was made of; written once, beside its bytes."""

    version: str
    assistant: str
    number: int
    digest: str
    """SHA-256 over the adapter's files, hex."""
    base: str
    """Folder name of the base model it belongs to."""
    run_id: str
    snapshot_digest: str
    plan_digest: str
    made_at: str
    """UTC, ISO 8601."""
    base_digest: str = ""
    """Names that base by its bytes; empty in versions made before it was kept."""


def version_name(assistant: str, number: int, adapter_digest: str) -> str:
    return f"{assistant}@{number}-{adapter_digest[:8]}"


def folder(home: Path, version: str) -> Path:
    return home / "versions" / version


def register(home: Path, adapter: Path, card: Card) -> Path:
    """Copy an adapter into the home as `card.version`; registering the same bytes again changes nothing.

    Raises:
        BadAdapter: The adapter is incomplete, or not the one that the card describes.
        Conflict: That version exists with other bytes.
    """
    target = folder(home, card.version)
    if not target.exists():
        digest(adapter)  # a missing file is named before anything is copied
        _copy_whole(adapter, target, card)
    if verify(home, card.version).digest != card.digest:
        raise Conflict(
            f"Version {card.version} exists already and holds other bytes.",
            "Versions are never overwritten; start a new run.",
        )
    return target


def verify(home: Path, version: str) -> Card:
    """A version's card, once its bytes have been hashed again and found to be those it was made with.

    Raises:
        BadAdapter: The folder is missing, incomplete or changed.
    """
    kept = folder(home, version)
    try:
        card = Card(**read_json(kept / CARD))
    except (OSError, ValueError, TypeError) as bad:
        raise BadAdapter(
            f"Version {version} has no readable card in {kept}.",
            "Restore the folder from a backup, or promote another version.",
        ) from bad
    if digest(kept) != card.digest or card.version != version:
        raise BadAdapter(
            f"The files of version {version} are not the ones it was made with.",
            "Restore the folder from a backup, or promote another version.",
        )
    return card


def usable(home: Path, version: str, base: Path) -> Card:
    """A version's card, once it is found whole and made for the base in this folder.

    Raises:
        BadAdapter: Its folder is missing, incomplete or changed.
        OtherBase: It was trained over another base.
    """
    card = verify(home, version)
    served = bases.digest(base)
    told = (card.base_digest, served) if card.base_digest and served else (card.base, base.name)
    if told[0] != told[1]:
        raise OtherBase(
            f"Version {version} was trained over another base model ({card.base}) than {base}, now served.",
            "Set model.name back to serve it, or let a new version be trained over this base.",
        )
    return card


def _copy_whole(adapter: Path, target: Path, card: Card) -> None:
    partial = target.with_name(f".{target.name}-{new_id()}")
    for left in target.parent.glob(f".{target.name}-*"):  # by a copy that was killed; there is one at a time
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name in ADAPTER_FILES:
            shutil.copyfile(adapter / name, partial / name)
            whole.durable(partial / name)
        write_json(partial / CARD, asdict(card))
        if digest(partial) != card.digest:
            raise BadAdapter(
                f"The bytes of {adapter} are not those of {card.version}.", "Check the disk, then run again."
            )
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
