"""A reviewer's unfinished edit, kept on the server so that no closed tab loses it.

A draft is nobody's business but its writer's and no event: only the newest is kept, and it goes with the
opinion it was for.
"""

from typing import Any

from feedback.errors import BadRequest, NotAllowed
from feedback.ratings import MAX_CORRECTION
from feedback.records import Principal, Role
from feedback.rounds import standing
from feedback.store import Store
from feedback.writer import Transaction

_MINE = "FROM drafts WHERE principal = $1 AND exchange_id = try_cast($2 AS UUID)"


def save(store: Store, principal: Principal, exchange_id: str, response: str) -> None:
    """Keep one's draft of an answer, instead of the one before; an empty one is none.

    Raises:
        NotAllowed: Not a reviewer, or the exchange is its author's alone.
        BadRequest: It is too long.
    """
    if not principal.role.covers(Role.REVIEWER):
        raise NotAllowed("Only reviewers keep drafts.", "Ask an admin for the role.")
    if len(response) > MAX_CORRECTION:
        raise BadRequest(
            f"The draft has {len(response):,} characters; the limit is {MAX_CORRECTION:,}.", "Shorten it."
        )

    def decide(transaction: Transaction) -> None:
        standing(transaction, exchange_id, principal)
        held = transaction.row(f"SELECT response {_MINE}", [principal.name, exchange_id])
        if (held["response"] if held else "") == response:
            return
        drop(transaction, principal, exchange_id)
        if response:
            row: dict[str, Any] = {"principal": principal.name, "exchange_id": exchange_id}
            transaction.append({"drafts": [{**row, "response": response}]})

    store.decide(decide)


def read(store: Store, principal: Principal, exchange_id: str) -> str | None:
    """One's own draft, if there is one.

    Raises:
        NotAllowed: The exchange is its author's alone.
    """
    standing(store, exchange_id, principal)
    return of(store, principal, exchange_id)


def of(store: Store, principal: Principal, exchange_id: str) -> str | None:
    """The same, for who has just been shown the exchange."""
    held = store.row(f"SELECT response {_MINE}", [principal.name, exchange_id])
    return held["response"] if held else None


def drop(transaction: Transaction, principal: Principal, exchange_id: str) -> None:
    """Forget one's draft."""
    transaction.rows(f"DELETE {_MINE}", [principal.name, exchange_id])
