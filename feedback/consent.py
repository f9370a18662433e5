"""What the owner of a conversation allows: that it is learnt from, that reviewers read what is unrated.

Learning is allowed until it is refused, reading refused until it is allowed; both hold for the whole
conversation from now on, and backwards: what may not be learnt from any more is in no later snapshot, and
what is not shown any more is its author's alone again. Knows no page.
"""

from typing import Any

from feedback.errors import BadRequest
from feedback.exchanges import Exchanges
from feedback.records import Principal, is_id, new_id
from feedback.store import Store
from feedback.writer import Transaction

_NOW = """SELECT
    coalesce((SELECT arg_max(training, seq) FROM consents WHERE conversation_id = $1::UUID), true)
        AS training,
    coalesce((SELECT arg_max(review, seq) FROM shares WHERE conversation_id = $1::UUID), false) AS review"""
# Approved or rejected only because they were shown: nobody rated them.
_SHOWN = """SELECT exchange_id FROM exchange_state
WHERE conversation_id = $1::UUID AND rating IS NULL AND NOT has_correction
    AND state IN ('approved', 'rejected')
    AND source NOT IN ('import', 'demo') AND source NOT LIKE 'import:%' AND source NOT LIKE 'proposal:%'"""


def allow(
    store: Store,
    principal: Principal,
    conversation_id: str,
    *,
    training: bool | None = None,
    review: bool | None = None,
) -> dict[str, bool]:
    """Set what is not None, and tell how both stand.

    Raises:
        NotFound, NotAllowed: There is no such conversation, or it is someone else's.
        BadRequest: Nothing was said.
    """
    if training is None and review is None:
        raise BadRequest("That says neither training nor review.", "Send at least one of them.")
    told = Exchanges(store)
    told.conversation(conversation_id, principal.name)
    if training is not None:
        told.set_training(conversation_id, principal.name, training)
    if review is not None:
        store.decide(lambda transaction: _share(transaction, principal, conversation_id, review))
    now = store.row(_NOW, [conversation_id])
    assert now is not None
    return {"training": now["training"], "review": now["review"]}


def training(store: Store, conversation_id: str) -> bool:
    """Whether a conversation may be learnt from; whose it is others check."""
    now = store.row(_NOW, [conversation_id]) if is_id(conversation_id) else None
    return bool(now and now["training"])


def _share(transaction: Transaction, principal: Principal, conversation_id: str, review: bool) -> None:
    row = {"principal": principal.name, "conversation_id": conversation_id, "review": review}
    transaction.append({"shares": [row]})
    if not review:
        taken_back = transaction.rows(_SHOWN, [conversation_id])
        transaction.append({"reviews": [_taken_back(principal, row["exchange_id"]) for row in taken_back]})


def _taken_back(principal: Principal, exchange_id: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "principal": principal.name,
        "exchange_id": exchange_id,
        "verdict": "reopen",
        "reason": "Its author does not show it any more.",
        "own": False,
    }
