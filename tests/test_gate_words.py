"""The gate's reasons in the reader's language: by their codes, and the rest of the record by its words."""

import json
import re
import string

from test_gate import card, changed

from serve.pages import reasons
from serve.pages.gate_texts import GATE, RECORD
from tuner import meaning, told
from tuner.gate import gate

SCORES = [
    *(card(8, 1, 21), card(0, 0, 30, change=0.0), card(2, 2, 20), card(0, 0, 30, change=0.3)),
    *(card(1, 12, 27), card(3, 0, 16), card(0, 5, 10), card(0, 30, 0, change=0.5)),
    changed(card(8, 1, 21), 9, text=""),
    changed(card(8, 1, 21), 3, text=""),
    changed(card(8, 1, 21), 1, faults=("leak",)),
    changed(card(8, 1, 21), 30, text="word " * 400),
]


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_gates_sentences_have_the_same_places_in_korean() -> None:
    assert set(GATE) == set(told.SENTENCES)
    for code, english in told.SENTENCES.items():
        assert _places(GATE[code]) == _places(english), code
    for english, korean in RECORD.items():
        assert _places(korean) <= _places(english), english


def test_whatever_the_gate_says_is_said_in_korean_alone() -> None:
    said = [reason for scores in SCORES for reason in gate(scores).reasons]
    assert len({told.coded(reason)["code"] for reason in said}) > 8
    for reason in said:
        korean = reasons.reason(told.coded(reason), reason, "ko")
        assert not re.findall(r"[A-Za-z]{2,}", re.sub(r"general@\d-\w{8}", "", korean)), korean
        assert reasons.reason(told.coded(reason), reason, "en") == reason
        for unknown in (None, {}, {"text": reason}, {"code": "?", "values": {}}, {"code": "", "values": ""}):
            assert reasons.reason(unknown, reason, "ko") == reason


def test_a_gates_reasons_are_worded_wherever_the_record_repeats_them() -> None:
    verdict = gate(card(8, 1, 21))
    judged = {"general@2-cafe0123": (verdict.reasons, verdict.coded)}
    word = reasons.wording(judged, "ko")
    joined = " ".join(verdict.reasons)
    korean = word("general@2-cafe0123", joined)
    assert "확률" in korean
    assert word("general@2-cafe0123", f"Its canary was ended. {joined}") == (
        f"시험 배포를 끝냈습니다. {korean}"
    )
    assert word("general@1-beef4567", joined) == joined, "another version's"
    assert (
        word("", "general@2-cafe0123 took its place.") == "general@2-cafe0123 버전이 자리를 넘겨받았습니다."
    )
    assert reasons.wording(judged, "en")("general@2-cafe0123", joined) == joined
    assert word("", "Somebody's own words.") == "Somebody's own words."


def test_why_a_run_is_not_due_is_said_in_korean_alone() -> None:
    for why in (
        "There is no new approved pair since run 2.",
        "1 new approved pair; 20 start a run.",
        "25 new approved pairs since run 1; after run 1 the tuner rests until 2026-01-02 03:04.",
        "25 new approved pairs, the oldest over 7 days old. The canary general@2 is decided first.",
        "3 of 20 conversations rated at this stage (1 of 2 down on it, 0 of 1 down beside it).",
        "Drift alarm: 5% of 9 rated conversations are thumbed down, 2% were with the version before "
        "(evidence 1.2, 20 suffice).",
    ):
        korean = re.sub(r"JSON|yes|no|general@\d+", "", reasons.recorded(why, "ko"))
        assert not re.findall(r"[A-Za-z]{2,}", korean), why


def test_a_verdict_survives_json_with_its_codes() -> None:
    verdict = gate(card(8, 1, 21))
    kept = json.loads(json.dumps(verdict.as_dict()))
    assert kept["reasons"] == [str(reason) for reason in verdict.reasons]
    assert [reasons.reason(one, "", "ko") for one in kept["coded"]] == [
        reasons.reason(one, "", "ko") for one in verdict.coded
    ]
    assert all(kept["coded"])


def test_why_an_answer_is_not_right_is_said_in_korean_alone() -> None:
    pairs = [
        ("", "Two."),
        ("I cannot help with that.", "Two."),
        ("Two.", "I cannot help with that."),
        ("{}", '{"a": 1}'),
        ("It is 3.", "It is 2."),
        ("It is fine.", "It is 2."),
        ("Ask Rob, not me.", "Ask Rob."),
        ("```py\nx = 1\n```", "It is fine."),
        ("Fine.", "```py\nx = 1\n```"),
        ("```py\nx = \n```", "```py\nx = 1\n```"),
        ("Yes.", "No."),
    ]
    told = [why for answer, reference in pairs if (why := meaning.means(answer, reference, 0.4, 0.8)[1])]
    assert len(told) > 7
    for why in told:
        korean = re.sub(r"JSON|yes|no|general@\d+", "", reasons.recorded(why, "ko"))
        assert not re.findall(r"[A-Za-z]{2,}", korean), why
