"""What the thumbs say of a canary, and whether it goes on, goes back or stays: pure functions of the record.

Harm is looked for all the time; everything else waits for evidence or time. Knows neither routes nor
engines, and takes no step itself.

Trail: tuner/watch.py -> here -> tuner/wager.py, feedback/lots.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from feedback.lots import lot
from feedback.rollouts import Event, Thumb
from tuner.wager import BAR, Wager

LADDER = (0.05, 0.25, 0.50)
"""Shares of the conversations, stage by stage; after the last, all."""
SUSPICION = 3.0
"""The e-value for harm at which a canary no longer goes on by time alone."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How versions that passed take traffic."""

    rollout: str = "canary"
    """`canary`, or `live` at once."""
    days: float = 7.0
    """How long a canary may take; each stage has an equal part of it."""
    hours: float = 12.0
    """Least time of a stage that goes on by the number of its ratings ..."""
    ratings: int = 100
    """... which is this, of the canary's conversations."""
    margin: float = 0.10
    """How much more often a thumb down is still no harm."""
    shadow: int = 20
    """Recent prompts that are answered before the first stage."""
    drift: str = "alarm"
    """What a drift alarm does: `alarm`, or `rollback` too."""


class Step(StrEnum):
    STAY = "stay"
    ON = "on"
    LIVE = "live"
    BACK = "back"


def percent(share: float) -> str:
    return f"{100 * share:g} %"


def after(share: float) -> float:
    """The share of the next stage; 1 after the last."""
    return next((step for step in LADDER if step > share), 1.0)


def weigh(thumbs: Sequence[Thumb], stages: Sequence[Event], live: str, secret: str, margin: float) -> Wager:
    """Hear the thumbs on a canary and on the live version since its first stage, in their order.

    A conversation counts once. It counts only where it got what its lot says, so that versions asked for
    by name, and requests admitted while a stage changed, say nothing.
    """
    canary = stages[0].version
    wager, heard = Wager(margin), set()
    for thumb in thumbs:
        share = _share(stages, thumb.asked_at)
        if share is None or thumb.conversation_id in heard or thumb.version not in (canary, live):
            continue
        drawn = lot(secret, canary, thumb.conversation_id) < share
        if drawn == (thumb.version == canary):
            heard.add(thumb.conversation_id)
            wager.hear(thumb.user, on_canary=drawn, down=thumb.down, share=share)
    return wager


def rated_since(thumbs: Sequence[Thumb], version: str, since: datetime) -> int:
    """Conversations on a version in which something asked since then got a thumb."""
    return len({t.conversation_id for t in thumbs if t.version == version and t.asked_at >= since})


def judge(
    wager: Wager, stages: Sequence[Event], rated: int, terms: Terms, at: datetime, barred: str = ""
) -> tuple[Step, str]:
    """What to do now, and why; `rated` are the canary's in this stage, `barred` why it may not go on."""
    now = stages[-1]
    told = _told(wager)
    if wager.harm.peak >= BAR:
        return Step.BACK, f"Its thumbs are worse ({told}; evidence {wager.harm.peak:.3g}, {BAR:.0f} suffice)."
    if barred:
        return Step.STAY, barred
    over = at >= stages[0].at + timedelta(days=terms.days)
    if wager.harm.value >= SUSPICION:
        todo = " Its days are over: promote it or roll back." if over else ""
        return Step.STAY, f"It may be worse ({told}; evidence {wager.harm.value:.3g} of {BAR:.0f}).{todo}"
    onward = Step.ON if after(now.share or 0.0) < 1 else Step.LIVE
    if wager.fine.peak >= BAR:
        points = f"{100 * terms.margin:g} points"
        return onward, f"Its thumbs are not worse by {points} ({told}; evidence {wager.fine.peak:.3g})."
    if over:
        return Step.LIVE, f"Its {terms.days:g} days are over and nothing speaks against it ({told})."
    in_stage = at - now.at
    leans = wager.fine.value >= wager.harm.value
    if leans and rated >= terms.ratings and in_stage >= timedelta(hours=terms.hours):
        return onward, f"{rated} of its conversations were rated at {percent(now.share or 0)} ({told})."
    if in_stage >= timedelta(days=terms.days) / len(LADDER):
        return onward, f"This stage had its time and nothing speaks against it ({told})."
    return Step.STAY, f"{rated} of {terms.ratings} conversations rated at this stage ({told})."


def _share(stages: Sequence[Event], at: datetime) -> float | None:
    """The share in force at a time; None before the first stage."""
    return next((stage.share for stage in reversed(stages) if stage.at <= at), None)


def _told(wager: Wager) -> str:
    sides = ((wager.canary, "on it"), (wager.control, "beside it"))
    return ", ".join(f"{side.down} of {side.rated} down {where}" for side, where in sides)
