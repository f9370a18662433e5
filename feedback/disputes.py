"""What reviewers could not settle among themselves, and what was settled too soon.

A dispute is ended by somebody who had no part in it, with words that are on the table; a verdict that
turns out wrong is reopened, with a reason that the next reviewers read. So are approvals that curation found
to contradict each other. Judges nothing by itself.

Trail: serve/api/reviews.py, tuner/steps.py -> here -> feedback/opinions.py
"""

from collections.abc import Sequence
from typing import Literal

from feedback import claims, rounds
from feedback.curate import CONTRADICTED, LeftOut
from feedback.errors import BadRequest, Conflict, NotAllowed
from feedback.opinions import (
    check,
    check_not_own,
    check_reviewer,
    need_reason,
    reopening,
    row,
    verdict_of,
    written,
)
from feedback.policy import SKIP, Wording
from feedback.queue import seen
from feedback.records import Exchange, Principal, Role, new_id
from feedback.rounds import Standing
from feedback.store import Store
from feedback.writer import Transaction

OTHERWISE = (
    "Another approved answer to this question says otherwise; look for it too, and settle which is right."
)
_STANDING = """SELECT exchange_id, arg_max(id, seq) AS review_id FROM reviews
WHERE exchange_id IN (SELECT unnest($1::UUID[]))
    AND exchange_id NOT IN (SELECT exchange_id FROM erased_exchanges) GROUP BY exchange_id"""


def adjudicate(
    store: Store,
    principal: Principal,
    exchange_id: str,
    verdict: Literal["approve", "reject"],
    *,
    response: str | None = None,
    reason: str,
    id: str | None = None,
    claim: str | None = None,
) -> Exchange:
    """Settle what reviewers disagree on: reject it, or approve words that are on the table.

    Those are what reviewers of this round approved or wrote.

    Raises:
        NotAllowed: Not a reviewer, one of those who disagree, or the words are the adjudicator's own.
        Conflict: There is no dispute.
        BadRequest: No reason, or other words.
    """
    check_reviewer(principal)
    check(verdict, response, reason)
    need_reason(reason)
    if verdict not in ("approve", "reject"):
        raise BadRequest("A dispute ends with approve or reject.", "Reopen it to propose other words.")
    identity = id or new_id()
    asked = {"exchange_id": exchange_id, "verdict": verdict, "response": response, "reason": reason}

    def decide(transaction: Transaction) -> None:
        if written(transaction, identity, principal, asked):
            return
        stand = rounds.standing(transaction, exchange_id, principal)
        held = claims.check(transaction, exchange_id, principal, claim)
        _check_adjudicator(transaction, stand, principal)
        words = _on_the_table(stand, response) if verdict == "approve" else None
        if words:
            check_not_own(transaction, stand.exchange, principal, words.author)
        opinion = row(stand, principal, identity, verdict, words, reason, blind=False)
        transaction.append({"opinions": [opinion], "reviews": [verdict_of(stand, opinion)]})
        claims.finish(transaction, held)

    store.decide(decide)
    return seen(rounds.standing(store, exchange_id, principal), principal.name)


def reopen(store: Store, principal: Principal, exchange_id: str, reason: str) -> Exchange:
    """Send what was judged back into the queue; an operator may also end an unsettled round.

    Raises:
        BadRequest: No reason.
        Conflict: Nothing has been judged.
        NotAllowed: It is unsettled, and the caller no operator; or it ended a dispute of the caller's.
    """
    check_reviewer(principal)
    check("reject", None, reason)
    need_reason(reason)

    def decide(transaction: Transaction) -> None:
        stand = rounds.standing(transaction, exchange_id, principal)
        if not stand.judged and not stand.opinions:
            raise Conflict("Nobody has judged that exchange yet.", "Judge it.")
        if not stand.judged and not principal.role.covers(Role.OPERATOR):
            raise NotAllowed("Reviewers have not settled it yet.", "Ask an operator to reopen it.")
        rounds.check_no_party(transaction, stand, principal)
        transaction.append({"reviews": [reopening(stand, principal, reason)]})

    store.decide(decide)
    return seen(rounds.standing(store, exchange_id, principal), principal.name)


def send_back(store: Store, left_out: Sequence[LeftOut]) -> list[str]:
    """Reopen the approvals that contradict each other, but for those judged anew since; their exchanges.

    Else both would stay approved and be learnt by no run, and nobody would be told.
    """
    verdicts = {out.pair.exchange_id: out.pair.review_id for out in left_out if out.reason == CONTRADICTED}

    def decide(transaction: Transaction) -> list[str]:
        rows = transaction.rows(_STANDING, [list(verdicts)])
        back = [row["exchange_id"] for row in rows if row["review_id"] == verdicts[row["exchange_id"]]]
        event = {"principal": "hone", "verdict": "reopen", "reason": OTHERWISE, "own": False}
        transaction.append({"reviews": [{"exchange_id": identity, **event} for identity in back]})
        return back

    return store.decide(decide) if verdicts else []


def _on_the_table(stand: Standing, response: str | None) -> Wording:
    """The words of that text which an adjudicator may choose."""
    said = [o for o in stand.opinions if o.response is not None]
    table = [Wording(o.response or "", o.author or o.principal, o.verdict == "edit") for o in said]
    chosen = [words for words in table if words.text == response]
    if not chosen:
        raise BadRequest("Those words are not what the reviewers disagree on.", "Send one of theirs exactly.")
    return chosen[0]


def _check_adjudicator(transaction: Transaction, stand: Standing, principal: Principal) -> None:
    if not stand.disputed:
        raise Conflict("There is no dispute about that exchange.", "Judge it, or reopen it.")
    parties = {opinion.principal for opinion in stand.opinions if opinion.verdict != SKIP}
    free = rounds.others(transaction, principal) - parties
    if principal.name in parties and (free or not principal.role.covers(Role.OPERATOR)):
        raise NotAllowed("You are one of those who disagree.", "Leave it to an operator or a third reviewer.")
