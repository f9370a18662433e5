"""Links that let somebody in once: to make an account in a given role, or to set a new password.

Whoever holds the link is let in, so it is as good as a password until it is used, withdrawn or out of
date, or its maker is no admin any more. Only a digest is kept, and a newer link for an account ends the
older ones. Knows no addresses.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feedback import accounts, passwords
from feedback.errors import NotAllowed, NotFound
from feedback.records import COMMAND_LINE, Principal, Role, new_id, now
from feedback.store import Store
from feedback.transaction import Transaction

DAYS = 7
"""How long a link holds."""

_OPEN = """SELECT * FROM invitations i WHERE {which} AND expires_at > $2
    AND id NOT IN (SELECT invitation_id FROM invitation_ends) ORDER BY seq"""


@dataclass(frozen=True, slots=True)
class Invitation:
    """`account` is whose password it sets, or the name it is for; `role` is None for a password."""

    id: str
    account: str | None
    role: Role | None
    made_by: str
    expires_at: datetime


class Invitations:
    """The links of one store that are not used yet."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def invite(self, principal: Principal, role: Role, name: str | None = None) -> tuple[Invitation, str]:
        """A link for a new account, and its token; without a `name`, who is invited chooses it."""

        def check(transaction: Transaction) -> None:
            if name is not None:
                accounts.free(transaction, name)

        return self._made(principal, name, Role(role), check)

    def reset(self, principal: Principal, name: str) -> tuple[Invitation, str]:
        """A link by which the holder of an account sets a new password; it ends earlier ones.

        Raises:
            NotFound: There is no such account.
        """

        def check(transaction: Transaction) -> None:
            accounts.known(transaction, name)
            accounts.end_resets(transaction, principal.name, name)

        return self._made(principal, name, None, check)

    def _made(
        self, principal: Principal, name: str | None, role: Role | None, check: Any
    ) -> tuple[Invitation, str]:
        token = secrets.token_urlsafe(32)
        row = {
            "id": new_id(),
            "principal": principal.name,
            "token_digest": passwords.digest(token),
            "account": name,
            "role": role,
            "expires_at": now() + timedelta(days=DAYS),
        }

        def add(transaction: Transaction) -> None:
            check(transaction)
            transaction.append({"invitations": [row]})

        self._store.decide(add)
        return _invitation(row), token

    def list(self) -> tuple[Invitation, ...]:
        """Those that still let somebody in, the oldest first."""
        rows = self._store.rows(_OPEN.format(which="$1"), [True, _time()])
        able = {COMMAND_LINE, *accounts.admins(self._store)}
        return tuple(_invitation(row) for row in rows if row["principal"] in able)

    def withdraw(self, principal: Principal, invitation_id: str) -> None:
        def end(transaction: Transaction) -> None:
            which = _OPEN.format(which="CAST(id AS VARCHAR) = $1")
            if not transaction.row(which, [invitation_id, _time()]):
                raise NotFound("There is no such invitation.", "Choose one of those listed.")
            ended = {"principal": principal.name, "invitation_id": invitation_id}
            transaction.append({"invitation_ends": [ended]})

        self._store.decide(end)

    def look(self, token: str) -> Invitation:
        """What a link is for. Raises NotFound where it holds no more, or never did."""
        return opened(self._store, token)

    def redeem(self, token: str, name: str, password: str) -> Principal:
        """Use a link: the account, made or with its new password; its other sessions end.

        Raises:
            NotFound: The link holds no more.
            BadRequest, Conflict: The name or the password is not usable; the link still holds.
        """
        secret = passwords.hashed(password)

        def use(transaction: Transaction) -> Principal:
            link = opened(transaction, token)
            if link.role is None:
                account = link.account or ""
                held = accounts.known(transaction, account)
                accounts.change(transaction, account, account, "password", password_hash=secret)
                made = Principal(account, Role(held["role"]))
            else:
                made = accounts.make(transaction, link.made_by, link.account or name, link.role, secret)
            spend(transaction, link, made.name)
            return made

        return self._store.decide(use)


def opened(store: Store | Transaction, token: str) -> Invitation:
    """The link with this token; a reset of a suspended account holds no more."""
    row = store.row(_OPEN.format(which="token_digest = $1"), [passwords.digest(token), _time()])
    if row is None or row["principal"] not in (COMMAND_LINE, *accounts.admins(store)):
        raise NotFound("This link was used already, or holds no more.", "Ask an admin for a new one.")
    link = _invitation(row)
    if link.role is None and accounts.known(store, link.account or "")["suspended"]:
        raise NotAllowed("This account is suspended.", "Ask an admin.")
    return link


def spend(transaction: Transaction, link: Invitation, account: str) -> None:
    """Let a link be used no more."""
    ended = {"principal": account, "invitation_id": link.id, "account": account}
    transaction.append({"invitation_ends": [ended]})


def _time() -> datetime:
    return now().replace(tzinfo=None)


def _invitation(row: dict[str, Any]) -> Invitation:
    role = Role(row["role"]) if row["role"] else None
    return Invitation(str(row["id"]), row["account"], role, row["principal"], row["expires_at"])
