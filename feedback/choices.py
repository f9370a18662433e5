"""Two answers to one instruction, shown side by side without names, and which one a person chose.

A comparison names two exchanges, `first` and `second` as they were shown; a choice ends it and says which of
the two stands in the line from then on. Where one was better, that is a preference, as those that are
imported are. Both exchanges hold their own words, so what is said of a conversation holds for both: consents,
erasure. Decides nothing about who is asked.

Trail: serve/comparing.py, serve/api/choices.py -> here -> feedback/line.py, feedback/preferences.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from uuid import UUID, uuid5

from feedback.errors import BadRequest, Conflict, NotAllowed, NotFound
from feedback.records import Exchange, Principal, is_id, new_id
from feedback.store import Store
from feedback.transaction import Rows, Transaction

Choice = Literal["first", "second", "tie", "neither", "skipped"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
"""`tie`: as good as each other; `neither`: both bad; `skipped`: the person went on without choosing."""
WHOLE = ("stop", "length")
"""How an answer ends that can be compared."""

_HELD = """SELECT c.id, c.principal, c.conversation_id, c.assistant, c.first, c.second, c.first_version,
    c.second_version, d.choice, d.stands
FROM comparisons c LEFT JOIN choices d ON d.comparison_id = c.id WHERE """
_ANSWERS = """SELECT exchange_id, trim(response) AS words, finish_reason FROM answers
WHERE exchange_id IN ($1, $2) AND exchange_id NOT IN (SELECT exchange_id FROM erased_exchanges)"""
_OPEN = "d.choice IS NULL AND c.principal = $1"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two exchanges side by side; while `choice` is None the first stands."""

    id: str
    principal: str
    conversation_id: str
    assistant: str
    first: str
    second: str
    first_version: str
    second_version: str
    choice: Choice | None = None
    stands: str | None = None


def beside(first: Exchange, second: Exchange, identity: str | None = None) -> Rows:
    """The event that these two are shown side by side, in this order; to be kept with the later of them."""
    row = {
        "id": identity or new_id(),
        "principal": first.principal,
        "conversation_id": first.conversation_id,
        "assistant": first.assistant,
        "first": first.id,
        "second": second.id,
        "first_version": first.version,
        "second_version": second.version,
    }
    return {"comparisons": [row]}


def waiting(store: Store, owner: str, conversation_id: str) -> Comparison | None:
    """The comparison of one's own conversation that waits for a choice, where both answers are there."""
    if not is_id(conversation_id):
        return None
    asked = f"{_HELD} {_OPEN} AND c.conversation_id = $2 ORDER BY c.seq DESC LIMIT 1"
    row = store.row(asked, [owner, conversation_id])
    found = Comparison(**row) if row else None
    return found if found and len(_whole(store, found)) == 2 else None


def undecided(store: Store | Transaction, owner: str) -> set[str]:
    """The exchanges whose version their author is not told yet."""
    rows = store.rows(f"{_HELD} {_OPEN}", [owner])
    return {row[side] for row in rows for side in ("first", "second")}


def choose(store: Store, principal: Principal, comparison_id: str, choice: str) -> Comparison:
    """Choose in a comparison of one's own; the same choice again is the same write.

    Raises:
        NotFound, NotAllowed: There is no such comparison, or it is someone else's.
        BadRequest: There is no such choice.
        Conflict: Another choice was made, or an answer is not there.
    """
    if not is_id(comparison_id):
        raise NotFound("There is no such comparison.", "Load the conversation again.")
    if choice not in CHOICES:
        raise BadRequest(f"{choice[:64]!r} is no choice.", f"Send {', '.join(CHOICES)}.")

    def decide(transaction: Transaction) -> None:
        held = _one(transaction, comparison_id)
        if held.principal != principal.name:
            raise NotAllowed("That choice is someone else's.", "Choose in a conversation of your own.")
        if held.choice == choice:
            return
        if held.choice:
            raise Conflict("You have chosen already.", "Go on with the answer that stands.")
        if len(_whole(transaction, held)) < 2:
            raise Conflict("One of the two answers is not there.", "Load the conversation again.")
        _end(transaction, held, principal.name, choice, held.second if choice == "second" else held.first)

    store.decide(decide, about=comparison_id)
    return _one(store, comparison_id)


def go_on(store: Store, owner: str, conversation_id: str) -> None:
    """End what waits in a conversation of one's own as skipped: whoever writes on has not chosen."""
    asked = f"{_HELD} {_OPEN} AND c.conversation_id = $2"
    if is_id(conversation_id) and store.row(asked, [owner, conversation_id]):

        def decide(transaction: Transaction) -> None:
            for row in transaction.rows(asked, [owner, conversation_id]):
                _skip(transaction, Comparison(**row), owner)

        store.decide(decide, about=conversation_id)


def unfit(store: Store, comparison_id: str) -> None:
    """End one that nobody is asked about: an answer did not come whole, or they are the same."""

    def decide(transaction: Transaction) -> None:
        held = _one(transaction, comparison_id)
        if not held.choice:
            _skip(transaction, held, "hone")

    store.decide(decide, about=comparison_id)


def _skip(transaction: Transaction, held: Comparison, by: str) -> None:
    """The first stands, unless only the second came whole."""
    whole = _whole(transaction, held)
    stands = held.second if held.second in whole and held.first not in whole else held.first
    _end(transaction, held, by, "skipped", stands)


def _end(transaction: Transaction, held: Comparison, by: str, choice: str, stands: str) -> None:
    whole = UUID(held.id)
    row = {"id": str(uuid5(whole, "choice")), "principal": by, "comparison_id": held.id}
    written: dict[str, list[Mapping[str, Any]]] = {"choices": [{**row, "choice": choice, "stands": stands}]}
    if choice in ("first", "second"):
        other = held.first if stands == held.second else held.second
        preferred = {"id": str(uuid5(whole, "preference")), "principal": by, "assistant": held.assistant}
        written["preferences"] = [{**preferred, "chosen": stands, "rejected": other}]
    transaction.append(written)


def _one(store: Store | Transaction, comparison_id: str) -> Comparison:
    row = store.row(f"{_HELD} c.id = $1", [comparison_id])
    if row is None:
        raise NotFound(f"There is no comparison {comparison_id}.", "Load the conversation again.")
    return Comparison(**row)


def _whole(store: Store | Transaction, held: Comparison) -> set[str]:
    """Those of the two whose answers are there to their end."""
    rows = store.rows(_ANSWERS, [held.first, held.second])
    return {row["exchange_id"] for row in rows if row["words"] and row["finish_reason"] in WHOLE}
