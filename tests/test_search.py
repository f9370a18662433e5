"""Search by words: every word must be there, Korean too, and nobody finds what they may not see."""

import threading
import time
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import ANA, BEN, RITA, ask

from feedback import lookup, ratings, review, word_index
from feedback.errors import BadRequest
from feedback.exchanges import Exchanges
from feedback.search import Search
from feedback.store import Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "hone.duckdb")
    yield opened
    opened.close()


@pytest.fixture
def search(store, tmp_path):
    made = Search(store, tmp_path / "words.duckdb")
    yield made
    made.stop()


def own(search, words, owner="ana", **page):
    search.catch_up()
    return [exchange.instruction for exchange in search.own(words, owner, **page)]


def to_review(search, words, viewer="rita", **filters):
    search.catch_up()
    found = lookup.load(search._store, search.to_review(words, viewer, **filters))
    return [exchange.instruction for exchange in found]


def test_all_words_must_be_there_whatever_their_case_and_marks(store, search):
    ask(store, instruction="Where is Zürich?", response="In Switzerland, by the lake.")
    ask(store, instruction="Where is Bern?", response="In Switzerland.")
    assert own(search, "switzerland") == ["Where is Bern?", "Where is Zürich?"]
    assert own(search, "LAKE, zürich!") == ["Where is Zürich?"]
    assert own(search, "lake bern") == []
    assert own(search, "Switz") == []


def test_korean_is_found_by_any_part_of_a_word(store, search):
    ask(store, instruction="전세 계약은 무엇인가요?", response="임대차보호법에 따른 계약입니다.")
    ask(store, instruction="법", response="K팝은 음악입니다.")
    for words in ("전세", "계약", "계약은", "보호법", "임대차보호법", "임대차 계약"):
        assert own(search, words) == ["전세 계약은 무엇인가요?"], words
    assert own(search, "법") == ["법", "전세 계약은 무엇인가요?"]
    assert own(search, "팝") == own(search, "K") == ["법"]
    assert own(search, "약계") == []
    assert own(search, unicodedata.normalize("NFD", "계약")) == ["전세 계약은 무엇인가요?"]


def test_what_the_newest_rating_says_is_found_and_what_it_took_back_is_not(store, search):
    exchange = ask(store, instruction="q")
    ratings.rate(store, ANA, exchange.id, rating="down", correction="Apples.", comment="fruitless")
    assert own(search, "apples") == own(search, "fruitless") == ["q"]
    ratings.rate(store, ANA, exchange.id, rating="down", correction="Pears.")
    assert (own(search, "pears"), own(search, "apples"), own(search, "fruitless pears q")) == (
        ["q"],
        [],
        ["q"],
    )
    ratings.rate(store, ANA, exchange.id, rating=None)
    assert own(search, "pears") == []


def test_people_find_their_own_and_reviewers_what_they_may_judge(store, search):
    mine = ask(store, ANA, instruction="secret of ana")
    ask(store, BEN, instruction="secret of ben")
    assert own(search, "secret") == ["secret of ana"]
    assert own(search, "secret", owner="rita") == []
    assert to_review(search, "secret") == []
    ratings.rate(store, ANA, mine.id, rating="up")
    assert to_review(search, "secret") == ["secret of ana"]
    Exchanges(store).set_training(mine.conversation_id, "ana", False)
    assert to_review(search, "secret") == []
    assert own(search, "secret") == ["secret of ana"]


def test_reviewers_find_what_authors_show_and_not_what_measures_them(store, search):
    shown = ask(store, ANA, instruction="a secret that is shown")
    ask(store, ANA, instruction="a secret that is not")
    gold = ask(store, ANA, instruction="a secret of the operator")
    ratings.rate(store, ANA, gold.id, rating="up")
    store.append({"shares": [{"principal": "ana", "conversation_id": shown.conversation_id, "review": True}]})
    of = {"principal": "otto", "exchange_id": gold.id, "expected": "reject"}
    store.append({"golds": [{**of, "retired": False}]})
    assert to_review(search, "secret") == ["a secret of the operator", "a secret that is shown"]
    assert to_review(search, "secret", viewer="otto") == ["a secret that is shown"]
    store.append({"golds": [{**of, "retired": True}]})
    assert to_review(search, "secret") == ["a secret that is shown"]


def test_common_words_are_looked_for_among_the_newest_first_and_found_everywhere(store, search, monkeypatch):
    monkeypatch.setattr("feedback.search.COMMON", 5)
    for number in range(20):
        exchange = ask(store, instruction=f"number {number}", assistant="law" if number < 3 else "general")
        ratings.rate(store, ANA, exchange.id, rating="up")
    newest = [f"number {number}" for number in reversed(range(20))]
    assert own(search, "number", limit=2) == newest[:2]
    assert own(search, "number", limit=3, offset=15) == newest[15:18]
    assert own(search, "number") == newest
    assert to_review(search, "number", assistant="law") == ["number 2", "number 1", "number 0"]


def test_filters_and_pages(store, search):
    for number in range(5):
        exchange = ask(store, instruction=f"number {number}", assistant=("general", "law")[number % 2])
        ratings.rate(store, ANA, exchange.id, rating="up")
    review.review(store, RITA, exchange.id, "approve")
    assert to_review(search, "number", state="approved") == ["number 4"]
    assert to_review(search, "number", assistant="law") == ["number 3", "number 1"]
    assert to_review(search, "number", state="pending", assistant="general") == ["number 2", "number 0"]
    assert to_review(search, "number", limit=2, offset=1) == ["number 3", "number 2"]
    assert own(search, "number", assistant="law") == ["number 3", "number 1"]


@pytest.mark.parametrize(
    "words", ["", " ", "?!", "--", "'; DROP TABLE exchanges; --" * 9, " ".join(map(str, range(60)))]
)
def test_what_is_no_question_is_refused(store, search, words):
    with pytest.raises(BadRequest):
        search.own(words, "ana")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(max_size=40))
def test_no_text_breaks_a_search(search, words):
    with suppress(BadRequest):
        assert search.own(words, "ana") == []


def test_a_thread_of_its_own_keeps_it_up_whatever_goes_wrong(store, search, monkeypatch):
    broken = threading.Event()
    real = word_index.extend

    def extend(*given):
        if not broken.is_set():
            broken.set()
            raise RuntimeError("once")
        return real(*given)

    monkeypatch.setattr(word_index, "extend", extend)
    monkeypatch.setattr("feedback.search.PATIENCE", 0.05)
    monkeypatch.setattr("feedback.search.SECONDS", 0.05)
    ask(store, instruction="found later")
    search.start()
    until = time.monotonic() + 60
    while search.behind() and time.monotonic() < until:
        time.sleep(0.02)
    assert broken.is_set()
    assert [exchange.instruction for exchange in search.own("later", "ana")] == ["found later"]


def test_long_tails_become_runs_and_are_found_as_before(store, search, monkeypatch):
    monkeypatch.setattr(word_index, "RUN", 20)
    for number in range(12):
        ask(store, instruction=f"question {number}", response=f"answer {number}")
        search.catch_up()
    held = store.row(
        "SELECT (SELECT count(*) FROM words.postings) AS runs, (SELECT count(*) FROM words.tail) AS tail"
    )
    assert held["runs"] > 0
    assert held["tail"] < 20
    assert own(search, "question 3") == ["question 3"]
    assert len(own(search, "question answer")) == 12


def test_the_index_survives_a_compaction_and_is_made_anew_where_it_is_broken_or_foreign(
    store, search, tmp_path
):
    ask(store, instruction="kept")
    assert own(search, "kept") == ["kept"]
    store.compact()
    assert own(search, "kept") == ["kept"]
    search.rebuild()
    assert search.own("kept", "ana") == []
    assert own(search, "kept") == ["kept"]
    store.close()
    index = tmp_path / "words.duckdb"
    for content in (b"", b"these are my notes " * 1000, index.read_bytes()[:5000]):
        index.write_bytes(content)
        again = Store(store.path)
        try:
            assert own(Search(again, index), "kept") == ["kept"]
        finally:
            again.close()
    other = Store(tmp_path / "other.duckdb")
    try:
        ask(other, instruction="elsewhere")
        assert own(Search(other, index), "kept") == []
        assert own(Search(other, index), "elsewhere") == ["elsewhere"]
    finally:
        other.close()


def test_the_index_holds_no_text(store, search, tmp_path):
    ask(store, instruction="Uncommonwordofmine")
    search.catch_up()
    search.stop()
    store.close()
    assert b"ncommonwordofmine" not in (tmp_path / "words.duckdb").read_bytes().lower()
