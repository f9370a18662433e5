"""Runs, versions and what was decided about them, as the tuner records and the pages read them.

The base of every assistant is listed as `name@0` though no event made it: it answers until a version
is live, and can be returned to for ever. Knows no adapter's bytes and no engine.

Trail: tuner/cycle.py -> here -> feedback/store.py
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

from feedback.assistants import Assistants
from feedback.errors import BadRequest, NotFound, UnknownVersion
from feedback.orders import Orders
from feedback.records import BASE_NUMBER, Run, RunState, Version, VersionState
from feedback.rollouts import Rollouts
from feedback.store import Store
from feedback.writer import Transaction

_RUNS = """
WITH first AS (SELECT run_id, min(seq) AS began, min(r.at) AS started_at, arg_min(principal, seq) AS principal
    FROM runs r GROUP BY run_id)
SELECT r.run_id AS id, r.assistant, r.number, r.state, coalesce(r.step, '') AS step, first.started_at,
    r.at AS changed_at, first.principal, coalesce(r.folder, '') AS folder,
    coalesce(r.version, '') AS version, coalesce(r.reason, '') AS reason, r.detail
FROM runs r JOIN first ON first.run_id = r.run_id
WHERE {where}
QUALIFY row_number() OVER (PARTITION BY r.run_id ORDER BY r.seq DESC) = 1
ORDER BY first.began DESC"""

# A version that did not pass and then went live by no run was promoted by a person: that mark stays.
_CHANGES = """
WITH aside AS (SELECT version, min(seq) AS seq FROM rollouts WHERE state IN ('abstained', 'refused')
    GROUP BY version),
hand AS (SELECT r.version, arg_min(r.principal || ': ' || coalesce(r.reason, ''), r.seq) AS told
    FROM rollouts r JOIN aside ON aside.version = r.version AND aside.seq < r.seq
    WHERE r.state = 'live' AND coalesce(r.run_id, '') = '' GROUP BY r.version)
SELECT r.version, r.state, coalesce(r.reason, '') AS reason, r.principal AS changed_by, r.at AS changed_at,
    coalesce(hand.told, '') AS by_hand
FROM rollouts r LEFT JOIN hand ON hand.version = r.version
QUALIFY row_number() OVER (PARTITION BY r.version ORDER BY r.seq DESC) = 1"""


class Ledger:
    """The ledger of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.rollouts = Rollouts(store)
        self.orders = Orders(store)

    def record_run(
        self,
        *,
        run_id: str,
        assistant: str,
        number: int,
        state: RunState,
        step: str,
        principal: str,
        folder: str = "",
        version: str = "",
        reason: str = "",
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Record how a run stands now; its first record says who began it."""
        row = {
            "principal": principal,
            "run_id": run_id,
            "assistant": assistant,
            "number": number,
            "state": state,
            "step": step,
            "version": version,
            "folder": folder,
            "reason": reason,
            "detail": detail or {},
        }
        self._store.append({"runs": [row]})

    def run(self, run_id: str) -> Run:
        rows = self._store.rows(_RUNS.format(where="r.run_id = try_cast($1 AS UUID)"), [run_id])
        if not rows:
            raise NotFound(f"There is no run {run_id[:64]}.", "Choose one of those listed.")
        return _run(rows[0])

    def runs(self, assistant: str | None = None) -> list[Run]:
        """All, or one assistant's, the newest first."""
        rows = self._store.rows(_RUNS.format(where="$1 IS NULL OR r.assistant = $1"), [assistant])
        return [_run(row) for row in rows]

    def next_number(self, assistant: str) -> int:
        """The number that this assistant's next run and its version take; never one that was used."""
        row = self._store.row(
            """SELECT coalesce(max(number), 0) + 1 AS number FROM (
                SELECT number FROM runs WHERE assistant = $1
                UNION ALL SELECT number FROM versions WHERE assistant = $1)""",
            [assistant],
        )
        assert row is not None
        return int(row["number"])

    def add_version(
        self,
        *,
        version: str,
        assistant: str,
        number: int,
        digest: str,
        folder: str,
        run_id: str,
        principal: str,
    ) -> Version:
        """Record a registered version; recording it again changes nothing."""

        def add(transaction: Transaction) -> None:
            if transaction.row("SELECT 1 FROM versions WHERE version = $1", [version]):
                return
            row = {
                "principal": principal,
                "version": version,
                "assistant": assistant,
                "number": number,
                "digest": digest,
                "folder": folder,
                "run_id": run_id,
            }
            transaction.append({"versions": [row]})

        self._store.decide(add)
        return self.version(version)

    def set_state(
        self,
        version: str,
        state: VersionState,
        reason: str,
        principal: str,
        run_id: str = "",
        evidence: dict[str, Any] | None = None,
    ) -> Version:
        """Record a change of a version's state, with what spoke for it.

        Making one live makes the one before it previous in the same transaction, so that never two
        are live. Returning to the base is making it live.

        Raises:
            UnknownVersion: There is no such version.
            BadRequest: There is no such state, or the base cannot be in it.
        """
        if state not in get_args(VersionState):
            raise BadRequest(f"A version cannot be {state}.", f"Use {', '.join(get_args(VersionState))}.")

        def change(transaction: Transaction) -> None:
            known = _find(transaction, version)
            if known.is_base and state not in ("live", "previous"):
                raise BadRequest("The base is never out of service.", "Make another version live instead.")
            rows = [(version, state, reason)]
            if state == "live":
                others = _of(transaction, known.assistant)
                rows += [
                    (other.version, "previous", f"{version} took its place.")
                    for other in others
                    if other.state == "live" and other.version != version and not other.is_base
                ]
            events = [_rollout(known.assistant, *row, principal, run_id) for row in reversed(rows)]
            events[-1]["evidence"] = evidence or {}
            transaction.append({"rollouts": events})

        self._store.decide(change)
        return self.version(version)

    def version(self, version: str) -> Version:
        return _find(self._store, version)

    def versions(self, assistant: str | None = None) -> list[Version]:
        """All, or one assistant's, with the base: by assistant, the newest first."""
        return _of(self._store, assistant)

    def live(self, assistant: str) -> Version:
        """The version that answers; the base where none was made live."""
        return next(v for v in self._line(assistant) if v.state == "live")

    def previous(self, assistant: str) -> Version:
        """The version that a roll-back returns to: the one last live before; else the base."""
        line = self._line(assistant)
        before = [v for v in line if v.state == "previous" and not v.is_base and v.changed_at]
        return max(before, key=lambda v: (v.changed_at, v.number), default=line[-1])

    def record_evaluation(
        self,
        *,
        run_id: str,
        version: str,
        incumbent: str,
        scorecard: dict[str, Any],
        verdict: str,
        reasons: Sequence[str],
        principal: str,
    ) -> None:
        row = {
            "principal": principal,
            "run_id": run_id,
            "version": version,
            "incumbent": incumbent,
            "scorecard": scorecard,
            "verdict": verdict,
            "reasons": list(reasons),
        }
        self._store.append({"evaluations": [row]})

    def evaluation(self, run_id: str) -> dict[str, Any] | None:
        """A run's newest evaluation: `run_id, version, incumbent, scorecard, verdict, reasons, at`."""
        return self._store.row(
            """SELECT e.run_id, e.version, e.incumbent, e.scorecard, e.verdict, e.reasons, e.at AS at
            FROM evaluations e WHERE e.run_id = try_cast($1 AS UUID) ORDER BY e.seq DESC LIMIT 1""",
            [run_id],
        )

    def record_decision(self, assistant: str, due: bool, reason: str, principal: str = "hone") -> None:
        """Record why the tuner runs or doesn't, if that is not what was recorded last."""

        def record(transaction: Transaction) -> None:
            last = transaction.row(
                "SELECT due, reason FROM decisions WHERE assistant = $1 ORDER BY seq DESC LIMIT 1",
                [assistant],
            )
            if last != {"due": due, "reason": reason}:
                row = {"principal": principal, "assistant": assistant, "due": due, "reason": reason}
                transaction.append({"decisions": [row]})

        self._store.decide(record)

    def decisions(self, assistant: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest first: `at, due, reason`."""
        return self._store.rows(
            """SELECT d.at AS at, d.due, d.reason FROM decisions d
            WHERE d.assistant = $1 ORDER BY d.seq DESC LIMIT $2""",
            [assistant, limit],
        )

    def _line(self, assistant: str) -> list[Version]:
        Assistants(self._store).get(assistant)
        return _of(self._store, assistant)


def _of(store: Store | Transaction, assistant: str | None) -> list[Version]:
    changes = {row["version"]: row for row in store.rows(_CHANGES)}
    made = store.rows("SELECT v.*, v.at AS created_at FROM versions v ORDER BY number DESC, seq DESC")
    listed: list[Version] = []
    for row in store.rows("SELECT name, made_at FROM assistant_now ORDER BY made_at, name"):
        if assistant in (None, row["name"]):
            own = [_version(m, changes.get(m["version"], {})) for m in made if m["assistant"] == row["name"]]
            listed += [*own, _base(row["name"], row["made_at"], own, changes)]
    return listed


def _base(
    assistant: str, made_at: datetime, others: Sequence[Version], changes: dict[str, dict[str, Any]]
) -> Version:
    """An assistant's version 0: live exactly while no other is."""
    version = f"{assistant}@{BASE_NUMBER}"
    state: VersionState = "previous" if any(other.state == "live" for other in others) else "live"
    changed = {**changes.get(version, {}), "version": version, "state": state}
    return Version(assistant=assistant, number=BASE_NUMBER, created_at=made_at, **changed)


def _find(store: Store | Transaction, version: str) -> Version:
    for known in _of(store, version.partition("@")[0]):
        if known.version == version:
            return known
    raise UnknownVersion(f"There is no version {version[:64]}.", "Choose one of those listed.")


def _rollout(
    assistant: str, version: str, state: str, reason: str, principal: str, run_id: str
) -> dict[str, Any]:
    row = {"principal": principal, "assistant": assistant, "version": version}
    return {**row, "state": state, "reason": reason, "run_id": run_id}


def _version(made: dict[str, Any], change: dict[str, Any]) -> Version:
    return Version(
        **{
            "state": "training",
            **change,
            "version": made["version"],
            "assistant": made["assistant"],
            "number": made["number"],
            "created_at": made["created_at"],
            "digest": made["digest"] or "",
            "folder": made["folder"] or "",
            "run_id": made["run_id"] or "",
        }
    )


def _run(row: dict[str, Any]) -> Run:
    return Run(**{**row, "detail": row["detail"] or {}})
