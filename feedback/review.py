"""Reviewers' verdicts: what may be taught, what may not, and in which order to look.

A verdict is an event and the newest holds. Exchanges nobody rated, and those of conversations whose
owner keeps them from training, are never shown here. Knows nothing of what the tuner does with a pair.

Trail: feedback/store.py -> here -> feedback/pairs.py
"""

from typing import Any, Literal

from feedback import lookup
from feedback.accounts import reviewers
from feedback.errors import BadRequest, Conflict, NotAllowed
from feedback.ratings import MAX_CORRECTION
from feedback.records import COMMAND_LINE, Exchange, Principal, Role, new_id
from feedback.store import Store
from feedback.writer import Transaction

Verdict = Literal["approve", "edit", "reject"]

STATES = ("unrated", "pending", "approved", "rejected")
MAX_RESPONSE = MAX_CORRECTION
MAX_REASON = 4_000
UNFINISHED = {
    "cut": "was cut off by a failure",
    "error": "was never written",
    "length": "reached its length limit",
    "stopped": "was stopped by its author",
}

_QUEUE = "WHERE s.training AND s.state = $1 AND ($2 IS NULL OR s.assistant = $2)"
_PENDING = f"{_QUEUE} ORDER BY s.worth DESC, s.rated_at, s.seq LIMIT $3 OFFSET $4"
_JUDGED = f"{_QUEUE} ORDER BY s.reviewed_at DESC, s.seq LIMIT $3 OFFSET $4"


def pending(
    store: Store,
    *,
    state: str = "pending",
    assistant: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Exchange]:
    """Exchanges to review, the most valuable first; of a judged state, the newest verdict first."""
    if state not in STATES[1:]:
        raise BadRequest(f"There is no queue {state[:64]!r}.", f"Choose {', '.join(STATES[1:])}.")
    query = _PENDING if state == "pending" else _JUDGED
    return lookup.choose(store, query, [state, assistant, limit, offset])


def counts(store: Store, assistant: str | None = None) -> dict[str, int]:
    """How many exchanges are in each state, of conversations that may be learnt from."""
    found = store.rows(
        """SELECT state, count(*) AS exchanges FROM exchange_state
        WHERE training AND ($1 IS NULL OR assistant = $1) GROUP BY state""",
        [assistant],
    )
    return dict.fromkeys(STATES, 0) | {row["state"]: row["exchanges"] for row in found}


def review(
    store: Store,
    principal: Principal,
    exchange_id: str,
    verdict: Verdict,
    *,
    response: str | None = None,
    reason: str = "",
    id: str | None = None,
) -> Exchange:
    """Approve an exchange's `proposed` answer, approve `response` instead of it, or reject it.

    A `response` sent with approve must equal what is proposed now, so that nobody approves words that
    changed under their eyes. The same `id` sent again is the same write.

    Raises:
        NotAllowed: Not a reviewer, or it is the reviewer's own correction and another could judge it.
        Conflict: The proposed answer changed, or is still being written.
        BadRequest: There is nothing to approve, or a verdict is changed without a reason.
    """
    if not principal.role.covers(Role.REVIEWER):
        raise NotAllowed("Only reviewers may judge exchanges.", "Ask an admin for the role.")
    _check(verdict, response, reason)
    identity = id or new_id()

    def decide(transaction: Transaction) -> Exchange | None:
        exchange = lookup.get(transaction, exchange_id)
        if lookup.written(transaction, "reviews", identity, exchange_id):
            return exchange
        _check_reviewable(transaction, exchange, reason)
        row = _judged(transaction, exchange, principal, verdict, response)
        transaction.append({"reviews": [{"id": identity, "reason": reason, **row}]})
        return None

    return store.decide(decide, about=exchange_id) or lookup.get(store, exchange_id)


def _check(verdict: str, response: str | None, reason: str) -> None:
    if verdict not in ("approve", "edit", "reject"):
        raise BadRequest(f"{verdict[:64]!r} is no verdict.", "Send approve, edit or reject.")
    if verdict == "edit" and not (response or "").strip():
        raise BadRequest("An edit needs the edited answer.", "Send it as response.")
    for name, text, limit in (("answer", response or "", MAX_RESPONSE), ("reason", reason, MAX_REASON)):
        if len(text) > limit:
            raise BadRequest(
                f"The {name} has {len(text):,} characters; the limit is {limit:,}.", "Shorten it."
            )


def _check_reviewable(transaction: Transaction, exchange: Exchange, reason: str) -> None:
    held = transaction.row("SELECT training FROM exchange_state WHERE exchange_id = $1", [exchange.id])
    if exchange.state == "unrated" or held is None or not held["training"]:
        raise NotAllowed("That exchange is its author's alone.", "Choose one from the queue.")
    if exchange.finish_reason is None:
        raise Conflict("That answer is still being written.", "Judge it when it is there.")
    if exchange.state in ("approved", "rejected") and not reason.strip():
        raise BadRequest(
            f"{exchange.reviewed_by} has {exchange.state} this exchange.", "Give a reason to judge it again."
        )


def _judged(
    transaction: Transaction, exchange: Exchange, principal: Principal, verdict: str, response: str | None
) -> dict[str, Any]:
    """The verdict as a row: which words are approved, and who wrote them."""
    if verdict == "edit" and response == exchange.proposed:
        verdict = "approve"
    row: dict[str, Any] = {"principal": principal.name, "exchange_id": exchange.id, "verdict": verdict}
    if verdict == "reject":
        return {**row, "own": False}
    author = _author(exchange, principal, verdict)
    _check_not_own(transaction, exchange, principal, author)
    taught = response if verdict == "edit" else _approvable(exchange, response)
    return {**row, "response": taught, "author": author, "own": author == principal.name}


def _approvable(exchange: Exchange, response: str | None) -> str:
    """The proposed words, if they are the ones the reviewer saw and a whole answer."""
    if response is not None and response != exchange.proposed:
        raise Conflict(
            "The proposed answer is not the one you were shown.",
            "Look at it again, or send yours as an edit.",
        )
    if not exchange.proposed.strip():
        raise BadRequest("There is no answer to approve.", "Edit it, or reject the exchange.")
    if not exchange.correction and exchange.finish_reason in UNFINISHED:
        raise BadRequest(
            f"That answer {UNFINISHED[exchange.finish_reason]}, so it would teach an unfinished one.",
            "Edit it into a finished answer, or reject it.",
        )
    return exchange.proposed


def _author(exchange: Exchange, principal: Principal, verdict: str) -> str:
    """Who wrote the words that are judged."""
    if verdict == "edit":
        return principal.name
    return exchange.principal if exchange.correction or is_import(exchange) else "model"


def is_import(exchange: Exchange) -> bool:
    return exchange.source in ("import", "demo") or exchange.source.startswith("import:")


def _check_not_own(transaction: Transaction, exchange: Exchange, principal: Principal, author: str) -> None:
    """Nobody approves their own words to their own question where somebody else could."""
    own = exchange.principal == principal.name and author == principal.name and not is_import(exchange)
    others = [name for name in reviewers(transaction) if name != principal.name]
    # The token lies in the home, beside the only account's password: they are one person.
    alone = not others or (principal.name == COMMAND_LINE and len(others) == 1)
    if own and not alone:
        raise NotAllowed(
            "Nobody approves their own correction where another reviewer exists.",
            "Leave it in the queue for them.",
        )
