"""From a version back to what people said, and from an exchange forward to what became of it.

`rows` lists what a version's snapshot held with the events behind each row; `fate` tells an exchange's
story in sentences, to whoever said it and to operators. Reads only, and names reviewers to operators only.

Trail: serve/api/lineage.py -> here -> feedback/store.py
"""

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
    summary = _summary(store, held, reviews, frozen, used, names=operator)
    return {
        "exchange_id": exchange_id,
        "assistant": held["assistant"],
        "state": held["state"],
        "summary": summary,
        "story": _story(store, held, reviews, frozen, used, names=operator),
        "versions": [version.version for version in used],
    }


def _held(store: Store, exchange_id: str) -> dict[str, Any] | None:
    return store.row(
        """SELECT exchange_id, owner, assistant, state, rating, has_correction, training, s.at AS at,
            reviewed_at, review_id, source FROM exchange_state s WHERE exchange_id = $1""",
        [exchange_id],
    )


def _summary(
    store: Store,
    held: dict[str, Any],
    reviews: list[dict[str, Any]],
    frozen: list[dict[str, Any]],
    used: list[Version],
    *,
    names: bool,
) -> str:
    """Where it is now, and why, in one sentence."""
    if held["state"] == "erased":
        return "Erased: only the fact that it was there is left."
    if not held["training"]:
        return "Left out because its conversation is kept from training."
    if held["state"] in ("unrated", "pending"):
        return {
            "unrated": "Left out because nobody has rated it.",
            "pending": "Waiting for a reviewer.",
        }[held["state"]]
    if held["state"] == "rejected":
        said = reviews[-1]["reason"]
        return f"Left out because a reviewer rejected it{f': {said}' if said else '.'}"
    approvals = (
        f"Approved by {_count(len({row['by'] for row in reviews if row['verdict'] in ('approve', 'edit')}))}"
    )
    if used:
        return f"{approvals}, {_frozen(frozen[-1])}, in version {used[-1].version}, {_service(used[-1])}."
    if frozen:
        return f"{approvals}, {_frozen(frozen[-1])}; no version came of that run."
    return f"{approvals}; {_why_not(store, held, names)}"


def _why_not(store: Store, held: dict[str, Any], names: bool) -> str:
    """Why an approved exchange is in no snapshot."""
    out = next(iter(snapshot.left_out(store, held["exchange_id"])), None)
    if out is None:
        return "it waits for the next run."
    run = store.row(_NUMBER, [out["run_id"]])
    detail = f" ({out['detail']})" if out["detail"] and names else ""  # it may name others
    return (
        f"left out of run {run['number'] if run else '?'} because: {out['reason'].replace('_', ' ')}{detail}."
    )


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
    since = version.changed_at.strftime("%Y-%m-%d %H:%M UTC") if version.changed_at else ""
    return f"{version.state} since {since}" if since else version.state


def _count(number: int) -> str:
    return {1: "one", 2: "two", 3: "three"}.get(number, str(number))
