"""Which pairs are fit to learn from, and which belong together: pure, no store, no model.

Each step leaves pairs out for a reason that is kept with the pair. What stays is grouped: pairs of one
conversation, pairs that ask nearly the same, and pairs answered with the same text form one group, since a
split must not put them on two sides; what would join two sides that are settled already is left out.
Several different approved responses of one instruction are all kept;
those that contradict each other go back to review. Over-long pairs are skipped, never cut: half an answer
teaches to stop half-way.

Trail: feedback/pairs.py -> here -> feedback/snapshot.py
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from feedback import caps, suspect
from feedback.agree import contradiction, numbers, same_facts
from feedback.alike import gist, letters, near, overlap, runs
from feedback.normal import asked, compared, normalise, question
from feedback.records import Pair
from feedback.screen import FLAGGED, PRIVATE, Policy, Screened, screen
from feedback.ties import Held, tie

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near_duplicate"
EMPTY = "empty"
TOO_LONG = "too_long"
CONTRADICTED = "contradicted"
TWO_SIDES = "joins_two_sides"
DISOWNED = "approved_by_suspended"
REASONS = (
    *(
        EMPTY,
        DISOWNED,
        PRIVATE,
        FLAGGED,
        TOO_LONG,
        TWO_SIDES,
        caps.UNSECONDED,
        DUPLICATE,
        CONTRADICTED,
        NEAR_DUPLICATE,
    ),
    *(caps.CONTRIBUTOR_CAP, caps.REVIEWER_CAP),
)
"""Every reason for which a pair is left out, in the order in which they are looked for."""

SAME_QUESTION = 0.7
SAME_LESSON = 0.8
LONG = 60
"""Letters from which an answer says enough by itself to be compared without its question's words."""
SAME_WORDS = 0.95
TEXT = 200
"""Letters from which an answer is a text: the same one to two questions must not teach here and judge there.
A fact in a sentence may: whether it is known when asked otherwise is what the gate wants to see."""


@dataclass(frozen=True, slots=True)
class Group:
    """Pairs that must stay on one side. `anchors` name what holds it together: questions, conversations."""

    key: str
    pairs: tuple[Pair, ...]
    anchors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One pair that is not learnt: a reason of REASONS, and in `detail` what it was, without its words."""

    pair: Pair
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Curated:
    """Groups in the order of their first pair, what was left out, and what was found, by exchange."""

    groups: tuple[Group, ...]
    left_out: tuple[LeftOut, ...] = ()
    finds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(pair for group in self.groups for pair in group.pairs)

    @property
    def dropped(self) -> Counter[str]:
        """How many pairs were left out for which reason."""
        return Counter(left.reason for left in self.left_out)

    @property
    def account(self) -> dict[str, object]:
        """Counts for people to read: of rows, of finds and scripts in what is kept, and of who gave it."""
        kept = self.pairs
        found = Counter(find for pair in kept for find in self.finds.get(pair.exchange_id, ()))
        return {
            "approved": len(kept) + len(self.left_out),
            "kept": len(kept),
            "imported": sum(pair.imported for pair in kept),
            "own": sum(pair.own and not pair.imported for pair in kept),
            "contributors": len(caps.contributors(kept)),
            "reviewers": len(caps.reviewers(kept)),
            "left_out": dict(self.dropped),
            "flags": dict(found),
            "scripts": dict(Counter(suspect.script(pair.response) or "none" for pair in kept)),
        }


def curate(
    pairs: Iterable[Pair],
    *,
    max_tokens: int,
    count_tokens: Callable[[Pair], int],
    policy: Policy | None = None,
    held: Held = lambda _: None,
) -> Curated:
    """Normalise, leave out what cannot or should not be learnt, and group the rest.

    Args:
        max_tokens: The most that a pair, prompt and response together, may count.
        count_tokens: The length of a pair in the tokens of the model that will learn it.
        held: The side that an anchor of a group has already (`feedback/sides.py`).
    """
    policy = policy or Policy()
    sieve = _Sieve([screen(normalise(pair), policy) for pair in pairs])
    sieve.fit(max_tokens, count_tokens)
    sieve.apart(held)
    sieve.leave(lambda kept: caps.unseconded(kept, policy.caps))
    sieve.unrepeated()
    sieve.agreed()
    sieve.distinct()
    sieve.leave(lambda kept: caps.over(kept, policy.caps))
    return sieve.curated()


class _Sieve:
    """The pairs on their way through the steps; `_left` holds those that fell out."""

    def __init__(self, screened: Sequence[Screened]) -> None:
        self._screened = screened
        self._pairs = [found.pair for found in screened]
        self._questions = [question(pair) for pair in self._pairs]
        self._asked = [runs(gist(asked(pair))) for pair in self._pairs]
        self._answers = [runs(pair.response) for pair in self._pairs]
        # Other numbers make another question of the same form: "convert 5 km", "convert 7 km".
        stated = [numbers(asked(pair)) for pair in self._pairs]
        self._alike = near(self._asked, SAME_QUESTION, stated)
        self._left: caps.Reasons = {}

    def fit(self, max_tokens: int, count_tokens: Callable[[Pair], int]) -> None:
        """Leave out what is empty, what nobody stands behind any more, what is blocked or too long."""
        for place, found in enumerate(self._screened):
            pair = found.pair
            if not pair.response or not pair.messages or not pair.messages[-1].content:
                self._left[place] = (EMPTY, "")
            elif pair.disowned:
                self._left[place] = (DISOWNED, f"by {pair.reviewer}")
            elif found.reason:
                self._left[place] = (found.reason, found.detail)
            elif (tokens := count_tokens(pair)) > max_tokens:
                self._left[place] = (TOO_LONG, f"{tokens} tokens of {max_tokens}")

    def apart(self, held: Held) -> None:
        """Join what belongs together; leave out what would join two sides, and what repeats it as context.

        Pairs that fell out already join too: a duplicate still ties its conversation to the other one.
        """
        told = zip(self._questions, map(_conversation, self._pairs), strict=True)
        self._ties, crossing = tie(told, (*self._alike, *self._same_words()), held)
        for place, sides in crossing.items():
            self._left.setdefault(place, (TWO_SIDES, " and ".join(sides)))
        crossed = [self._pairs[place] for place in crossing]
        said = {(pair.conversation_id, last.content) for pair in crossed for last in pair.messages[-1:]}
        for place in self._kept():
            pair = self._pairs[place]
            if any((pair.conversation_id, message.content) in said for message in pair.messages[:-1]):
                self._left[place] = (TWO_SIDES, "in what was said before")

    def leave(self, choose: Callable[[list[Pair]], caps.Reasons]) -> None:
        """Leave out what `choose` names among those still here."""
        kept = self._kept()
        for place, why in choose([self._pairs[k] for k in kept]).items():
            self._left[kept[place]] = why

    def unrepeated(self) -> None:
        """Leave out what is word for word there already."""
        seen: dict[tuple[str, str], int] = {}
        for place in self._kept():
            first = seen.setdefault((self._questions[place], compared(self._pairs[place].response)), place)
            if first != place:
                self._left[place] = (DUPLICATE, f"of {self._pairs[first].exchange_id}")

    def agreed(self) -> None:
        """Send back what different reviewers approved and cannot all be right."""
        answers: dict[str, list[int]] = {}
        for place in self._kept():
            answers.setdefault(compared(asked(self._pairs[place])).casefold().rstrip(" ?!."), []).append(
                place
            )
        for places in answers.values():
            for at, place in enumerate(places):
                for other in places[:at]:
                    self._compare(place, other)

    def distinct(self) -> None:
        """Leave out what asks and answers nearly as an earlier one does, with the same facts in both."""
        for earlier, later in self._alike:
            if later not in self._left and earlier not in self._left and self._same_lesson(earlier, later):
                self._left[later] = (NEAR_DUPLICATE, f"of {self._pairs[earlier].exchange_id}")

    def curated(self) -> Curated:
        left = (LeftOut(self._pairs[place], *why) for place, why in sorted(self._left.items()))
        finds = {found.pair.exchange_id: found.finds for found in self._screened if found.finds}
        return Curated(self._groups(), tuple(left), finds)

    def _kept(self) -> list[int]:
        return [place for place in range(len(self._pairs)) if place not in self._left]

    def _compare(self, one: int, other: int) -> None:
        mine, theirs = self._pairs[one], self._pairs[other]
        if mine.reviewer == theirs.reviewer:
            return
        if in_what := contradiction(mine.response, theirs.response):
            self._left.setdefault(one, (CONTRADICTED, f"{in_what}, by {theirs.exchange_id}"))
            self._left.setdefault(other, (CONTRADICTED, f"{in_what}, by {mine.exchange_id}"))

    def _same_lesson(self, one: int, other: int) -> bool:
        mine, theirs = self._pairs[one], self._pairs[other]
        if overlap(self._asked[one], self._asked[other]) < SAME_LESSON:
            return False
        if overlap(self._answers[one], self._answers[other]) < SAME_LESSON:
            return False
        if not (same_facts(mine.response, theirs.response) and same_facts(asked(mine), asked(theirs))):
            return False
        # Of a form with one word filled in, a short answer says little: the word is the question.
        said = letters(gist(asked(mine))), letters(gist(asked(theirs)))
        return len(letters(mine.response)) >= LONG or said[0] == said[1]

    def _groups(self) -> tuple[Group, ...]:
        members: dict[str, list[Pair]] = {}
        for place in self._kept():
            members.setdefault(self._ties.root(self._questions[place]), []).append(self._pairs[place])
        return tuple(_group(joined) for joined in members.values())

    def _same_words(self) -> list[tuple[int, int]]:
        long = [place for place, pair in enumerate(self._pairs) if len(letters(pair.response)) >= TEXT]
        return [(long[a], long[b]) for a, b in near([self._answers[place] for place in long], SAME_WORDS)]


def _group(pairs: Sequence[Pair]) -> Group:
    anchors = dict.fromkeys(anchor for pair in pairs for anchor in (question(pair), _conversation(pair)))
    return Group(question(pairs[0]), tuple(pairs), tuple(anchors))


def _conversation(pair: Pair) -> str:
    return f"c:{pair.conversation_id}"
