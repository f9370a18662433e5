"""Which texts are nearly the same, which answers contradict each other, and what normal text is."""

import tracemalloc
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.agree import contradiction, numbers, same_facts
from feedback.alike import near, overlap, runs
from feedback.normal import compared, normal

TEXT = st.text(max_size=80)
LONG = "When does the office close on a Friday in the winter months of the year?"


def alike(one, other, least=0.7):
    return bool(near([runs(one), runs(other)], least))


class TestNormal:
    @given(TEXT)
    def test_normal_text_stays_as_it_is(self, text):
        assert normal(normal(text)) == normal(text)

    @given(TEXT)
    def test_decomposed_text_becomes_the_same(self, text):
        assert normal(unicodedata.normalize("NFD", text)) == normal(unicodedata.normalize("NFC", text))

    def test_hangul_is_composed_and_the_invisible_is_gone(self):
        assert normal("\ufeff한글\u200b 글\r\n끝\u2028") == "한글 글\n끝"

    @given(TEXT)
    def test_what_is_compared_has_single_spaces(self, text):
        assert compared(text) == " ".join(compared(text).split())


class TestNear:
    def test_a_long_text_is_hashed_in_pieces(self):
        words = [f"word{number} " for number in range(12_000)]
        texts = [runs("".join(words)), runs("".join(words[5:])), runs("".join(words[:6_000]))]
        tracemalloc.start()
        try:
            found = near(texts, 0.9)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found == [(0, 1)]
        assert most < 50 * 2**20, "in one piece one of them takes 75 MB"

    @pytest.mark.parametrize(
        "other",
        [
            LONG.upper(),
            "  ".join(LONG.split()),
            LONG.replace("?", " ?!"),
            f"Please: {LONG}",
            LONG.replace("a Friday", "Friday"),
            unicodedata.normalize("NFD", LONG),
        ],
    )
    def test_the_same_question_written_otherwise_is_near(self, other):
        assert alike(LONG, other)

    def test_korean_is_near_across_decomposition_spacing_and_particles(self):
        asked = "겨울에는 사무실이 금요일 몇 시에 문을 닫나요?"
        for other in (
            unicodedata.normalize("NFD", asked),
            asked.replace(" ", ""),
            asked.replace("에는", "에"),
        ):
            assert alike(asked, other)
        assert not alike(asked, "여름에는 어디로 여행을 가면 좋을까요?")

    def test_other_questions_are_not_near(self):
        assert not alike(LONG, "How do I reset the password of my account?")
        assert not alike("Say hi", "Say bye")

    def test_short_and_empty_texts_are_near_only_to_themselves(self):
        told = ["", "a", "a", "b", "?", "!"]
        assert near([runs(text) for text in told], 0.9) == [(1, 2)]

    def test_many_alike_are_all_joined_to_the_first(self):
        told = [f"{LONG}{' ' * n}" for n in range(50)]
        pairs = near([runs(text) for text in told], 0.7)
        assert {later for _, later in pairs} == set(range(1, 50))
        assert {(0, later) for later in range(1, 50)} <= set(pairs)

    def test_kinds_keep_texts_apart(self):
        told = [runs(LONG)] * 4
        assert near(told, 0.7, ["x", "y", "x", "y"]) == [(0, 2), (1, 3)]

    @given(TEXT, TEXT)
    def test_overlap_is_a_share_and_has_no_direction(self, one, other):
        share = overlap(runs(one), runs(other))
        assert 0 <= share <= 1
        assert share == overlap(runs(other), runs(one))
        assert overlap(runs(one), runs(one)) == 1


class TestAgree:
    @pytest.mark.parametrize(
        ("one", "other", "what"),
        [
            ("Yes, you may.", "No. Ask first.", "yes_no"),
            ("네, 됩니다.", "아니요, 안 됩니다.", "yes_no"),
            ("Two tablets, 2 a day.", "Take 4 a day.", "numbers"),
            ("마감은 3일입니다.", "마감은 5일입니다.", "numbers"),
            ("You should appeal the decision.", "You should not appeal the decision.", "negation"),
            ("환불이 가능합니다, 기한은 없습니다.", "환불이 가능합니다, 기한은 있습니다.", "negation"),
        ],
    )
    def test_contradictions_are_seen(self, one, other, what):
        assert contradiction(one, other) == what
        assert contradiction(other, one) == what

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Hi there.", "Hello."),
            ("Yes, you may.", "You may."),
            ("It opens at 9.", "It opens at 9 and closes at 17."),
            ("1. Boil water\n2. Add rice", "1. Add rice\n2. Boil water\n3. Stir"),
            ("1,000 won", "1000.0 won"),
            ("Nobody knows the way.", "A poem: the sea, the sky, the shore."),
            ("말을 잘못 들었어요", "말을 잘못 들었습니다"),
        ],
    )
    def test_different_right_answers_are_not(self, one, other):
        assert contradiction(one, other) == ""

    def test_same_facts_are_the_same_numbers_and_negations(self):
        assert same_facts("Take 2 pills.", "Take 2 pills")
        assert not same_facts("Take 2 pills.", "Take 3 pills.")
        assert not same_facts("Do take it.", "Do not take it.")
        assert numbers("1) first\n2) then 7.50 of 1,200") == numbers("7.5 / 1200")
