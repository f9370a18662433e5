"""What happened since an event that an operator may want to hear of: how runs and rollouts went, erasures.

Read from the events, so that each has the id of the event that it is, and asking again tells the same. Holds
names of assistants and versions and codes of ours; nobody's words, no reason that a person wrote, no target.

Trail: hone/notices/keeper.py -> here -> feedback/store.py
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feedback.store import Store

RUN_KINDS = {"failed": "run_failed", "abstained": "run_abstained", "refused": "run_refused"}

# The first event of a run that says so: what is recorded again after a restart is no news.
_RUNS = """
SELECT r.seq, r.id, r.at AS at, r.assistant, coalesce(r.version, '') AS version, r.number, r.state,
    coalesce(r.step, '') AS step,
    (SELECT arg_max(e.scorecard->'coded', e.seq) FROM evaluations e WHERE e.run_id = r.run_id) AS coded
FROM (SELECT *, lag(state) OVER (PARTITION BY run_id ORDER BY seq) AS before FROM runs) r
WHERE r.seq > $1 AND r.seq <= $2 AND r.state IN ('failed', 'abstained', 'refused')
    AND r.before IS DISTINCT FROM r.state
ORDER BY r.seq"""

_ROLLOUTS = """
SELECT seq, id, r.at AS at, assistant, version, state, share,
    coalesce(json_exists(evidence, '$.drift'), false) AS drift
FROM rollouts r
WHERE seq <= $2 AND assistant IN (SELECT assistant FROM rollouts WHERE seq > $1 AND seq <= $2)
ORDER BY seq"""

_ERASURES = """SELECT e.seq, e.id, e.at AS at, e.scope FROM erasures e
WHERE e.seq > $1 AND e.seq <= $2 ORDER BY e.seq"""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event; `id` is the event's own, `reasons` are codes."""

    seq: int
    id: str
    at: datetime
    kind: str
    assistant: str = ""
    version: str = ""
    run: int | None = None
    step: str = ""
    share: float | None = None
    reasons: tuple[str, ...] = ()


def since(store: Store, after: int, to: int) -> list[Happening]:
    """All after the event `after`, up to `to`, the oldest first."""
    found = [*_runs(store, after, to), *_rollouts(store, after, to), *_erasures(store, after, to)]
    return sorted(found, key=lambda one: one.seq)


def _runs(store: Store, after: int, to: int) -> Iterator[Happening]:
    for row in store.rows(_RUNS, [after, to]):
        yield Happening(
            row["seq"],
            str(row["id"]),
            row["at"],
            RUN_KINDS[row["state"]],
            assistant=row["assistant"],
            version=row["version"],
            run=row["number"],
            step=row["step"] if row["state"] == "failed" else "",
            reasons=tuple(_codes(row["coded"] or ())) if row["state"] != "failed" else (),
        )


def _codes(coded: Sequence[Any]) -> Iterator[str]:
    for one in coded:
        if isinstance(one, dict) and isinstance(one.get("code"), str):
            yield one["code"]


def _rollouts(store: Store, after: int, to: int) -> Iterator[Happening]:
    """A version's first stage as canary, the first time it is live, an alarm, and what was taken back.

    Taken back is a canary that ended while nothing took its place, and a live version that made way for one
    other and did not stay behind it: an older one that is no longer needed has made way twice.
    """
    state: dict[str, str] = {}
    been_live: set[str] = set()
    takers: dict[str, int] = {}  # how many came to traffic since a version's own last change
    for row in store.rows(_ROLLOUTS, [after, to]):
        version, now = row["version"], row["state"]
        kind = ""
        if now == "live" and row["drift"]:
            kind = "drift"
        elif now == "live":
            kind = "" if version in been_live or version.endswith("@0") else "live"
            been_live.add(version)
        elif now == "canary" and state.get(version) != "canary":
            kind = "canary"
        elif now == "withdrawn" and takers.get(version) == {"canary": 0, "previous": 1}.get(
            state.get(version, ""), -1
        ):
            kind = "rolled_back"
        if not row["drift"]:
            state[version], takers[version] = now, 0
            if now in ("live", "canary"):
                for other in takers:
                    takers[other] += other != version and other.partition("@")[0] == row["assistant"]
        if kind and row["seq"] > after:
            yield Happening(
                *(row["seq"], str(row["id"]), row["at"], kind),
                assistant=row["assistant"],
                version=version,
                share=row["share"] if kind == "canary" else None,
            )


def _erasures(store: Store, after: int, to: int) -> Iterator[Happening]:
    for row in store.rows(_ERASURES, [after, to]):
        yield Happening(row["seq"], str(row["id"]), row["at"], "erasure_asked", reasons=(row["scope"],))
