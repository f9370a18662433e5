"""Which versions learnt from words that were erased, and what becomes of them.

A version learnt from an exchange that its snapshot had among the rows to train or to stop by; one whose
snapshot only judged by it did not. Every version trains from the base, so one that is trained anew without
the rows is clean. Changes states in the ledger; loading and routing is the roll-out's.

Trail: feedback/erasure.py -> here -> feedback/ledger.py, tuner/cleansing.py
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid5

from feedback import snapshot
from feedback.curate import Curated
from feedback.errors import Conflict
from feedback.ledger import Ledger
from feedback.records import BASE_NUMBER, Run, Version, VersionState
from feedback.store import Store
from feedback.transaction import Transaction

Policy = Literal["keep", "stop"]
"""What happens to a version that learnt and is serving: `keep` it until it is rebuilt, or `stop` it now."""

SERVING: tuple[VersionState, ...] = ("canary", "live")
PRINCIPAL = "hone"
WITHDRAWN = "It learnt from words that were erased."

_LEARNT = """
SELECT v.assistant, v.version, count(DISTINCT s.exchange_id) FILTER (WHERE s.side <> 'gate') AS learnt,
    count(DISTINCT s.exchange_id) FILTER (WHERE s.side = 'gate') AS judged
FROM snapshot_rows s JOIN snapshots n ON n.id = s.snapshot_id
JOIN versions v ON try_cast(v.run_id AS UUID) = n.run_id
WHERE s.exchange_id IN ({which}) GROUP BY v.assistant, v.version, v.number ORDER BY v.assistant, v.number"""

_RUNS = """
SELECT DISTINCT n.run_id FROM snapshot_rows s JOIN snapshots n ON n.id = s.snapshot_id
WHERE s.exchange_id IN (SELECT exchange_id FROM erased_exchanges)"""

_FROZEN = """
SELECT 1 FROM snapshot_rows s JOIN snapshots n ON n.id = s.snapshot_id
WHERE s.exchange_id IN (SELECT unnest($1::UUID[])) AND n.run_id = $2 LIMIT 1"""

_APPROVED = """
SELECT 1 FROM reviews r JOIN exchanges e ON e.id = r.exchange_id
WHERE e.id IN (SELECT unnest($1::UUID[])) AND e.assistant = $2 AND r.verdict IN ('approve', 'edit') LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Affected:
    """A version whose snapshot held erased exchanges: how many it `learnt` from, and was `judged` by."""

    assistant: str
    version: str
    learnt: int
    judged: int


def by(store: Store | Transaction, exchanges: Sequence[str]) -> list[Affected]:
    """The versions whose snapshots hold any of these exchanges."""
    asked = _LEARNT.format(which="SELECT unnest($1::UUID[])")
    return [Affected(**row) for row in store.rows(asked, [list(exchanges)])]


def tainted(store: Store) -> set[str]:
    """Every version that learnt from any word that was erased since."""
    rows = store.rows(_LEARNT.format(which="SELECT exchange_id FROM erased_exchanges"))
    return {row["version"] for row in rows if row["learnt"]}


def may_hold(store: Store, run: Run, exchanges: Sequence[str]) -> bool:
    """Whether a run's snapshot has any of these; until it is frozen, whether it may be reading one."""
    frozen = store.row("SELECT 1 FROM snapshots WHERE run_id = $1", [run.id])
    asked = _FROZEN if frozen else _APPROVED
    return store.row(asked, [list(exchanges), run.id if frozen else run.assistant]) is not None


def runs(store: Store) -> set[str]:
    """The runs whose snapshots held words that were erased, with or without a version."""
    return {row["run_id"] for row in store.rows(_RUNS)}


def settle(store: Store, erasure: str, exchanges: Sequence[str], policy: Policy) -> None:
    """Record which versions an erasure touches, and take out of service what the policy says.

    What learnt and is not live is withdrawn in any case, a canary too. Settling again changes nothing more.
    """
    ledger = Ledger(store)
    hit = by(store, exchanges)
    states = {version.version: version.state for version in ledger.versions()}
    store.append(
        {"erased_versions": [_touched(erasure, one, states.get(one.version, "training")) for one in hit]}
    )
    dirty = tainted(store)
    for assistant in sorted({one.assistant for one in hit if one.learnt}):
        _withdraw(ledger, store, assistant, dirty, serving=policy == "stop")


def retire(store: Store) -> list[str]:
    """Withdraw what was kept in service only until it was rebuilt; returns the versions withdrawn.

    That is so once a clean version is live, or once a run found nothing left to learn from.
    """
    ledger, dirty = Ledger(store), tainted(store)
    withdrawn: list[str] = []
    for assistant in sorted({version.partition("@")[0] for version in dirty}):
        since = rebuild_since(store, assistant)
        nothing_left = any(
            run.state == "skipped" and since and run.started_at > since for run in ledger.runs(assistant)
        )
        clean = ledger.live(assistant).version not in dirty
        if clean or nothing_left:
            withdrawn += _withdraw(ledger, store, assistant, dirty, serving=True)
    return withdrawn


def rebuild_since(store: Store, assistant: str) -> datetime | None:
    """When an erasure last took rows that a serving version had learnt from."""
    row = store.row(
        """SELECT max(e.at) AS at FROM erased_versions e
        WHERE assistant = $1 AND served AND learnt > 0""",
        [assistant],
    )
    at: datetime | None = row["at"] if row else None
    return at


def fail_runs(store: Store) -> list[str]:
    """End the runs in progress whose rows were erased, so that none goes on from them; their ids."""
    ledger, hit = Ledger(store), runs(store)
    failed = [run for run in ledger.runs() if run.state in ("queued", "running") and run.id in hit]
    for run in failed:
        ledger.record_run(
            run_id=run.id,
            assistant=run.assistant,
            number=run.number,
            state="failed",
            step=run.step,
            principal=run.principal,
            folder=run.folder,
            version=run.version,
            reason="Words that it learnt from were erased; the next run goes without them.",
            detail=run.detail,
        )
    return [run.id for run in failed]


def freeze(store: Store, assistant: str, run_id: str, folder: Path, curated: Curated, **asked: Any) -> None:
    """`snapshot.freeze`, unless words of it were erased since the pairs were read: whoever erased them
    cleaned the folder before it was there.

    Raises:
        Conflict: They were; the folder is gone again.
    """
    snapshot.freeze(store, assistant, run_id, folder, curated, **asked)
    if run_id in runs(store):
        shutil.rmtree(folder)
        raise Conflict("Words were erased while they were being frozen.", "Run again.")


def clean_version(store: Store, assistant: str, dirty: set[str]) -> Version:
    """The newest that was live, was not rolled back, and learnt from no erased word; else the base."""
    line = Ledger(store).versions(assistant)
    lives = store.rows(
        "SELECT version FROM rollouts WHERE assistant = $1 AND state = 'live' ORDER BY seq", [assistant]
    )
    order = [row["version"] for row in lives]
    for version in line:
        fit = version.state in ("live", "previous", "withdrawn") and version.version not in dirty
        if version.is_base or (fit and version.version in order and not _rolled_back(order, version)):
            return version
    raise AssertionError("every assistant has its base")


def _rolled_back(order: Sequence[str], version: Version) -> bool:
    """Whether a version older than it took its place."""
    last = len(order) - 1 - list(reversed(order)).index(version.version)
    return last + 1 < len(order) and _number(order[last + 1]) < version.number


def _number(version: str) -> int:
    number = version.partition("@")[2].partition("-")[0]
    return int(number) if number.isdigit() else BASE_NUMBER


def _withdraw(ledger: Ledger, store: Store, assistant: str, dirty: set[str], *, serving: bool) -> list[str]:
    """Mark what learnt from erased words; where it serves, the newest clean version goes live first."""
    states = {v.version: v.state for v in ledger.versions(assistant) if v.version in dirty}
    gone = [v for v, state in states.items() if state != "erased" and (serving or state != "live")]
    if any(states[version] == "live" for version in gone):
        heir = clean_version(store, assistant, dirty)
        ledger.set_state(heir.version, "live", f"{ledger.live(assistant).version} was withdrawn.", PRINCIPAL)
    for version in gone:
        ledger.set_state(version, "erased", WITHDRAWN, PRINCIPAL)
    return gone


def _touched(erasure: str, one: Affected, state: str) -> dict[str, object]:
    return {
        "id": str(uuid5(UUID(erasure), one.version)),
        "principal": PRINCIPAL,
        "erasure_id": erasure,
        "assistant": one.assistant,
        "version": one.version,
        "learnt": one.learnt,
        "judged": one.judged,
        "served": state in SERVING,
    }
