"""Which groups teach and which judge: drawn once by salted hash, and recorded for ever.

Whatever a group is held together by has its side, so a pair that joins it later lands there too. Curation
leaves out what would join two sides; a group on two sides all the same leaves the gate. Knows no files.

Trail: feedback/curate.py -> here -> feedback/snapshot.py
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from feedback.curate import Group
from feedback.store import Store
from feedback.ties import Held
from feedback.writer import Transaction

SIDES = ("train", "dev", "gate")

_RECORDED = """SELECT group_key, arg_max(side, seq) AS side FROM group_sides
WHERE assistant = $1 GROUP BY group_key"""


@dataclass(frozen=True, slots=True)
class Shares:
    """How groups are dealt: `gate` of them until there are `enough` gate groups, `gate_later` after."""

    gate: float
    gate_later: float
    enough: int
    dev: float

    def side(self, drawn: float, gate_groups: int) -> str:
        """The side for a number drawn from [0, 1)."""
        gate = self.gate if gate_groups < self.enough else self.gate_later
        if drawn < gate:
            return "gate"
        return "dev" if drawn < gate + self.dev else "train"


def settle(
    store: Store, assistant: str, groups: Sequence[Group], shares: Shares, *, salt: str, principal: str
) -> list[tuple[str, str]]:
    """For each group its salted key and its side, recorded where that is new or changed."""
    anchors = [[_anchor(salt, assistant, name) for name in group.anchors] for group in groups]

    def decide(transaction: Transaction) -> list[tuple[str, str]]:
        known = {row["group_key"]: row["side"] for row in transaction.rows(_RECORDED, [assistant])}
        held = [_held(known.get(anchor) for anchor in names) for names in anchors]
        settled = _dealt([names[0] for names in anchors], held, shares, salt)
        changed = [
            {"principal": principal, "assistant": assistant, "group_key": anchor, "side": side}
            for names, (_, side) in zip(anchors, settled, strict=True)
            for anchor in names
            if known.get(anchor) != side
        ]
        transaction.append({"group_sides": changed})
        return settled

    return store.decide(decide)


def recorded(store: Store, assistant: str, *, salt: str) -> Held:
    """The side on record of a question or a conversation, as a pair's curation asks for it."""
    known = {row["group_key"]: row["side"] for row in store.rows(_RECORDED, [assistant])}
    return lambda name: known.get(_anchor(salt, assistant, name))


def salted(salt: str, text: str) -> str:
    """A digest of the text that only the holder of the salt can compare with a guess; 64 hex digits."""
    return hmac.new(salt.encode(), text.encode(), hashlib.sha256).hexdigest()


def _anchor(salt: str, assistant: str, name: str) -> str:
    return salted(salt, f"{assistant}\x1f{name}")[:32]


def _held(sides: Iterable[str | None]) -> str | None:
    """The side that a group has already; the training side where its parts were on several."""
    known = {side for side in sides if side}
    if len(known) > 1:
        return "train"
    return known.pop() if known else None


def _dealt(
    keys: Sequence[str], held: Sequence[str | None], shares: Shares, salt: str
) -> list[tuple[str, str]]:
    gates = sum(side == "gate" for side in held)
    settled: list[tuple[str, str]] = []
    for key, old in zip(keys, held, strict=True):
        side = old or shares.side(_drawn(salt, key), gates)
        gates += old is None and side == "gate"
        settled.append((key, side))
    return settled


def _drawn(salt: str, key: str) -> float:
    return int(salted(salt, f"side\x1f{key}")[:13], 16) / 16**13
