"""Who is looking at what: timed claims, so that two people do not judge the same exchange.

A claim ends by itself unless its holder's page says that it is still open, and at the latest after some
hours. Others may read a claimed exchange, not judge it, and are told until when, never by whom: a second
opinion does not know whose the first was. Every change is an event; the newest of a claim holds.

Trail: serve/api/reviews.py -> here -> feedback/rounds.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feedback.errors import BadRequest, Conflict, NotAllowed
from feedback.policy import Policy
from feedback.records import Principal, Role, is_id, new_id, now
from feedback.rounds import standing, state
from feedback.store import Store
from feedback.writer import Transaction

MOST_CLAIMS = 20
"""Claims that one reviewer may hold at once, so that nobody keeps the queue for themselves."""
LONGEST = timedelta(hours=4)
"""After this a claim ends even with its page open: a forgotten tab keeps nothing for ever."""

# A living claim's newest row is younger than the longest lease that can be set, a day.
_ALIVE = """
SELECT c.claim_id AS id, any_value(c.exchange_id) AS exchange_id, any_value(c.principal) AS principal,
    arg_max(c.until, c.seq) AS until
FROM claims c WHERE c.at > $1::TIMESTAMP - INTERVAL 1 DAY {where}
GROUP BY c.claim_id HAVING arg_max(c.until, c.seq) > $1::TIMESTAMP"""
_EXCHANGES = "AND c.exchange_id IN (SELECT unnest($2::UUID[]))"
_CONCERNED = "AND (c.exchange_id = $2::UUID OR c.principal = $3)"


@dataclass(frozen=True, slots=True)
class Claim:
    """A living claim: whose, of what, and until when unless it is renewed."""

    id: str
    exchange_id: str
    principal: str
    until: datetime


def take(
    store: Store, principal: Principal, exchange_id: str, policy: Policy, leaving: str | None = None
) -> Claim:
    """Claim an exchange; taking one's own again renews it.

    A claim of one's own on another, which is `leaving` for this one, ends in the same transaction.

    Raises:
        NotAllowed: Not a reviewer, or the exchange is its author's alone.
        Conflict: Another reviewer holds it, it is judged, or one holds too many.
    """
    _check_role(principal)

    def decide(transaction: Transaction) -> Claim:
        if state(transaction, exchange_id, principal) not in ("pending", "skipped", "disputed"):
            raise Conflict("There is nothing left to judge there.", "Choose another one from the queue.")
        asked = [now().replace(tzinfo=None), exchange_id, principal.name]
        found = [Claim(**row) for row in transaction.rows(_ALIVE.format(where=_CONCERNED), asked)]
        held = next((claim for claim in found if claim.exchange_id == exchange_id), None)
        if held and held.principal != principal.name:
            raise _taken(held)
        others = [claim for claim in found if claim is not held]
        for left in (claim for claim in others if claim.id == leaving):
            _write(transaction, left, now())
        if held:
            return _write(transaction, held, _until(transaction, held, policy))
        if len([claim for claim in others if claim.id != leaving]) >= MOST_CLAIMS:
            raise Conflict(f"You hold {MOST_CLAIMS} claims already.", "Judge or release one first.")
        fresh = Claim(new_id(), exchange_id, principal.name, now() + policy.lease)
        return _write(transaction, fresh, fresh.until)

    return store.decide(decide)


def beat(store: Store, principal: Principal, claim_id: str, policy: Policy) -> Claim:
    """Say that the claim's page is still open; renews it for another lease.

    Raises:
        Conflict: It ended; the exchange may be another's by now, so claim it again.
    """

    def decide(transaction: Transaction) -> Claim:
        held = _own(transaction, principal, claim_id)
        # Renewed when a third is gone: one row for many beats.
        if held.until - now() > policy.lease * 2 / 3:
            return held
        return _write(transaction, held, _until(transaction, held, policy))

    return store.decide(decide)


def release(store: Store, principal: Principal, claim_id: str) -> None:
    """Give a claim up; an operator may end anybody's. One that has ended already is no error."""

    def decide(transaction: Transaction) -> None:
        held = _alive(transaction, claim_id)
        if held is None:
            return
        if held.principal != principal.name and not principal.role.covers(Role.OPERATOR):
            raise NotAllowed("That claim is another reviewer's.", "Ask an operator to end it.")
        _write(transaction, held, now())

    store.decide(decide)


def active(source: Store | Transaction, ids: Sequence[str]) -> dict[str, Claim]:
    """The living claim of each of these exchanges."""
    if not ids:
        return {}
    rows = source.rows(_ALIVE.format(where=_EXCHANGES), [now().replace(tzinfo=None), list(ids)])
    return {row["exchange_id"]: Claim(**row) for row in rows}


def of(source: Store | Transaction, name: str) -> list[Claim]:
    """All that somebody holds."""
    rows = source.rows(_ALIVE.format(where="AND c.principal = $2"), [now().replace(tzinfo=None), name])
    return [Claim(**row) for row in rows]


def check(
    transaction: Transaction, exchange_id: str, principal: Principal, claim_id: str | None
) -> Claim | None:
    """Refuse a verdict on what another holds, and one that names a claim which is not alive and its own.

    One's own claim comes back, to be ended with the verdict.

    Raises:
        Conflict: So it is.
    """
    held = active(transaction, [exchange_id]).get(exchange_id)
    if held and held.principal != principal.name:
        raise _taken(held)
    if claim_id is not None and (held is None or held.id != claim_id):
        raise Conflict(
            "Your claim on this exchange has ended.", "Claim it again and look whether it is still the same."
        )
    return held


def finish(transaction: Transaction, held: Claim | None) -> None:
    """End one's own claim with the verdict it was for."""
    if held:
        _write(transaction, held, now())


def _own(transaction: Transaction, principal: Principal, claim_id: str) -> Claim:
    held = _alive(transaction, claim_id)
    if held is None or held.principal != principal.name:
        raise Conflict("That claim has ended.", "Claim the exchange again.")
    standing(transaction, held.exchange_id, principal)
    return held


def _until(transaction: Transaction, held: Claim, policy: Policy) -> datetime:
    """When a claim that is renewed now ends: `LONGEST` after it began at the latest."""
    began = transaction.row("SELECT min(c.at) AS at FROM claims c WHERE c.claim_id = $1::UUID", [held.id])
    assert began is not None
    until: datetime = min(now() + policy.lease, began["at"] + LONGEST)
    return until


def _alive(transaction: Transaction, claim_id: str) -> Claim | None:
    if not is_id(claim_id):
        raise BadRequest("That is no claim's id.", "Send the one you were given.")
    row = transaction.row(
        _ALIVE.format(where="AND c.claim_id = $2::UUID"), [now().replace(tzinfo=None), claim_id]
    )
    return Claim(**row) if row else None


def _write(transaction: Transaction, claim: Claim, until: datetime) -> Claim:
    row = {
        "principal": claim.principal,
        "claim_id": claim.id,
        "exchange_id": claim.exchange_id,
        "until": until,
    }
    transaction.append({"claims": [row]})
    return Claim(claim.id, claim.exchange_id, claim.principal, until)


def _check_role(principal: Principal) -> None:
    if not principal.role.covers(Role.REVIEWER):
        raise NotAllowed("Only reviewers may claim exchanges.", "Ask an admin for the role.")


def _taken(held: Claim) -> Conflict:
    return Conflict(
        f"Another reviewer is looking at it until {held.until:%H:%M} UTC.",
        "Choose another one, or come back then.",
    )
