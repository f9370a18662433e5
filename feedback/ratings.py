"""What a user says of an exchange of their own: a thumb, then reasons, a comment, perhaps a correction.

The thumb is saved at once and the rest may follow; each is an event, and the newest holds. Knows no page.

Trail: serve/pages/rating.py, serve/api/feedback.py -> here -> feedback/review.py
"""

from collections.abc import Sequence
from typing import Any, Literal

from feedback import choices, lookup
from feedback.errors import BadRequest, Conflict, NotAllowed
from feedback.records import REASONS_DOWN, REASONS_UP, Exchange, Principal, new_id
from feedback.rollouts import PEOPLE
from feedback.store import Store
from feedback.writer import Transaction

Rating = Literal["up", "down"]

MAX_COMMENT = 4_000
MAX_CORRECTION = 32_000
REASONS: dict[str, tuple[str, ...]] = {"up": REASONS_UP, "down": REASONS_DOWN}

# Only of the round that is open: what has been settled compares the correction with the one it saw.
_OPINIONS = """SELECT 1 FROM opinions o JOIN exchange_state s ON s.exchange_id = o.exchange_id
    AND o.round = coalesce(s.review_id, s.exchange_id) WHERE o.exchange_id = $1 LIMIT 1"""


def rate(
    store: Store,
    principal: Principal,
    exchange_id: str,
    *,
    rating: Rating | None,
    reasons: Sequence[str] | None = None,
    comment: str | None = None,
    correction: str | None = None,
    id: str | None = None,
) -> Exchange:
    """Rate an exchange of one's own, and get it back as it stands.

    What is None keeps its value while the thumb stays the same and is cleared when it changes; a
    rating of None clears all. The same `id` sent again is the same write. What reviewers thought of an
    earlier correction, and have not settled, counts no more for another one.

    Raises:
        NotFound, NotAllowed: There is no such exchange, or it is someone else's.
        Conflict: It is still being answered, or the `id` was used for a write that said something else.
        BadRequest: A reason is unknown, or a text too long.
    """
    said = {"reasons": reasons, "comment": comment, "correction": correction}
    check(rating, said)
    identity = id or new_id()

    def decide(transaction: Transaction) -> Exchange | None:
        exchange = _ratable(lookup.get(transaction, exchange_id), principal)
        if exchange_id in choices.undecided(transaction, principal.name):
            raise Conflict("Two answers wait for your choice.", "Choose one, then rate it.")
        new = _merged(exchange, rating, said)
        known = _written(transaction, identity, exchange_id, rating, said)
        # With an id of the caller's even what changes nothing is kept, so that a late retry stays the same.
        if known or (id is None and new == _now(exchange)):
            return exchange
        row = {"id": identity, "principal": principal.name, "exchange_id": exchange_id, **new}
        transaction.append({"ratings": [row]})
        if new["correction"] != exchange.correction and transaction.row(_OPINIONS, [exchange_id]):
            transaction.append({"reviews": [_reopened(principal, exchange_id)]})
        return None

    return store.decide(decide, about=exchange_id) or lookup.get(store, exchange_id)


def check(rating: str | None, said: dict[str, Any]) -> None:
    """Refuse what no rating can say: unknown reasons, long texts, words without a thumb."""
    if rating is None and any(said.values()):
        raise BadRequest("A comment needs a thumb.", "Choose up or down with it.")
    if rating not in (None, *REASONS):
        raise BadRequest(f"{str(rating)[:64]!r} is no rating.", "Send up, down or null.")
    unknown = [reason for reason in said["reasons"] or () if reason not in REASONS[rating or "up"]]
    if unknown:
        raise BadRequest(
            f"Unknown reasons for a thumb {rating}: {', '.join(str(reason)[:64] for reason in unknown)}.",
            f"Use any of {', '.join(REASONS[rating or 'up'])}.",
        )
    for name, limit in (("comment", MAX_COMMENT), ("correction", MAX_CORRECTION)):
        if len(said[name] or "") > limit:
            raise BadRequest(
                f"The {name} has {len(said[name]):,} characters; the limit is {limit:,}.", "Shorten it."
            )


def _ratable(exchange: Exchange, principal: Principal) -> Exchange:
    # A proposal stands in its asker's conversation, and is for reviewers to judge.
    if exchange.principal != principal.name or exchange.source.startswith("proposal:"):
        raise NotAllowed("That exchange is someone else's.", "Only its author can rate it.")
    if exchange.finish_reason is None:
        raise Conflict("That answer is still being written.", "Rate it when it is there.")
    return exchange


def _merged(exchange: Exchange, rating: str | None, said: dict[str, Any]) -> dict[str, Any]:
    """The rating as it will be, of what was said before and what is said now."""
    return _merge(_now(exchange), rating, said)


def _merge(before: dict[str, Any], rating: str | None, said: dict[str, Any]) -> dict[str, Any]:
    kept = before if rating is not None and rating == before["rating"] else _nothing()
    changed = {name: value for name, value in said.items() if value is not None}
    merged = {**kept, **changed, "rating": rating}
    merged["reasons"] = list(dict.fromkeys(merged["reasons"]))
    if not merged["correction"].strip():
        merged["correction"] = ""
    return merged


def _written(
    transaction: Transaction, identity: str, exchange_id: str, rating: str | None, said: dict[str, Any]
) -> bool:
    """Whether this very write is there already.

    Raises:
        Conflict: Another one is, under the same id.
    """
    if not lookup.written(transaction, "ratings", identity, exchange_id):
        return False
    row = transaction.row(
        "SELECT rating, reasons, comment, correction FROM ratings WHERE id = $1", [identity]
    )
    assert row is not None
    # What was kept had been merged with the rating before it: only what the caller says can be compared.
    kept = {**row, "reasons": list(row["reasons"] or ())}
    if _merge(kept, rating, said) != kept:
        raise Conflict("That id was used for another rating.", "Send this one with a new id.")
    return True


def _reopened(principal: Principal, exchange_id: str) -> dict[str, Any]:
    row = {"id": new_id(), "principal": principal.name, "exchange_id": exchange_id}
    return {**row, "verdict": "reopen", "reason": "The correction has changed.", "own": False}


def _now(exchange: Exchange) -> dict[str, Any]:
    return {
        "rating": exchange.rating,
        "reasons": list(exchange.reasons),
        "comment": exchange.comment,
        "correction": exchange.correction,
    }


def _nothing() -> dict[str, Any]:
    return {"rating": None, "reasons": [], "comment": "", "correction": ""}


def by_version(store: Store, versions: Sequence[str]) -> list[tuple[tuple[str, str], int]]:
    """How many answers of each version are rated up and down now, by version and rating."""
    rows = store.rows(
        f"""SELECT version, rating, count(*) AS answers FROM exchange_state
        WHERE rating IS NOT NULL AND source IN {PEOPLE} AND version IN (SELECT unnest($1::VARCHAR[]))
        GROUP BY ALL""",  # noqa: S608
        [list(versions)],
    )
    counted = {(row["version"], row["rating"]): row["answers"] for row in rows}
    return [((name, rating), counted.get((name, rating), 0)) for name in versions for rating in REASONS]
