"""What the pages show: in two languages, escaped, and nothing of it swallowed by what a model wrote."""

import ast
import html
import re
import string
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feedback import curate, lineage, private
from feedback.errors import Conflict, HoneError
from feedback.policy import Opinion
from feedback.queue import Item
from feedback.records import REASONS_DOWN, REASONS_UP, Exchange, Message, Run, Version, now
from feedback.screen import Policy
from serve import prompts
from serve.pages import bulk, erasing, fates, finds, quality, rollouts, snippet, tables, upkeep
from serve.pages.bubbles import bubbles, inert
from serve.pages.cards import detail, queue, standing
from serve.pages.curve import curve
from serve.pages.texts import ERRORS, TEXTS
from serve.pages.words import LANGUAGES, language_of, say, say_error
from tuner import cycle

BAD = "<script>alert(1)</script><img src=x onerror=alert(2)>"
AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
EXCHANGE = Exchange(
    id=BAD,
    at=AT,
    principal=BAD,
    conversation_id="c",
    assistant=BAD,
    version=BAD,
    context=(Message("system", BAD), Message("user", BAD)),
    instruction=BAD,
    source=BAD,
    response=BAD,
    finish_reason="stop",
    rating="down",
    reasons=(BAD,),
    comment=BAD,
    correction=BAD,
    state="approved",
    approved_response=BAD,
    reviewed_by=BAD,
)
OPINION = Opinion(BAD, BAD, "approve", BAD, BAD, BAD, True, AT)
ITEM = Item(EXCHANGE, BAD, True, ("link",), BAD, (OPINION,), None, None)
GOLD = {"exchange_id": BAD, "at": AT, "principal": BAD, "expected": "edit", "note": BAD, "retired": True}
FIGURES = {
    "exchanges": 1,
    "alpha": 0.5,
    "agreed": 1.0,
    "reviewers": [{"reviewer": BAD, "compared": 1, "agreed": 1.0}],
}
REMOVES = {"exchanges": 1}
WOULD = {"removes": REMOVES, "versions": [{"version": BAD, "learnt": 1}], "policy": "keep"}
RECEIPT = {"removed": REMOVES, "proof": {"clean": True, "files": 3}, "erasure": BAD}
SERVER = {"url": BAD, "in": False, "in_flight": 0, "trouble": BAD}
ERASED = {"scope": "user", "target": BAD, "by": BAD, "at": AT, "finished_at": None}
LEFT = {"code": "left_out", "run": BAD, "left_out": BAD, "by": 1}
BELOW_THE_DESK = ("claims", "review", "opinions", "rounds", "disputes", "drafts", "queue")
PLACE = "07:30 UTC"
SAID = {"text": BAD, "why": BAD, "correct": False}
SIDE = {"rated": 3, "down": 1}
ROLLOUT: dict[str, Any] = {
    "live": BAD,
    "canary": {
        "version": BAD,
        "share": 0.25,
        "told": BAD,
        "evidence": {"worse": 0.5, "no_worse": 2.0, "canary": SIDE, "control": SIDE},
    },
    "drift": {"told": BAD, "alarm": True},
    "orders": {BAD: {"version": BAD, "principal": BAD, "reason": BAD}},
    "events": [{"at": BAD, "version": BAD, "state": BAD, "share": 0.05, "reason": BAD}],
}
RUN: dict[str, Any] = {
    "id": BAD,
    "number": BAD,
    "state": BAD,
    "step": BAD,
    "version": BAD,
    "reason": BAD,
    "started_at": AT.isoformat(),
    "changed_at": AT.isoformat(),
    "progress": {"phase": BAD, "step": 1, "steps": 2, "epoch": BAD, "history": []},
    "gate": {
        "verdict": BAD,
        "reasons": [BAD],
        "items": [{"instruction": BAD, "candidate": {**SAID, "correct": True}, "incumbent": SAID}],
    },
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_people_or_models_wrote_becomes_markup(language: Any) -> None:
    version = Version(BAD, BAD, 1, "live", AT, reason=BAD, changed_by=BAD, by_hand=BAD)
    run = Run(BAD, BAD, 1, "failed", BAD, AT, AT, BAD, version=BAD, reason=BAD)
    facts = {"device": BAD, "dtype": BAD, "restarts": 1, "trouble": BAD}
    router = {"loaded": [BAD], "in_flight": {BAD: 1}, "refused": {BAD: BAD}}
    pages = [
        queue([ITEM], EXCHANGE.id, language, ticks=True),
        detail(EXCHANGE, language),
        detail(EXCHANGE, language, finds.Finds(Policy(), language).marked),
        standing(ITEM, language),
        bulk.told([bulk.Result(BAD, refused=Conflict(BAD, BAD))], language),
        quality.figures_table(FIGURES, [], BAD, language),
        quality.golds_table(
            [GOLD | {"opinions": [{"principal": BAD, "verdict": "edit"}]}], {BAD: EXCHANGE}, language
        ),
        fates.fate(LEFT, language),
        fates.fate({"code": "rejected_because", "reason": BAD}, language),
        erasing._would(WOULD, BAD, language),
        erasing._done(RECEIPT, language),
        tables.versions([version], language),
        tables.run(RUN, language),
        tables.gate(RUN, language),
        tables.runs([run], language),
        tables.decisions([{"at": AT, "due": True, "reason": BAD}], language),
        tables.engine(BAD, facts, router, [SERVER], language),
        "".join(upkeep._row(ERASED, language)),
        rollouts.rollout(ROLLOUT, language),
    ]
    for page in pages:
        assert "&lt;script&gt;" in page
        assert "<script" not in page
        assert "<img" not in page


def test_every_text_has_two_languages_with_the_same_places() -> None:
    for key, pair in TEXTS.items():
        assert all(pair), key
        places = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in pair]
        assert places[0] == places[1], key


def test_every_reason_and_every_common_error_has_its_words() -> None:
    for key in (*REASONS_DOWN, *REASONS_UP):
        assert say("ko", f"reason_{key}") != say("en", f"reason_{key}")
    assert set(ERRORS) <= {kind.code for kind in _kinds(HoneError)}


@pytest.mark.parametrize("file", ["serve/pages/bulk.py", *(f"feedback/{name}.py" for name in BELOW_THE_DESK)])
def test_whatever_the_desk_refuses_is_told_in_korean_alone(file: str) -> None:
    refusals = list(_refusals((Path(__file__).parents[1] / file).read_text()))
    assert refusals
    for what in refusals:
        said = say_error("ko", Conflict(what, "Do something else."))
        assert not set(re.findall(r"[A-Za-z]+", said)) - set(re.findall(r"[A-Za-z]+", PLACE)), what
        assert say_error("en", Conflict(what, "Do something else.")) == f"{what} Do something else."


def _refusals(source: str) -> Iterator[str]:
    """The first sentence of every error that a module makes, its places filled."""
    names = {kind.__name__ for kind in _kinds(HoneError)}
    for node in ast.walk(ast.parse(source)):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if isinstance(node, ast.Call) and node.args and called in names:
            told = node.args[0]
            parts = told.values if isinstance(told, ast.JoinedStr) else [told]
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else PLACE for part in parts)


def test_whatever_the_layers_below_tell_by_a_key_has_its_words() -> None:
    told = [f"find_{kind}" for kind in private.KINDS] + [f"left_{reason}" for reason in curate.REASONS]
    told += [f"step_{step}" for step in (*cycle.ORDER, "score")]
    told += [f"fate_{code}" for code in lineage.SUMMARIES] + [f"fate_side_{side}" for side in lineage.SIDES]
    assert not set(told) - set(TEXTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_private_data_is_marked_with_its_kind_and_nothing_else_is_changed(language: Any) -> None:
    text = "<b>Write</b> to ana@example.com & call +82 2-312-3456, or ana@example.com."
    shown = finds.Finds(Policy(), language).marked(text)
    found = re.findall(r'<mark data-find="(\w+)" data-name="([^"]+)">([^<]*)</mark>', shown)
    name = say(language, "find_email")
    assert [one for one in found if one[0] == "email"] == [("email", name, "ana@example.com")] * 2
    assert ("phone", say(language, "find_phone"), "+82 2-312-3456") in found
    assert html.unescape(re.sub(r"</?mark[^>]*>", "", shown)) == text
    allowing = Policy(allowed=frozenset({"ana@example.com", "+82 2-312-3456"}))
    assert "<mark" not in finds.Finds(allowing, language).marked(text)


def test_a_find_says_what_a_run_makes_of_it() -> None:
    words = "Write to ana@example.com."
    kinds = frozenset(private.KINDS)
    for policy, told in (
        (Policy(), "No run learns from such a pair."),
        (Policy(redact=kinds), "A run puts its kind in its place"),
        (Policy(block=frozenset()), "Runs learn from such pairs as they are."),
    ):
        assert told in finds.Finds(policy, "en").taught(words)
        assert told in finds.Finds(policy, "en").asked([Message("user", words)])
    assert finds.Finds(Policy(), "en").taught("Nothing here.") == ""
    assert finds.Finds(Policy(), "en").asked([Message("system", words)]) == "", (
        "a system prompt is the operator's"
    )


def _kinds(kind: type[HoneError]) -> list[type[HoneError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]


@pytest.mark.parametrize(
    ("cookies", "header", "language"),
    [({}, "ko-KR,ko;q=0.9", "ko"), ({}, "en-US,ko", "en"), ({"lang": "en"}, "ko-KR", "en"), ({}, "", "en")],
)
def test_the_chosen_language_stands_over_the_browsers(cookies: Any, header: str, language: str) -> None:
    class Request:
        pass

    request: Any = Request()
    request.cookies, request.headers = cookies, {"accept-language": header}
    assert language_of(request) == language


@pytest.mark.parametrize("text", ["```py\nx = 1", "~~~~\na\n~~~", "```\na\n```\n\n```"])
def test_a_code_fence_left_open_does_not_swallow_the_version(text: str) -> None:
    exchange = replace(EXCHANGE, version="general@3-0badbeef", response=text, finish_reason="length")
    shown = bubbles([exchange], "en")[-1]["content"]
    code, _, badge = shown.rpartition("\n\n")
    fence = text[: len(text) - len(text.lstrip("`~"))]
    assert code == f"{text}\n{fence}"
    assert badge == "<sub>general@3-0badbeef · cut at the length limit · approved for training</sub>"


def test_a_stopped_and_a_cut_answer_say_so() -> None:
    for reason, note in (("stopped", "stopped by you"), ("cut", "cut off by a failure"), ("stop", "")):
        exchange = replace(EXCHANGE, response="half", finish_reason=reason, state="unrated")
        assert note in bubbles([exchange], "en")[-1]["content"]
    silent = replace(EXCHANGE, response="", finish_reason="cut")
    assert "The answer was lost" in bubbles([silent], "en")[-1]["content"]


def test_a_conversation_that_is_nearly_full_says_so_under_its_last_answer_alone() -> None:
    line = [replace(EXCHANGE, response="4.", tokens=tokens) for tokens in (3000, 3300)]
    shown = [message["content"] for message in bubbles(line, "en", full=prompts.fullness(line, 4096, 0))]
    assert "⚠ 81% of what this conversation can hold is used" in shown[-1]
    assert not any("⚠" in text for text in shown[:-1])
    assert "⚠" not in bubbles(line[:1], "en", full=prompts.fullness(line[:1], 4096, 0))[-1]["content"]


@pytest.mark.parametrize(
    ("tokens", "most_tokens", "most_chars", "share"),
    [(50, 100, 0, 0.5), (None, 100, 0, 0.0), (50, 0, 0, 0.0), (50, 0, 20, 1.0), (50, 200, 40, 0.5)],
)
def test_how_full_a_conversation_is_by_whichever_limit_is_nearer(
    tokens: int | None, most_tokens: int, most_chars: int, share: float
) -> None:
    said = Exchange("e", now(), "una", "c", "general", "general@0", (), "x" * 15, response="y" * 5)
    line = [replace(said, tokens=tokens), replace(said, tokens=None, finish_reason="stopped")]
    assert prompts.fullness(line, most_tokens, most_chars) == share
    assert prompts.fullness([], most_tokens, most_chars) == 0


def test_the_curve_survives_odd_losses_and_thins_long_runs() -> None:
    assert curve([], "en") == ""
    assert curve([{"step": 1, "loss": 2.0}], "en") == ""
    odd = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": float("nan")},
        {"step": 3, "loss": None, "dev_nll": 1.0},
    ]
    assert curve([*odd, {"step": 4, "loss": 1.0}], "en").count("<polyline") == 2
    long = curve([{"step": step, "loss": 1 / (step + 1)} for step in range(100_000)], "en")
    assert len(long) < 12_000
    assert "nan" not in long


def test_an_answer_says_which_version_learnt_from_it() -> None:
    for correction, note in ((BAD, "your correction is in general@3"), ("", "learnt by general@3")):
        exchange = replace(EXCHANGE, id="e", response="4.", correction=correction)
        shown = bubbles([exchange], "en", shipped={"e": "general@3"})[-1]["content"]
        assert note in shown
        assert "approved for training" not in shown


def test_the_snippet_sends_the_build_that_the_doors_ask_for() -> None:
    script = snippet("abc123")
    assert '"X-Hone-Build", "abc123"' in script
    assert "BUILD_ID" not in script
    assert "LANGUAGES" not in script


@pytest.mark.parametrize(
    "hostile",
    [
        '<svg><a href="javascript:x">y</a></svg>',
        "<form action=https://evil.example>",
        "</div><script>",
        "<!-- -->",
        "<?php",
        "```\n<svg onload=x>\n```",
        "\\`<svg>`",
    ],
)
def test_nothing_that_a_person_or_a_model_writes_is_markup(hostile: str) -> None:
    shown = inert(hostile)
    assert not re.search(r"<[A-Za-z/!?]", shown)
    assert shown.replace("\u200b", "") == hostile


def test_a_comparison_stays_as_it_is() -> None:
    assert inert("1 < 2 and 2 <3") == "1 < 2 and 2 <3"
