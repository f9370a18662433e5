"""Search by words: every word must be there, Korean too, and nobody finds what they may not see."""

import threading
import time
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import ANA, BEN, RITA, ask, killed

from feedback import erasure, lookup, ratings, retention, review, word_index
from feedback.errors import BadRequest
from feedback.exchanges import Exchanges
from feedback.records import now
from feedback.search import Search
from feedback.store import Store


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


def test_the_conversations_in_which_something_was_said_are_ones_own(store, search):
    hers = ask(store, instruction="A marmot?").conversation_id
    ask(store, conversation_id=hers, instruction="Marmots?", response="A marmot.")
    ask(store, instruction="An otter?")
    ask(store, BEN, instruction="A marmot too?")
    search.catch_up()
    assert search.own_conversations("marmot", "ana") == [hers]
    other = ask(store, instruction="One more marmot").conversation_id
    search.catch_up()
    assert search.own_conversations("marmot", "ana", limit=1) == [other], "of conversations, not of turns"


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


def postings(store):
    return store.rows("SELECT token, rated, event FROM words.every ORDER BY ALL")


def digest(store, word):
    """A word's digest as it lies in a file that is not compressed."""
    return store.row("SELECT hash($1) AS digest", [word])["digest"].to_bytes(8, "little")


def erase(store, home, who, scope, target):
    job = erasure.new(who, scope, target, account=False, policy="keep")
    return erasure.take(store, home, job, who)


def spoken(store):
    """Two people's exchanges, both with a rating that says something; ana's first."""
    said = []
    for who, words in ((ANA, "hedgehogs"), (BEN, "badgers")):
        exchange = ask(store, who, instruction=f"All about {words}", response=f"Many {words} sleep.")
        ratings.rate(store, who, exchange.id, rating="down", correction=f"Few {words} dream.")
        said.append(exchange)
    return said


@pytest.mark.parametrize("run", [5, word_index.RUN])
def test_after_an_erasure_the_index_is_as_one_made_anew_and_no_digest_stays(
    store, search, tmp_path, monkeypatch, run
):
    monkeypatch.setattr(word_index, "RUN", run)
    store.decide(lambda t: t.rows("SET GLOBAL force_compression = 'uncompressed'"))
    hers, _ = spoken(store)
    search.catch_up()
    with store.aside() as cursor:
        cursor.execute("CHECKPOINT words")
    index = tmp_path / "words.duckdb"
    gone = [digest(store, word) for word in ("hedgehogs", "dream")]
    assert all(known in index.read_bytes() for known in gone)
    erase(store, tmp_path, ANA, "exchange", hers.id)
    search.forget()
    kept = postings(store)
    held = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("words.duckdb*")))
    assert gone[0] not in held
    assert digest(store, "badgers") in held
    assert own(search, "hedgehogs") == own(search, "dream") == []
    assert own(search, "badgers dream", owner="ben") == ["All about badgers"]
    ask(store, BEN, instruction="badgers again")
    assert own(search, "badgers", owner="ben") == ["badgers again", "All about badgers"]
    store.close()
    again = Store(store.path)
    try:
        found = Search(again, index)
        assert own(found, "badgers", owner="ben") == ["badgers again", "All about badgers"]
        found.rebuild()
        assert postings(again) == []
        found.catch_up()
        newest = max(row["event"] for row in kept)
        assert [row for row in postings(again) if row["event"] <= newest] == kept
    finally:
        again.close()


def test_words_of_exchanges_that_were_let_go_leave_the_index(store, search):
    ask(store, instruction="forgettable")
    shown = ask(store, instruction="remarkable")
    ratings.rate(store, ANA, shown.id, rating="up")
    search.catch_up()
    assert retention.forget_unrated(store, days=0, at=now()) == 1
    search.forget()
    assert {row["event"] for row in postings(store)} == {
        row["seq"] for row in store.rows("SELECT seq FROM exchanges")
    }


FORGETTING = """
import os, signal, sys
from pathlib import Path
from feedback import store_file
from feedback.search import Search
from feedback.store import Store

folder, place, when = Path(sys.argv[1]), *sys.argv[2:]
store = Store(folder / "hone.duckdb")
search = Search(store, folder / "words.duckdb")
real = getattr(store_file, place)

def killed(*given):
    if when == "after":
        real(*given)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(store_file, place, killed)
search.forget()
"""


@pytest.mark.parametrize(
    ("place", "when"),
    [("fill", "before"), ("fill", "after"), ("put_in_place", "before"), ("put_in_place", "after")],
)
def test_a_process_killed_while_it_forgets_leaves_an_index_that_forgets_again(
    store, search, tmp_path, place, when
):
    hers, _ = spoken(store)
    search.catch_up()
    erase(store, tmp_path, ANA, "exchange", hers.id)
    store.close()
    killed(FORGETTING, str(tmp_path), place, when)
    again = Store(store.path)
    try:
        found = Search(again, tmp_path / "words.duckdb")
        assert not (tmp_path / "words.duckdb.new").exists()
        found.forget()
        assert own(found, "hedgehogs") == []
        assert own(found, "badgers", owner="ben") == ["All about badgers"]
        events = {row["event"] for row in postings(again)}
        kept = """SELECT e.seq AS asked, r.seq AS rated FROM exchanges e JOIN ratings r
            ON r.exchange_id = e.id WHERE e.principal = 'ben'"""
        assert events == set(again.row(kept).values())
    finally:
        again.close()
