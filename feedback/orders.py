"""What operators ordered to stand: a canary held, a live version pinned, an assistant's runs paused.

Each order and its end is an event with who and why. An order says what may not happen by itself; people
may still do it by hand. Knows neither routes nor runs.

Trail: hone/tuning.py -> here -> feedback/store.py
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from feedback.assistants import Assistants
from feedback.errors import BadRequest, Conflict
from feedback.store import Store
from feedback.writer import Transaction

Order = Literal["hold", "pin", "unpin", "pause", "resume"]
Kind = Literal["hold", "pin", "pause"]

MEANING: dict[Kind, str] = {"hold": "held", "pin": "pinned", "pause": "paused"}
ENDS: dict[Order, tuple[Kind, ...]] = {"unpin": ("pin",), "resume": ("hold", "pause")}
MAX_REASON = 2_000

_STANDING = """SELECT kind, o.at AS at, principal, version, reason FROM orders o WHERE assistant = $1
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY seq DESC) = 1 AND standing"""


@dataclass(frozen=True, slots=True)
class Standing:
    """An order in force; `version` is the one that was held or pinned."""

    kind: Kind
    at: datetime
    principal: str
    version: str
    reason: str

    def __str__(self) -> str:
        what = f"{self.version} is {MEANING[self.kind]}" if self.version else "Runs are paused"
        return f"{what} by {self.principal}: {self.reason}"


class Orders:
    """The standing orders of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def give(self, assistant: str, order: Order, *, version: str, reason: str, principal: str) -> None:
        """Record an order, or that those it ends no longer stand.

        Raises:
            BadRequest: What begins to stand was given no reason.
            Conflict: It stands already, or there is nothing to end.
        """
        reason = reason.strip()[:MAX_REASON]
        begins = order in MEANING
        if begins and not reason:
            raise BadRequest(f"To {order} needs a reason.", "Say in a sentence why; it is kept.")
        Assistants(self._store).get(assistant)

        def give(transaction: Transaction) -> None:
            standing = _standing(transaction, assistant)
            kinds = _begun(standing, order, version) if begins else _ended(standing, order, assistant)
            rows = [
                {
                    "principal": principal,
                    "assistant": assistant,
                    "kind": kind,
                    "standing": begins,
                    "version": version if kind != "pause" else "",
                    "reason": reason,
                }
                for kind in kinds
            ]
            transaction.append({"orders": rows})

        self._store.decide(give)

    def standing(self, assistant: str, *serving: str) -> dict[str, Standing]:
        """What is in force, by kind: a pause, and the holds and pins of these versions.

        An order of a version that serves no more is moot, whoever took it out of service.
        """
        found = _standing(self._store, assistant)
        return {kind: order for kind, order in found.items() if order.version in ("", *serving)}


def _standing(store: Store | Transaction, assistant: str) -> dict[str, Standing]:
    return {row["kind"]: Standing(**row) for row in store.rows(_STANDING, [assistant])}


def _begun(standing: dict[str, Standing], order: str, version: str) -> list[str]:
    same = standing.get(order)
    if same and same.version in ("", version):
        raise Conflict(f"{same}", "It stands already.")
    return [order]


def _ended(standing: dict[str, Standing], order: Order, assistant: str) -> list[str]:
    kinds: list[str] = [kind for kind in ENDS[order] if kind in standing]
    if not kinds:
        words = " or ".join(MEANING[kind] for kind in ENDS[order])
        raise Conflict(f"Nothing of {assistant} is {words}.", "There is nothing to end.")
    return kinds
