"""Imports are whole or not there, name the bad line, and come back word for word."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import ANA, OTTO, RITA, teach

from feedback import imports, pairs
from feedback.assistants import Assistants
from feedback.curate import curate
from feedback.errors import BadImport, NotAllowed, NotFound
from feedback.exchanges import Exchanges
from feedback.imports import ImportRow, export, read, save
from feedback.records import Assistant, Message
from feedback.review import counts, pending
from feedback.store import Store

USER = Message("user", "Say hi")
CHAT = {"messages": [{"role": "user", "content": "Say hi"}, {"role": "assistant", "content": "Hi."}]}


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "hone.duckdb")
    yield opened
    opened.close()


def lines(*records):
    return "\n".join(json.dumps(record) for record in records)


@pytest.mark.parametrize(
    "record",
    [
        CHAT,
        {"instruction": "Say hi", "input": "", "output": "Hi.", "id": 7},
        {"instruction": "Say hi", "output": "Hi."},
        {"prompt": "Say hi", "completion": "Hi."},
    ],
    ids=["chat", "alpaca", "alpaca-no-input", "completion"],
)
def test_the_format_is_found_by_itself(record):
    assert read(lines(record, record)) == [ImportRow((USER,), "Hi.")] * 2


def test_alpacas_input_follows_its_instruction():
    (row,) = read(lines({"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"}))
    assert row.messages == (Message("user", "Translate.\n\nGuten Tag"),)


def test_of_a_conversation_the_last_answer_is_learnt():
    turns = [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    (row,) = read(lines({"messages": [{"role": role, "content": text} for role, text in turns]}))
    assert row.messages == tuple(Message(role, text) for role, text in turns[:-1])
    assert row.response == "d"


def test_a_file_its_text_its_lines_and_a_list_read_the_same(tmp_path):
    path = tmp_path / "pairs.jsonl"
    text = lines(CHAT, CHAT)
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())
    expected = [ImportRow((USER,), "Hi.")] * 2
    for source in (path, text, text.splitlines(keepends=True), json.dumps([CHAT, CHAT], indent=2)):
        assert read(source) == expected


def test_only_a_newline_ends_a_line():
    (row,) = read('{"prompt": "a\u2028b\x85c", "completion": "d"}')
    assert row.messages[0].content == "a\u2028b\x85c"


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ("{", "is not JSON"),
        ('"words"', "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('{"messages": []}', "does not take turns"),
        ('{"messages": "hi"}', "not a list of objects"),
        ('{"messages": [1, 2]}', "not a list of objects"),
        ('{"messages": [{"role": "user"}]}', "lacks 'content'"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "does not take turns"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]}', "take turns"),
        (
            '{"messages": [{"role": "user", "content": 1}, {"role": "assistant", "content": "b"}]}',
            "not a text",
        ),
        (
            '{"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "b"}]}',
            "an empty user",
        ),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}',
            "empty assistant",
        ),
        (
            '{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "b"}]}',
            "surrogate",
        ),
        ('{"prompt": "a", "completion": "b"}', "lacks 'messages'"),
        ('{"messages": ' + "[" * 100_000, "is not JSON"),
        ('{"messages": ' + "9" * 5_000 + "}", "is not JSON"),
        ('{"messages": "\udcff"}', "is not UTF-8"),
    ],
)
def test_the_first_bad_line_is_named(bad, what):
    with pytest.raises(BadImport, match=rf"^Line 3 .*{what}.*nothing was kept"):
        read(f"{lines(CHAT)}\n\n{bad}\n{{worse")


def test_a_byte_that_is_not_utf8_is_named_by_its_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(lines(CHAT).encode() + b'\n{"messages": "\xff"}\n')
    with pytest.raises(BadImport, match="Line 2 is not UTF-8"):
        read(path)


def test_a_list_names_its_items_and_its_lines():
    with pytest.raises(BadImport, match="Item 2 lacks 'messages'"):
        read(json.dumps([CHAT, {}]))
    with pytest.raises(BadImport, match="Line 2 is not JSON"):
        read('[{"prompt": "a", "completion": "b"},\n oops]')


@pytest.mark.parametrize("nothing", ["", "\n \n", "[]"])
def test_an_empty_file_is_an_error(nothing):
    with pytest.raises(BadImport, match="holds no rows"):
        read(nothing)


def test_an_unknown_format_and_a_missing_file_are_errors(tmp_path):
    with pytest.raises(BadImport, match=r"Line 1 is in no known format.*Use instruction"):
        read('{"question": "a", "answer": "b"}')
    with pytest.raises(BadImport, match="cannot be read: No such file"):
        read(tmp_path / "nowhere.jsonl")


def test_a_saved_import_waits_for_review_or_is_approved(store):
    rows = read(lines(CHAT, {**CHAT, "conversation": "x"}))
    assert save(store, OTTO, "general", rows, approve=False) == 2
    assert counts(store)["pending"] == 2
    assert save(store, OTTO, "general", rows, approve=True, source="handbook") == 2
    assert counts(store) == {"unrated": 0, "pending": 2, "disputed": 0, "approved": 2, "rejected": 0}
    (first, _) = pairs.approved(store, "general")
    assert (first.response, first.author, first.reviewer, first.own) == ("Hi.", "otto", "otto", True)
    assert first.source == "import:handbook"
    assert store.check()


def test_an_import_is_no_conversation_in_anybodys_list(store):
    save(store, OTTO, "general", read(lines(CHAT)), approve=False)
    assert Exchanges(store).conversations("otto") == []


def test_a_named_source_waits_for_review_too(store):
    save(store, OTTO, "general", read(lines(CHAT)), approve=False, source="chat")
    assert [exchange.source for exchange in pending(store)] == ["import:chat"]


def test_only_operators_import_and_only_into_an_assistant_that_is(store):
    rows = read(lines(CHAT))
    for principal in (ANA, RITA):
        with pytest.raises(NotAllowed, match="Only operators"):
            save(store, principal, "general", rows, approve=True)
    with pytest.raises(NotFound):
        save(store, OTTO, "ghost", rows, approve=True)
    assert sum(counts(store).values()) == 0


def test_an_import_is_all_or_nothing(store):
    rows = [*read(lines(CHAT, CHAT)), ImportRow((USER,), "half \ud800")]
    with pytest.raises(Exception, match="half a character"):
        save(store, OTTO, "general", rows, approve=True)
    for table in ("exchanges", "answers", "reviews", "exchange_state"):
        assert store.row(f"SELECT count(*) AS n FROM {table}")["n"] == 0


def test_pairs_without_a_system_prompt_get_the_assistants(store):
    Assistants(store).add(Assistant("law", system_prompt="Cite."), "ada")
    own = {"messages": [{"role": "system", "content": "Mine."}, *CHAT["messages"]]}
    save(store, OTTO, "law", read(lines(CHAT, own)), approve=True)
    assert [p.messages[0].content for p in pairs.approved(store, "law")] == ["Cite.", "Mine."]


def test_rows_of_one_conversation_stay_one_group_through_export_and_import(store):
    first = teach(store, "one", "1")
    teach(store, "two", "2", conversation_id=first.conversation_id)
    teach(store, "three", "3")
    Assistants(store).add(Assistant("copy"), "ada")
    save(store, OTTO, "copy", read("\n".join(export(store, "general"))), approve=True)
    copied = pairs.approved(store, "copy")
    assert len(curate(copied, max_tokens=99, count_tokens=lambda _: 1).groups) == 2
    assert first.conversation_id not in {p.conversation_id for p in copied}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(lambda t: t.strip())
ROLES = ("user", "assistant")
TURNS = st.lists(st.tuples(TEXT, TEXT), max_size=2)


def imported(system, turns, asked, answer):
    spoken = [Message(role, text) for said in turns for role, text in zip(ROLES, said, strict=True)]
    return ImportRow((Message("system", system), *spoken, Message("user", asked)), answer)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(st.tuples(TEXT, TURNS, TEXT, TEXT), min_size=1, max_size=4))
def test_an_export_imports_again_word_for_word(store, told):
    rows = [imported(*words) for words in told]
    fresh = f"a{len(Assistants(store).list())}"
    Assistants(store).add(Assistant(fresh), "ada")
    save(store, OTTO, fresh, rows, approve=True)
    again = imports.read("\n".join(export(store, fresh)))
    assert [(row.messages, row.response) for row in again] == [(row.messages, row.response) for row in rows]


def test_thousands_of_rows_are_one_write(store):
    rows = [ImportRow((Message("user", f"question {n}"),), f"answer {n}") for n in range(3_000)]
    assert save(store, OTTO, "general", rows, approve=True) == 3_000
    assert [p.response for p in pairs.approved(store, "general")] == [f"answer {n}" for n in range(3_000)]
