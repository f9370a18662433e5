"""Where an exchange stands in review: its round, the opinions in it, and how many it needs.

A round begins with the last verdict (a reopening is one), so what was thought before it never counts
again; nor does what somebody thought who may not review any more. Whatever is not rated, imported or shown
by its author is that author's alone, and refused here in the same words as what does not exist. Reads;
decides nothing.

Trail: feedback/review.py -> here -> feedback/policy.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from feedback import lookup
from feedback.accounts import reviewers
from feedback.errors import NotAllowed
from feedback.policy import SKIP, Opinion, Policy, Wording, flags, outcome, wording
from feedback.records import COMMAND_LINE, Exchange, Principal, Role, is_id
from feedback.store import Store
from feedback.writer import Transaction

_OPINION = """principal, verdict, response, author, coalesce(reason, '') AS reason, blind, "at" AS at"""

# Of all that `$2` may review, as `Standing.state` has it.
_STATE = """SELECT CASE WHEN state IN ('approved', 'rejected') THEN state WHEN disputed THEN 'disputed'
    WHEN list_contains(skipped_by, $2) THEN 'skipped' WHEN list_contains(judged_by, $2) THEN 'waiting'
    ELSE 'pending' END AS state
FROM exchange_state WHERE seq = $1 AND reviewable AND setter IS DISTINCT FROM $2"""

# A verdict has the id of the opinion that settled it.
_SETTLED = """
SELECT o.id, o.principal, o.verdict, o.response, o.author, coalesce(o.reason, '') AS reason, o.blind,
    o.at AS at
FROM opinions o WHERE o.exchange_id = $1 AND o.verdict <> 'skip' AND o.round = (
    SELECT s.round FROM opinions s JOIN reviews r ON r.id = s.id
    WHERE r.exchange_id = $1 AND s.exchange_id = $1 ORDER BY r.seq DESC LIMIT 1)
QUALIFY row_number() OVER (PARTITION BY o.principal ORDER BY o.seq DESC) = 1
ORDER BY o.seq"""


@dataclass(frozen=True, slots=True)
class Standing:
    """An exchange with the opinions of its round, oldest first, one of each reviewer.

    `setter` is the operator who set it as a gold item, where it is one; `reopened` the reason it came back.
    """

    exchange: Exchange
    round: str
    opinions: tuple[Opinion, ...] = ()
    reopened: str = ""
    setter: str | None = None

    @property
    def judged(self) -> bool:
        return self.exchange.state in ("approved", "rejected")

    @property
    def disputed(self) -> bool:
        return not self.judged and outcome(self.opinions, 1) == "disputed"

    @property
    def wording(self) -> Wording:
        return wording(self.exchange, self.opinions)

    def of(self, name: str) -> Opinion | None:
        """What this reviewer thinks of it in this round."""
        return next((opinion for opinion in self.opinions if opinion.principal == name), None)

    def state(self, name: str = "") -> str:
        """Its state as this reviewer sees it: `waiting` and `skipped` are theirs alone."""
        if self.judged:
            return self.exchange.state
        if self.disputed:
            return "disputed"
        own = self.of(name)
        return "pending" if own is None else "skipped" if own.verdict == SKIP else "waiting"


def standing(source: Store | Transaction, exchange_id: str, principal: Principal) -> Standing:
    """Where one exchange stands.

    Raises:
        NotAllowed: It is its author's alone, or there is none; nobody can tell which.
    """
    found = load(source, [exchange_id], principal.name) if is_id(exchange_id) else []
    if not found:
        raise _not_theirs()
    return found[0]


def state(source: Store | Transaction, exchange_id: str, principal: Principal) -> str:
    """The state of one exchange as this reviewer sees it, without a look at its words.

    Raises:
        NotAllowed: As `standing` does.
    """
    asked = lookup.by_key(source, "exchanges", "seq", [exchange_id] if is_id(exchange_id) else [])
    found = [source.row(_STATE, [row["seq"], principal.name]) for row in asked.values()]
    if not found or found[0] is None:
        raise _not_theirs()
    return str(found[0]["state"])


def load(source: Store | Transaction, ids: Sequence[str], viewer: str = "") -> list[Standing]:
    """Where these stand, in their order, without those that this viewer may not review."""
    states = [row for row in lookup.states(source, ids) if row["reviewable"] and row["setter"] != viewer]
    by_id = {row["exchange_id"]: row for row in states}
    said = _said(source, states)
    reasons = _reasons(source, states)
    return [
        Standing(
            exchange,
            _round(by_id[exchange.id]),
            tuple(said.get(exchange.id, ())),
            reasons.get(by_id[exchange.id]["review_id"], ""),
            by_id[exchange.id]["setter"],
        )
        for exchange in lookup.whole(source, states)
    ]


def needed(
    transaction: Transaction, standing: Standing, words: Wording, principal: Principal, policy: Policy
) -> int:
    """How many reviewers must think the same of these words; never more than could."""
    known = reviewers(transaction)
    able = _others(known, principal) | {principal.name}
    if not words.edited and words.author != "model" and not standing.exchange.imported:
        able.discard(words.author)
    own = standing.exchange.principal == principal.name and not standing.exchange.imported
    doubtful = words.edited or own or _doubtful(transaction, standing.exchange, words, policy, known)
    # What two have settled, or somebody for two who disagreed, is not overturned by one.
    wanted = 2 if doubtful or len(_settled(transaction, standing)) > 1 else 1
    return min(wanted, max(1, len(able)))


def check_no_party(transaction: Transaction, standing: Standing, principal: Principal) -> None:
    """Refuse those who disagreed a say in the verdict that ended their dispute.

    Raises:
        NotAllowed: One of them, though somebody else could judge it.
    """
    said = _settled(transaction, standing) if standing.judged else []
    parties = {opinion.principal for opinion in said[:-1]} if outcome(said[:-1], 1) == "disputed" else set()
    if principal.name not in parties:
        return
    if others(transaction, principal) - parties or not principal.role.covers(Role.OPERATOR):
        raise NotAllowed(
            "You were one of those who disagreed.", "Leave it to an operator or another reviewer."
        )


def others(transaction: Transaction, principal: Principal) -> set[str]:
    """The other people who may review."""
    return _others(reviewers(transaction), principal)


def _others(known: Sequence[str], principal: Principal) -> set[str]:
    names = set(known)
    # The token lies in the home, beside the only account's password: they are one person.
    if principal.name == COMMAND_LINE and len(names) == 1:
        return set()
    return names - {principal.name}


def _doubtful(
    transaction: Transaction, exchange: Exchange, words: Wording, policy: Policy, known: Sequence[str]
) -> bool:
    """Whether one opinion is too few: a new contributor, a flag, or the luck of the draw."""
    if exchange.imported:
        return False
    if flags(exchange, words.text) or policy.sampled(exchange.id):
        return True
    if exchange.principal == COMMAND_LINE or exchange.principal in known:
        return False
    approved = transaction.row(
        """SELECT count(*) AS pairs FROM (SELECT 1 FROM exchange_state
        WHERE owner = $1 AND state = 'approved' AND exchange_id <> $2
            AND source NOT LIKE 'proposal:%' LIMIT $3)""",
        [exchange.principal, exchange.id, policy.trusted_after],
    )
    return approved is not None and int(approved["pairs"]) < policy.trusted_after


def _settled(transaction: Transaction, standing: Standing) -> list[Opinion]:
    """The opinions of the round that the last verdict ended, the one that settled it last."""
    if standing.round == standing.exchange.id:
        return []
    return [_opinion(row) for row in transaction.rows(_SETTLED, [standing.exchange.id])]


def _not_theirs() -> NotAllowed:
    return NotAllowed("That exchange is its author's alone, or there is none.", "Choose one of the queue.")


def _round(state: dict[str, Any]) -> str:
    return str(state["review_id"] or state["exchange_id"])


def _said(source: Store | Transaction, states: Sequence[dict[str, Any]]) -> dict[str, list[Opinion]]:
    """The opinions of the open round of each, the newest of everybody who may review."""
    ids = [identity for row in states for identity in row["opinions"] or ()]
    told = lookup.by_key(source, "opinions", _OPINION, ids)
    return {
        row["exchange_id"]: [_opinion(told[str(identity)]) for identity in row["opinions"]]
        for row in states
        if row["opinions"]
    }


def _reasons(source: Store | Transaction, states: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Why those that came back did, by the reopening."""
    reopened = [row["review_id"] for row in states if row["verdict"] == "reopen"]
    rows = lookup.by_key(source, "reviews", "coalesce(reason, '') AS reason", reopened)
    return {identity: row["reason"] for identity, row in rows.items()}


def _opinion(row: dict[str, Any]) -> Opinion:
    return Opinion(**{name: row[name] for name in Opinion.__dataclass_fields__})
