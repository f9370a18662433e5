"""Freeze what one run trains and judges on: parquet files by side, and a manifest written last.

A folder without a manifest is no snapshot: it is written again. Keys and digests are salted, so that
words which were erased cannot be guessed back from them. Knows no model.

Trail: feedback/curate.py, tuner/steps.py -> here -> feedback/template.py
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pyarrow as pa
import pyarrow.parquet as pq

from feedback import whole
from feedback.curate import Curated
from feedback.errors import BadRequest, StoreError
from feedback.records import Message, Pair
from feedback.sides import SIDES, Shares, salted, settle
from feedback.store import Store

MANIFEST = "manifest.json"
TEXTS = ("messages", "response")
"""The columns that hold people's words."""
_SCHEMA = ("exchange_id", "review_id", "group_key", "messages", "response", "author")


@dataclass(frozen=True, slots=True)
class Row:
    """One frozen pair; `messages` ends with the instruction."""

    exchange_id: str
    review_id: str
    group_key: str
    messages: tuple[Message, ...]
    response: str
    author: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a run's folder holds. `counts` are pairs a side and groups a side (`train_groups`).

    `account` is curation's own: what was approved, kept, left out and found (`feedback/curate.py`).
    """

    id: str
    run_id: str
    assistant: str
    digest: str
    counts: dict[str, int]
    dropped: dict[str, int]
    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    gate: tuple[Row, ...]
    account: dict[str, Any] = field(default_factory=dict)

    def rows(self, side: str) -> tuple[Row, ...]:
        return {"train": self.train, "dev": self.dev, "gate": self.gate}[side]


def freeze(
    store: Store,
    assistant: str,
    run_id: str,
    folder: Path,
    curated: Curated,
    *,
    salt: str,
    gate_share: float = 0.30,
    gate_share_later: float = 0.12,
    gate_groups: int = 40,
    dev_share: float = 0.08,
    principal: str,
) -> Snapshot:
    """Decide sides, record them, and write the run's rows; a folder that was frozen is only read.

    `gate_share` of the groups judge until there are `gate_groups` of them, `gate_share_later` after.

    Raises:
        BadRequest: No salt.
    """
    if not salt:
        raise BadRequest("A snapshot needs a salt.", "Set tuner.salt, or let Hone make one.")
    if (folder / MANIFEST).exists():
        return load(folder)
    shares = Shares(gate_share, gate_share_later, gate_groups, dev_share)
    sides = settle(store, assistant, curated.groups, shares, salt=salt, principal=principal)
    frozen = _snapshot(assistant, run_id, curated, sides, salt)
    _record(store, frozen, curated, principal)
    _write(frozen, folder)
    return frozen


def load(folder: Path) -> Snapshot:
    """Read a frozen snapshot back.

    Raises:
        StoreError: It is not there whole.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        train, dev, gate = (_rows(folder, side) for side in SIDES)
        snapshot = Snapshot(**manifest, train=train, dev=dev, gate=gate)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as fault:
        raise _broken(folder, str(fault)) from fault
    for side in SIDES:
        if len(snapshot.rows(side)) != snapshot.counts[side]:
            raise _broken(
                folder,
                f"{side}.parquet has {len(snapshot.rows(side))} rows, "
                f"the manifest says {snapshot.counts[side]}",
            )
    return snapshot


def left_out(store: Store, exchange_id: str) -> list[dict[str, Any]]:
    """Why an exchange was left out of which runs, newest first: `run_id, at, reason, detail`."""
    return store.rows(
        """SELECT s.run_id, l.at AS at, l.reason, l.detail FROM snapshot_left_out l
        JOIN snapshots s ON s.id = l.snapshot_id
        WHERE l.exchange_id = try_cast($1 AS UUID) ORDER BY l.seq DESC""",
        [exchange_id],
    )


def digest(rows: dict[str, Sequence[Row]], salt: str) -> str:
    """A salted digest of all rows and their sides, whatever their order."""
    lines = [json.dumps([side, *_values(row)], ensure_ascii=False) for side in SIDES for row in rows[side]]
    return salted(salt, "\n".join(sorted(lines)))


def _snapshot(
    assistant: str, run_id: str, curated: Curated, sides: Sequence[tuple[str, str]], salt: str
) -> Snapshot:
    rows: dict[str, list[Row]] = {side: [] for side in SIDES}
    counts = dict.fromkeys((*SIDES, *(f"{side}_groups" for side in SIDES)), 0)
    for group, (key, side) in zip(curated.groups, sides, strict=True):
        rows[side] += [_frozen(pair, key) for pair in group.pairs]
        counts[side] += len(group.pairs)
        counts[f"{side}_groups"] += 1
    total = digest({side: rows[side] for side in SIDES}, salt)
    return Snapshot(
        id=str(uuid5(UUID(run_id), total)),
        run_id=run_id,
        assistant=assistant,
        digest=total,
        counts=counts,
        dropped=dict(curated.dropped),
        train=tuple(rows["train"]),
        dev=tuple(rows["dev"]),
        gate=tuple(rows["gate"]),
        account=curated.account,
    )


def _record(store: Store, snapshot: Snapshot, curated: Curated, principal: str) -> None:
    """Record the snapshot, which verdicts are in it, which were left out and why; again, it is the same."""
    event = {
        "id": snapshot.id,
        "principal": principal,
        "run_id": snapshot.run_id,
        "assistant": snapshot.assistant,
        "digest": snapshot.digest,
        "counts": {**snapshot.counts, "dropped": snapshot.dropped, "account": snapshot.account},
    }
    rows = [
        {
            "id": str(uuid5(UUID(snapshot.id), row.review_id)),
            "principal": principal,
            "snapshot_id": snapshot.id,
            "exchange_id": row.exchange_id,
            "review_id": row.review_id,
            "side": side,
            "group_key": row.group_key,
        }
        for side in SIDES
        for row in snapshot.rows(side)
    ]
    left = [
        {
            "id": str(uuid5(UUID(snapshot.id), f"left/{out.pair.review_id}")),
            "principal": principal,
            "snapshot_id": snapshot.id,
            "exchange_id": out.pair.exchange_id,
            "review_id": out.pair.review_id,
            "reason": out.reason,
            "detail": out.detail,
        }
        for out in curated.left_out
    ]
    store.append({"snapshots": [event], "snapshot_rows": rows, "snapshot_left_out": left})


def _write(snapshot: Snapshot, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = pa.schema([(name, pa.string()) for name in _SCHEMA])
    for side in SIDES:
        columns = list(zip(*map(_values, snapshot.rows(side)), strict=True)) or [()] * len(_SCHEMA)
        pq.write_table(
            pa.table([list(column) for column in columns], schema=text), folder / f"{side}.parquet"
        )
    told = ("id", "run_id", "assistant", "digest", "counts", "dropped", "account")
    manifest = {name: getattr(snapshot, name) for name in told}
    whole.write(folder / MANIFEST, json.dumps(manifest, indent=2))


def _frozen(pair: Pair, key: str) -> Row:
    return Row(pair.exchange_id, pair.review_id, key, pair.messages, pair.response, pair.author)


def _values(row: Row) -> tuple[str, ...]:
    messages = json.dumps([message.as_dict() for message in row.messages], ensure_ascii=False)
    return (row.exchange_id, row.review_id, row.group_key, messages, row.response, row.author)


def _rows(folder: Path, side: str) -> tuple[Row, ...]:
    return tuple(map(_row, pq.read_table(folder / f"{side}.parquet").to_pylist()))


def _row(values: dict[str, Any]) -> Row:
    messages = tuple(Message(m["role"], m["content"]) for m in json.loads(values["messages"]))
    return Row(**{**values, "messages": messages})


def _broken(folder: Path, why: str) -> StoreError:
    return StoreError(f"The snapshot in {folder} is not whole: {why}.", "Start a new run.")
