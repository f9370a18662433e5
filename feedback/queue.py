"""What a reviewer may look at, in which order, and how they see it.

Each reviewer has a queue of their own: what they judged and skipped has left it, and what others think of
an exchange is not shown before their own opinion counts. Exchanges nobody rated are here only where their
author shows that conversation to reviewers, and none of those kept from training. Changes nothing.

Trail: serve/api/reviews.py, serve/pages/review.py -> here -> feedback/rounds.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from feedback import claims, ranking, rounds
from feedback.claims import Claim
from feedback.errors import BadRequest, Conflict, NotFound
from feedback.policy import SKIP, Opinion, Policy, flags
from feedback.records import Exchange, Principal, Role
from feedback.rounds import Standing
from feedback.store import Store

STATES = ("unrated", "pending", "approved", "rejected")
"""What an exchange is by its events; a reviewer sees finer ones."""
QUEUES = ("pending", "waiting", "skipped", "disputed", "approved", "rejected")

# $1 is the viewer, $2 the assistant.
_HIDDEN = f"""(SELECT exchange_id FROM golds GROUP BY exchange_id
    HAVING arg_max(retired, seq) OR coalesce(bool_or(principal = $1), false)
    UNION ALL {rounds.WITHDRAWN})"""  # noqa: S608
# What waits is narrowed down before anything is joined to it.
_ROOM = f"""
WITH shown AS (SELECT conversation_id FROM shares GROUP BY conversation_id HAVING arg_max(review, seq)),
room AS (SELECT exchange_id, coalesce(review_id, exchange_id) AS round, worth, rated_at, rating, source,
        finish_reason
    FROM exchange_state WHERE training AND state = 'pending' AND ($2 IS NULL OR assistant = $2)
    UNION ALL SELECT exchange_id, coalesce(review_id, exchange_id), worth, rated_at, rating, source,
        finish_reason
    FROM exchange_state WHERE training AND state = 'unrated' AND ($2 IS NULL OR assistant = $2)
        AND finish_reason IS NOT NULL AND conversation_id IN (FROM shown)),
open AS (SELECT o.exchange_id, o.principal, o.verdict, o.response, o.at AS said_at FROM opinions o
    JOIN room ON room.exchange_id = o.exchange_id AND room.round = o.round
    QUALIFY row_number() OVER (PARTITION BY o.exchange_id, o.principal ORDER BY o.seq DESC) = 1),
begun AS (SELECT exchange_id, max(said_at) AS said_at, CASE
        WHEN count(DISTINCT CASE verdict WHEN 'reject' THEN 'reject' WHEN 'skip' THEN NULL
            ELSE 'approve:' || response END) > 1 THEN 'disputed'
        WHEN bool_or(principal = $1 AND verdict = 'skip') THEN 'skipped'
        WHEN bool_or(principal = $1) THEN 'waiting' ELSE 'pending' END AS place,
        bool_or(verdict <> 'skip') AS judged
    FROM open GROUP BY exchange_id),
seen AS (SELECT room.*, coalesce(begun.place, 'pending') AS place, coalesce(begun.judged, false) AS begun,
        begun.said_at
    FROM room LEFT JOIN begun ON begun.exchange_id = room.exchange_id
    WHERE room.exchange_id NOT IN {_HIDDEN})"""  # noqa: S608
_BEGUN = f"""{_ROOM} SELECT exchange_id FROM seen WHERE place = $3
ORDER BY said_at DESC, exchange_id LIMIT $4 OFFSET $5"""  # noqa: S608
_PENDING = f"""{_ROOM}, best AS (SELECT * FROM seen WHERE place = 'pending'
    ORDER BY worth DESC, rated_at, exchange_id LIMIT $3 OFFSET $4)
SELECT best.*, exchange_id IN (SELECT replaces FROM exchange_state
        WHERE replaces IN (SELECT exchange_id FROM best))
    OR exchange_id IN (SELECT exchange_id FROM signals WHERE kind <> 'copy') AS doubted
FROM best ORDER BY worth DESC, rated_at, exchange_id"""  # noqa: S608
_PLACES = f"{_ROOM} SELECT place AS state, count(*) AS exchanges FROM seen GROUP BY place"  # noqa: S608
_JUDGED = f"""SELECT exchange_id FROM exchange_state
WHERE training AND state = $3 AND ($2 IS NULL OR assistant = $2) AND exchange_id NOT IN {_HIDDEN}
ORDER BY reviewed_at DESC, exchange_id LIMIT $4 OFFSET $5"""  # noqa: S608
_STATES = f"""SELECT state, count(*) AS exchanges FROM exchange_state
WHERE training AND state <> 'pending' AND ($2 IS NULL OR assistant = $2) AND exchange_id NOT IN {_HIDDEN}
GROUP BY state"""  # noqa: S608

VISIBLE = f"""s.training AND s.state <> 'erased' AND s.exchange_id NOT IN {_HIDDEN}
AND (s.state <> 'unrated' OR s.conversation_id IN (
    SELECT conversation_id FROM shares GROUP BY conversation_id HAVING arg_max(review, seq)))"""  # noqa: S608
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
    ids = _ids(store, state, assistant, limit, offset, viewer)
    return [seen(stand, viewer) for stand in rounds.load(store, ids, viewer)]


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
    ids = _ids(store, state, assistant, limit, offset, viewer.name)
    return found(store, viewer, policy, ids)


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
    for identity in _ids(store, "pending", assistant, claims.MOST_CLAIMS * 5, 0, viewer.name):
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
    found = [*store.rows(_STATES, [viewer, assistant]), *store.rows(_PLACES, [viewer, assistant])]
    told = {row["state"]: row["exchanges"] for row in found}
    names = [name for name in QUEUES if viewer or name not in ("waiting", "skipped")]
    return dict.fromkeys(("unrated", *names), 0) | told


def seen(stand: Standing, viewer: str) -> Exchange:
    """The exchange in the state this reviewer sees; an earlier round's verdict is not told."""
    state = stand.state(viewer)
    if stand.judged:
        return replace(stand.exchange, state=state)
    return replace(stand.exchange, state=state, verdict=None, reviewed_by=None)


def _ids(store: Store, state: str, assistant: str | None, limit: int, offset: int, viewer: str) -> list[str]:
    if state not in QUEUES:
        raise BadRequest(f"There is no queue {state[:64]!r}.", f"Choose {', '.join(QUEUES)}.")
    if state != "pending":
        query = _JUDGED if state in STATES else _BEGUN
        return [row["exchange_id"] for row in store.rows(query, [viewer, assistant, state, limit, offset])]
    ordered = []
    if offset < ranking.MOST:
        best = store.rows(_PENDING, [viewer, assistant, ranking.MOST, 0])
        ordered = ranking.ranked(store, best)[offset : offset + limit]
    if len(ordered) < limit and offset + limit > ranking.MOST:
        begin = max(offset, ranking.MOST)
        rest = store.rows(_PENDING, [viewer, assistant, limit - len(ordered), begin])
        ordered += [row["exchange_id"] for row in rest]
    return ordered


def _items(store: Store, viewer: Principal, policy: Policy, stands: Sequence[Standing]) -> list[Item]:
    held = claims.active(store, [stand.exchange.id for stand in stands])
    return [_item(stand, viewer, policy, held.get(stand.exchange.id)) for stand in stands]


def _item(stand: Standing, viewer: Principal, policy: Policy, held: Claim | None) -> Item:
    owner = stand.exchange.principal
    exchange = seen(stand, viewer.name)
    words = stand.wording
    mine = held is not None and held.principal == viewer.name
    return Item(
        exchange=exchange if owner == viewer.name else replace(exchange, principal=policy.pseudonym(owner)),
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
