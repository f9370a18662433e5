"""What is exported comes back word for word, in every form and kind of file."""

import io
import json

import pytest
from erasure_home import LEE, erase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import ADA, ANA, OTTO, RITA, ask

from feedback import comparisons, golds, lookup, pairs, proposals, ratings, review
from feedback.assistants import Assistants
from feedback.errors import BadRequest
from feedback.exports import FORMS, export
from feedback.files import KINDS
from feedback.forms import ImportRow
from feedback.imports import read, save
from feedback.proposals import Candidate
from feedback.records import Assistant, Message

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(lambda t: t.strip())
SYSTEM = st.one_of(st.none(), TEXT)
TURNS = st.lists(st.tuples(TEXT, TEXT), max_size=2)


def told(system, turns, asked, answer, other):
    spoken = [
        Message(role, text) for said in turns for role, text in zip(("user", "assistant"), said, strict=True)
    ]
    before = (Message("system", system),) if system else ()
    rejected = other if other != answer else f"{other}!"
    return ImportRow((*before, *spoken, Message("user", asked)), answer, rejected=rejected, rating="up")


def words(row, form):
    """What of a row a form keeps; the comparison keeps the worse answer, the thumb its direction."""
    extra = {"preference": row.rejected, "kto": row.rating}.get(form)
    return (row.messages, row.response, extra)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.builds(told, SYSTEM, TURNS, TEXT, TEXT, TEXT), min_size=1, max_size=4))
def test_every_export_imports_again_word_for_word(store, rows):
    fresh = f"a{len(Assistants(store).list())}"
    Assistants(store).add(Assistant(fresh), "ada")
    save(store, OTTO, fresh, rows, approve=True)
    for form in FORMS:
        for kind in KINDS:
            whole = b"".join(export(store, fresh, form, kind))
            again = list(read(io.BytesIO(whole), name=f"x.{kind}"))
            assert sorted((words(row, form) for row in again), key=repr) == sorted(
                {words(row, form) for row in rows}, key=repr
            ), (form, kind)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_export_is_an_empty_file_of_its_kind(store, form, kind):
    whole = b"".join(export(store, "general", form, kind))
    assert whole == {"jsonl": b"", "json": b"[]\n"}.get(kind, whole)
    assert (whole[:4] == b"PAR1") == (kind == "parquet")


def test_a_form_or_kind_that_is_none_is_an_error(store):
    with pytest.raises(BadRequest, match="Choose a form of alpaca"):
        export(store, "general", "yaml")
    with pytest.raises(BadRequest, match="a kind of jsonl"):
        export(store, "general", "alpaca", "xlsx")


def test_edits_and_corrections_are_comparisons_with_what_they_replaced(store):
    edited, corrected, as_it_was = (ask(store, instruction=f"q{n}", response="old") for n in range(3))
    for exchange in (edited, as_it_was):
        ratings.rate(store, ANA, exchange.id, rating="up")
    ratings.rate(store, ANA, corrected.id, rating="down", correction="mine")
    review.review(store, RITA, edited.id, "edit", response="new")
    review.review(store, RITA, corrected.id, "approve")
    review.review(store, RITA, as_it_was.id, "approve")
    told = [json.loads(line) for line in b"".join(export(store, "general", "preference")).splitlines()]
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in told] == [
        ("new", "old"),
        ("mine", "old"),
    ]


def test_thumbs_are_exported_as_they_stand_and_only_where_training_is_allowed(store):
    from feedback.exchanges import Exchanges

    liked, changed, withheld = (ask(store, instruction=f"q{n}", response=f"a{n}") for n in range(3))
    for exchange in (liked, changed, withheld):
        ratings.rate(store, ANA, exchange.id, rating="up")
    ratings.rate(store, ANA, changed.id, rating="down")
    Exchanges(store).set_training(withheld.conversation_id, "ana", False)
    told = [json.loads(line) for line in b"".join(export(store, "general", "kto")).splitlines()]
    assert [(row["completion"][0]["content"], row["label"]) for row in told] == [("a0", True), ("a1", False)]


def test_an_item_that_measures_reviewers_leaves_in_no_form(store):
    gold = golds.add(store, OTTO, "general", "What is 2 + 2?", "5.", expected="reject", rating="up")
    review.review(store, RITA, gold, "edit", response="4.")
    for form in FORMS:
        assert b"".join(export(store, "general", form)) == b""


def leaves(store):
    """All that leaves, in any form."""
    return b"".join(piece for form in FORMS for piece in export(store, "general", form)).decode()


def proposed(store, origin, answer):
    (identity,) = proposals.record(store, OTTO, lookup.get(store, origin), "teacher:big", [Candidate(answer)])
    return identity


def thumb_up(store, exchange_id):
    """As a proposal could get one before it was refused there."""
    store.append({"ratings": [{"principal": "ana", "exchange_id": exchange_id, "rating": "up"}]})


def test_an_answer_to_what_measures_reviewers_leaves_in_no_form(store):
    gold = golds.add(store, OTTO, "general", "What is 2 + 2?", "5.", expected="reject", rating="down")
    kept = proposed(store, gold, "The sum is 4.")
    review.review(store, RITA, kept, "edit", response="It is 4.")
    thumb_up(store, kept)
    review.review(store, RITA, gold, "edit", response="4.")
    assert leaves(store) == ""
    assert comparisons.edited(store, "general") == []


def test_a_proposal_leaves_in_no_form_while_its_question_is_its_authors_alone(store):
    asked = ratings.rate(store, ANA, ask(store, instruction="My illness?", response="No.").id, rating="down")
    kept = proposed(store, asked.id, "Wait.")
    review.review(store, RITA, kept, "edit", response="See a doctor.")
    thumb_up(store, kept)
    assert leaves(store).count("See a doctor.") == 4, "pairs in three forms, and a comparison"
    assert leaves(store).count("Wait.") == 2, "what it replaced, and with its thumb"
    ratings.rate(store, ANA, asked.id, rating=None)
    assert leaves(store) == ""


def test_what_was_erased_or_kept_from_training_leaves_in_no_form(store, tmp_path):
    everything = [ask(store, LEE, f"q{n}", f"a{n}") for n in range(2)]
    for exchange in everything:
        ratings.rate(store, LEE, exchange.id, rating="down", correction="Mine.", comment="Hm.")
        review.review(store, RITA, exchange.id, "approve")
    rows = [ImportRow((Message("user", f"i{n}"),), "better", f"t{n}", rejected="worse") for n in range(2)]
    save(store, OTTO, "general", rows, approve=True)
    assert leaves(store)
    gone = store.rows("SELECT DISTINCT conversation_id FROM exchanges ORDER BY 1")
    for number, row in enumerate(gone):
        if number % 2:
            erase(store, tmp_path, ADA, "conversation", row["conversation_id"])
        else:
            consent = {"principal": "lee", "conversation_id": row["conversation_id"], "training": False}
            store.append({"consents": [consent]})
    assert leaves(store) == ""


def test_a_thumb_up_on_what_reviewers_rejected_leaves_as_no_example(store):
    liked, disliked = (ask(store, instruction=f"q{n}", response=f"a{n}") for n in range(2))
    ratings.rate(store, ANA, liked.id, rating="up")
    ratings.rate(store, ANA, disliked.id, rating="down")
    for exchange in (liked, disliked):
        review.review(store, RITA, exchange.id, "reject")
    told = [json.loads(line) for line in b"".join(export(store, "general", "kto")).splitlines()]
    assert [(row["completion"][0]["content"], row["label"]) for row in told] == [("a1", False)]


def test_a_long_export_comes_page_by_page(store, monkeypatch):
    monkeypatch.setattr(pairs, "PAGE", 700)
    rows = [ImportRow((Message("user", f"question {n}"),), f"answer {n}") for n in range(2_500)]
    save(store, OTTO, "general", rows, approve=True)
    for kind in KINDS:
        pieces = list(export(store, "general", kind=kind))
        assert len(pieces) > 2
        assert len(list(read(io.BytesIO(b"".join(pieces)), name=f"x.{kind}"))) == 2_500
