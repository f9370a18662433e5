"""Turns as they are recorded: opened at admission, closed at their end, read back by conversation.

An exchange that a killed server left open is closed as `cut` at the next start, so that none is ever
absent. Knows no engine and no page.

Trail: serve/conversation.py -> here -> feedback/line.py, feedback/store.py
"""

from typing import Any
from uuid import UUID, uuid5

from feedback import line, lookup
from feedback.accounts import has_ended
from feedback.errors import BadRequest, Conflict, NotAllowed, NotFound, NotSignedIn, PromptTooLong
from feedback.records import MAX_ASKED, Exchange, FinishReason, is_id, new_id
from feedback.store import Store
from feedback.transaction import Rows, Transaction

_ENDING = """SELECT id IN (SELECT exchange_id FROM erased_exchanges) AS erased
FROM exchanges WHERE id = $1"""


class Exchanges:
    """The exchanges and conversations of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(
        self, exchange: Exchange, *, begins: bool = False, training: bool = True, beside: Rows | None = None
    ) -> None:
        """Record an admitted turn; durable when this returns. Opening it again changes nothing.

        Where it `begins` its conversation, that is recorded with it unless it is there, and so are the events
        `beside` it: all or nothing.

        Raises:
            NotAllowed: The conversation, or an exchange with this id, is someone else's.
            NotFound: There is no such conversation.
            PromptTooLong: It holds more than any exchange may.
        """
        conversation = {} if begins else self._own(exchange.conversation_id, exchange.principal)
        known = self._store.row(
            "SELECT conversation_id, principal FROM exchanges WHERE id = try_cast($1 AS UUID)", [exchange.id]
        )
        if known and known["principal"] != exchange.principal:
            raise NotAllowed("An exchange with this id is someone else's.", "Send the message again.")
        if exchange.replaces is not None:
            self._check_replaced(exchange.replaces, conversation.get("id", exchange.conversation_id))

        def admit(transaction: Transaction) -> None:
            if begins:
                asker, title = exchange.principal, " ".join(exchange.instruction.split())[:60]
                _begin(transaction, exchange.conversation_id, asker, exchange.assistant, title, training)
            _refuse_erased(transaction, exchange)
            transaction.append({**(beside or {}), "exchanges": [as_row(exchange)]})

        self._store.decide(admit, about=exchange.conversation_id)

    def close(
        self,
        exchange_id: str,
        *,
        response: str,
        finish_reason: FinishReason,
        version: str,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        first_token_ms: float | None = None,
        total_ms: float | None = None,
        error: str = "",
        principal: str,
    ) -> None:
        """Record how a turn ended. A turn ends once: a second ending changes nothing.

        Of an exchange that was erased while it ran only the fact is kept.
        """
        if not is_id(exchange_id):
            raise lookup.unknown(exchange_id)
        answer = {
            "id": answer_id(exchange_id),
            "principal": principal,
            "exchange_id": exchange_id,
            "response": response,
            "finish_reason": finish_reason,
            "version": version,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "first_token_ms": first_token_ms,
            "total_ms": total_ms,
            "error": error,
        }

        def end(transaction: Transaction) -> None:
            held = transaction.row(_ENDING, [exchange_id])
            if held is None:
                raise lookup.unknown(exchange_id)
            words = {"response": "", "error": ""} if held["erased"] else {}
            transaction.append({"answers": [{**answer, **words}]})

        self._store.decide(end, about=exchange_id)

    def cut_unfinished(self, principal: str = "hone") -> int:
        """Close every open turn as `cut`, and say how many; for the start, when no turn can be running."""
        left = self._store.rows("SELECT exchange_id, version FROM exchange_state WHERE finish_reason IS NULL")
        cut = [
            {
                "id": answer_id(row["exchange_id"]),
                "principal": principal,
                "exchange_id": row["exchange_id"],
                "response": "",
                "finish_reason": "cut",
                "version": row["version"],
                "error": "The server stopped during this turn.",
            }
            for row in left
        ]
        if cut:
            self._store.append({"answers": cut})
        return len(cut)

    def get(self, exchange_id: str) -> Exchange:
        return lookup.get(self._store, exchange_id)

    def begin_conversation(
        self, owner: str, assistant: str, title: str, id: str | None = None, *, training: bool = True
    ) -> str:
        """Record a conversation, and in the same write that it is kept from `training`; return its id.

        Raises:
            NotAllowed: A conversation with this id is someone else's.
        """
        identity = id or new_id()
        given = owner, assistant, title, training
        self._store.decide(lambda transaction: _begin(transaction, identity, *given), about=identity)
        return identity

    def conversations(self, owner: str, limit: int = 200) -> list[dict[str, Any]]:
        """One's own, the last spoken in first: `id, title, assistant, at, last_at, exchanges`, and what their
        author allows: `training`, `review`.

        Those that only a program spoke in, through the API, are left out.
        """
        return self._store.rows(
            """
            WITH said AS (SELECT conversation_id, count(*) AS exchanges, max(s.at) AS last_at,
                    bool_and(training) AS training, bool_or(source <> 'api') AS by_hand
                FROM exchange_state s WHERE owner = $1 AND source NOT LIKE 'proposal:%'
                    AND state <> 'erased' GROUP BY conversation_id),
            consented AS (SELECT conversation_id, arg_max(training, seq) AS training FROM consents
                GROUP BY conversation_id),
            shown AS (SELECT conversation_id, arg_max(review, seq) AS review FROM shares
                GROUP BY conversation_id)
            SELECT c.id, c.title, c.assistant, c.at AS at, coalesce(said.last_at, c.at) AS last_at,
                coalesce(said.exchanges, 0) AS exchanges, coalesce(consented.training, true) AS training,
                coalesce(shown.review, false) AS review
            FROM conversations c
            LEFT JOIN said ON said.conversation_id = c.id
            LEFT JOIN consented ON consented.conversation_id = c.id
            LEFT JOIN shown ON shown.conversation_id = c.id
            WHERE c.owner = $1 AND coalesce(said.by_hand, true)
                AND c.id NOT IN (SELECT conversation_id FROM erased_conversations)
            ORDER BY last_at DESC, c.seq DESC LIMIT $2""",
            [owner, limit],
        )

    def conversation(
        self, conversation_id: str, owner: str, *, replacing: str | None = None
    ) -> list[Exchange]:
        """The exchanges that are still in the line, oldest first.

        With `replacing`, only what stays when that exchange is replaced now, by its place in the line, not by
        the clock.

        Raises:
            NotAllowed: The conversation is someone else's.
        """
        self._own(conversation_id, owner)
        shown = line.line(self._store, conversation_id, owner, replacing)
        return lookup.load(self._store, shown)

    def set_training(self, conversation_id: str, principal: str, training: bool) -> None:
        """Whether the tuner may learn from a conversation of one's own."""
        self._own(conversation_id, principal)
        row = {"principal": principal, "conversation_id": conversation_id, "training": training}
        self._store.append({"consents": [row]})

    def _own(self, conversation_id: str, owner: str) -> dict[str, Any]:
        held = self._store.row(
            """SELECT id, owner, id IN (SELECT conversation_id FROM erased_conversations) AS erased
            FROM conversations WHERE id = try_cast($1 AS UUID)""",
            [conversation_id],
        )
        if held is None:
            raise NotFound(f"There is no conversation {conversation_id[:64]}.", "Begin a new one.")
        if held["owner"] != owner:
            raise _not_yours()
        if held["erased"]:
            raise _was_erased()
        return held

    def _check_replaced(self, exchange_id: str, conversation_id: str) -> None:
        replaced = self._store.row(
            "SELECT conversation_id FROM exchanges WHERE id = try_cast($1 AS UUID)", [exchange_id]
        )
        if replaced is None or replaced["conversation_id"] != conversation_id:
            raise BadRequest(
                "The exchange to replace is not in this conversation.", "Load the conversation again."
            )


def _begin(
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
        raise _not_yours()
    if has_ended(transaction, owner):
        raise NotSignedIn("That account was erased.", "Sign in with another one.")
    _refuse_erased_conversation(transaction, identity)
    row = {"id": identity, "principal": owner, "owner": owner, "assistant": assistant, "title": title}
    kept = [] if training else [{"principal": owner, "conversation_id": identity, "training": False}]
    transaction.append({"conversations": [row], "consents": kept})


def as_row(exchange: Exchange) -> dict[str, Any]:
    """The admission of an exchange as a row of `exchanges`: every door's, so none keeps more than the most.

    Raises:
        PromptTooLong: It holds more.
    """
    if exchange.asked > MAX_ASKED:
        raise PromptTooLong(
            f"The exchange has {exchange.asked:,} characters; the limit is {MAX_ASKED:,}.", "Shorten it."
        )
    return {
        "id": exchange.id,
        "at": exchange.at,
        "principal": exchange.principal,
        "conversation_id": exchange.conversation_id,
        "assistant": exchange.assistant,
        "version": exchange.version,
        "context": [message.as_dict() for message in exchange.context],
        "instruction": exchange.instruction,
        "sampling": exchange.sampling,
        "source": exchange.source,
        "replaces": exchange.replaces,
    }


def answer_id(exchange_id: str) -> str:
    """The id of the one answer that an exchange can have."""
    return str(uuid5(UUID(exchange_id), "answer"))


def _refuse_erased(transaction: Transaction, exchange: Exchange) -> None:
    """Admit nothing to an erased conversation, nor a turn whose context was erased on its way here."""
    _refuse_erased_conversation(transaction, exchange.conversation_id)
    erased = """SELECT 1 FROM erased_exchanges e JOIN exchanges x ON x.id = e.exchange_id
        WHERE x.conversation_id = $1 LIMIT 1"""
    if exchange.source != "chat" or not transaction.row(erased, [exchange.conversation_id]):
        return
    rows = transaction.rows(
        """SELECT e.instruction, a.response FROM exchanges e LEFT JOIN answers a ON a.exchange_id = e.id
        WHERE e.conversation_id = $1 AND e.id NOT IN (SELECT exchange_id FROM erased_exchanges)""",
        [exchange.conversation_id],
    )
    there = {text for row in rows for text in row.values()}
    if any(m.role != "system" and m.content not in there for m in exchange.context):
        raise Conflict("Some of this conversation was just erased.", "Load it again.")


def _refuse_erased_conversation(store: Store | Transaction, conversation_id: str) -> None:
    erased = "SELECT 1 FROM erased_conversations WHERE conversation_id = try_cast($1 AS UUID) LIMIT 1"
    if store.row(erased, [conversation_id]):
        raise _was_erased()


def _was_erased() -> NotFound:
    return NotFound("That conversation was erased.", "Begin a new one.")


def _not_yours() -> NotAllowed:
    return NotAllowed("That conversation is someone else's.", "Open one of your own.")
