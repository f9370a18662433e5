"""Proposed answers to what people asked: gathered elsewhere, kept for review, never taught by themselves.

A proposal is an exchange of its own beside the one it answers, in the same conversation, so that consent,
split and erasure hold for both; its source says whose it is: `proposal:self@general@7-3fa9c1d2` or
`proposal:teacher:model`. Reviewers tick every one that is right. Asks nobody.

Trail: hone/proposing.py -> here -> feedback/review.py
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from feedback import lookup, review
from feedback.errors import BadRequest, NotAllowed
from feedback.exchanges import answer_id, as_row
from feedback.policy import Policy
from feedback.records import Exchange, FinishReason, Principal, now
from feedback.store import Store
from feedback.transaction import Transaction

SELF = "self@"
TEACHER = "teacher:"
_SOURCE = "proposal:"
ASIDE = "A reviewer ticked others."

_OPEN = """FROM exchange_state s WHERE s.assistant = $1 AND s.training AND s.source NOT LIKE 'proposal:%'
AND s.exchange_id NOT IN (SELECT origin_id FROM proposals WHERE proposer LIKE $2 || '%')
AND s.exchange_id NOT IN (SELECT exchange_id FROM golds)"""
_BAD = f"""SELECT s.exchange_id {_OPEN} AND s.state = 'pending' AND s.rating = 'down' AND NOT s.has_correction
ORDER BY row_number() OVER (PARTITION BY s.owner ORDER BY s.worth DESC, s.rated_at, s.exchange_id),
    s.worth DESC, s.rated_at, s.exchange_id LIMIT $3"""
_RATED = f"""SELECT s.exchange_id {_OPEN} AND s.state IN ('pending', 'approved')
AND s.rating IS DISTINCT FROM 'down' ORDER BY s.at DESC, s.exchange_id LIMIT $3"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Candidate:
    """One proposed response; `agree` is how many samples meant the same."""

    response: str
    agree: int = 1
    finish_reason: FinishReason = "stop"


def disliked(store: Store, assistant: str, proposer: str, limit: int) -> list[Exchange]:
    """What got a thumb down, no correction, and no proposal of this proposer yet; of each person in turn."""
    rows = store.rows(_BAD, [assistant, proposer, limit])
    return lookup.load(store, [row["exchange_id"] for row in rows])


def rated(store: Store, assistant: str, proposer: str, limit: int) -> list[Exchange]:
    """Further exchanges that reviewers see, the newest first, among which rare ones may be chosen."""
    rows = store.rows(_RATED, [assistant, proposer, limit])
    return lookup.load(store, [row["exchange_id"] for row in rows])


def may_be_learnt_from(store: Store | Transaction, exchange_id: str) -> bool:
    """Whether the conversation's owner lets it be learnt from, as of now, and nothing was erased."""
    held = store.row("SELECT training, state FROM exchange_state WHERE exchange_id = $1", [exchange_id])
    return bool(held and held["training"] and held["state"] not in ("erased", "unrated"))


def record(
    store: Store, principal: Principal, origin: Exchange, proposer: str, found: Sequence[Candidate]
) -> list[str]:
    """Keep candidates for review and return the ids of those that are new.

    What says no more than the answer, the correction or an earlier proposal is left out, and so is all of
    it where the conversation was erased or withdrawn from training meanwhile.
    """

    def decide(transaction: Transaction) -> list[str]:
        if not may_be_learnt_from(transaction, origin.id):
            return []
        known = _known(transaction, origin)
        fresh: dict[str, Candidate] = {}
        for one in found:
            text = one.response.strip()
            if text and text not in known:
                known.add(text)
                fresh[str(uuid5(UUID(origin.id), f"{proposer}\n{text}"))] = one
        transaction.append(_rows(principal, origin, proposer, fresh))
        return list(fresh)

    return store.decide(decide)


def of(store: Store, exchange_id: str) -> dict[str, Any]:
    """An exchange with its proposals, for a reviewer: `origin`, and `proposals` as (exchange, agree) pairs.

    Raises:
        NotAllowed: It is its author's alone.
    """
    origin = lookup.get(store, exchange_id)
    if not may_be_learnt_from(store, origin.id):
        raise NotAllowed("That exchange is its author's alone.", "Choose one from the queue.")
    rows = store.rows(
        "SELECT exchange_id, agree FROM proposals WHERE origin_id = $1 ORDER BY seq", [origin.id]
    )
    agree = {row["exchange_id"]: row["agree"] for row in rows}
    found = [one for one in lookup.load(store, list(agree)) if one.state != lookup.ERASED]
    return {"origin": origin, "proposals": [(one, agree[one.id]) for one in found]}


def tick(
    store: Store,
    principal: Principal,
    exchange_id: str,
    right: Collection[str],
    *,
    reject_rest: bool = False,
    reason: str = "",
    policy: Policy | None = None,
) -> list[Exchange]:
    """Approve every proposal that a reviewer ticked; the others are rejected only if that is asked for.

    A tick is for the answer as it was proposed. What a reviewer made of it meanwhile is confirmed where its
    words are sent along. Whether one opinion is enough is the policy's, as for any other exchange.

    Raises:
        Conflict: One that was ticked has been edited by another reviewer.
        BadRequest: One that was ticked is no proposal of this exchange.
    """
    there = {one.id: one for one, _ in of(store, exchange_id)["proposals"]}
    if unknown := [identity for identity in right if identity not in there]:
        raise BadRequest(
            f"{unknown[0][:64]} is no proposal of exchange {exchange_id[:64]}.", "Load the proposals again."
        )
    said: dict[str, Any] = {"reason": reason, "policy": policy}
    judged = [
        review.review(store, principal, one, "approve", response=there[one].proposed, **said) for one in right
    ]
    if reject_rest:
        rest = [one.id for one in there.values() if one.id not in right and one.state == "pending"]
        said["reason"] = reason or ASIDE
        judged += [review.review(store, principal, one, "reject", **said) for one in rest]
    return judged


def _known(transaction: Transaction, origin: Exchange) -> set[str]:
    """What was answered, corrected or proposed already."""
    rows = transaction.rows(
        """SELECT a.response FROM proposals p JOIN answers a ON a.exchange_id = p.exchange_id
        WHERE p.origin_id = $1""",
        [origin.id],
    )
    return {
        text.strip() for text in (origin.response or "", origin.correction, *(r["response"] for r in rows))
    }


def _rows(
    principal: Principal, origin: Exchange, proposer: str, fresh: dict[str, Candidate]
) -> dict[str, list[dict[str, Any]]]:
    version = proposer.removeprefix(SELF)
    exchanges = [
        Exchange(
            id=identity,
            at=now(),
            principal=principal.name,
            conversation_id=origin.conversation_id,
            assistant=origin.assistant,
            version=version,
            context=origin.context,
            instruction=origin.instruction,
            source=f"{_SOURCE}{proposer}",
        )
        for identity in fresh
    ]
    by = {"principal": principal.name}
    return {
        "exchanges": [as_row(exchange) for exchange in exchanges],
        "answers": [
            {
                **by,
                "id": answer_id(identity),
                "exchange_id": identity,
                "response": one.response.strip(),
                "finish_reason": one.finish_reason,
                "version": version,
            }
            for identity, one in fresh.items()
        ],
        "proposals": [
            {
                **by,
                "id": str(uuid5(UUID(identity), "proposal")),
                "exchange_id": identity,
                "origin_id": origin.id,
                "proposer": proposer,
                "agree": one.agree,
            }
            for identity, one in fresh.items()
        ],
    }
