"""What a user says of an exchange of their own: a thumb, then reasons, a comment, perhaps a correction.

The thumb is saved at once and the rest may follow; each is an event, and the newest holds. Knows no page.

Trail: serve/pages/chat.py -> here -> feedback/review.py
"""

from collections.abc import Sequence
from typing import Any, Literal

from feedback import lookup
from feedback.errors import BadRequest, Conflict, NotAllowed
from feedback.records import REASONS_DOWN, REASONS_UP, Exchange, Principal, new_id
from feedback.store import Store
from feedback.writer import Transaction

Rating = Literal["up", "down"]

MAX_COMMENT = 4_000
MAX_CORRECTION = 32_000
REASONS: dict[str, tuple[str, ...]] = {"up": REASONS_UP, "down": REASONS_DOWN}


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
    rating of None clears all. The same `id` sent again is the same write.

    Raises:
        NotFound, NotAllowed: There is no such exchange, or it is someone else's.
        Conflict: It is still being answered.
        BadRequest: A reason is unknown, or a text too long.
    """
    said = {"reasons": reasons, "comment": comment, "correction": correction}
    _check(rating, said)
    identity = id or new_id()

    def decide(transaction: Transaction) -> Exchange | None:
        exchange = _ratable(lookup.get(transaction, exchange_id), principal)
        new = _merged(exchange, rating, said)
        if lookup.written(transaction, "ratings", identity, exchange_id) or new == _now(exchange):
            return exchange
        row = {"id": identity, "principal": principal.name, "exchange_id": exchange_id, **new}
        transaction.append({"ratings": [row]})
        return None

    return store.decide(decide, about=exchange_id) or lookup.get(store, exchange_id)


def _check(rating: str | None, said: dict[str, Any]) -> None:
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
    if exchange.principal != principal.name:
        raise NotAllowed("That exchange is someone else's.", "Only its author can rate it.")
    if exchange.finish_reason is None:
        raise Conflict("That answer is still being written.", "Rate it when it is there.")
    return exchange


def _merged(exchange: Exchange, rating: str | None, said: dict[str, Any]) -> dict[str, Any]:
    """The rating as it will be, of what was said before and what is said now."""
    kept = _now(exchange) if rating is not None and rating == exchange.rating else _nothing()
    changed = {name: value for name, value in said.items() if value is not None}
    merged = {**kept, **changed, "rating": rating}
    merged["reasons"] = list(dict.fromkeys(merged["reasons"]))
    if not merged["correction"].strip():
        merged["correction"] = ""
    return merged


def _now(exchange: Exchange) -> dict[str, Any]:
    return {
        "rating": exchange.rating,
        "reasons": list(exchange.reasons),
        "comment": exchange.comment,
        "correction": exchange.correction,
    }


def _nothing() -> dict[str, Any]:
    return {"rating": None, "reasons": [], "comment": "", "correction": ""}
