"""Turns as they are recorded: opened at admission, closed at their end, read back by conversation.

An exchange that a killed server left open is closed as `cut` at the next start, so that none is ever
absent. Knows no engine and no page.

Trail: serve/conversation.py -> here -> feedback/line.py, feedback/store.py
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID, uuid5

from feedback import conversations, line, lookup
from feedback.errors import BadRequest, Conflict, NotAllowed, PromptTooLong
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
        conversation = (
            {} if begins else conversations.own(self._store, exchange.conversation_id, exchange.principal)
        )
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
                conversations.begin(
                    transaction, exchange.conversation_id, asker, exchange.assistant, title, training
                )
            _refuse_erased(transaction, exchange)
            transaction.append({**(beside or {}), "exchanges": [as_row(exchange)]})

        self._store.decide(admit, about=exchange.conversation_id, projected=False)

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

        self._store.decide(end, about=exchange_id, projected=False)

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
        self._store.decide(
            lambda transaction: conversations.begin(transaction, identity, *given), about=identity
        )
        return identity

    def conversations(
        self, owner: str, limit: int = 200, *, called: str = "", among: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """One's own, the last spoken in first: `id, title, assistant, at, last_at, exchanges`, and what their
        author allows: `training`, `review`.

        Those that only a program spoke in, through the API, are left out. With `called`, only those that have
        it in their title, and the ones named `among`.
        """
        return conversations.listed(self._store, owner, limit, called=called, among=among)

    def conversation(
        self,
        conversation_id: str,
        owner: str,
        *,
        replacing: str | None = None,
        heard: Sequence[Exchange] = (),
    ) -> list[Exchange]:
        """The exchanges that are still in the line, oldest first.

        With `replacing`, only what stays when that exchange is replaced now, by its place in the line, not by
        the clock. Those that were `heard` to their end just now are not read again, unless they were rated.

        Raises:
            NotAllowed: The conversation is someone else's.
        """
        conversations.own(self._store, conversation_id, owner)
        shown = line.line(self._store, conversation_id, owner, replacing)
        known = {exchange.id: exchange for exchange in self._unrated(heard)}
        read = lookup.load(self._store, [identity for identity in shown if identity not in known])
        known |= {exchange.id: exchange for exchange in read}
        return [known[identity] for identity in shown if identity in known]

    def set_training(self, conversation_id: str, principal: str, training: bool) -> None:
        """Whether the tuner may learn from a conversation of one's own."""
        conversations.own(self._store, conversation_id, principal)
        row = {"principal": principal, "conversation_id": conversation_id, "training": training}
        self._store.append({"consents": [row]})

    def _unrated(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        if not exchanges:
            return []
        asked = "SELECT exchange_id FROM ratings WHERE exchange_id IN (SELECT unnest($1::UUID[]))"
        rows = self._store.rows(asked, [[exchange.id for exchange in exchanges]])
        rated = {row["exchange_id"] for row in rows}
        return [exchange for exchange in exchanges if exchange.id not in rated]

    def _check_replaced(self, exchange_id: str, conversation_id: str) -> None:
        replaced = self._store.row(
            "SELECT conversation_id FROM exchanges WHERE id = try_cast($1 AS UUID)", [exchange_id]
        )
        if replaced is None or replaced["conversation_id"] != conversation_id:
            raise BadRequest(
                "The exchange to replace is not in this conversation.", "Load the conversation again."
            )


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
    conversations.refuse_erased(transaction, exchange.conversation_id)
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
