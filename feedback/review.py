"""Reviewers' verdicts: what may be taught, what may not, and who has to agree.

Each reviewer gives an opinion; when as many as the policy asks for think the same, it becomes the review
that holds, in the same transaction. Those who disagree leave a dispute, which somebody else settles. Nobody
approves their own words where another could. Knows nothing of what the tuner does with a pair.

Trail: feedback/store.py -> here -> feedback/pairs.py
"""

from typing import Any, Literal

from feedback import claims, drafts, rounds
from feedback.errors import BadRequest, Conflict
from feedback.opinions import check, check_not_own, check_reviewer, reopening, row, verdict_of, written
from feedback.policy import SKIP, Opinion, Policy, Wording, outcome
from feedback.queue import QUEUES, STATES, counts, pending, seen
from feedback.records import Exchange, Principal, new_id, now
from feedback.rounds import Standing
from feedback.store import Store
from feedback.writer import Transaction

__all__ = ["QUEUES", "STATES", "Verdict", "counts", "pending", "review"]

Verdict = Literal["approve", "edit", "reject", "skip"]

UNFINISHED = {
    "cut": "was cut off by a failure",
    "error": "was never written",
    "length": "reached its length limit",
    "stopped": "was stopped by its author",
}


def review(
    store: Store,
    principal: Principal,
    exchange_id: str,
    verdict: Verdict,
    *,
    response: str | None = None,
    reason: str = "",
    id: str | None = None,
    claim: str | None = None,
    policy: Policy | None = None,
) -> Exchange:
    """Record a verdict, as `record` does, and return the exchange in the state that this reviewer sees.

    That is `waiting` where another opinion is needed.
    """
    under: dict[str, Any] = {"response": response, "reason": reason, "id": id, "claim": claim}
    record(store, principal, exchange_id, verdict, policy=policy, **under)
    return seen(rounds.standing(store, exchange_id, principal), principal.name)


def record(
    store: Store,
    principal: Principal,
    exchange_id: str,
    verdict: Verdict,
    *,
    response: str | None = None,
    reason: str = "",
    id: str | None = None,
    claim: str | None = None,
    policy: Policy | None = None,
) -> None:
    """Approve the proposed words, approve `response` instead of them, reject, or skip.

    A `response` sent with approve must equal what is proposed now, so that nobody approves words that
    changed under their eyes. The same `id` sent again is the same write.

    Raises:
        NotAllowed: Not a reviewer, the exchange is its author's alone, the words are the reviewer's own, or
            the verdict ended a dispute of theirs.
        Conflict: The words changed, the claim has ended, another holds it, or it is disputed.
        BadRequest: There is nothing to approve, or a verdict is changed without a reason.
    """
    check_reviewer(principal)
    check(verdict, response, reason)
    identity = id or new_id()
    asked = {"exchange_id": exchange_id, "verdict": verdict, "response": response, "reason": reason}

    def decide(transaction: Transaction) -> None:
        if id is None or not written(transaction, identity, principal, asked):
            stand = rounds.standing(transaction, exchange_id, principal)
            held = claims.check(transaction, exchange_id, principal, claim)
            _check_turn(stand, principal, verdict, reason)
            rounds.check_no_party(transaction, stand, principal)
            opinion = _opinion(transaction, stand, principal, identity, verdict, response, reason)
            _settle(transaction, stand, opinion, principal, policy or Policy())
            claims.finish(transaction, held)
            drafts.drop(transaction, principal, exchange_id)

    store.decide(decide, about=exchange_id)


def _check_turn(stand: Standing, principal: Principal, verdict: str, reason: str) -> None:
    """Whether it is this reviewer's turn to say this."""
    exchange = stand.exchange
    if exchange.finish_reason is None:
        raise Conflict("That answer is still being written.", "Judge it when it is there.")
    if stand.disputed:
        raise Conflict("Reviewers disagree on this exchange.", "Adjudicate it, or leave it to somebody else.")
    own = stand.of(principal.name)
    said = own is not None and own.verdict != SKIP
    if verdict == SKIP and (said or stand.judged):
        raise Conflict("It has been judged; there is nothing to skip.", "Choose another one.")
    if stand.judged and not reason.strip():
        raise BadRequest(
            f"{exchange.reviewed_by} has {exchange.state} this exchange.", "Give a reason to judge it again."
        )
    if said and not reason.strip():
        raise BadRequest(
            "You have judged it; it waits for a second opinion.", "Give a reason to change yours."
        )


def _opinion(
    transaction: Transaction,
    stand: Standing,
    principal: Principal,
    identity: str,
    verdict: str,
    response: str | None,
    reason: str,
) -> dict[str, Any]:
    """The opinion as a row: which words it is for, and who wrote them."""
    words = stand.wording
    if verdict == "edit" and response == words.text:
        verdict = "approve"
    blind = not words.edited or words.author == principal.name
    taught = None
    if verdict == "edit":
        taught = Wording(response or "", principal.name, edited=True)
        # An edit is one's own words to somebody else's question; to one's own it would be a correction.
        if stand.exchange.principal == principal.name:
            check_not_own(transaction, stand.exchange, principal, principal.name)
    elif verdict == "approve":
        taught = _approvable(stand, response)
        check_not_own(transaction, stand.exchange, principal, taught.author)
    return row(stand, principal, identity, verdict, taught, reason, blind=blind)


def _settle(
    transaction: Transaction, stand: Standing, row: dict[str, Any], principal: Principal, policy: Policy
) -> None:
    """Record the opinion, and with it the verdict where enough think the same."""
    told: dict[str, Any] = {"at": now()} | row
    said = Opinion(**{name: told[name] for name in Opinion.__dataclass_fields__})
    if said.verdict == SKIP:
        transaction.append({"opinions": [row]})
        return
    others = [opinion for opinion in stand.opinions if opinion.principal != principal.name]
    edited = any(opinion.verdict == "edit" for opinion in (*others, said))
    words = Wording(said.response, said.author or "", edited) if said.response else stand.wording
    enough = rounds.needed(transaction, stand, words, principal, policy)
    if outcome((*others, said), enough) == "settled":
        transaction.append({"opinions": [row], "reviews": [verdict_of(stand, row)]})
    elif stand.judged:
        again = reopening(stand, principal, said.reason)
        transaction.append({"reviews": [again], "opinions": [{**row, "round": again["id"]}]})
    else:
        transaction.append({"opinions": [row]})


def _approvable(stand: Standing, response: str | None) -> Wording:
    """The proposed words, if they are the ones the reviewer saw and a whole answer."""
    words, exchange = stand.wording, stand.exchange
    if response is not None and response != words.text:
        raise Conflict(
            "The proposed answer is not the one you were shown.",
            "Look at it again, or send yours as an edit.",
        )
    if not words.text.strip():
        raise BadRequest("There is no answer to approve.", "Edit it, or reject the exchange.")
    if words.author == "model" and exchange.finish_reason in UNFINISHED:
        raise BadRequest(
            f"That answer {UNFINISHED[exchange.finish_reason]}, so it would teach an unfinished one.",
            "Edit it into a finished answer, or reject it.",
        )
    return words
