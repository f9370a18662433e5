"""An opinion as it is checked and written, and the review that opinions settle into.

What reviewing and settling disputes share; when something is settled is theirs to say.

Trail: feedback/review.py, feedback/disputes.py -> here -> feedback/rounds.py
"""

from typing import Any

from feedback import rounds
from feedback.errors import BadRequest, Conflict, NotAllowed
from feedback.policy import SKIP, Wording
from feedback.ratings import MAX_CORRECTION
from feedback.records import Exchange, Principal, Role, new_id
from feedback.rounds import Standing
from feedback.writer import Transaction

MAX_RESPONSE = MAX_CORRECTION
MAX_REASON = 4_000


def check_reviewer(principal: Principal) -> None:
    if not principal.role.covers(Role.REVIEWER):
        raise NotAllowed("Only reviewers may judge exchanges.", "Ask an admin for the role.")


def check(verdict: str, response: str | None, reason: str) -> None:
    if verdict not in ("approve", "edit", "reject", SKIP):
        raise BadRequest(f"{verdict[:64]!r} is no verdict.", "Send approve, edit, reject or skip.")
    if verdict == "edit" and not (response or "").strip():
        raise BadRequest("An edit needs the edited answer.", "Send it as response.")
    # Approved words are those that are there already, however long; only an edit brings new ones.
    brought = response if verdict == "edit" and response else ""
    for name, text, limit in (("answer", brought, MAX_RESPONSE), ("reason", reason, MAX_REASON)):
        if len(text) > limit:
            raise BadRequest(
                f"The {name} has {len(text):,} characters; the limit is {limit:,}.", "Shorten it."
            )


def need_reason(reason: str) -> None:
    if not reason.strip():
        raise BadRequest("This needs a reason.", "Say in a sentence why; others will read it.")


def written(transaction: Transaction, identity: str, principal: Principal, asked: dict[str, Any]) -> bool:
    """Whether this very opinion is there already.

    Raises:
        Conflict: Another one is, under the same id.
    """
    row = transaction.row(
        "SELECT principal, exchange_id, verdict, response, reason FROM opinions WHERE id = $1", [identity]
    )
    if row is None:
        return False
    # An edit that edits nothing is kept as an approval, and an approval with the words it approved.
    same = row["verdict"] == asked["verdict"] or (row["verdict"], asked["verdict"]) == ("approve", "edit")
    words = asked["response"] in (None, row["response"]) or row["verdict"] in ("reject", SKIP)
    told = (row["principal"], row["exchange_id"], row["reason"])
    if not (same and words and told == (principal.name, asked["exchange_id"], asked["reason"])):
        raise Conflict("That id was used for another write.", "Send this one with a new id.")
    return True


def row(
    stand: Standing,
    principal: Principal,
    identity: str,
    verdict: str,
    words: Wording | None,
    reason: str,
    *,
    blind: bool,
) -> dict[str, Any]:
    return {
        "id": identity,
        "principal": principal.name,
        "exchange_id": stand.exchange.id,
        "round": stand.round,
        "verdict": verdict,
        "response": words.text if words else None,
        "author": words.author if words else None,
        "reason": reason,
        "blind": blind,
    }


def verdict_of(stand: Standing, row: dict[str, Any]) -> dict[str, Any]:
    """What the last opinion settled, as the review that holds."""
    rejected = row["verdict"] == "reject"
    edited = not rejected and row["response"] != stand.exchange.proposed
    return {
        **{name: row[name] for name in ("id", "principal", "exchange_id", "response", "author", "reason")},
        "verdict": "reject" if rejected else "edit" if edited else "approve",
        "own": row["author"] == row["principal"],
    }


def reopening(stand: Standing, principal: Principal, reason: str) -> dict[str, Any]:
    row = {"id": new_id(), "principal": principal.name, "exchange_id": stand.exchange.id}
    return {**row, "verdict": "reopen", "reason": reason, "own": False}


def check_not_own(transaction: Transaction, exchange: Exchange, principal: Principal, author: str) -> None:
    """Nobody approves their own words where somebody else could."""
    if author == principal.name and not exchange.imported and rounds.others(transaction, principal):
        raise NotAllowed(
            "Nobody approves their own correction where another reviewer exists.",
            "Leave it in the queue for them.",
        )
