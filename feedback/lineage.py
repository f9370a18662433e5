"""From a version back to what people said, and from an exchange forward to what became of it.

`rows` lists what a version's snapshot held with the events behind each row; `fate` tells an exchange's
story in sentences, to whoever said it and to operators. Reads only, and names reviewers to operators only.

Trail: serve/api/lineage.py -> here -> feedback/store.py
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from feedback import snapshot
from feedback.errors import NotAllowed, NotFound
from feedback.ledger import Ledger
from feedback.records import Principal, Role, Version, is_id
from feedback.store import Store

_ROWS = """
WITH s AS (SELECT r.exchange_id, r.review_id, r.side, r.group_key, r.seq FROM snapshot_rows r
    JOIN snapshots n ON n.id = r.snapshot_id WHERE n.run_id = try_cast($1 AS UUID))
SELECT s.exchange_id, s.side, s.group_key, x.owner, x.at AS asked_at, x.source, x.version AS answered_by,
    x.conversation_id, x.state = 'erased' AS erased, s.review_id, v.principal AS reviewer,
    v.at AS reviewed_at, v.verdict, v.author, v.own
FROM s JOIN exchange_state x ON x.exchange_id = s.exchange_id JOIN reviews v ON v.id = s.review_id
ORDER BY s.seq LIMIT $2 OFFSET $3"""

_RATINGS = """
SELECT r.exchange_id, r.id, r.principal AS by, r.at AS at, r.rating, r.reasons,
    coalesce(r.correction, '') <> '' AS corrected
FROM ratings r WHERE r.exchange_id IN (SELECT unnest($1::UUID[])) ORDER BY r.seq"""

_REVIEWS = """
SELECT v.id, v.principal AS by, v.at AS at, v.verdict, v.reason FROM reviews v
WHERE v.exchange_id = $1 ORDER BY v.seq"""

_FROZEN = """
SELECT r.side, r.review_id, u.number AS run, n.assistant, n.run_id, v.version
FROM snapshot_rows r JOIN snapshots n ON n.id = r.snapshot_id
JOIN (SELECT run_id, any_value(number) AS number FROM runs GROUP BY run_id) u ON u.run_id = n.run_id
LEFT JOIN versions v ON try_cast(v.run_id AS UUID) = n.run_id
WHERE r.exchange_id = $1 ORDER BY n.seq"""

_NUMBER = "SELECT any_value(number) AS number FROM runs WHERE run_id = $1"

_LEARNT = """
SELECT DISTINCT r.exchange_id, v.version FROM snapshot_rows r JOIN snapshots n ON n.id = r.snapshot_id
JOIN versions v ON try_cast(v.run_id AS UUID) = n.run_id
WHERE r.exchange_id IN (SELECT unnest($1::UUID[])) AND r.side = 'train'
    AND v.version IN (SELECT unnest($2::VARCHAR[]))"""

SERVED = ("canary", "live", "previous")
SUMMARIES = {
    "erased": "Erased: only the fact that it was there is left.",
    "kept": "Left out because its conversation is kept from training.",
    "unrated": "Left out because nobody has rated it.",
    "pending": "Waiting for a reviewer.",
    "rejected": "Left out because a reviewer rejected it.",
    "rejected_because": "Left out because a reviewer rejected it: {reason}",
    "learnt": "Approved by {people}, in the snapshot of run {run} {sides}, in version {version}, {service}.",
    "frozen": "Approved by {people}, in the snapshot of run {run} {sides}; no version came of that run.",
    "next": "Approved by {people}; it waits for the next run.",
    "left_out": "Approved by {people}; left out of run {run} because: {reasons}.",
}
SIDES = {"train": "to learn from", "dev": "to stop training by", "gate": "to judge by"}


def rows(store: Store, version: str, *, limit: int = 1000, offset: int = 0) -> list[dict[str, Any]]:
    """What a version's snapshot held, in its order: each row's exchange, ratings, verdict, who and when.

    Words are not among it. Rows that were erased since are listed as `erased`.

    Raises:
        UnknownVersion: There is no such version.
    """
    known = Ledger(store).version(version)
    if known.is_base:
        return []
    found = store.rows(_ROWS, [known.run_id, limit, offset])
    rated: dict[str, list[dict[str, Any]]] = {}
    for rating in store.rows(_RATINGS, [[row["exchange_id"] for row in found]]):
        rated.setdefault(rating.pop("exchange_id"), []).append(rating)
    return [{**row, "ratings": rated.get(row["exchange_id"], [])} for row in found]


def fate(store: Store, principal: Principal, exchange_id: str) -> dict[str, Any]:
    """What became of an exchange: `state`, a `summary` of a sentence, and the `story` of its events.

    `where` is the summary for programs: its `code`, a key of SUMMARIES, and what the sentence is made of.

    Raises:
        NotAllowed: It is somebody else's, and this is no operator.
        NotFound: There is none.
    """
    operator = principal.role.covers(Role.OPERATOR)
    held = _held(store, exchange_id) if is_id(exchange_id) else None
    if held is None and operator:
        raise NotFound(f"There is no exchange {exchange_id[:64]}.", "Give the id as it is listed.")
    if held is None or (held["owner"] != principal.name and not operator):
        raise NotAllowed("That exchange is somebody else's.", "You can follow your own.")
    reviews = store.rows(_REVIEWS, [exchange_id])
    frozen = store.rows(_FROZEN, [exchange_id])
    versions = {v.version: v for v in Ledger(store).versions(held["assistant"])}
    used = [versions[row["version"]] for row in frozen if row["version"] in versions]
    where = _where(store, held, reviews, frozen, used, names=operator)
    return {
        "exchange_id": exchange_id,
        "assistant": held["assistant"],
        "state": held["state"],
        "where": where,
        "summary": SUMMARIES[where["code"]].format(**where, **_worded(where)),
        "story": _story(store, held, reviews, frozen, used, names=operator),
        "versions": [version.version for version in used],
    }


def _held(store: Store, exchange_id: str) -> dict[str, Any] | None:
    return store.row(
        """SELECT exchange_id, owner, assistant, state, rating, has_correction, training, s.at AS at,
            reviewed_at, review_id, source FROM exchange_state s WHERE exchange_id = $1""",
        [exchange_id],
    )


def shipped(store: Store, assistant: str, exchange_ids: Sequence[str]) -> dict[str, str]:
    """For each of these exchanges that one learnt from, the newest version that answers or has answered."""
    served = {v.version: v.number for v in Ledger(store).versions(assistant) if v.state in SERVED}
    newest: dict[str, str] = {}
    for row in store.rows(_LEARNT, [list(exchange_ids), list(served)]):
        best = newest.get(row["exchange_id"])
        if best is None or served[row["version"]] > served[best]:
            newest[row["exchange_id"]] = row["version"]
    return newest


def _where(
    store: Store,
    held: dict[str, Any],
    reviews: list[dict[str, Any]],
    frozen: list[dict[str, Any]],
    used: list[Version],
    *,
    names: bool,
) -> dict[str, Any]:
    """Where it is now, and why."""
    if held["state"] == "erased":
        return {"code": "erased"}
    if not held["training"]:
        return {"code": "kept"}
    if held["state"] in ("unrated", "pending"):
        return {"code": held["state"]}
    if held["state"] == "rejected":
        said = reviews[-1]["reason"]
        return {"code": "rejected_because", "reason": said} if said else {"code": "rejected"}
    approved = {"by": len({row["by"] for row in reviews if row["verdict"] in ("approve", "edit")})}
    if frozen:
        approved |= {"run": frozen[-1]["run"], "side": frozen[-1]["side"]}
    if used:
        changed = used[-1].changed_at
        service = {"version": used[-1].version, "version_state": used[-1].state}
        return {"code": "learnt", **approved, **service, "since": changed.isoformat() if changed else None}
    return {"code": "frozen", **approved} if frozen else {**approved, **_why_not(store, held, names)}


def _worded(where: dict[str, Any]) -> dict[str, str]:
    """What of a place is told in other words in a sentence."""
    since = datetime.fromisoformat(where["since"]) if where.get("since") else None
    return {
        "people": _count(where.get("by", 0)),
        "sides": SIDES.get(where.get("side", ""), ""),
        "service": _since(where.get("version_state", ""), since),
        "reasons": str(where.get("left_out", "")).replace("_", " ") + str(where.get("detail", "")),
    }


def _why_not(store: Store, held: dict[str, Any], names: bool) -> dict[str, Any]:
    """Why an approved exchange is in no snapshot."""
    out = next(iter(snapshot.left_out(store, held["exchange_id"])), None)
    if out is None:
        return {"code": "next"}
    run = store.row(_NUMBER, [out["run_id"]])
    detail = f" ({out['detail']})" if out["detail"] and names else ""  # it may name others
    return {
        "code": "left_out",
        "run": run["number"] if run else "?",
        "left_out": out["reason"],
        "detail": detail,
    }


def _story(
    store: Store,
    held: dict[str, Any],
    reviews: list[dict[str, Any]],
    frozen: list[dict[str, Any]],
    used: list[Version],
    *,
    names: bool,
) -> list[dict[str, Any]]:
    """The events, oldest first: `at` where it is known, and `what` in words."""
    told: list[dict[str, Any]] = [{"at": held["at"], "what": "asked and answered"}]
    for rating in store.rows(_RATINGS, [[held["exchange_id"]]]):
        thumb = f"rated {rating['rating']}" if rating["rating"] else "rating taken back"
        told.append(
            {"at": rating["at"], "what": thumb + (", with a correction" if rating["corrected"] else "")}
        )
    words = {
        "approve": "approved",
        "edit": "approved after an edit",
        "reject": "rejected",
        "reopen": "taken up again",
    }
    for row in reviews:
        by = f" by {row['by']}" if names else ""
        told.append({"at": row["at"], "what": words[row["verdict"]] + by, "reason": row["reason"] or ""})
    told += [{"at": None, "what": _frozen(row)} for row in frozen]
    told += [{"at": v.created_at, "what": f"in version {v.version}, {_service(v)}"} for v in used]
    return told


def _frozen(row: dict[str, Any]) -> str:
    return f"in the snapshot of run {row['run']} {SIDES[row['side']]}"


def _service(version: Version) -> str:
    return _since(version.state, version.changed_at)


def _since(state: str, at: datetime | None) -> str:
    return f"{state} since {at:%Y-%m-%d %H:%M} UTC" if at else state


def _count(number: int) -> str:
    return {1: "one", 2: "two", 3: "three"}.get(number, str(number))
