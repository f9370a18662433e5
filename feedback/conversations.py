"""Conversations: begun by whoever speaks in them first, listed, named, and nobody's but their author's.

Trail: feedback/exchanges.py -> here -> feedback/store.py
"""

from collections.abc import Collection
from typing import Any

from feedback.accounts import has_ended
from feedback.errors import BadRequest, NotAllowed, NotFound, NotSignedIn
from feedback.store import Store
from feedback.transaction import Transaction

MAX_TITLE = 120

_OWN = "conversation_id IN (SELECT id FROM conversations WHERE owner = $1)"
_LISTED = f"""
WITH said AS (SELECT conversation_id, count(*) AS exchanges, max(x.at) AS last_at,
        bool_or(source <> 'api') AS by_hand
    FROM exchanges x WHERE {_OWN} AND source NOT LIKE 'proposal:%'
        AND x.id NOT IN (SELECT exchange_id FROM erased_exchanges) GROUP BY conversation_id),
consented AS (SELECT conversation_id, arg_max(training, seq) AS training FROM consents WHERE {_OWN}
    GROUP BY conversation_id),
shown AS (SELECT conversation_id, arg_max(review, seq) AS review FROM shares WHERE {_OWN}
    GROUP BY conversation_id),
named AS (SELECT conversation_id, arg_max(title, seq) AS title FROM titles WHERE {_OWN}
    GROUP BY conversation_id)
SELECT c.id, coalesce(named.title, c.title) AS title, c.assistant, c.at AS at,
    coalesce(said.last_at, c.at) AS last_at,
    coalesce(said.exchanges, 0) AS exchanges, coalesce(consented.training, true) AS training,
    coalesce(shown.review, false) AS review
FROM conversations c
LEFT JOIN said ON said.conversation_id = c.id
LEFT JOIN consented ON consented.conversation_id = c.id
LEFT JOIN shown ON shown.conversation_id = c.id
LEFT JOIN named ON named.conversation_id = c.id
WHERE c.owner = $1 AND ($5 IS NULL AND coalesce(said.by_hand, true) OR c.id = try_cast($5 AS UUID))
    AND c.id NOT IN (SELECT conversation_id FROM erased_conversations)
    AND (contains(lower(coalesce(named.title, c.title)), lower($3))
        OR c.id IN (SELECT unnest($4::UUID[])))
ORDER BY last_at DESC, c.seq DESC LIMIT $2"""  # noqa: S608

_TITLE = """SELECT coalesce((SELECT arg_max(t.title, t.seq) FROM titles t WHERE t.conversation_id = $1),
    title) AS title FROM conversations WHERE id = $1"""


def listed(
    store: Store,
    owner: str,
    limit: int,
    *,
    called: str = "",
    among: Collection[str] = (),
    only: str | None = None,
) -> list[dict[str, Any]]:
    """What `Exchanges.conversations` says; with `only`, of that one, whoever spoke in it."""
    return store.rows(_LISTED, [owner, limit, called, list(among), only])


def rename(store: Store, conversation_id: str, principal: str, title: str) -> str:
    """Give a conversation of one's own another title; it is returned as it is kept.

    Raises:
        BadRequest: It is empty or too long.
        NotFound, NotAllowed: There is no such conversation, or it is someone else's.
    """
    kept = " ".join(title.split())
    if not 0 < len(kept) <= MAX_TITLE:
        raise BadRequest(f"A title has 1 to {MAX_TITLE} characters.", "Choose another one.")

    def rename(transaction: Transaction) -> None:
        held = own(transaction, conversation_id, principal)
        if transaction.rows(_TITLE, [held["id"]])[0]["title"] != kept:
            row = {"principal": principal, "conversation_id": held["id"], "title": kept}
            transaction.append({"titles": [row]})

    store.decide(rename)  # in one piece with the check, or an erasure between them would miss it
    return kept


def own(store: Store | Transaction, conversation_id: str, owner: str) -> dict[str, Any]:
    """The `id` and `owner` of a conversation of one's own that is not erased."""
    held = store.row(
        """SELECT id, owner, id IN (SELECT conversation_id FROM erased_conversations) AS erased
        FROM conversations WHERE id = try_cast($1 AS UUID)""",
        [conversation_id],
    )
    if held is None:
        raise NotFound(f"There is no conversation {conversation_id[:64]}.", "Begin a new one.")
    if held["owner"] != owner:
        raise not_yours()
    if held["erased"]:
        raise _was_erased()
    return held


def begin(
    transaction: Transaction, identity: str, owner: str, assistant: str, title: str, training: bool
) -> None:
    """Record a conversation, unless it is there already; the checks are `begin_conversation`'s."""
    held = transaction.row("SELECT owner FROM conversations WHERE id = try_cast($1 AS UUID)", [identity])
    spoken = transaction.row(
        """SELECT 1 FROM exchanges WHERE conversation_id = try_cast($1 AS UUID) AND principal <> $2
            AND source NOT LIKE 'proposal:%' LIMIT 1""",
        [identity, owner],
    )
    # Imports have exchanges and no conversation row; their ids are in every export.
    if spoken or (held and held["owner"] != owner):
        raise not_yours()
    if has_ended(transaction, owner):
        raise NotSignedIn("That account was erased.", "Sign in with another one.")
    refuse_erased(transaction, identity)
    row = {"id": identity, "principal": owner, "owner": owner, "assistant": assistant, "title": title}
    kept = [] if training else [{"principal": owner, "conversation_id": identity, "training": False}]
    transaction.append({"conversations": [row], "consents": kept})


def refuse_erased(store: Store | Transaction, conversation_id: str) -> None:
    erased = "SELECT 1 FROM erased_conversations WHERE conversation_id = try_cast($1 AS UUID) LIMIT 1"
    if store.row(erased, [conversation_id]):
        raise _was_erased()


def _was_erased() -> NotFound:
    return NotFound("That conversation was erased.", "Begin a new one.")


def not_yours() -> NotAllowed:
    return NotAllowed("That conversation is someone else's.", "Open one of your own.")
