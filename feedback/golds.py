"""Gold items: exchanges with a known verdict, to measure reviewers by.

To a reviewer one is an exchange like any other of a new contributor: it is rated, claimed, judged and
settled by the same code, with ids and times as chats have them. Its conversation belongs to nobody who could
open it, no pair is ever made of it, and whoever set it never sees it in their own queue.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from uuid6 import UUID

from feedback import ratings
from feedback.assistants import Assistants
from feedback.errors import BadRequest, NotAllowed, NotFound
from feedback.exchanges import answer_id, as_row
from feedback.records import Exchange, Message, Principal, Role, now
from feedback.store import Store
from feedback.writer import Transaction

Expected = Literal["approve", "edit", "reject"]
SPREAD = timedelta(days=2)
"""How far back a gold item may seem to have been asked."""
SETTLED = timedelta(minutes=1)
"""How long ago at least, so that it can have been answered and rated since."""

_FIRST = """
SELECT o.exchange_id, o.principal, o.verdict, o.at AS at FROM opinions o
JOIN golds g ON g.exchange_id = o.exchange_id
WHERE o.verdict <> 'skip' AND o.blind
QUALIFY row_number() OVER (PARTITION BY o.exchange_id, o.principal ORDER BY o.seq) = 1"""
_SET = """
SELECT exchange_id, any_value(expected) AS expected, any_value(note) AS note,
    arg_max(retired, seq) AS retired, arg_min(principal, seq) AS principal, min(g.at) AS at, min(seq) AS first
FROM golds g GROUP BY exchange_id"""


def add(
    store: Store,
    principal: Principal,
    assistant: str,
    instruction: str,
    response: str,
    *,
    expected: Expected,
    rating: Literal["up", "down"],
    reasons: Sequence[str] = (),
    comment: str = "",
    correction: str = "",
    note: str = "",
) -> str:
    """Put an exchange with a known verdict into the queue, and return its id.

    `expected` is of the words that will be proposed: the correction where there is one, else `response`.

    Raises:
        NotAllowed: Not an operator.
        NotFound: There is no such assistant.
        BadRequest: It says nothing, or what no user could have said.
    """
    _check_operator(principal)
    if expected not in ("approve", "edit", "reject"):
        raise BadRequest(f"{str(expected)[:64]!r} is no verdict.", "Expect approve, edit or reject.")
    if not instruction.strip() or not response.strip():
        raise BadRequest("A gold item needs an instruction and an answer.", "Send both.")
    ratings.check(rating, {"reasons": reasons, "comment": comment, "correction": correction})
    asked = _exchange(store, assistant, instruction)
    common = {"principal": asked.principal, "exchange_id": asked.id}
    asked_for = asked.at + timedelta(seconds=1 + 20 * _chance())
    rated = asked_for + (now() - asked_for) * _chance()
    answer = {**common, "id": answer_id(asked.id), "at": asked_for, "response": response}
    said = {"rating": rating, "reasons": list(reasons), "comment": comment, "correction": correction}
    gold = {"principal": principal.name, "exchange_id": asked.id, "expected": expected, "note": note}
    begun = {
        "id": asked.conversation_id,
        "principal": asked.principal,
        "at": asked.at,
        "owner": asked.principal,
    }
    title = " ".join(instruction.split())[:60]
    store.append(
        {
            "golds": [{**gold, "retired": False}],
            "conversations": [{**begun, "assistant": assistant, "title": title}],
            "exchanges": [as_row(asked)],
            "answers": [{**answer, "finish_reason": "stop", "version": asked.version}],
            "ratings": [{**common, "id": _id(rated), "at": rated, **said}],
        }
    )
    return asked.id


def retire(store: Store, principal: Principal, exchange_id: str) -> None:
    """Take a gold item out of every queue. It stays what it is: nothing is learnt from it ever.

    Raises:
        NotFound: There is no such gold item.
    """
    _check_operator(principal)

    def decide(transaction: Transaction) -> None:
        held = transaction.row(
            """SELECT any_value(expected) AS expected, arg_max(retired, seq) AS retired FROM golds
            WHERE exchange_id = try_cast($1 AS UUID) GROUP BY exchange_id""",
            [exchange_id],
        )
        if held is None:
            raise NotFound(f"There is no gold item {exchange_id[:64]}.", "Choose one of those listed.")
        if not held["retired"]:
            row = {"principal": principal.name, "exchange_id": exchange_id, "expected": held["expected"]}
            transaction.append({"golds": [{**row, "note": "", "retired": True}]})

    store.decide(decide)


def listed(store: Store) -> list[dict[str, Any]]:
    """The newest first: `exchange_id, at, principal, expected, note, retired, opinions`."""
    said: dict[str, list[dict[str, Any]]] = {}
    for row in store.rows(_FIRST):
        said.setdefault(row.pop("exchange_id"), []).append(row)
    found = store.rows(f"{_SET} ORDER BY first DESC")
    return [
        {name: row[name] for name in row if name != "first"} | {"opinions": said.get(row["exchange_id"], [])}
        for row in found
    ]


def accuracy(store: Store) -> list[dict[str, Any]]:
    """For each reviewer `reviewer, judged, correct`: their first opinions of gold items, given blind."""
    return store.rows(
        f"""WITH first AS ({_FIRST}), held AS ({_SET})
        SELECT f.principal AS reviewer, count(*) AS judged,
            count(*) FILTER (f.verdict = held.expected) AS correct
        FROM first f JOIN held ON held.exchange_id = f.exchange_id WHERE held.principal <> f.principal
        GROUP BY f.principal ORDER BY f.principal"""  # noqa: S608
    )


def _exchange(store: Store, assistant: str, instruction: str) -> Exchange:
    """As a chat of somebody new would look, asked some time in the last days."""
    known = Assistants(store).get(assistant)
    like = store.row(
        """SELECT arg_max(version, "at") AS version, arg_max(exchange_id, "at") AS id, min("at") AS began
        FROM exchange_state WHERE assistant = $1 AND source = 'chat' AND finish_reason IS NOT NULL""",
        [assistant],
    )
    version, sampling, began = known.base_version, {}, now() - SPREAD
    if like and like["id"]:
        version, began = like["version"], max(began, like["began"])
        sampling = store.rows("SELECT sampling FROM exchanges WHERE id = $1", [like["id"]])[0]["sampling"]
    at = began + (now() - SETTLED - began) * _chance()
    prompt = known.system_prompt
    return Exchange(
        id=_id(at),
        at=at + timedelta(microseconds=secrets.randbelow(900)),
        # No account's name can begin so: nobody can come to own it.
        principal=f"~{secrets.token_hex(6)}",
        conversation_id=_id(at - timedelta(milliseconds=2 + secrets.randbelow(6))),
        assistant=assistant,
        version=version,
        context=(Message("system", prompt),) if prompt else (),
        instruction=instruction,
        sampling=sampling or {},
    )


def _id(at: datetime) -> str:
    """A UUIDv7 as it would have been minted then."""
    milliseconds = int(at.timestamp() * 1000)
    return str(UUID(int=(milliseconds & 0xFFFFFFFFFFFF) << 80 | secrets.randbits(76), version=7))


def _chance() -> float:
    return secrets.randbelow(1 << 30) / (1 << 30)


def _check_operator(principal: Principal) -> None:
    if not principal.role.covers(Role.OPERATOR):
        raise NotAllowed("Only operators set gold items.", "Ask an admin for the role.")
