"""What people did instead of rating: asked again, stopped, copied, changed their own words.

Weak signs, kept apart from ratings: they move an exchange in the queue where it is in the queue anyway,
and never into it, and nothing is ever trained on them. Asking again, changing one's words and stopping
in Hone's own chat are read from the exchanges themselves; programs and the copy button say theirs here.
"""

from collections.abc import Sequence
from uuid import UUID, uuid5

from feedback import lookup
from feedback.errors import BadRequest, NotAllowed
from feedback.records import Principal
from feedback.store import Store

KINDS = ("retry", "stop", "copy", "edit")

_SHOWN = """
SELECT old.id AS exchange_id,
    CASE WHEN fresh.instruction = old.instruction THEN 'retry' ELSE 'edit' END AS kind
FROM exchanges old JOIN exchanges fresh ON fresh.replaces = old.id WHERE old.id IN (SELECT unnest($1::UUID[]))
UNION SELECT exchange_id, 'stop' FROM answers
WHERE finish_reason = 'stopped' AND exchange_id IN (SELECT unnest($1::UUID[]))
UNION SELECT exchange_id, kind FROM signals WHERE exchange_id IN (SELECT unnest($1::UUID[]))"""


def record(store: Store, principal: Principal, exchange_id: str, kind: str) -> None:
    """Keep a sign about an exchange of one's own; the same one again is the same.

    Raises:
        NotFound, NotAllowed: There is no such exchange, or it is someone else's.
        BadRequest: There is no such sign.
    """
    if kind not in KINDS:
        raise BadRequest(f"{kind[:64]!r} is no signal.", f"Send {', '.join(KINDS)}.")
    if lookup.get(store, exchange_id).principal != principal.name:
        raise NotAllowed("That exchange is someone else's.", "Only its author's signals count.")
    identity = str(uuid5(UUID(exchange_id), f"signal:{kind}"))
    row = {"id": identity, "principal": principal.name, "exchange_id": exchange_id, "kind": kind}
    store.append({"signals": [row]})


def of(store: Store, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The signs about each of these exchanges, in the order of `KINDS`."""
    found: dict[str, set[str]] = {}
    for row in store.rows(_SHOWN, [list(ids)]):
        found.setdefault(row["exchange_id"], set()).add(row["kind"])
    return {identity: tuple(kind for kind in KINDS if kind in kinds) for identity, kinds in found.items()}
