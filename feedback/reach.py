"""What an erasure reaches: which exchanges and conversations are meant, and who may ask for it.

A user's erasure takes the conversations that are theirs; a conversation's takes it whole; an exchange's
takes every try at it, the answer that stood beside it and all that was said after it there, since those
answers were given with it in view, and proposals made of any of them. People erase what is their own;
operators what belongs to somebody of their role or below. Changes nothing.

Trail: feedback/erasure.py -> here -> feedback/store.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from feedback.accounts import admins
from feedback.errors import BadRequest, Conflict, NotAllowed, NotFound
from feedback.records import COMMAND_LINE, Principal, Role, is_id
from feedback.store import Store
from feedback.transaction import Transaction

Scope = Literal["user", "conversation", "exchange"]
SCOPES: tuple[Scope, ...] = ("user", "conversation", "exchange")
IMPORTED = "(s.source IN ('import', 'demo') OR s.source LIKE 'import:%')"
PROPOSED = "s.source LIKE 'proposal:%'"

_OWN = f"""SELECT s.exchange_id, s.conversation_id FROM exchange_state s
WHERE s.owner = $1 AND NOT {IMPORTED}"""  # noqa: S608
# Of two answers side by side, the one that was asked for first is the other's root.
_LINE = f"""SELECT e.id, e.seq, {PROPOSED} AS proposed, coalesce(e.replaces, (
    SELECT arg_min(o.id, o.seq) FROM comparisons c JOIN exchanges o ON o.id IN (c.first, c.second)
    WHERE e.id IN (c.first, c.second) HAVING arg_min(o.id, o.seq) <> e.id)) AS replaces
FROM exchanges e JOIN exchange_state s ON s.exchange_id = e.id
WHERE e.conversation_id = $1 ORDER BY e.seq"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Reach:
    """`conversations` are those erased whole; `account` is the account that ends, if one does."""

    exchanges: tuple[str, ...]
    conversations: tuple[str, ...]
    owners: tuple[str, ...]
    account: str = ""


def of(
    store: Store | Transaction, scope: Scope, target: str, principal: Principal, *, account: bool = False
) -> Reach:
    """What the erasure of `target` takes; `account` says whether a user's account ends with it.

    Raises:
        NotFound: There is nothing of that name.
        NotAllowed: It belongs to somebody else, whom this principal may not erase.
        Conflict: The account is the only admin's.
    """
    if scope not in SCOPES:
        raise BadRequest(f"{scope[:64]!r} cannot be erased.", f"Choose {', '.join(SCOPES)}.")
    if scope == "user":
        return _user(store, target, principal, account)
    if not is_id(target):
        raise NotFound(f"There is no {scope} {target[:64]}.", "Give the id as it is listed.")
    reached = _conversation if scope == "conversation" else _from
    return reached(store, target, principal)


def owned(store: Store | Transaction, name: str) -> tuple[list[str], list[str]]:
    """The exchanges and conversations that are somebody's own; what they imported is the house's."""
    rows = store.rows(_OWN, [name])
    spoken = dict.fromkeys(row["conversation_id"] for row in rows)
    listed = store.rows("SELECT id FROM conversations WHERE owner = $1 ORDER BY seq", [name])
    return [row["exchange_id"] for row in rows], [*dict.fromkeys([r["id"] for r in listed] + [*spoken])]


def _user(store: Store | Transaction, name: str, principal: Principal, account: bool) -> Reach:
    _may(store, principal, name)  # first, so that names cannot be tried out
    exchanges, conversations = owned(store, name)
    held = store.row("SELECT 1 FROM accounts WHERE name = $1 LIMIT 1", [name])
    if not (held or exchanges or conversations):
        raise NotFound(f"There is no user {name[:64]}.", "Give the name as it is listed.")
    if account and held and admins(store) == [name]:
        raise Conflict(
            f"{name} is the only admin, so the account must stay.",
            "Erase the chats alone, or make somebody else an admin first.",
        )
    return Reach(tuple(exchanges), tuple(conversations), (name,), name if account and held else "")


def _conversation(store: Store | Transaction, identity: str, principal: Principal) -> Reach:
    rows = store.rows("SELECT exchange_id, owner FROM exchange_state WHERE conversation_id = $1", [identity])
    begun = store.row("SELECT owner FROM conversations WHERE id = $1", [identity])
    owners = tuple(dict.fromkeys([row["owner"] for row in rows] + ([begun["owner"]] if begun else [])))
    for owner in owners:
        _may(store, principal, owner)
    if not owners:
        raise _nothing("conversation", identity, principal)
    return Reach(tuple(row["exchange_id"] for row in rows), (identity,), owners)


def _from(store: Store | Transaction, identity: str, principal: Principal) -> Reach:
    found = store.row(
        "SELECT owner, conversation_id, source FROM exchange_state s WHERE exchange_id = $1", [identity]
    )
    if found is None:
        raise _nothing("exchange", identity, principal)
    _may(store, principal, found["owner"])
    line = store.rows(_LINE, [found["conversation_id"]])
    taken = _after(line, identity)
    made = store.rows(
        """SELECT exchange_id FROM proposals WHERE origin_id IN (SELECT unnest($1::UUID[]))""", [taken]
    )
    taken = list(dict.fromkeys([*taken, *(row["exchange_id"] for row in made)]))
    whole = set(taken) >= {row["id"] for row in line}
    return Reach(tuple(taken), (found["conversation_id"],) if whole else (), (found["owner"],))


def _after(line: Sequence[dict[str, Any]], identity: str) -> list[str]:
    """The exchange, every other try at it, what stood beside it, and what was said after the first."""
    by_id = {row["id"]: row for row in line}
    if by_id[identity]["proposed"]:
        return [identity]
    root = identity
    while by_id[root]["replaces"] in by_id:
        root = by_id[root]["replaces"]
    return [row["id"] for row in line if row["seq"] >= by_id[root]["seq"] and not row["proposed"]]


def _may(store: Store | Transaction, principal: Principal, owner: str) -> None:
    if principal.name == owner:
        return
    if not principal.role.covers(Role.OPERATOR):
        raise NotAllowed("That is somebody else's.", "You can erase what is your own.")
    role = _role(store, owner)
    if not principal.role.covers(role):
        raise NotAllowed(
            f"{owner} has the role {role}; yours is {principal.role}.",
            "Ask somebody of that role.",
        )


def _role(store: Store | Transaction, name: str) -> Role:
    if name == COMMAND_LINE:
        return Role.ADMIN
    row = store.row("SELECT arg_max(role, seq) AS role FROM accounts WHERE name = $1", [name])
    return Role(row["role"]) if row and row["role"] else Role.USER


def _nothing(scope: str, identity: str, principal: Principal) -> NotFound | NotAllowed:
    """What is not there looks to users like what is somebody else's, so that ids cannot be tried out."""
    if principal.role.covers(Role.OPERATOR):
        return NotFound(f"There is no {scope} {identity}.", "Give the id as it is listed.")
    return NotAllowed("That is somebody else's.", "You can erase what is your own.")


def before(transaction: Transaction, table: str, ids: Sequence[str], asked_at: str) -> list[str]:
    """Those that were there at that time: somebody who stays may have written since."""
    until = datetime.fromisoformat(asked_at).replace(tzinfo=None)
    asked = f'SELECT id FROM {table} WHERE id IN (SELECT unnest($1::UUID[])) AND "at" <= $2'  # noqa: S608
    return [row["id"] for row in transaction.rows(asked, [list(ids), until])]
