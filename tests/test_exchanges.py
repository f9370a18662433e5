"""Turns are on record from admission, end once, belong to one person, and make one visible line."""

from dataclasses import replace

import pytest
from stories import ANA, BEN, OTTO, admitted, ask

from feedback import conversations, golds, ratings
from feedback.errors import BadRequest, NotAllowed, NotFound, PromptTooLong
from feedback.exchanges import Exchanges
from feedback.records import Message, new_id


@pytest.fixture
def exchanges(store):
    return Exchanges(store)


def test_a_turn_is_on_record_before_it_is_answered(exchanges):
    conversation = exchanges.begin_conversation("ana", "general", "Sums")
    opened = admitted(conversation, context=(Message("system", "Be brief."),))
    exchanges.open(opened)
    held = exchanges.get(opened.id)
    assert held == opened
    assert held.response is None
    assert held.finish_reason is None


def test_a_closed_turn_has_its_answer_and_the_version_that_gave_it(exchanges, store):
    asked = ask(store, response="4\0!")
    assert (asked.response, asked.finish_reason, asked.version) == ("4\0!", "stop", "general@0")
    assert asked.tokens == 8
    kept = store.row("SELECT prompt_tokens, completion_tokens, first_token_ms, total_ms, error FROM answers")
    assert kept == {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "first_token_ms": 12.5,
        "total_ms": 40.0,
        "error": "",
    }


def test_no_exchange_holds_more_than_the_most_whichever_door_it_comes_by(exchanges, store):
    conversation = exchanges.begin_conversation("ana", "general", "Sums")
    before = (Message("user", "x" * 600_000), Message("assistant", "y" * 399_990))
    exchanges.open(admitted(conversation, context=before, instruction="z" * 10))
    with pytest.raises(PromptTooLong, match="1,000,001 characters; the limit is 1,000,000"):
        exchanges.open(admitted(conversation, context=before, instruction="z" * 11))
    with pytest.raises(PromptTooLong, match="limit"):
        golds.add(store, OTTO, "general", "x" * 1_000_001, "4.", expected="reject", rating="up")
    assert store.row("SELECT count(*) AS n FROM exchanges")["n"] == 1


def test_what_was_heard_just_now_is_taken_at_its_word_unless_it_was_rated(exchanges, store):
    first = ask(store)
    second = admitted(first.conversation_id)
    exchanges.open(second)
    exchanges.close(second.id, response="kept", finish_reason="stop", version="general@0", principal="hone")
    heard = replace(second, response="heard", finish_reason="stop")
    said = exchanges.conversation(first.conversation_id, "ana", heard=[heard])
    assert [one.response for one in said] == [first.response, "heard"]
    ratings.rate(store, ANA, second.id, rating="up")
    said = exchanges.conversation(first.conversation_id, "ana", heard=[heard])
    assert [(one.response, one.rating) for one in said] == [(first.response, None), ("kept", "up")]
    elsewhere = ask(store)
    assert exchanges.conversation(elsewhere.conversation_id, "ana", heard=[heard]) == [elsewhere]


def test_a_turn_ends_once(exchanges, store):
    asked = ask(store, response="first")
    exchanges.close(asked.id, response="", finish_reason="cut", version="general@0", principal="hone")
    assert exchanges.get(asked.id).response == "first"
    assert store.check()


def test_opening_the_same_exchange_again_changes_nothing(exchanges, store):
    asked = ask(store)
    exchanges.open(admitted(asked.conversation_id, instruction="other words", id=asked.id))
    assert exchanges.get(asked.id) == asked


def test_a_start_cuts_what_a_killed_server_left_open(exchanges, store):
    left = [ask(store, finish_reason=None).id for _ in range(3)]
    done = ask(store)
    assert exchanges.cut_unfinished() == 3
    assert {exchanges.get(identity).finish_reason for identity in left} == {"cut"}
    assert exchanges.get(done.id).finish_reason == "stop"
    assert exchanges.cut_unfinished() == 0


@pytest.mark.parametrize(
    "identity", ["", "nonsense", "'; DROP TABLE exchanges; --", "a\0", "\ud800", "x" * 10**6]
)
def test_an_id_that_cannot_be_one_is_not_found_and_harmless(exchanges, identity):
    with pytest.raises(NotFound):
        exchanges.get(identity)
    with pytest.raises((NotFound, BadRequest)):
        exchanges.close(identity, response="", finish_reason="cut", version="general@0", principal="ana")
    with pytest.raises((NotFound, BadRequest)):
        exchanges.conversation(identity, "ana")


def test_an_unknown_exchange_is_not_found(exchanges):
    with pytest.raises(NotFound, match="There is no exchange"):
        exchanges.get(new_id())
    with pytest.raises(NotFound):
        exchanges.close(new_id(), response="", finish_reason="cut", version="general@0", principal="ana")


def test_nobody_writes_into_anothers_conversation(exchanges, store):
    hers = ask(store, ANA)
    with pytest.raises(NotAllowed, match="someone else's"):
        exchanges.open(admitted(hers.conversation_id, BEN))
    with pytest.raises(NotFound):
        exchanges.open(admitted(new_id(), BEN))
    assert len(exchanges.conversation(hers.conversation_id, "ana")) == 1


def test_nobody_takes_over_anothers_exchange_by_its_id(exchanges, store):
    hers = ask(store, ANA, finish_reason=None)
    his = exchanges.begin_conversation("ben", "general", "Mine")
    with pytest.raises(NotAllowed, match="someone else's"):
        exchanges.open(admitted(his, BEN, id=hers.id))
    assert exchanges.get(hers.id).principal == "ana"


def test_nobody_takes_over_anothers_conversation_by_its_id(exchanges):
    hers = exchanges.begin_conversation("ana", "general", "Hers")
    assert exchanges.begin_conversation("ana", "general", "Again", id=hers) == hers
    with pytest.raises(NotAllowed):
        exchanges.begin_conversation("ben", "general", "Mine now", id=hers)
    assert [row["title"] for row in exchanges.conversations("ana")] == ["Hers"]


def test_nobody_reads_or_opts_out_anothers_conversation(exchanges, store):
    hers = ask(store, ANA)
    with pytest.raises(NotAllowed):
        exchanges.conversation(hers.conversation_id, "ben")
    with pytest.raises(NotAllowed):
        exchanges.set_training(hers.conversation_id, "ben", False)
    assert exchanges.conversations("ben") == []


def test_a_conversation_is_called_what_its_author_last_said(exchanges, store):
    hers, other = ask(store, ANA).conversation_id, ask(store, ANA, instruction="Rain in May?").conversation_id
    assert conversations.rename(store, hers, "ana", "  Rent \n in May ") == "Rent in May"
    assert [row["title"] for row in exchanges.conversations("ana", called="in MAY")] == [
        "Rain in May?",
        "Rent in May",
    ]
    found = exchanges.conversations("ana", called="rent", among=[other])
    assert {row["id"] for row in found} == {hers, other}
    assert exchanges.conversations("ana", called="snow") == []
    for title in ("", " \n ", "x" * 121):
        with pytest.raises(BadRequest, match="1 to 120"):
            conversations.rename(store, hers, "ana", title)
    with pytest.raises(NotAllowed):
        conversations.rename(store, hers, "ben", "Mine")
    conversations.rename(store, hers, "ana", "Rent in May")
    assert store.row("SELECT count(*) AS n FROM titles") == {"n": 1}, "the same again is no event"
    (one,) = conversations.listed(store, "ana", 1, only=hers.upper())
    assert (one["id"], one["title"]) == (hers, "Rent in May")
    assert conversations.listed(store, "ben", 1, only=hers) == []
    assert exchanges.conversations("ben", called="rent", among=[hers]) == []


def test_conversations_are_listed_by_who_spoke_last(exchanges, store):
    first = ask(store, instruction="first").conversation_id
    second = ask(store, instruction="second").conversation_id
    empty = exchanges.begin_conversation("ana", "general", "third")
    assert [row["id"] for row in exchanges.conversations("ana")] == [empty, second, first]
    ask(store, conversation_id=first)
    exchanges.set_training(second, "ana", False)
    listed = exchanges.conversations("ana")
    assert [row["id"] for row in listed] == [first, empty, second]
    assert [row["exchanges"] for row in listed] == [2, 0, 1]
    assert [row["training"] for row in listed] == [True, True, False]
    assert exchanges.conversations("ana", limit=1) == listed[:1]


def line(exchanges, conversation):
    return [exchange.instruction for exchange in exchanges.conversation(conversation, "ana")]


def test_a_retry_hides_the_answer_before(exchanges, store):
    one = ask(store, instruction="one")
    two = ask(store, instruction="two", conversation_id=one.conversation_id)
    ask(store, instruction="two again", conversation_id=one.conversation_id, replaces=two.id)
    assert line(exchanges, one.conversation_id) == ["one", "two again"]


def test_an_edit_hides_all_that_came_after(exchanges, store):
    one = ask(store, instruction="one")
    said = [ask(store, instruction=text, conversation_id=one.conversation_id) for text in ("two", "three")]
    ask(store, instruction="two edited", conversation_id=one.conversation_id, replaces=said[0].id)
    ask(store, instruction="four", conversation_id=one.conversation_id)
    assert line(exchanges, one.conversation_id) == ["one", "two edited", "four"]
    assert exchanges.get(said[1].id).instruction == "three"


def test_a_retry_from_an_old_page_takes_the_place_of_the_newer_one(exchanges, store):
    one = ask(store, instruction="one")
    two = ask(store, instruction="two", conversation_id=one.conversation_id)
    for text in ("two, once more", "two, from an old tab"):
        ask(store, instruction=text, conversation_id=one.conversation_id, replaces=two.id)
    assert line(exchanges, one.conversation_id) == ["one", "two, from an old tab"]


def test_only_an_exchange_of_the_same_conversation_can_be_replaced(exchanges, store):
    one, other = ask(store), ask(store)
    for replaced in (other.id, new_id(), "nonsense"):
        with pytest.raises(BadRequest, match="not in this conversation"):
            exchanges.open(admitted(one.conversation_id, replaces=replaced))


def test_an_opt_out_holds_for_what_is_said_later_too(exchanges, store):
    one = ask(store)
    exchanges.set_training(one.conversation_id, "ana", False)
    ask(store, conversation_id=one.conversation_id)
    states = "SELECT training FROM exchange_state"
    assert [row["training"] for row in store.rows(states)] == [False, False]
    exchanges.set_training(one.conversation_id, "ana", True)
    assert [row["training"] for row in store.rows(states)] == [True, True]
    assert store.check()
