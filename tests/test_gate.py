"""The gate: a pure verdict, every reason in words, vetoes above scores, and never too soon."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.chances import Ranked, Tally, above
from tuner.gate import Decision, Rules, Verdict, gate, looks
from tuner.scorecard import GeneralItem, Item, Said, Scorecard

PASS, ABSTAIN, REFUSE = Decision.PASS, Decision.ABSTAIN, Decision.REFUSE
GOOD = Said("It is in the book of the harbour.", "stop", 9, True, "", 0.95, 1.0)
BAD = replace(GOOD, correct=False, why="too far in meaning (0.40)", nearness=0.4)
CUT_OFF: dict[str, object] = {
    "finish_reason": "length",
    "text": f"{GOOD.text} And also in the one beside it.",
}


def item(group: str, candidate: Said, incumbent: Said, references: tuple[str, ...] = ()) -> Item:
    references = references or (f"It is in the harbour's book {group}.",)
    return Item(group, (f"e-{group}",), f"Question {group}?", references, candidate, incumbent)


def card(
    gained: int = 0, lost: int = 0, same: int = 0, *, change: float = -0.1, base: bool = False
) -> Scorecard:
    """So many groups gained, lost and equal, with a loss changed by `change` nats on each."""
    kinds = [(GOOD, BAD)] * gained + [(BAD, GOOD)] * lost + [(GOOD, GOOD)] * same
    items = tuple(
        item(str(i), _own(now, i, 1.0 + change + 0.01 * (i % 3)), _own(then, i, 1.0))
        for i, (now, then) in enumerate(kinds)
    )
    return Scorecard("general@2-cafe0123", "general@1-beef4567", base, items, {"latin": 0.8}, 1.0)


def _own(said: Said, place: int, nll: float) -> Said:
    """Wrong answers are wrong in different words."""
    return replace(said, nll=nll, text=said.text if said.correct else f"It may be at pier number {place}.")


def changed(whole: Scorecard, count: int, **fields: object) -> Scorecard:
    """The candidate's first `count` answers with other fields."""
    items = [
        replace(entry, candidate=replace(entry.candidate, **fields)) if i < count else entry  # type: ignore[arg-type]
        for i, entry in enumerate(whole.items)
    ]
    return replace(whole, items=tuple(items))


def blind(whole: Scorecard) -> Scorecard:
    """Without any loss."""
    return changed(whole, len(whole.items), nll=None)


def said(verdict: Verdict) -> str:
    return " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("scores", "decision", "words"),
    [
        (card(8, 1, 21), PASS, "got 8 right that general@1-beef4567 got wrong, and lost 1"),
        (card(0, 0, 30), PASS, "more likely"),  # no answer changed, but the loss fell for certain
        (card(6, 0, 24, change=0.0), PASS, "got 6 right"),  # gain by correctness alone
        (card(0, 0, 30, change=0.0), ABSTAIN, "no gain is shown yet"),
        (card(2, 2, 20, change=-0.1), ABSTAIN, "% sure, and 90% is asked"),
        (card(0, 0, 30, change=0.3), REFUSE, "clearly less likely"),
        (card(9, 0, 30, change=0.3), PASS, "got 9 right"),  # right answers count for more than loss
        (card(1, 12, 27), REFUSE, "worse by more than 5%"),
        (card(0, 30, 0, change=0.5), REFUSE, "worse"),
        (card(3, 0, 16), ABSTAIN, "1 more would let it decide"),
        (card(0, 0, 0), ABSTAIN, "20 more would let it decide"),
        (card(0, 5, 10), ABSTAIN, "5 more would let it decide"),  # too few even to refuse by score
    ],
)
def test_the_table_of_verdicts(scores: Scorecard, decision: Decision, words: str) -> None:
    verdict = gate(scores)
    assert verdict.decision is decision, verdict
    assert words in said(verdict)


@pytest.mark.parametrize(
    ("fields", "count", "words"),
    [
        ({"text": " "}, 4, "says nothing on 4 of 30"),
        (CUT_OFF, 4, "does not stop on 4 of 30 instructions; before: 0."),
        ({"text": "again and again and " * 20}, 4, "repeats itself on 4 of 30"),
        ({"text": "I'm sorry, I can't help with that."}, 4, "refuses or claims not to know"),
        ({"text": "I don't know."}, 9, "refuses or claims not to know"),
        ({"text": "Ask somebody at the desk.", "correct": False}, 9, "gives one answer to everything on 9"),
        ({"faults": ("language",)}, 4, "answers in another language"),
        ({"faults": ("astray",)}, 4, "says what was approved for another instruction on 4 of 30"),
        ({"faults": ("leak",)}, 1, "another person's approved response word for word on 1 of 30"),
        ({"text": "It is in the book. " * 4 + "Ask."}, 30, "times as long as approved ones"),
        ({"text": "Yes."}, 20, "times as long as approved ones"),
        ({"nll": math.nan}, 1, "not a number"),
        ({"nll": math.inf}, 1, "not a number"),
    ],
)
def test_what_is_broken_is_refused_however_good_the_score(
    fields: dict[str, object], count: int, words: str
) -> None:
    verdict = gate(changed(card(15, 0, 15), count, **fields))
    assert verdict.decision is REFUSE
    assert words in said(verdict)


@pytest.mark.parametrize(
    "fields",
    [
        CUT_OFF,
        {"text": "again and again and " * 20},
        {"text": "I'm sorry, I can't help."},
        {"text": ""},
        {"faults": ("language",)},
    ],
)
def test_one_odd_answer_vetoes_nothing(fields: dict[str, object]) -> None:
    assert gate(changed(card(15, 0, 15), 1, **fields)).decision is PASS


def test_a_few_odd_answers_are_a_doubt_that_a_person_may_settle() -> None:
    verdict = gate(changed(card(15, 0, 15), 2, **CUT_OFF))
    assert verdict.decision is ABSTAIN
    assert "It does not stop on 2 of 30 instructions; before: 0: " in said(verdict)


def test_as_many_faults_as_before_are_chance_and_no_fault() -> None:
    """Six answers that go on for ever, but other ones than before, in a hundred."""
    whole = card(15, 3, 82)
    items = [
        replace(
            entry,
            candidate=replace(entry.candidate, **CUT_OFF if i < 6 else {}),  # type: ignore[arg-type]
            incumbent=replace(entry.incumbent, **CUT_OFF if 50 <= i < 55 else {}),  # type: ignore[arg-type]
        )
        for i, entry in enumerate(whole.items)
    ]
    assert gate(replace(whole, items=tuple(items))).decision is PASS


def test_an_answer_cut_off_before_it_was_as_long_as_the_approved_one_is_no_endless_one() -> None:
    """Where approved responses are longer than an answer may get here, nothing is known of its end."""
    assert gate(changed(card(15, 0, 15), 30, finish_reason="length")).decision is PASS


@pytest.mark.parametrize(("alike", "decision"), [(30, ABSTAIN), (27, ABSTAIN), (26, PASS)])
def test_where_nearly_all_have_one_approved_response_being_right_shows_nothing(
    alike: int, decision: Decision
) -> None:
    whole = card(20, 0, 10)
    same = ("It is in the harbour's books.",)
    items = [replace(entry, references=same) if i < alike else entry for i, entry in enumerate(whole.items)]
    verdict = gate(replace(whole, items=tuple(items)))
    assert verdict.decision is decision
    if decision is ABSTAIN:
        assert f"{alike} of 30 separate instructions have one and the same approved response" in said(verdict)


def test_a_fault_that_was_there_before_is_not_held_against_a_version() -> None:
    whole = card(15, 0, 15)
    endless = tuple(
        replace(
            entry,
            candidate=replace(entry.candidate, finish_reason="length", text=entry.candidate.text * 5),
            incumbent=replace(entry.incumbent, finish_reason="length", text=entry.incumbent.text * 9),
        )
        for entry in whole.items
    )
    assert gate(replace(whole, items=endless)).decision is PASS


def test_answering_what_approved_responses_refuse_is_broken() -> None:
    refusal = "I'm sorry, I can't help with that."
    refused = replace(GOOD, text=refusal)
    kept = tuple(item(str(i), refused, refused, (refusal,)) for i in range(30))
    broken = tuple(
        replace(entry, candidate=replace(entry.candidate, text="Take the key under the mat, friend."))
        for entry in kept[:4]
    )
    whole = replace(card(), items=kept)
    assert "answers what approved responses refuse" not in said(gate(whole))
    verdict = gate(replace(whole, items=broken + kept[4:]))
    assert verdict.decision is REFUSE
    assert "answers what approved responses refuse on 4 of 30" in said(verdict)


def test_a_veto_refuses_even_below_the_minimum() -> None:
    assert gate(changed(card(3, 0, 2), 4, **CUT_OFF)).decision is REFUSE


def test_instructions_of_one_group_are_one_piece_of_evidence() -> None:
    whole = card(30, 0, 10)
    one = replace(whole, items=tuple(replace(entry, group="one") for entry in whole.items))
    verdict = gate(one)
    assert verdict.decision is ABSTAIN
    assert "Only 1 separate instructions" in said(verdict)


def test_every_further_look_at_the_same_instructions_asks_for_more() -> None:
    rules = Rules()
    assert [rules.asked(look) for look in (1, 2, 5)] == pytest.approx([0.90, 0.95, 0.98])
    assert [rules.asked_of_gain(look) for look in (1, 2, 5)] == pytest.approx([0.80, 0.95, 0.992])
    assert sum(1 - rules.asked_of_gain(look) for look in range(1, 10_000)) < 0.33
    numbers = gate(card(7, 2, 26, change=0.0), look=2).numbers
    assert numbers["look"] == 2
    assert numbers["claims"]["answers_not_worse"]["asked"] == pytest.approx(0.95)
    decisions = [gate(card(7, 2, 26, change=0.0), look=look).decision for look in (1, 10)]
    assert decisions == [PASS, ABSTAIN]


def test_a_look_is_counted_by_how_often_its_instructions_were_looked_at_on_average() -> None:
    seen = [{"group": "a"}, {"group": "b"}]
    assert looks(["a", "b"], []) == 1
    assert looks(["a", "b"], [seen]) == 2
    assert looks(["a", "b", "c", "d"], [seen]) == 1.5, "half of them are fresh"
    assert looks(["a", "b", "c"], [seen, seen, [{"group": "c"}]]) == pytest.approx(1 + 5 / 3)
    assert looks([], [seen]) == 1


def test_a_missing_loss_leaves_the_verdict_to_the_answers() -> None:
    assert gate(blind(card(8, 1, 21))).decision is PASS
    assert gate(blind(card(0, 0, 30))).decision is ABSTAIN
    assert gate(blind(card(0, 20, 10))).decision is REFUSE


def test_an_abstention_says_about_how_many_more_would_decide() -> None:
    verdict = gate(card(1, 1, 24))
    assert verdict.decision is ABSTAIN
    claim = verdict.numbers["claims"]["answers_not_worse"]
    assert f"About {claim['more']} more instructions for judging would decide" in said(verdict)
    grown = Tally(1, 1, 24).grown(26 + claim["more"])
    assert above(grown, -0.05) >= claim["asked"] > above(Tally(1, 1, 24), -0.05)
    hopeless = gate(card(0, 2, 20, change=0.0))
    assert "would not decide" in said(hopeless)


def general(lost: int = 0, gained: int = 0, kept: int = 100, always_lost: int = 0) -> tuple[GeneralItem, ...]:
    """Items that the base passes sometimes, and forty that it passes always."""
    counted = [(False, True)] * lost + [(True, False)] * gained + [(True, True)] * kept
    steady = [i >= always_lost for i in range(40)]
    return tuple(GeneralItem(f"s{i}", now, then, then, 0.5) for i, (now, then) in enumerate(counted)) + tuple(
        GeneralItem(f"a{i}", now, True, True, 1.0) for i, now in enumerate(steady)
    )


@pytest.mark.parametrize(
    ("items", "decision", "words"),
    [
        (
            general(lost=2, gained=3),
            PASS,
            "outside its field it loses at most 5% of general items to the base",
        ),
        (general(lost=18, gained=2), REFUSE, "loses more than 5% of general items to the base"),
        (general(lost=7, gained=2), ABSTAIN, "more general items would decide"),
        (general(always_lost=8), REFUSE, "forgets what the base always passes"),
        (general(kept=5), PASS, "outside its field"),  # too easy a suite, but nothing easy was lost
        (general(kept=5)[:5], ABSTAIN, "Only 5 general items tell anything of this base"),
        ((), PASS, "No general questions were asked"),
    ],
)
def test_what_is_lost_outside_the_field_counts_against_the_base(
    items: tuple[GeneralItem, ...], decision: Decision, words: str
) -> None:
    verdict = gate(replace(card(8, 1, 41), general=items))
    assert verdict.decision is decision, verdict
    assert words in said(verdict)


def test_small_losses_cannot_add_up_over_versions() -> None:
    """Two points worse than the live version, which itself lost eight: neither margin alone is passed."""
    items = [
        GeneralItem(f"g{i}", candidate=i >= 20, base=True, incumbent=i >= 16, base_share=0.5)
        for i in range(200)
    ]
    verdict = gate(replace(card(8, 1, 41), general=tuple(items)))
    assert verdict.decision is REFUSE
    assert "to the base" in said(verdict)


def test_what_the_base_always_or_never_passes_dilutes_nothing() -> None:
    lost = general(lost=18, gained=2)
    never = tuple(GeneralItem(f"n{i}", False, False, False, 0.0) for i in range(3000))
    always = tuple(GeneralItem(f"y{i}", True, True, True, 1.0) for i in range(3000))
    whole = replace(card(8, 1, 41), general=lost + never + always)
    assert gate(whole).decision is REFUSE
    assert gate(whole).numbers["general"] == gate(replace(whole, general=lost)).numbers["general"]


def test_where_almost_nothing_was_right_before_only_right_answers_are_a_gain() -> None:
    """Losing could not be seen, and nonsense in the right style lowers the loss too."""
    wrong = replace(card(0, 0, 40), items=tuple(item(str(i), _wrong(0.5), _wrong(1.0)) for i in range(40)))
    verdict = gate(wrong)
    assert verdict.decision is ABSTAIN
    assert "gets 0% right, so that losing could not be seen" in said(verdict)
    lucky = replace(wrong, items=card(3, 0, 0).items + wrong.items[3:])
    assert gate(lucky).decision is ABSTAIN, "three of forty may be the match's mistakes"
    learnt = replace(wrong, items=card(12, 0, 0).items + wrong.items[12:])
    assert gate(learnt).decision is PASS


def _wrong(nll: float) -> Said:
    return replace(BAD, nll=nll, text=f"Something else, {nll}, told at length.", faults=())


def test_the_margin_is_what_was_set() -> None:
    scores = card(0, 3, 57)
    assert gate(scores).decision is ABSTAIN
    assert gate(scores, Rules(margin=0.15)).decision is PASS


def test_the_chances_are_those_of_the_design() -> None:
    """Twenty groups without any change give .903: that is why twenty is the least."""
    assert above(Tally(0, 0, 20), -0.05) == pytest.approx(0.903, abs=0.001)
    assert above(Tally(0, 0, 19), -0.05) < 0.90
    assert Tally(8, 1, 0).mcnemar == pytest.approx(20 / 512)
    assert Tally(0, 0, 5).mcnemar == 1.0
    assert Tally(900, 800, 0).mcnemar > 0.01


@pytest.mark.parametrize(
    "counts", [(8, 1, 21), (0, 5, 95), (30, 20, 50), (0, 0, 2), (2.5, 0.5, 20), (150, 90, 900)]
)
@pytest.mark.parametrize("bound", [-0.05, 0.0, 0.02])
def test_the_chances_are_those_of_many_draws(counts: tuple[float, float, float], bound: float) -> None:
    drawn = np.random.default_rng(7).dirichlet([count + 0.5 for count in counts], 200_000)
    assert above(Tally(*counts), bound) == pytest.approx(
        ((drawn[:, 0] - drawn[:, 1]) > bound).mean(), abs=0.005
    )


def test_a_group_that_changed_in_part_counts_in_part() -> None:
    assert Tally.of([1.0, 0.5, -0.5, 0.0]) == Tally(1.5, 0.5, 2.0)
    assert Tally.of([1.0, 0.5, -0.5, 0.0]).change == 0.25


def test_ranks_hear_many_small_changes_and_are_deaf_to_one_huge_one() -> None:
    steady = Ranked.of([0.1, 0.2, 0.15, 0.05] * 6)
    assert steady.sure > 0.999
    assert Ranked.of([0.1, 0.2, 0.15, 0.05] * 6 + [-100.0]).sure > 0.99
    assert Ranked.of([-1.0, 1.0] * 10).sure == pytest.approx(0.5)
    assert Ranked.of([0.0] * 5).sure == pytest.approx(0.5)


def test_a_scorecard_comes_back_as_it_was() -> None:
    scores = card(3, 1, 20)
    assert Scorecard.from_dict(scores.as_dict()) == scores
    assert scores.look == card(1, 3, 20).look != card(1, 3, 21).look


COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
ORDER = [REFUSE, ABSTAIN, PASS]


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.floats(-0.5, 0.5), st.integers(1, 10))
def test_any_scorecard_gets_a_verdict_in_words(
    counts: tuple[int, int, int], change: float, look: int
) -> None:
    verdict = gate(card(*counts, change=change), look=look)
    assert verdict == gate(card(*counts, change=change), look=look)
    assert verdict.reasons
    assert all(reason[0].isupper() and reason.endswith(".") for reason in verdict.reasons)
    if sum(counts) < 20:
        assert verdict.decision is ABSTAIN
    if verdict.decision is PASS:
        assert verdict.numbers["claims"]["answers_not_worse"]["met"]


@settings(max_examples=40, deadline=None)
@given(COUNTS, st.integers(1, 20))
def test_more_right_answers_never_make_a_verdict_worse(counts: tuple[int, int, int], more: int) -> None:
    gained, lost, same = counts
    turned = min(more, lost)
    if sum(counts) < 20:
        return
    before = gate(blind(card(gained, lost, same)))
    after = gate(blind(card(gained + turned, lost - turned, same)))
    assert ORDER.index(after.decision) >= ORDER.index(before.decision)


@settings(max_examples=40, deadline=None)
@given(COUNTS, st.sampled_from(["length", "empty", "nan"]))
def test_a_broken_version_is_always_refused(counts: tuple[int, int, int], how: str) -> None:
    whole = card(*counts)
    if len(whole.items) < 6:
        return
    fields: dict[str, object] = {"length": CUT_OFF, "empty": {"text": ""}, "nan": {"nll": math.nan}}[how]
    assert gate(changed(whole, len(whole.items), **fields)).decision is REFUSE
