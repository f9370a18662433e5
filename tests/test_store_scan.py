"""What is looked for in the store's rows is found in every kind of column, and in no two rows together."""

import json
import os

import pytest
from erasure_home import KOREAN, LEE, SECRET, erase
from stories import ANA, BEN, ask

from feedback import purge, scan, store_scan, words
from feedback.errors import StoreError
from feedback.records import Message, new_id
from feedback.scan import Needles
from feedback.store import Store


def sought(*texts):
    return Needles(scan.fragments(texts))


@pytest.mark.parametrize("text", [SECRET, KOREAN])
def test_words_are_found_in_texts_in_json_and_in_titles(store, text):
    in_text = ask(store, ANA, "Short.", f"{text}, they said.")
    in_json = ask(store, BEN, "Short.", context=(Message("user", f'"{text}"\n'),))
    titled = ask(store, ANA, "Short.")
    store.decide(
        lambda t: t.rows(
            "UPDATE conversations SET title = $1 WHERE id = $2::UUID", [text, titled.conversation_id]
        )
    )
    needles = sought(text)
    assert set(store_scan.in_store(store, needles, ()).where) == {
        *("store: answers", "store: exchanges", "store: conversations"),
    }
    places = sorted([in_text.id, in_json.id, titled.conversation_id])
    assert store_scan.places_elsewhere(store, needles, set(), 9) == places
    assert store_scan.places_elsewhere(store, needles, {in_text.id, titled.conversation_id}, 9) == [
        in_json.id
    ]
    assert store_scan.said_elsewhere(store, needles, set()) == set(needles.fragments)
    assert store_scan.said_elsewhere(store, needles, set(places)) == set()


def test_words_that_begin_in_one_row_and_end_in_the_next_are_no_find(store):
    for half in (SECRET[:30], SECRET[30:]):
        ask(store, ANA, half, half)
    (fragment, *_) = scan.fragments([SECRET])
    needles = Needles([fragment])
    assert len(fragment) > 30
    assert store_scan.in_store(store, needles, ()).where == {}
    assert store_scan.said_elsewhere(store, needles, set()) == set()
    ask(store, ANA, SECRET)
    assert store_scan.in_store(store, needles, ()).where == {"store: exchanges": 1, "store: conversations": 1}


@pytest.mark.parametrize(
    "written",
    [
        lambda text: json.dumps(text, ensure_ascii=False),
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False).replace(text[3], f"\\u{ord(text[3]):04x}"),
        lambda text: json.dumps(text, ensure_ascii=False).replace("/", "\\/"),
        lambda text: json.dumps("\x01", ensure_ascii=False)[:-1] + text + '"',
    ],
    ids=["plainly", "escaped", "a letter of it escaped", "its strokes escaped", "beside another escape"],
)
@pytest.mark.parametrize("text", [f"{SECRET}/{SECRET}", f"{KOREAN}/{KOREAN}"])
def test_json_is_looked_through_however_it_is_written(store, text, written):
    one = ask(store, ANA, "Short.")
    content = f'[{{"role": "user", "content": {written(text)}}}]'
    store.decide(
        lambda t: t.rows("UPDATE exchanges SET context = $1::JSON WHERE id = $2::UUID", [content, one.id])
    )
    needles = sought(text)
    assert store_scan.in_store(store, needles, ()).where == {"store: exchanges": len(needles.fragments)}
    assert store_scan.places_elsewhere(store, needles, set(), 9) == [one.id]


def test_a_row_counts_a_fragment_once_however_many_columns_hold_it(store):
    text = "A quiet heron by the reeds"
    for _ in range(2):
        ask(store, ANA, text, context=(Message("user", text), Message("assistant", text)))
    assert store_scan.in_store(store, sought(text), ()).where["store: exchanges"] == 2


def test_ids_and_lists_are_what_others_said_too(store):
    one = ask(store, ANA, "Short.")
    rating = {"principal": "ana", "exchange_id": one.id, "rating": "down", "reasons": ["other", KOREAN]}
    store.append({"ratings": [rating]})
    for said in (one.id, one.conversation_id, KOREAN):
        needles = sought(said)
        assert store_scan.said_elsewhere(store, needles, set()) == set(needles.fragments)
        assert store_scan.said_elsewhere(store, needles, {one.id, one.conversation_id}) == set()
        assert store_scan.in_store(store, needles, ()).where == {}
    assert store_scan.facts(store, sought(KOREAN, SECRET), ()) == set(scan.fragments([KOREAN]))


def test_of_scorecards_those_of_other_runs_are_facts(store):
    runs = [new_id(), new_id()]
    row = {"principal": "hone", "version": "general@1", "scorecard": {"items": [SECRET]}}
    store.append({"evaluations": [{**row, "run_id": run} for run in runs]})
    needles = sought(SECRET)
    assert store_scan.in_store(store, needles, runs).where == {
        "store: evaluations": len(needles.fragments) * 2
    }
    assert store_scan.in_store(store, needles, ()).where == {}
    assert store_scan.facts(store, needles, runs) == set()
    assert store_scan.facts(store, needles, runs[:1]) == set(needles.fragments)


def test_what_many_say_is_told_of_once_and_what_one_says_is_not_lost_for_it(store, monkeypatch):
    monkeypatch.setattr(scan, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(store_scan, "WASTE", 0)
    monkeypatch.setattr(Store, "batches", one_by_one(Store.batches))
    common, rare = "Everybody says this every day", "Only one says this, and at the end"
    for n in range(20):
        ask(store, ANA, f"{common} {n}")
    ask(store, BEN, rare)
    needles = sought(common, rare, SECRET)
    assert store_scan.said_elsewhere(store, needles, set()) == {common, rare}


def one_by_one(batches):
    """As batches are, if every row is one."""

    def read(*given):
        for batch in batches(*given):
            yield from (batch.slice(n, 1) for n in range(batch.num_rows))

    return read


def test_at_most_so_many_places_are_told(store):
    for _ in range(30):
        ask(store, ANA, SECRET)
    assert len(store_scan.places_elsewhere(store, sought(SECRET), set(), 20)) == 20
    assert store_scan.places_elsewhere(store, Needles([]), set(), 20) == []


def test_what_is_said_while_the_words_are_taken_out_shows_in_the_proof(store, tmp_path, monkeypatch):
    asked = ask(store, LEE, SECRET)
    clean = purge.clean
    monkeypatch.setattr(purge, "clean", lambda *given: (ask(store, BEN, SECRET), clean(*given)))
    store.decide(lambda t: t.rows("SET GLOBAL force_compression = 'uncompressed'"))
    told = erase(store, tmp_path, LEE, "exchange", asked.id)
    found = told["proof"]["found"]
    assert {"store: exchanges", "store: conversations", "hone.duckdb"} <= set(found)
    assert not told["proof"]["clean"]
    assert words.left(store, [asked.id], []) == 0
    assert os.path.getsize(store.path) == told["proof"]["bytes"]


def test_a_letter_written_on_and_on_is_looked_through_a_little_at_a_time(store, monkeypatch):
    """Each place is a find of a fragment of one letter: of all rows at once they would fill the memory."""
    for _ in range(3):
        ask(store, ANA, "Short.", "a" * 1000)
    told = []
    monkeypatch.setattr(scan, "RUN", 1500)
    needles = sought("a" * 100)
    find = needles.spans
    monkeypatch.setattr(needles, "spans", lambda data: told.append(len(data)) or find(data))
    places = store_scan.places_elsewhere(store, needles, set(), 9)
    assert len(places) == 3
    assert max(told) <= 1500


def test_rows_that_cannot_be_read_to_their_end_are_a_fault_of_the_store(store, monkeypatch):
    def broken(*_):
        yield from ()
        raise OSError("a block is not what it was")

    monkeypatch.setattr(store, "batches", broken)
    with pytest.raises(StoreError, match="a block is not what it was"):
        store_scan.said_elsewhere(store, sought(SECRET), set())
