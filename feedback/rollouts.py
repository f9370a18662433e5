"""How versions took traffic, stage by stage with the evidence, and the thumbs that speak for or against them.

A stage is an event of state `canary` with its share; the next stage, going live and being withdrawn are
the events after it. Decides nothing: it only tells what happened, and whose thumb came first.

Trail: tuner/rollout.py, tuner/watch.py -> here -> feedback/store.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from feedback import lookup
from feedback.records import Exchange, VersionState
from feedback.store import Store

PEOPLE = "('chat', 'api')"
"""Sources of exchanges that somebody asked here, and so may rate by what they got."""

_EVENTS = """SELECT r.at AS at, r.assistant, r.version, r.state, r.share, r.evidence, r.principal,
    coalesce(r.reason, '') AS reason, coalesce(r.run_id, '') AS run_id
FROM rollouts r WHERE r.assistant = $1 ORDER BY r.seq"""

# Only the first thumb that a version gets in a conversation: what follows is not drawn by lot any more. Nor
# is an answer that was chosen of two.
_THUMBS = f"""SELECT r.principal AS user, e.conversation_id, e.version, e.at AS asked_at,
    r.rating = 'down' AS down
FROM ratings r JOIN exchanges e ON e.id = r.exchange_id
WHERE e.assistant = $1 AND e.at >= $2 AND r.rating IS NOT NULL AND e.source IN {PEOPLE}
    AND e.id NOT IN (SELECT first FROM comparisons UNION ALL SELECT second FROM comparisons)
QUALIFY row_number() OVER (PARTITION BY e.conversation_id, e.version ORDER BY r.seq) = 1
ORDER BY r.seq"""  # noqa: S608

_NEWEST = """SELECT greatest(coalesce((SELECT max(seq) FROM ratings), 0),
    coalesce((SELECT max(seq) FROM rollouts), 0), coalesce((SELECT max(seq) FROM orders), 0)) AS newest"""

_RECENT = f"""SELECT exchange_id FROM exchange_state s
WHERE assistant = $1 AND training AND finish_reason IN ('stop', 'length') AND source IN {PEOPLE}
    AND state <> 'erased'
QUALIFY row_number() OVER (PARTITION BY conversation_id ORDER BY s.at DESC) = 1
ORDER BY s.at DESC LIMIT $2"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Event:
    """One change of how much traffic a version gets; `share` is set for canaries."""

    at: datetime
    assistant: str
    version: str
    state: VersionState
    principal: str
    reason: str
    share: float | None = None
    evidence: dict[str, Any] | None = field(default_factory=dict)
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Thumb:
    """The first thumb that a version got in a conversation."""

    user: str
    conversation_id: str
    version: str
    asked_at: datetime
    down: bool


class Rollouts:
    """The rollouts of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(
        self,
        *,
        assistant: str,
        version: str,
        state: VersionState,
        reason: str,
        principal: str,
        share: float | None = None,
        evidence: dict[str, Any] | None = None,
        run_id: str = "",
    ) -> None:
        """Append an event. To make a version live use the ledger, which keeps one live at a time."""
        row = {
            "principal": principal,
            "assistant": assistant,
            "version": version,
            "state": state,
            "reason": reason,
            "run_id": run_id,
            "share": share,
            "evidence": evidence or {},
        }
        self._store.append({"rollouts": [row]})

    def events(self, assistant: str) -> list[Event]:
        """All of an assistant's, oldest first."""
        rows = self._store.rows(_EVENTS, [assistant])
        return [Event(**{**row, "evidence": row["evidence"] or {}}) for row in rows]

    def stages(self, assistant: str) -> list[Event]:
        """The stages of the canary in progress, oldest first; none where no version is one."""
        events = self.events(assistant)
        newest = {event.version: event for event in events}
        canaries = [event.version for event in newest.values() if event.state == "canary"]
        return _standing(events, canaries[-1], "canary") if canaries else []

    def live_events(self, assistant: str, version: str) -> list[Event]:
        """What happened to a live version since it went live, its going live first."""
        return _standing(self.events(assistant), version, "live")

    def newest(self) -> int:
        """The newest event that a rollout could depend on; found in a moment, however many there are."""
        row = self._store.row(_NEWEST)
        assert row is not None
        return int(row["newest"])

    def thumbs(self, assistant: str, since: datetime) -> list[Thumb]:
        """First thumbs on what was asked since then, in the order in which they came."""
        rows = self._store.rows(_THUMBS, [assistant, since.astimezone(UTC).replace(tzinfo=None)])
        return [Thumb(**row) for row in rows]

    def recent(self, assistant: str, limit: int) -> Sequence[Exchange]:
        """The newest answered exchange of each conversation that may be learnt from, newest first.

        Nobody may be shown these: most were never rated.
        """
        found = self._store.rows(_RECENT, [assistant, limit])
        return lookup.load(self._store, [row["exchange_id"] for row in found])


def _standing(events: Sequence[Event], version: str, state: str) -> list[Event]:
    """The newest unbroken run of a version's events in a state, oldest first."""
    own = [event for event in reversed(events) if event.version == version]
    return list(takewhile(lambda event: event.state == state, own))[::-1]
