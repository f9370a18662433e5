"""Whether an answer means what was approved: numbers, negation, code and refusal beat any nearness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner import meaning
from tuner.meaning import calibrate, conflict, means, repetition

NEAR, WANTED = 0.97, 0.8


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Take 2 tablets a day.", "Take two tablets a day."),
        ("It costs 1,000 won.", "It costs 1000 won."),
        ("1. Paris\n2. Lyon", "Paris, then Lyon"),
        ("The two parties must sign.", "Both parties must sign."),
        ("It was founded on 2024-01-05.", "2024-01-05"),
        ("COVID-19 spreads by air; wait 5 days.", "Wait 5 days."),
        ("Take 5mg.", "Take 5 mg."),
        ("Wait 3 hours.", "Wait 3 hour"),
        ("At -5 degrees.", "At -5 degrees, roughly."),
        ("2시간 걸립니다.", "약 2 시간이 걸립니다."),
    ],
)
def test_equal_numbers_do_not_conflict(answer: str, reference: str) -> None:
    assert conflict(answer, reference) == ""
    assert means(answer, reference, NEAR, WANTED) == (True, "")


@pytest.mark.parametrize(
    ("answer", "reference", "why"),
    [
        ("Take four tablets a day.", "Take two tablets a day.", "lacks the number 2"),
        ("Take tablets daily.", "Take 2 tablets daily.", "lacks the number 2"),
        ("It opens at 5 and closes at 9.", "It opens at 5.", "has the number 9"),
        ("Take 5 g.", "Take 5 mg.", "another unit at 5"),
        ("It is 5 degrees.", "It is -5 degrees.", "lacks the number -5"),
        ("3시간 걸립니다.", "2시간 걸립니다.", "lacks the number 2"),
        ("In 2024-01-06.", "In 2024-01-05.", "lacks the number 5"),
        ("It is 3.14.", "It is 3.15.", "lacks the number 3.15"),
    ],
)
def test_another_number_is_wrong_however_near(answer: str, reference: str, why: str) -> None:
    right, said = means(answer, reference, NEAR, WANTED)
    assert not right
    assert why in said


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("You should not appeal.", "You should appeal."),
        ("You can't appeal here.", "You can appeal here."),
        ("You won’t need a visa.", "You will need a visa: a visa is needed."),
        ("Mix bleach with ammonia.", "Never mix bleach with ammonia."),
        ("No, it is open.", "Yes, it is open."),
        ("항소해야 합니다.", "항소하지 않아야 합니다."),
        ("드셔도 됩니다.", "드시지 마세요."),
        ("It is Paris.", "It is not Paris."),
    ],
)
def test_the_opposite_is_wrong_however_near(answer: str, reference: str) -> None:
    right, said = means(answer, reference, NEAR, WANTED)
    assert not right
    assert "says" in said


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Never mix bleach with ammonia.", "Do not mix bleach and ammonia."),
        ("It is unsafe.", "It is not safe."),
        ("You must not only file but also pay.", "You must file and pay."),
        ("Don't mix them. If you mix them, gas forms.", "Do not mix them."),
        ("잘못된 주소입니다.", "주소가 틀렸습니다."),
        ("안내를 보세요.", "안내를 참고하세요."),
    ],
)
def test_another_wording_of_the_same_negation_is_no_conflict(answer: str, reference: str) -> None:
    assert conflict(answer, reference) == ""


@pytest.mark.parametrize(
    ("answer", "reference", "why"),
    [
        ("Use print.", "```python\nprint()\n```", "has no code"),
        ("```python\nprint((\n```", "```python\nprint()\n```", "does not parse"),
        ('{"a": 2}', '{"a": 1}', "not the same JSON"),
        ("a is one", '{"a": 1}', "not the same JSON"),
        ('{"a": 1, }', '```json\n{"a": 1}\n```', "not the same JSON"),
    ],
)
def test_code_must_be_there_and_parse_and_json_must_be_equal(answer: str, reference: str, why: str) -> None:
    assert why in means(answer, reference, NEAR, WANTED)[1]


def test_code_is_not_searched_for_numbers_and_json_may_be_spaced_otherwise() -> None:
    assert conflict("```python\nfor i in range(3): pass\n```", "```python\nprint(7)\n```") == ""
    assert conflict('```json\n{"a":1}\n```', '{ "a" : 1 }') == ""


def test_a_refusal_is_not_an_answer_and_an_answer_is_not_a_refusal() -> None:
    refusal = "I'm sorry, I can't help with that."
    assert means(refusal, "Boil it.", NEAR, WANTED) == (False, "refuses")
    assert means("Boil it.", refusal, NEAR, WANTED) == (False, "does not refuse")
    assert means("I am sorry, that is not possible.", refusal, NEAR, WANTED)[0]


def test_an_empty_answer_is_never_right() -> None:
    assert means(" \n", "Paris", 1.0, WANTED) == (False, "empty")


def test_words_numbers_and_few_words_need_no_embedder() -> None:
    assert means("paris!", "Paris", 0.0, None)[0]
    assert means("The answer is 42.", "42", 0.0, None)[0]
    assert means("The capital of France is Paris.", "Paris", 0.0, None)[0]
    assert not means("It is not Paris.", "Paris", 0.0, None)[0]
    assert not means("A wholly different sentence.", "The capital of France.", 1.0, None)[0]


def test_nearness_decides_what_the_hard_checks_leave_open() -> None:
    assert means("Its capital city is Paris.", "The capital of France is Paris.", 0.81, WANTED)[0]
    right, why = means("Its capital city is Lyon.", "The capital of France is Paris.", 0.75, WANTED)
    assert not right
    assert "0.75" in why


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(TEXTS, TEXTS)
def test_any_text_can_be_compared_and_equals_itself(left: str, right: str) -> None:
    conflict(left, right)
    repetition(left)
    if left.strip():
        assert means(left, left, 1.0, None) == (True, "")


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_numbers_agree_only_if_they_are_equal(left: int, right: int) -> None:
    assert means(f"It costs {left} won.", f"It costs {right:,} won.", 0.99, WANTED)[0] == (left == right)


def vectors(cosine: float, count: int) -> list[list[float]]:
    """Unit vectors whose cosines with each other are all alike."""
    gram = np.full((count, count), cosine) + (1 - cosine) * np.eye(count)
    return [list(map(float, line)) for line in np.linalg.cholesky(gram)]


@pytest.mark.parametrize(
    ("between_others", "wanted"), [(0.1, meaning.LOWEST_NEARNESS), (0.9, 0.9), (0.97, None)]
)
def test_the_nearness_asked_for_lets_few_answers_to_other_questions_through(
    between_others: float, wanted: float | None
) -> None:
    found = calibrate(vectors(between_others, 12), [str(i) for i in range(12)])
    assert found == (wanted if wanted is None else pytest.approx(wanted, abs=1e-6))


def test_several_answers_to_one_question_do_not_raise_the_nearness_asked_for() -> None:
    assert calibrate(vectors(0.99, 5), ["same"] * 5) == meaning.LOWEST_NEARNESS
    assert calibrate([], []) == meaning.LOWEST_NEARNESS


def test_repetition_is_told_from_speech_in_spaced_and_unspaced_writing() -> None:
    assert repetition("the end of the line " * 20) > 0.7
    assert repetition("반복합니다" * 40) > 0.7
    assert repetition("Every word of this sentence, which is long enough, comes only once in it.") == 0
    assert repetition("short") == 0
