"""What a reviewer may look at, in which order, and how they see it.

Each reviewer has a queue of their own: what they judged and skipped has left it, and what others think of
an exchange is not shown before their own opinion counts. Exchanges nobody rated are here only where their
author shows that conversation to reviewers, and none of those kept from training. Changes nothing.

Trail: serve/api/reviews.py, serve/pages/review.py -> here -> feedback/rounds.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from feedback import claims, fairness, ranking, rounds
from feedback.claims import Claim
from feedback.errors import BadRequest, Conflict, NotFound
from feedback.exchange_state import UNCLEAR
from feedback.policy import SKIP, Opinion, Policy, flags
from feedback.queue_tables import BEGUN, COUNTS
from feedback.records import Exchange, Principal, Role
from feedback.rounds import Standing
from feedback.store import Store

STATES = ("unrated", "pending", "approved", "rejected")
"""What an exchange is by its events; a reviewer sees finer ones."""
QUEUES = ("pending", "waiting", "skipped", "disputed", "approved", "rejected")

# $1 is the viewer, $2 the assistant.
_ASKED = "($2 IS NULL OR assistant = $2)"
_MINE = f"setter IS DISTINCT FROM $1 AND {_ASKED}"
_ROOM = f"rank IS NOT NULL AND {_MINE}"
_PLACE = """CASE WHEN disputed THEN 'disputed' WHEN list_contains(skipped_by, $1) THEN 'skipped'
    WHEN list_contains(judged_by, $1) THEN 'waiting' ELSE 'pending' END"""
_BEGUN = f"""SELECT exchange_id FROM {BEGUN} WHERE {_MINE} AND {_PLACE} = $3
ORDER BY said_at DESC, exchange_id LIMIT $4 OFFSET $5"""  # noqa: S608
_OPEN = f"{_ROOM} AND (said_at IS NULL OR {_PLACE} = 'pending')"
# As few columns as can be, since all that waits is looked at; then the rest of those that are weighed.
_BEST = f"""SELECT seq, rank, owner FROM (
    SELECT seq, rank, owner, setter, assistant FROM exchange_state WHERE rank IS NOT NULL AND said_at IS NULL
    UNION ALL SELECT seq, rank, owner, setter, assistant FROM {BEGUN} WHERE {_PLACE} = 'pending')
WHERE {_MINE} AND owner NOT IN (SELECT unnest($4::VARCHAR[])) ORDER BY rank, seq LIMIT $3"""  # noqa: S608
_IDS = "SELECT seq, exchange_id FROM exchange_state WHERE seq IN (SELECT unnest($1::BIGINT[]))"
_WEIGHED = """
WITH shown AS (SELECT exchange_id, seq, rank, worth, rating, source, finish_reason,
        coalesce(len(judged_by), 0) > 0 AS begun
    FROM exchange_state WHERE seq IN (SELECT unnest($1::BIGINT[])))
SELECT shown.* REPLACE (exchange_id::VARCHAR AS exchange_id),
    exchange_id IN (SELECT replaces FROM exchange_state WHERE replaces IN (SELECT exchange_id FROM shown))
        OR exchange_id IN (SELECT exchange_id FROM signals WHERE kind <> 'copy') AS doubted
FROM shown"""
_REST = f"""SELECT exchange_id FROM exchange_state WHERE {_OPEN} AND seq NOT IN (SELECT unnest($3::BIGINT[]))
ORDER BY rank, seq LIMIT $4 OFFSET $5"""  # noqa: S608
_JUDGED = f"""SELECT exchange_id FROM exchange_state
WHERE reviewable AND state = $3 AND setter IS DISTINCT FROM $1 AND {_ASKED}
ORDER BY reviewed_at DESC, exchange_id LIMIT $4 OFFSET $5"""  # noqa: S608
_STATES = f"""SELECT state, sum(kept)::BIGINT AS kept, sum(shown)::BIGINT AS shown,
    sum(fresh)::BIGINT AS fresh FROM {COUNTS} WHERE {_MINE} GROUP BY state"""  # noqa: S608
_PLACES = f"""SELECT {_PLACE} AS state, count(*) AS exchanges FROM {BEGUN} WHERE {_MINE} GROUP BY ALL"""  # noqa: S608

VISIBLE = "s.reviewable AND s.setter IS DISTINCT FROM $1"
"""SQL of `exchange_state s`: what the reviewer $1 may look at, whatever its state."""


@dataclass(frozen=True, slots=True)
class Item:
    """An exchange as one reviewer sees it.

    `exchange.principal` is a pseudonym, but for one's own; `proposed` is what approving would teach;
    `opinions` are shown to those who may settle a dispute, named only to operators; `claim` is the
    viewer's own, `held` another's.
    """

    exchange: Exchange
    proposed: str
    edited: bool
    flags: tuple[str, ...]
    reopened: str
    opinions: tuple[Opinion, ...]
    claim: Claim | None
    held: Claim | None


def pending(
    store: Store,
    *,
    state: str = "pending",
    assistant: str | None = None,
    limit: int = 50,
    offset: int = 0,
    viewer: str = "",
) -> list[Exchange]:
    """Exchanges to review, the most valuable first; of any other state, the newest verdict first."""
    found = ids(store, viewer, state=state, assistant=assistant, limit=limit, offset=offset)
    return [seen(stand, viewer) for stand in rounds.load(store, found, viewer)]


def items(
    store: Store,
    viewer: Principal,
    policy: Policy,
    *,
    state: str = "pending",
    assistant: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Item]:
    """The same as one reviewer sees them, with claims."""
    asked: dict[str, Any] = {"state": state, "assistant": assistant, "limit": limit, "offset": offset}
    return found(store, viewer, policy, ids(store, viewer.name, **asked))


def ids(
    store: Store,
    viewer: str,
    *,
    state: str = "pending",
    assistant: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[str]:
    """Which they are, in their order."""
    if state not in QUEUES:
        raise BadRequest(f"There is no queue {state[:64]!r}.", f"Choose {', '.join(QUEUES)}.")
    if state != "pending":
        query = _JUDGED if state in STATES else _BEGUN
        return [row["exchange_id"] for row in store.rows(query, [viewer, assistant, state, limit, offset])]
    weighed = fairness.chosen(partial(_best, store, viewer, assistant), ranking.MOST)
    ordered = _ordered(store, weighed, offset, limit) if offset < len(weighed) else []
    if len(ordered) < limit and len(weighed) == ranking.MOST:
        wanted = [[row["seq"] for row in weighed], limit - len(ordered), max(0, offset - len(weighed))]
        rest = store.rows(_REST, [viewer, assistant, *wanted])
        ordered += [row["exchange_id"] for row in rest]
    return ordered


def found(store: Store, viewer: Principal, policy: Policy, ids: Sequence[str]) -> list[Item]:
    """Exchanges that were found otherwise, as one reviewer sees them, without those they may not see."""
    return _items(store, viewer, policy, rounds.load(store, ids, viewer.name))


def item(store: Store, viewer: Principal, policy: Policy, exchange_id: str) -> Item:
    """One exchange as a reviewer sees it.

    Raises:
        NotAllowed: It is its author's alone, or there is none.
    """
    return _items(store, viewer, policy, [rounds.standing(store, exchange_id, viewer)])[0]


def claim_next(store: Store, viewer: Principal, policy: Policy, assistant: str | None = None) -> Claim:
    """Claim the most valuable exchange that nobody holds.

    Raises:
        NotFound: There is none.
    """
    for identity in ids(store, viewer.name, assistant=assistant, limit=claims.MOST_CLAIMS * 5):
        held = claims.active(store, [identity]).get(identity)
        if held is None or held.principal == viewer.name:
            try:
                return claims.take(store, viewer, identity, policy)
            except Conflict:
                if len(claims.of(store, viewer.name)) >= claims.MOST_CLAIMS:
                    raise
    raise NotFound("Nothing waits that nobody is looking at.", "Come back later.")


def counts(store: Store, assistant: str | None = None, viewer: str = "") -> dict[str, int]:
    """How many exchanges are in each state, of conversations that may be learnt from.

    `waiting` and `skipped` are the viewer's own; `unrated` counts what is shown to reviewers too.
    """
    states = store.rows(_STATES, [viewer, assistant])
    told = {row["state"]: row["exchanges"] for row in store.rows(_PLACES, [viewer, assistant])}
    told["pending"] = told.get("pending", 0) + sum(row["fresh"] for row in states)
    told |= {row["state"]: row["shown"] for row in states if row["state"] in ("approved", "rejected")}
    told |= {row["state"]: row["kept"] for row in states if row["state"] == "unrated"}
    names = [name for name in QUEUES if viewer or name not in ("waiting", "skipped")]
    return dict.fromkeys(("unrated", *names), 0) | told


def oldest(store: Store) -> datetime | None:
    """When the exchange that waits longest for review was rated, or shown to reviewers."""
    row = store.row(
        """SELECT min(coalesce(rated_at, s.at)) AS at FROM exchange_state s
        WHERE rank IS NOT NULL AND training AND reviewable"""
    )
    return row["at"] if row else None


def seen(stand: Standing, viewer: str, **changed: Any) -> Exchange:
    """The exchange in the state this reviewer sees; an earlier round's verdict is not told."""
    untold: dict[str, Any] = {} if stand.judged else {"verdict": None, "reviewed_by": None}
    return replace(stand.exchange, state=stand.state(viewer), **untold, **changed)


def _best(store: Store, viewer: str, assistant: str | None, but: Sequence[str]) -> list[dict[str, Any]]:
    """The best of what waits, without what is of these owners."""
    return store.rows(_BEST, [viewer, assistant, fairness.LOOK * ranking.MOST, list(but)])


def _ordered(store: Store, weighed: Sequence[fairness.Row], offset: int, limit: int) -> list[str]:
    """A page of those that are weighed."""
    if any(row["rank"] >= UNCLEAR for row in weighed):
        told = store.rows(_WEIGHED, [[row["seq"] for row in weighed]])
        return ranking.ranked(store, told)[offset : offset + limit]
    # All say what was wrong, and are in their order already: nothing else of them needs a look.
    best = sorted(weighed, key=lambda row: (row["rank"], row["seq"]))[offset : offset + limit]
    ids = {row["seq"]: row["exchange_id"] for row in store.rows(_IDS, [[row["seq"] for row in best]])}
    return [ids[row["seq"]] for row in best if row["seq"] in ids]


def _items(store: Store, viewer: Principal, policy: Policy, stands: Sequence[Standing]) -> list[Item]:
    held = claims.active(store, [stand.exchange.id for stand in stands])
    return [_item(stand, viewer, policy, held.get(stand.exchange.id)) for stand in stands]


def _item(stand: Standing, viewer: Principal, policy: Policy, held: Claim | None) -> Item:
    owner = stand.exchange.principal
    unnamed: dict[str, Any] = {} if owner == viewer.name else {"principal": policy.pseudonym(owner)}
    words = stand.wording
    mine = held is not None and held.principal == viewer.name
    return Item(
        exchange=seen(stand, viewer.name, **unnamed),
        proposed=words.text,
        edited=words.edited,
        flags=flags(stand.exchange, words.text),
        reopened=stand.reopened,
        opinions=_told(stand, viewer),
        claim=held if mine else None,
        held=None if mine else held,
    )


def _told(stand: Standing, viewer: Principal) -> tuple[Opinion, ...]:
    """The opinions of a dispute, for whoever has no part in it."""
    said = [opinion for opinion in stand.opinions if opinion.verdict != SKIP]
    if not stand.disputed or viewer.name in {opinion.principal for opinion in said}:
        return ()
    if viewer.role.covers(Role.OPERATOR):
        return tuple(said)
    unnamed: dict[str, Any] = {"principal": "", "author": None}
    return tuple(replace(opinion, **unnamed) for opinion in said)
