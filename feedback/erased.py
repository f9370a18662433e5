"""What the store knows of erasures: who had what erased, which rows that was, and how it ended.

The facts that are left when the words are gone, as events and as lists of them. Takes no word away.

Trail: feedback/erasure.py -> here -> feedback/store.py
"""

from typing import Any
from uuid import UUID, uuid5

from feedback.erasure_jobs import Job
from feedback.errors import NotFound
from feedback.reach import Reach
from feedback.records import now
from feedback.store import Store
from feedback.transaction import Transaction

_LISTED = """
SELECT e.id, e.at AS at, e.principal AS by, e.scope, e.target, e.account, e.policy, e.removed,
    d.at AS finished_at
FROM erasures e LEFT JOIN erasure_ends d ON d.erasure_id = e.id ORDER BY e.seq DESC"""


def counts(store: Store | Transaction, meant: Reach) -> dict[str, int]:
    """How many rows of each kind an erasure is about."""
    found = {"exchanges": len(meant.exchanges), "conversations": len(meant.conversations)}
    for table in ("answers", "ratings", "reviews", "opinions", "snapshot_rows"):
        row = store.row(
            f"SELECT count(*) AS n FROM {table} WHERE exchange_id IN (SELECT unnest($1::UUID[]))",  # noqa: S608
            [list(meant.exchanges)],
        )
        assert row is not None
        found[table] = row["n"]
    return found


def record(transaction: Transaction, job: Job) -> None:
    """The fact of an erasure; the same job again is the same rows."""
    whole = UUID(job.id)
    said = {"principal": job.asked_by, "erasure_id": job.id}
    erasure = {
        "id": job.id,
        "principal": job.asked_by,
        "scope": job.scope,
        "target": job.target,
        "account": bool(job.account),
        "policy": job.policy,
        "removed": job.removed,
    }
    transaction.append(
        {
            "erasures": [erasure],
            "erased_conversations": [
                {"id": str(uuid5(whole, name)), **said, "conversation_id": name} for name in job.conversations
            ],
            "erased_exchanges": [
                {"id": str(uuid5(whole, name)), **said, "exchange_id": name} for name in job.exchanges
            ],
        }
    )


def end(store: Store, job: Job, receipt: dict[str, Any]) -> dict[str, Any]:
    """Record the receipt, and return it; of a job that had one already, that one."""
    row = {"id": str(uuid5(UUID(job.id), "end")), "principal": "hone", "erasure_id": job.id}
    store.append({"erasure_ends": [{**row, "receipt": receipt}]})
    return receipt if job.again else receipt_of(store, job.id) or receipt


def receipt_of(store: Store, erasure: str) -> dict[str, Any] | None:
    row = store.row("SELECT receipt FROM erasure_ends WHERE erasure_id = try_cast($1 AS UUID)", [erasure])
    return row["receipt"] if row else None


def get(store: Store, erasure: str) -> dict[str, Any]:
    """The receipt of an erasure, as it was signed.

    Raises:
        NotFound: There is none, or not yet.
    """
    known = receipt_of(store, erasure)
    if known is None:
        raise NotFound(f"There is no receipt of an erasure {erasure[:64]}.", "It comes when all is done.")
    return known


def known(store: Store, erasure: str) -> bool:
    """Whether the words of this erasure were taken out of this very store."""
    return store.row("SELECT 1 FROM erasures WHERE id = $1", [erasure]) is not None


def listed(store: Store, newest: int | None = None) -> list[dict[str, Any]]:
    """Erasures, the newest first: `id, at, by, scope, target, account, policy, removed, finished_at`."""
    return store.rows(f"{_LISTED} LIMIT $1", [newest])


def versions(store: Store, erasure: str) -> list[dict[str, Any]]:
    """The versions that an erasure touched, each with its state now."""
    touched = store.rows(
        "SELECT version, learnt, judged FROM erased_versions WHERE erasure_id = $1 ORDER BY version",
        [erasure],
    )
    changes = store.rows("SELECT version, arg_max(state, seq) AS state FROM rollouts GROUP BY version")
    states = {row["version"]: row["state"] for row in changes}
    return [{**row, "state": states.get(row["version"], "training")} for row in touched]


def told(store: Store, job: Job) -> dict[str, Any]:
    """What a receipt says was done, without the proof."""
    return {
        "erasure": job.id,
        "scope": job.scope,
        "target": job.target,
        "account_ended": bool(job.account),
        "asked_by": job.asked_by,
        "asked_at": job.asked_at,
        "finished_at": now().isoformat(),
        "again_after_a_restore": job.again,
        "removed": job.removed,
        "versions": versions(store, job.id),
        "policy": job.policy,
    }
