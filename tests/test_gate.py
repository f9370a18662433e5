"""The gate: a pure verdict, every reason in words, vetoes above scores, and never too soon."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.evaluate import Item, Said, Scorecard
from tuner.gate import Decision, Rules, Tally, Verdict, chances, gate

PASS, ABSTAIN, REFUSE = Decision.PASS, Decision.ABSTAIN, Decision.REFUSE
GOOD = Said("It is in the book of the harbour.", "stop", 9, True, "", 0.95, 1.0)
BAD = replace(GOOD, correct=False, why="too far in meaning (0.40)", nearness=0.4)
APPROVED = ("It is in the harbour's books.",)


def item(group: str, candidate: Said, incumbent: Said, references: tuple[str, ...] = APPROVED) -> Item:
    return Item(group, (f"e-{group}",), f"Question {group}?", references, candidate, incumbent)


def card(
    gained: int = 0, lost: int = 0, same: int = 0, *, change: float = -0.1, base: bool = False
) -> Scorecard:
    """So many groups gained, lost and equal, with a loss changed by `change` nats on each."""
    kinds = [(GOOD, BAD)] * gained + [(BAD, GOOD)] * lost + [(GOOD, GOOD)] * same
    items = tuple(
        item(str(i), replace(now, nll=1.0 + change + 0.01 * (i % 3)), replace(then, nll=1.0))
        for i, (now, then) in enumerate(kinds)
    )
    return Scorecard("general@2-cafe0123", "general@1-beef4567", base, items, 0.8, 1.0)


def changed(whole: Scorecard, count: int, **fields: object) -> Scorecard:
    """The candidate's first `count` answers with other fields."""
    items = [
        replace(entry, candidate=replace(entry.candidate, **fields)) if i < count else entry  # type: ignore[arg-type]
        for i, entry in enumerate(whole.items)
    ]
    return replace(whole, items=tuple(items))


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


def test_a_first_version_needs_only_be_better_in_both_on_average() -> None:
    wavering = card(2, 1, 40)
    noisy = tuple(
        replace(entry, candidate=replace(entry.candidate, nll=1.0 + (0.9 if i % 2 else -1.0)))
        for i, entry in enumerate(wavering.items)
    )
    later = replace(wavering, items=noisy)
    assert gate(replace(later, incumbent_is_base=True)).numbers["loss_mean"] < 0
    assert "no gain" in said(gate(later))
    assert "no gain" not in said(gate(replace(later, incumbent_is_base=True)))


@pytest.mark.parametrize(
    ("fields", "count", "words"),
    [
        ({"text": " "}, 1, "says nothing on 1 of 30"),
        ({"finish_reason": "length"}, 2, "does not stop on 2 of 30"),
        ({"text": "again and again and " * 20}, 2, "repeats itself on 2 of 30"),
        ({"text": "I'm sorry, I can't help with that."}, 2, "refuses against what was approved on 2 of 30"),
        ({"text": "It is in the book. " * 4 + "Ask."}, 16, "times as long as approved ones"),
        ({"text": "Yes."}, 16, "times as long as approved ones"),
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
        {"finish_reason": "length"},
        {"text": "again and again and " * 20},
        {"text": "I'm sorry, I can't help."},
    ],
)
def test_one_odd_answer_vetoes_nothing(fields: dict[str, object]) -> None:
    assert gate(changed(card(15, 0, 15), 1, **fields)).decision is PASS


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
        for entry in kept[:2]
    )
    whole = replace(card(), items=kept)
    assert "answers what approved responses refuse" not in said(gate(whole))
    verdict = gate(replace(whole, items=broken + kept[2:]))
    assert verdict.decision is REFUSE
    assert "answers what approved responses refuse on 2 of 30" in said(verdict)


def test_a_veto_refuses_even_below_the_minimum() -> None:
    assert gate(changed(card(3, 0, 2), 2, finish_reason="length")).decision is REFUSE


def test_instructions_of_one_group_are_one_piece_of_evidence() -> None:
    whole = card(30, 0, 10)
    one = replace(whole, items=tuple(replace(entry, group="one") for entry in whole.items))
    verdict = gate(one)
    assert verdict.decision is ABSTAIN
    assert "Only 1 separate instructions" in said(verdict)


def test_every_further_look_at_the_same_instructions_asks_for_more() -> None:
    scores = card(4, 1, 27, change=0.0)
    asked = [gate(scores, look=look).numbers["asked"] for look in (1, 2, 5)]
    assert asked == pytest.approx([0.90, 0.95, 0.98])
    decisions = [gate(card(7, 2, 26, change=0.0), look=look).decision for look in (1, 10)]
    assert decisions == [PASS, ABSTAIN]


def test_a_missing_loss_leaves_the_verdict_to_the_answers() -> None:
    def blind(whole: Scorecard) -> Scorecard:
        return changed(whole, len(whole.items), nll=None)

    assert gate(blind(card(8, 1, 21))).decision is PASS
    assert gate(blind(card(0, 0, 30))).decision is ABSTAIN
    assert gate(blind(card(0, 20, 10))).decision is REFUSE


def test_an_abstention_says_about_how_many_more_would_decide() -> None:
    verdict = gate(card(1, 1, 24))
    assert verdict.decision is ABSTAIN
    assert "more instructions for judging would decide" in said(verdict)
    hopeless = gate(card(0, 2, 20, change=0.0))
    assert "would not decide" in said(hopeless)


def test_the_margin_is_what_was_set() -> None:
    scores = card(0, 3, 57)
    assert gate(scores).decision is ABSTAIN
    assert gate(scores, Rules(margin=0.15)).decision is PASS


def test_the_chances_are_those_of_the_design() -> None:
    """Twenty groups without any change give .902: that is why twenty is the least."""
    assert chances(Tally(0, 0, 20), 0.05)[0] == pytest.approx(0.902, abs=0.003)
    assert chances(Tally(0, 0, 19), 0.05)[0] < 0.902
    assert Tally(8, 1, 0).mcnemar == pytest.approx(20 / 512)
    assert Tally(0, 0, 5).mcnemar == 1.0


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
        assert verdict.numbers["chance_not_worse"] >= verdict.numbers["asked"]


@settings(max_examples=40, deadline=None)
@given(COUNTS, st.integers(1, 20))
def test_more_right_answers_never_make_a_verdict_worse(counts: tuple[int, int, int], more: int) -> None:
    gained, lost, same = counts
    turned = min(more, lost)
    if sum(counts) < 20:
        return
    before = gate(card(gained, lost, same, change=0.0))
    after = gate(card(gained + turned, lost - turned, same, change=0.0))
    assert ORDER.index(after.decision) >= ORDER.index(before.decision)


@settings(max_examples=40, deadline=None)
@given(COUNTS, st.sampled_from(["length", "empty", "nan"]))
def test_a_broken_version_is_always_refused(counts: tuple[int, int, int], how: str) -> None:
    whole = card(*counts)
    if len(whole.items) < 4:
        return
    fields = {"length": {"finish_reason": "length"}, "empty": {"text": ""}, "nan": {"nll": math.nan}}[how]
    assert gate(changed(whole, len(whole.items), **fields)).decision is REFUSE
