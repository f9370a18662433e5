"""Local accounts and their sessions: who somebody is, and in which role.

Passwords and tokens are kept as `passwords.py` hashes them. A new password or a suspension ends the
sessions from before it. Knows nothing of HTTP; how often somebody may try is the door's business.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feedback.errors import BadRequest, Conflict, NotFound
from feedback.lately import Lately
from feedback.passwords import digest, hashed, matches, nobody
from feedback.records import Principal, Role, new_id, now
from feedback.store import Store
from feedback.transaction import Transaction

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
RESERVED = frozenset({"cli", "hone", "model"})
FIRST_ADMIN = "admin"

_NOW = """
SELECT name, arg_max(role, seq) FILTER (WHERE role IS NOT NULL) AS role,
    arg_max(password_hash, seq) FILTER (WHERE password_hash IS NOT NULL) AS password_hash,
    coalesce(arg_max(change, seq) FILTER (WHERE change IN ('suspended', 'restored')), '') = 'suspended'
        AS suspended,
    max(seq) FILTER (WHERE change IN ('password', 'suspended', 'signed_out')) AS sessions_after,
    min(a.at) AS made_at
FROM accounts a {where} GROUP BY name HAVING NOT bool_or(change = 'erased') ORDER BY min(seq)"""
_WHOSE = "WHERE a.name IN (SELECT account FROM sessions WHERE token_digest = $1)"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its events tell it now."""

    name: str
    role: Role
    suspended: bool
    made_at: datetime


class Accounts:
    """The accounts of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holders: Lately[tuple[Principal, datetime]] = Lately(store, "accounts", "session_ends")

    def add(self, principal: Principal, name: str, role: Role, password: str) -> Principal:
        """Make an account.

        Raises:
            BadRequest: The name or the password is not usable.
            Conflict: The name is taken, or is one of the house's own.
        """
        secret = hashed(password)
        return self._store.decide(lambda transaction: make(transaction, principal.name, name, role, secret))

    def verify(self, name: str, password: str) -> Principal | None:
        """The principal, if the password is theirs and they are not suspended; as slow where not."""
        held = find(self._store, name)
        # Who signs in elsewhere has no password, and takes as long to refuse.
        own = held["password_hash"] if held else None
        right = matches(own or nobody(), password)
        if held is None or not own or held["suspended"] or not right:
            return None
        return Principal(held["name"], Role(held["role"]))

    def has_password(self, name: str) -> bool:
        """Who signs in elsewhere has none."""
        held = find(self._store, name)
        return bool(held and held["password_hash"])

    def set_role(self, principal: Principal, name: str, role: Role) -> None:
        self._store.decide(lambda transaction: give_role(transaction, principal.name, name, role))

    def set_password(self, principal: Principal, name: str, password: str) -> None:
        """Set a new password; sessions from before it end, and links for another."""
        secret = hashed(password)

        def give(transaction: Transaction) -> None:
            known(transaction, name)
            change(transaction, principal.name, name, "password", password_hash=secret)
            end_resets(transaction, principal.name, name)

        self._store.decide(give)

    def suspend(self, principal: Principal, name: str, suspended: bool = True) -> None:
        """Keep somebody out, their open sessions and links too, or let them in again."""

        def keep(transaction: Transaction) -> None:
            known(transaction, name)
            if suspended:
                _keep_an_admin(transaction, name)
                end_resets(transaction, principal.name, name)
            change(transaction, principal.name, name, "suspended" if suspended else "restored")

        self._store.decide(keep)

    def list(self) -> tuple[Account, ...]:
        """All, the oldest first."""
        return tuple(
            Account(row["name"], Role(row["role"]), row["suspended"], row["made_at"])
            for row in self._store.rows(_NOW.format(where=""))
        )

    def principal(self, name: str) -> Principal:
        """Raises NotFound where there is no such account."""
        return Principal(name, Role(known(self._store, name)["role"]))

    def first_admin_name(self) -> str | None:
        """The oldest admin who is not suspended, if there is one."""
        return next(iter(admins(self._store)), None)

    def open_session(self, principal: Principal, days: float) -> str:
        """A new session's token; only its digest is kept."""
        token = secrets.token_urlsafe(32)
        row = {
            "principal": principal.name,
            "account": principal.name,
            "token_digest": digest(token),
            "expires_at": now() + timedelta(days=days),
        }
        self._store.append({"sessions": [row]})
        return token

    def session(self, token: str) -> Principal | None:
        """Who holds this token, in the role they have now; None if it is unknown, ended or out of date."""
        kept = digest(token)
        held = self._holders.get(kept, lambda: self._holder(kept))
        return held[0] if held and now() < held[1] else None

    def session_held(self, token: str) -> bool:
        """Whether the record need not be asked to know that this token is somebody's."""
        held = self._holders.held(digest(token))
        return held is not None and now() < held[1]

    def _holder(self, kept: str) -> tuple[Principal, datetime] | None:
        """Who holds the session with this digest, and until when."""
        row = self._store.row(
            f"""
            SELECT now.name, now.role, s.expires_at FROM sessions s
            JOIN ({_NOW.format(where=_WHOSE)}) now ON now.name = s.account
            WHERE s.token_digest = $1 AND s.expires_at > $2 AND NOT now.suspended
                AND s.seq > coalesce(now.sessions_after, 0)
                AND s.id NOT IN (SELECT session_id FROM session_ends)""",  # noqa: S608
            [kept, now().replace(tzinfo=None)],
        )
        return (Principal(row["name"], Role(row["role"])), row["expires_at"]) if row else None

    def end_session(self, token: str) -> None:
        """End a session; an unknown token is no error, since it opens nothing either way."""
        row = self._store.row("SELECT id, account FROM sessions WHERE token_digest = $1", [digest(token)])
        if row:
            self._store.append({"session_ends": [{"principal": row["account"], "session_id": row["id"]}]})

    def end_sessions(self, principal: Principal, name: str) -> None:
        """Sign somebody out everywhere."""

        def end_all(transaction: Transaction) -> None:
            known(transaction, name)
            change(transaction, principal.name, name, "signed_out")

        self._store.decide(end_all)


def first_admin(store: Store) -> tuple[Principal, str | None]:
    """The oldest admin who is not suspended; where there is none, a new one and its password."""
    if able := admins(store):
        return Principal(able[0], Role.ADMIN), None
    password = secrets.token_urlsafe(15)
    secret = hashed(password)

    def first(transaction: Transaction) -> tuple[Principal, str | None]:
        if able := admins(transaction):
            return Principal(able[0], Role.ADMIN), None
        change(transaction, "hone", FIRST_ADMIN, "created", role=Role.ADMIN, password_hash=secret)
        return Principal(FIRST_ADMIN, Role.ADMIN), password

    return store.decide(first)


def reviewers(store: Store | Transaction) -> list[str]:
    """The names of those who may review and are not suspended."""
    return _able(store, Role.REVIEWER)


def suspended(store: Store | Transaction) -> list[str]:
    """The names of those who were kept out, and were not let in again."""
    return [row["name"] for row in store.rows(_NOW.format(where="")) if row["suspended"]]


def end(transaction: Transaction, name: str, by: str) -> None:
    """End an account for ever: nobody signs in with it, and its sessions open nothing any more."""
    transaction.rows("UPDATE accounts SET password_hash = '' WHERE name = $1 AND password_hash <> ''", [name])
    # Who they are elsewhere is forgotten too, and what they called their keys.
    transaction.rows("UPDATE identities SET subject = '' WHERE account = $1 AND subject <> ''", [name])
    transaction.rows("UPDATE api_keys SET label = '' WHERE account = $1 AND label <> ''", [name])
    # An address from which somebody failed to sign in may be theirs.
    transaction.rows("UPDATE acts SET detail = '{}' WHERE kind = 'sign_in.stopped' AND subject = $1", [name])
    if not has_ended(transaction, name):
        change(transaction, by, name, "erased")


def has_ended(store: Store | Transaction, name: str) -> bool:
    asked = "SELECT 1 FROM accounts WHERE name = $1 AND change = 'erased' LIMIT 1"
    return store.row(asked, [name]) is not None


def make(transaction: Transaction, by: str, name: str, role: Role, password_hash: str = "") -> Principal:
    """A new account; without a password for who signs in elsewhere. Raises as `Accounts.add`."""
    free(transaction, name)
    change(transaction, by, name, "created", role=Role(role), password_hash=password_hash)
    return Principal(name, Role(role))


def free(store: Store | Transaction, name: str) -> None:
    """Raises where a new account cannot have this name."""
    _check_name(name)
    if is_taken(store, name):
        raise Conflict(f"There is an account {name} already, or was.", "Choose another name.")


def is_taken(store: Store | Transaction, name: str) -> bool:
    """An erased account's name stays in the record as its own, so nobody else may have it."""
    return store.row("SELECT 1 FROM accounts WHERE name = $1 LIMIT 1", [name]) is not None


def give_role(transaction: Transaction, by: str, name: str, role: Role) -> None:
    known(transaction, name)
    if Role(role) is not Role.ADMIN:
        _keep_an_admin(transaction, name)
    change(transaction, by, name, "role", role=Role(role))


def find(store: Store | Transaction, name: str) -> dict[str, Any] | None:
    return store.row(_NOW.format(where="WHERE name = $1"), [name])


def known(store: Store | Transaction, name: str) -> dict[str, Any]:
    held = find(store, name)
    if held is None:
        raise NotFound(f"There is no account {name[:64]}.", "Choose one of those listed.")
    return held


def admins(store: Store | Transaction) -> list[str]:
    """The names of the admins who are not suspended, the oldest first."""
    return _able(store, Role.ADMIN)


def _able(store: Store | Transaction, role: Role) -> list[str]:
    """Of those who ever had such a role, who has one now: many who chat need not be looked at."""
    able = [str(one) for one in Role if one.covers(role)]
    ever = "WHERE name IN (SELECT name FROM accounts WHERE role IN (SELECT unnest($1::VARCHAR[])))"
    rows = store.rows(_NOW.format(where=ever), [able])
    return [row["name"] for row in rows if row["role"] in able and not row["suspended"]]


def _keep_an_admin(store: Store | Transaction, name: str) -> None:
    if admins(store) == [name]:
        raise Conflict(f"{name} is the only admin.", "Make somebody else an admin first.")


def change(transaction: Transaction, by: str, name: str, change: str, **fields: Any) -> None:
    row = {"id": new_id(), "principal": by, "name": name, "change": change, **fields}
    transaction.append({"accounts": [row]})


def end_resets(transaction: Transaction, by: str, name: str) -> None:
    """Let the links for a new password of this account be used no more."""
    links = transaction.rows(
        """SELECT id FROM invitations WHERE account = $1 AND role IS NULL
        AND id NOT IN (SELECT invitation_id FROM invitation_ends)""",
        [name],
    )
    transaction.append({"invitation_ends": [{"principal": by, "invitation_id": row["id"]} for row in links]})


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise BadRequest(
            f"{name[:64]!r} cannot be an account's name.",
            "Use up to 32 of a-z, 0-9, dot, - and _, a letter or digit first.",
        )
    if name in RESERVED:
        raise Conflict(f"The name {name} is one of the house's own.", "Choose another name.")
