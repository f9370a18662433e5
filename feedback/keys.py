"""API keys: what a program signs in with in somebody's name, for a part of what they may do.

A key belongs to an account and is worth no more than it: the role is the lesser of the two, asked anew
each time, and who is suspended has no keys. Only a digest is kept. Knows nothing of routes; which scope
a route needs is `serve/scopes.py`'s to say.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from feedback import accounts, passwords
from feedback.errors import BadRequest, NotAllowed, NotFound
from feedback.records import Principal, Role, new_id, now
from feedback.store import Store
from feedback.transaction import Transaction

PREFIX = "hone_"
"""Begins every key, so that who finds one in a file knows what it is."""
MAX_LABEL = 80
MAX_KEYS = 50
"""Keys that an account may have at once."""


class Scope(StrEnum):
    """What a key is for; within it, its role says how much."""

    CHAT = "chat"
    FEEDBACK = "feedback"
    REVIEW = "review"
    OPERATE = "operate"
    DATA = "data"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its owner sees it; the secret was told once."""

    id: str
    account: str
    label: str
    role: Role
    scopes: tuple[Scope, ...]
    made_by: str
    made_at: datetime
    expires_at: datetime | None


_OPEN = """SELECT * FROM api_keys k WHERE {which} AND (expires_at IS NULL OR expires_at > $2)
    AND id NOT IN (SELECT key_id FROM api_key_ends) ORDER BY seq"""


class Keys:
    """The keys of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(
        self,
        owner: Principal,
        label: str,
        role: Role,
        scopes: Collection[Scope],
        days: int | None,
        *,
        by: Principal | None = None,
    ) -> tuple[Key, str]:
        """A new key of the owner's, and its secret, which nobody is told again; `by` an admin, if not them.

        Raises:
            BadRequest: No scope, too long a label, or too many keys.
            NotAllowed: The key would be worth more than its owner.
        """
        if not scopes:
            raise BadRequest("A key without a scope opens nothing.", f"Name some of {', '.join(Scope)}.")
        if len(label) > MAX_LABEL:
            raise BadRequest(f"A key's name has at most {MAX_LABEL} characters.", "Choose a shorter one.")
        if not label.isprintable():
            raise BadRequest("A key's name has a sign that cannot be shown.", "Use letters and digits.")
        if not owner.role.covers(role):
            raise NotAllowed(f"You may not make a key with the role {role}.", f"Yours is {owner.role}.")
        secret = PREFIX + secrets.token_urlsafe(32)
        made = now()
        row = {
            "id": new_id(),
            "at": made,
            "principal": (by or owner).name,
            "secret_digest": passwords.digest(secret),
            "account": owner.name,
            "label": label,
            "role": Role(role),
            "scopes": sorted({Scope(scope) for scope in scopes}),
            "expires_at": made + timedelta(days=days) if days else None,
        }

        def add(transaction: Transaction) -> None:
            accounts.known(transaction, owner.name)
            if len(transaction.rows(_OPEN.format(which="account = $1"), [owner.name, _time()])) >= MAX_KEYS:
                raise BadRequest(f"You have {MAX_KEYS} keys already.", "Revoke one that is not used.")
            transaction.append({"api_keys": [row]})

        self._store.decide(add)
        return _key(row), secret

    def list(self, account: str | None = None) -> tuple[Key, ...]:
        """The keys that open something, the oldest first; of everybody without an account's name."""
        rows = self._store.rows(_OPEN.format(which="account = coalesce($1, account)"), [account, _time()])
        return tuple(_key(row) for row in rows)

    def revoke(self, principal: Principal, key_id: str) -> None:
        """End a key; one's own, or as an admin anybody's.

        Raises:
            NotFound: There is no such key, or it is not theirs.
        """

        def end(transaction: Transaction) -> None:
            rows = transaction.rows(_OPEN.format(which="CAST(id AS VARCHAR) = $1"), [key_id, _time()])
            if not rows or not (rows[0]["account"] == principal.name or principal.role is Role.ADMIN):
                raise NotFound("There is no such key.", "Choose one of those listed.")
            transaction.append({"api_key_ends": [{"principal": principal.name, "key_id": key_id}]})

        self._store.decide(end)

    def opened(self, secret: str) -> tuple[Principal, frozenset[Scope]] | None:
        """Whose key this is, in the role it has now, and what it is for."""
        row = self._store.row(_OPEN.format(which="secret_digest = $1"), [passwords.digest(secret), _time()])
        held = accounts.find(self._store, row["account"]) if row else None
        if row is None or held is None or held["suspended"]:
            return None
        lesser = min(Role(row["role"]), Role(held["role"]), key=list(Role).index)
        return Principal(row["account"], lesser), frozenset(map(Scope, row["scopes"]))


def _time() -> datetime:
    return now().replace(tzinfo=None)


def _key(row: dict[str, Any]) -> Key:
    scopes = tuple(map(Scope, row["scopes"]))
    role = Role(row["role"])
    return Key(
        str(row["id"]),
        row["account"],
        row["label"],
        role,
        scopes,
        row["principal"],
        row["at"],
        row["expires_at"],
    )
