"""Who signs in elsewhere: an identity of a provider or a proxy, and the account it opens here.

An identity is the issuer with the subject it names. Names and e-mail addresses are never compared with
those of accounts: they can be chosen, or given to somebody else later, and would open a stranger's
account. Believes who it is handed; that the provider said so was checked before.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from feedback import accounts, invitations
from feedback.errors import Conflict, NotAllowed
from feedback.invitations import Invitation
from feedback.records import Principal, Role
from feedback.store import Store
from feedback.transaction import Transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identified:
    """Who somebody is elsewhere. `role` is what is said of them there, None where nothing is."""

    issuer: str
    subject: str
    name: str = ""
    role: Role | None = None


class Identities:
    """The identities of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, who: Identified, *, make: bool, token: str = "") -> Principal:
        """The account of this identity; a new one where that is allowed, or a link's.

        Raises:
            NotAllowed: It has no account and may not have one, or the account is suspended.
            NotFound: The link holds no more.
        """
        held = self._known(self._store, who)
        if held and not held["suspended"] and who.role in (None, held["role"]) and not token:
            return Principal(held["name"], Role(held["role"]))
        return self._store.decide(lambda transaction: self._admitted(transaction, who, make, token))

    def _admitted(self, transaction: Transaction, who: Identified, make: bool, token: str) -> Principal:
        held = self._known(transaction, who)
        if held is None:
            link = invitations.opened(transaction, token) if token else None
            if link is None or link.role is not None:
                return self._first(transaction, who, make, link)
            held = self._tied(transaction, who, link)
        if held["suspended"]:
            raise NotAllowed("This account is suspended.", "Ask an admin.")
        role = Role(held["role"])
        if who.role is not None and who.role is not role:
            try:
                accounts.give_role(transaction, who.issuer, held["name"], who.role)
                role = who.role
            except Conflict:
                log.warning("%s stays admin: there is no other", held["name"])
        return Principal(held["name"], role)

    def _first(
        self, transaction: Transaction, who: Identified, make: bool, link: Invitation | None
    ) -> Principal:
        if link is None and not make:
            raise NotAllowed("You have no account here yet.", "Ask an admin for an invitation.")
        by = link.made_by if link else who.issuer
        role = who.role or (link.role if link else None) or Role.USER
        name = (link.account if link else None) or _free_name(transaction, who.name)
        admitted = accounts.make(transaction, by, name, role)
        if link:
            invitations.spend(transaction, link, name)
        _tie(transaction, by, who, name)
        return admitted

    def _tied(self, transaction: Transaction, who: Identified, link: Invitation) -> dict[str, Any]:
        """The account of a reset link, which this identity opens from now on; who was in it is out."""
        held = accounts.known(transaction, link.account or "")
        accounts.change(transaction, held["name"], held["name"], "signed_out")
        invitations.spend(transaction, link, held["name"])
        _tie(transaction, link.made_by, who, held["name"])
        return held

    def _known(self, store: Store | Transaction, who: Identified) -> dict[str, Any] | None:
        row = store.row(
            "SELECT account FROM identities WHERE issuer = $1 AND subject = $2 ORDER BY seq DESC LIMIT 1",
            [who.issuer, who.subject],
        )
        return accounts.find(store, row["account"]) if row else None


def _tie(transaction: Transaction, by: str, who: Identified, account: str) -> None:
    row = {"principal": by, "issuer": who.issuer, "subject": who.subject, "account": account}
    transaction.append({"identities": [row]})


def _free_name(transaction: Transaction, wanted: str) -> str:
    """The name as accounts may have it, with a number where somebody else has it."""
    local = wanted.partition("@")[0].lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", local).strip("._-")[:28] or "person"
    # Asked once, since many may want the same name and everybody else waits meanwhile.
    alike = transaction.rows("SELECT DISTINCT name FROM accounts WHERE starts_with(name, $1)", [name])
    taken = {row["name"] for row in alike} | accounts.RESERVED
    return next(one for one in _numbered(name) if one not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))
