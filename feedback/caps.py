"""How much one person may teach: caps on contributors and reviewers, and two people for a small team.

Shares are of the rows before capping. A contributor's own rows do not count towards that contributor's
share, so that a flood cannot raise its own cap. What an operator imports is a named source and not
capped. Knows who did what; reads no text.

Trail: feedback/curate.py -> here
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feedback.records import Pair

UNSECONDED = "unseconded"
CONTRIBUTOR_CAP = "contributor_cap"
REVIEWER_CAP = "reviewer_cap"


@dataclass(frozen=True, slots=True)
class Caps:
    """Contributors are capped once there are `crowd` of them, reviewers once `panel` are active."""

    crowd: int = 20
    contributor_share: float = 0.05
    contributor_least: int = 5
    panel: int = 3
    reviewer_share: float = 0.40


def contributors(pairs: Sequence[Pair]) -> Counter[str]:
    """The pairs of each end user who asked, corrected or praised; imports are nobody's."""
    return Counter(pair.contributor for pair in pairs if not pair.imported)


def reviewers(pairs: Sequence[Pair]) -> Counter[str]:
    """The pairs that each reviewer approved; imports are nobody's."""
    return Counter(pair.reviewer for pair in pairs if not pair.imported)


Reasons = dict[int, tuple[str, str]]
"""By place of the pair: reason and detail."""


def unseconded(pairs: Sequence[Pair], caps: Caps) -> Reasons:
    """In a team too small for caps: pairs (by place) that one person both gave and approved, and why.

    Whoever was the only account when they approved it had nobody to ask.
    """
    crowd = len(contributors(pairs))
    if crowd >= caps.crowd:
        return {}
    why = f"{crowd} contributors are fewer than {caps.crowd}, and nobody but its contributor approved it"
    return {
        place: (UNSECONDED, why)
        for place, pair in enumerate(pairs)
        if not pair.imported and pair.contributor == pair.reviewer and not pair.alone
    }


def over(pairs: Sequence[Pair], caps: Caps) -> Reasons:
    """Pairs (by place) beyond a cap, as (reason, detail): each person's first approved stay."""
    left_out: Reasons = {}
    given = contributors(pairs)
    if len(given) >= caps.crowd:
        allowed = {name: _contributor_cap(len(pairs) - count, caps) for name, count in given.items()}
        left_out |= _beyond(pairs, lambda pair: pair.contributor, allowed, CONTRIBUTOR_CAP)
    approved = reviewers(pairs)
    if len(approved) >= caps.panel:
        allowed = dict.fromkeys(approved, max(1, int(caps.reviewer_share * len(pairs))))
        left_out = _beyond(pairs, lambda pair: pair.reviewer, allowed, REVIEWER_CAP, left_out) | left_out
    return left_out


def _contributor_cap(others: int, caps: Caps) -> int:
    """The most rows that are `contributor_share` of themselves and the others' together."""
    return max(caps.contributor_least, int(others * caps.contributor_share / (1 - caps.contributor_share)))


def _beyond(
    pairs: Sequence[Pair],
    who: Callable[[Pair], str],
    allowed: dict[str, int],
    reason: str,
    gone: Reasons | None = None,
) -> Reasons:
    """The pairs after the first `allowed` of each; those `gone` already take nobody's place."""
    held: Counter[str] = Counter()
    found = {}
    for place, pair in enumerate(pairs):
        if pair.imported or (gone and place in gone):
            continue
        held[who(pair)] += 1
        if held[who(pair)] > allowed[who(pair)]:
            found[place] = (reason, f"{who(pair)} has {allowed[who(pair)]} of {len(pairs)} rows already")
    return found
