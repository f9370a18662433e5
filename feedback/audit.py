"""The audit log: who did what, when and to what, the newest first. Nobody's words are in it.

Nearly all of it is read from the events themselves, which are never changed; `acts` keeps what leaves no
other event behind: data that went out or came in, copies of the home, and sign-ins that were stopped.

Trail: serve/api/audit.py -> here -> feedback/store.py
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from feedback.records import Principal, Role
from feedback.store import Store

Act = Literal[
    "data.exported", "data.imported", "home.backed_up", "home.compacted", "home.restored", "sign_in.stopped"
]

PEOPLE = ("account", "link", "key", "sign_in")
"""What comes before the dot in kinds that are for admins: who may come in."""

_NOTHING = "NULL::JSON"
_ACCOUNT = "coalesce(account, '')"
_REASON = "json_object('reason', reason)"
_KEY = "json_object('label', label, 'role', role, 'scopes', scopes)"
_BEGUN = "(FROM runs QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY seq) = 1)"
# Each: the kind as SQL, what it was done to, further facts as JSON, and the events.
_EVENTS = (
    ("'account.' || change", "name", "json_object('role', role)", "accounts"),
    ("'account.tied'", "account", "json_object('issuer', issuer)", "identities"),
    ("'link.made'", _ACCOUNT, "json_object('role', role)", "invitations"),
    ("if(account IS NULL, 'link.withdrawn', 'link.used')", _ACCOUNT, _NOTHING, "invitation_ends"),
    ("'key.made'", "account", _KEY, "api_keys"),
    ("'key.revoked'", "key_id::VARCHAR", _NOTHING, "api_key_ends"),
    ("'sign_in.made'", "account", _NOTHING, "sessions"),
    ("'sign_in.ended'", "session_id::VARCHAR", _NOTHING, "session_ends"),
    ("'assistant.saved'", "name", _NOTHING, "assistants"),
    ("'version.' || state", "version", "json_object('reason', reason, 'share', share)", "rollouts"),
    ("'order.' || kind || if(standing, '', '_ended')", "assistant", _REASON, "orders"),
    ("'run.begun'", "assistant || ' ' || number", _NOTHING, _BEGUN),
    ("'erasure.asked'", "if(scope = 'user', target, scope)", "json_object('account', account)", "erasures"),
    ("'erasure.finished'", "erasure_id::VARCHAR", _NOTHING, "erasure_ends"),
    ("'retention.deleted'", "''", "json_object('days', days, 'exchanges', exchanges)", "retentions"),
    ("'review.reopened'", "exchange_id::VARCHAR", _NOTHING, "(FROM reviews WHERE verdict = 'reopen')"),
    ("kind", "subject", "detail", "acts"),
)
_ALL = " UNION ALL ".join(
    f"SELECT seq, t.at AS at, principal, {kind} AS kind, {subject} AS subject, {detail} AS detail "  # noqa: S608
    f"FROM {events} t"
    for kind, subject, detail, events in _EVENTS
)
_LISTED = f"""SELECT * FROM ({_ALL}) found WHERE seq < coalesce($1, {2**62})
    AND ($2 IS NULL OR principal = $2) AND ($3 IS NULL OR starts_with(kind, $3))
    AND ($4 IS NULL OR found.at >= $4) AND ($5 IS NULL OR found.at < $5)
    AND NOT list_contains($6::VARCHAR[], split_part(kind, '.', 1))
    ORDER BY seq DESC LIMIT $7"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Entry:
    """`seq` is its place in the record; `detail` holds what is said besides, by name."""

    seq: int
    at: datetime
    principal: str
    kind: str
    subject: str
    detail: dict[str, Any]


def hidden(principal: Principal) -> tuple[str, ...]:
    """Kinds that this one may not read, by what comes before their dot."""
    return () if principal.role.covers(Role.ADMIN) else PEOPLE


def record(store: Store, principal: str, act: Act, subject: str = "", **detail: Any) -> None:
    """Keep an act that leaves no other event behind."""
    store.append({"acts": [{"principal": principal, "kind": act, "subject": subject, "detail": detail}]})


def listed(
    store: Store,
    *,
    before: int | None = None,
    principal: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    without: Collection[str] = (),
    limit: int = 50,
) -> list[Entry]:
    """The newest entries `before` that place; `kind` may be its beginning, such as `account`.

    `without` names beginnings that are left out.
    """
    times = [moment.replace(tzinfo=None) if moment else None for moment in (since, until)]
    given = [before, principal or None, kind or None, *times, list(without), limit]
    return [_entry(row) for row in store.rows(_LISTED, given)]


def _entry(row: dict[str, Any]) -> Entry:
    said = {name: value for name, value in (row["detail"] or {}).items() if value not in (None, "", [])}
    return Entry(row["seq"], row["at"], row["principal"], row["kind"], row["subject"] or "", said)
