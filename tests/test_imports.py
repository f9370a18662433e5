"""Imports take every row that is right, name every row that is not, and add nothing twice."""

import csv
import io
import json
import re
from uuid import uuid5

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import ANA, OTTO, RITA, teach

from feedback import erasure, forms, lookup, pairs, ratings, review
from feedback.assistants import Assistants
from feedback.curate import curate
from feedback.errors import BadImport, NotAllowed, NotFound
from feedback.exchanges import Exchanges
from feedback.exports import export
from feedback.files import MAX_RECORD, Refused
from feedback.forms import ImportRow
from feedback.imports import SPACE, TOLD, read, save
from feedback.records import Assistant, Message
from feedback.review import counts, pending

USER = Message("user", "Say hi")
CHAT = {"messages": [{"role": "user", "content": "Say hi"}, {"role": "assistant", "content": "Hi."}]}
ASKED = [{"role": "user", "content": "Say hi"}]
SAID = [{"role": "assistant", "content": "Hi."}]
DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]


def lines(*records):
    return "\n".join(json.dumps(record) for record in records)


def rows(*records):
    return list(read(lines(*records)))


class TestForms:
    @pytest.mark.parametrize(
        "record",
        [
            CHAT,
            {"conversations": [{"from": "human", "value": "Say hi"}, {"from": "gpt", "value": "Hi."}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Say hi"}]}, SAID[0]]},
            {"instruction": "Say hi", "input": "", "output": "Hi.", "id": 7},
            {"instruction": "Say hi", "output": "Hi."},
            {"prompt": "Say hi", "completion": "Hi."},
            {"prompt": ASKED, "completion": SAID},
        ],
        ids=["chat", "sharegpt", "parts", "alpaca", "alpaca-no-input", "completion", "trl"],
    )
    def test_the_form_is_found_by_itself(self, record):
        assert rows(record, record) == [ImportRow((USER,), "Hi.")] * 2

    @pytest.mark.parametrize(
        "record",
        [
            {"prompt": "Say hi", "chosen": "Hi.", "rejected": "No."},
            {"prompt": ASKED, "chosen": SAID, "rejected": [{"role": "assistant", "content": "No."}]},
            {"chosen": [*ASKED, *SAID], "rejected": [*ASKED, {"role": "assistant", "content": "No."}]},
            {"instruction": "Say hi", "input": "", "chosen": "Hi.", "rejected": "No."},
            {"user_input": "Say hi", "completion_a": "Hi.", "completion_b": "No."},
        ],
        ids=["texts", "trl", "whole conversations", "llama-factory", "gpt-4-llm"],
    )
    def test_comparisons_keep_the_worse_answer_beside_the_better(self, record):
        assert rows(record) == [ImportRow((USER,), "Hi.", rejected="No.")]

    @pytest.mark.parametrize(
        ("label", "rating"), [(True, "up"), (False, "down"), ("false", "down"), (1, "up")]
    )
    def test_a_kto_label_is_a_thumb(self, label, rating):
        assert rows({"prompt": "Say hi", "completion": "Hi.", "label": label}) == [
            ImportRow((USER,), "Hi.", rating=rating)
        ]

    def test_alpacas_input_system_and_history_go_where_they_belong(self):
        (row,) = rows(
            {
                "instruction": "Translate.",
                "input": "Guten Tag",
                "output": "Good day",
                "system": "Be brief.",
                "history": [["Hello", "Hi."]],
            }
        )
        assert row.messages == (
            Message("system", "Be brief."),
            Message("user", "Hello"),
            Message("assistant", "Hi."),
            Message("user", "Translate.\n\nGuten Tag"),
        )

    def test_of_a_conversation_the_last_answer_is_learnt(self):
        turns = [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
        (row,) = rows({"messages": [{"role": role, "content": text} for role, text in turns]})
        assert row.messages == tuple(Message(role, text) for role, text in turns[:-1])
        assert row.response == "d"

    @pytest.mark.parametrize(
        ("record", "why"),
        [
            ("words", "is not a JSON object"),
            ([1], "is not a JSON object"),
            ({"messages": []}, "does not take turns"),
            ({"messages": "hi"}, "not a list of objects"),
            ({"messages": [1, 2]}, "not a list of objects"),
            ({"messages": [{"role": "user"}]}, "lacks 'content'"),
            ({"messages": [*ASKED]}, "does not take turns"),
            ({"messages": [*ASKED, {"role": "tool", "content": "b"}]}, "take turns"),
            ({"messages": [*ASKED, {"role": ["a"], "content": "b"}]}, "take turns"),
            ({"messages": [{"role": "user", "content": 1}, *SAID]}, "not a text"),
            ({"messages": [{"role": "user", "content": " "}, *SAID]}, "an empty user"),
            ({"messages": [*ASKED, {"role": "assistant", "content": ""}]}, "empty assistant"),
            ({"messages": [{"role": "user", "content": "\ud800"}, *SAID]}, "surrogate"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, *SAID]}, "more than text"),
            ({"prompt": "a", "completion": "b"}, "lacks 'messages'"),
        ],
    )
    def test_a_bad_row_is_refused_with_its_line_and_the_rest_goes_in(self, record, why):
        first, refused, last = rows(CHAT, record, CHAT)
        assert first == last == ImportRow((USER,), "Hi.")
        assert refused.where == "Line 2"
        assert why in refused.why

    @pytest.mark.parametrize(
        ("record", "why"),
        [
            ({"prompt": "a", "completion": "b", "label": "maybe"}, "neither true nor false"),
            ({"prompt": "a", "chosen": "b", "rejected": "b"}, "compares an answer with itself"),
            ({"prompt": "a", "chosen": "b", "rejected": " "}, "an empty rejected"),
            (
                {"chosen": [*ASKED, *SAID], "rejected": [{"role": "user", "content": "?"}, *SAID]},
                "different conv",
            ),
            (
                {"instruction": "a", "output": "b", "history": [["only one"]]},
                "no list of question and answer",
            ),
            ({"snapshot": {}, "data": {"rating": 1}, "meta": {}}, "lacks 'chat'"),
            ({"question": "a", "answer": "b"}, "in no known form; use one of"),
        ],
    )
    def test_every_form_refuses_what_it_cannot_mean(self, record, why):
        (refused,) = rows(record)
        assert why in refused.why


NAMES = st.sampled_from(
    [
        *("messages", "conversations", "prompt", "completion", "chosen", "rejected", "label", "instruction"),
        *("output", "system", "history", "user_input", "completion_a", "completion_b", "data", "meta"),
        *("snapshot", "chat", "rating", "message_id", "role", "content", "from", "value", "conversation"),
    ]
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["user", "assistant", "m", "true", ""])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), min_size=1, max_size=3))
def test_whatever_is_in_a_file_every_row_is_taken_or_refused(told):
    assert all(isinstance(row, ImportRow | Refused) for row in rows(*told))
    assert len(rows(*told)) == len(told)


class TestFiles:
    @pytest.mark.parametrize(
        "record",
        [
            {
                "snapshot": {"chat": {"chat": {"messages": 5}}},
                "data": {"rating": 1},
                "meta": {"message_id": "a"},
            },
            {
                "snapshot": {"chat": {"chat": {"history": 5}}},
                "data": {"rating": 1},
                "meta": {"message_id": "a"},
            },
            {
                "snapshot": {"chat": {"messages": [{"id": "a", "role": [], "content": {}}]}},
                "data": {"rating": 1},
                "meta": {"message_id": "a"},
            },
            {"prompt": "Say hi", "completion": "Hi.", "label": DEEP},
            {"messages": [{"role": DEEP, "content": "Say hi"}, *SAID]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": DEEP}]}, *SAID]},
            {"snapshot": {"chat": {}}, "data": {"rating": DEEP}, "meta": {"message_id": "a"}},
            {"snapshot": {"chat": {}}, "data": {"rating": 1}, "meta": {"message_id": DEEP}},
            {"messages": [*ASKED * 1, *SAID] * 30 + [{"role": "user", "content": "x" * 99_990}, *SAID]},
        ],
    )
    def test_whatever_shape_a_row_has_it_is_refused_and_the_next_goes_in(self, record):
        with pytest.raises(ValueError, match=r"^(is|has|does|holds|lacks)\b"):
            forms.parse(forms.form_of(record), record)

    def test_a_file_its_text_and_a_list_read_the_same(self, tmp_path):
        path = tmp_path / "pairs.jsonl"
        text = lines(CHAT, CHAT)
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())
        expected = [ImportRow((USER,), "Hi.")] * 2
        for source in (path, text, json.dumps([CHAT, CHAT], indent=2), io.BytesIO(text.encode())):
            assert list(read(source)) == expected

    def test_only_a_newline_ends_a_line(self):
        (row,) = read('{"prompt": "a\u2028b\x85c", "completion": "d"}')
        assert row.messages[0].content == "a\u2028b\x85c"

    def test_lines_that_cannot_be_read_are_refused_by_number(self, tmp_path):
        path = tmp_path / "pairs.jsonl"
        deep, long = b'{"a": ' + b"[" * 100_000, b'{"a": ' + b"9" * 5_000 + b"}"
        bad = [b"{", b'{"messages": "\xff"}', deep, long, b"x" * MAX_RECORD + b"y"]
        path.write_bytes(b"\n".join([lines(CHAT).encode(), *bad, lines(CHAT).encode()]))
        found = list(read(path))
        refused = [(row.where, row.why.split(":")[0]) for row in found[1:-1]]
        assert refused == [
            ("Line 2", "is not JSON"),
            ("Line 3", "is not UTF-8 text"),
            ("Line 4", "is not JSON that can be read"),
            ("Line 5", "is not JSON that can be read"),
            ("Line 6", f"is longer than {MAX_RECORD:,} bytes"),
        ]
        assert isinstance(found[-1], ImportRow)

    def test_a_list_is_read_item_by_item_up_to_where_it_breaks(self):
        text = json.dumps([CHAT, {}, CHAT])
        good, refused, again = read(text)
        assert refused.where == "Item 2"
        assert (good, again) == (ImportRow((USER,), "Hi."),) * 2
        *kept, broken = read(f"[{lines(CHAT)}, oops, {lines(CHAT)}]")
        assert (len(kept), broken.where) == (1, "Item 2")
        assert "nothing after it was read" in broken.why
        *_, unset = read(f"[{lines(CHAT)} {lines(CHAT)}]")
        assert "comma" in unset.why

    def test_a_list_larger_than_what_is_read_at_once_comes_whole(self):
        told = [{"prompt": f"{n} " + "ü가" * 400, "completion": "]," * 300} for n in range(900)]
        text = json.dumps(told, ensure_ascii=False)
        assert len(text) > 2**20
        found = list(read(text))
        assert [row.messages[0].content for row in found] == [record["prompt"] for record in told]
        assert {row.response for row in found} == {"]," * 300}

    def test_csv_is_read_by_its_header(self):
        held = io.StringIO(newline="")
        writer = csv.writer(held)
        writer.writerows([["instruction", "input", "output"], ["Say, hi", "", 'He said "hi"\r\n\x00']])
        held.write("only,two\n")
        good, refused = read(held.getvalue())
        assert good == ImportRow((Message("user", "Say, hi"),), 'He said "hi"\r\n\x00')
        assert "columns of the header" in refused.why

    def test_parquet_is_read(self, tmp_path):
        path = tmp_path / "pairs.parquet"
        pq.write_table(pa.Table.from_pylist([CHAT, CHAT, {"messages": None}]), path)
        *good, refused = read(path)
        assert good == [ImportRow((USER,), "Hi.")] * 2
        assert refused.where == "Row 3"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(BadImport, match="no Parquet file"):
            list(read(path))

    def test_a_parquet_file_that_stands_for_much_more_than_it_is_is_read_a_few_rows_at_once(
        self, monkeypatch
    ):
        held = io.BytesIO()
        table = pa.table(
            {"prompt": ["z" * 2**20] * 200, "completion": ["x"] * 200, "aside": [b"y" * 2**20] * 200}
        )
        pq.write_table(table, held, dictionary_pagesize_limit=2**30)
        assert held.tell() < 2**18
        held.seek(0)
        del table
        before, most = pa.total_allocated_bytes(), 0
        for row in read(held):
            assert "limit is 100,000" in row.why
            most = max(most, pa.total_allocated_bytes() - before)
        assert most < 100 * 2**20, "200 MiB are never there together"

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([2**62], pa.timestamp("us")),
            pa.array([2**30], pa.date32()),
            pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers()),
            pa.array(["x" * (MAX_RECORD + 1)]),
        ],
    )
    def test_a_parquet_row_that_cannot_be_read_is_refused_by_number_and_the_others_go_in(self, column):
        held = io.BytesIO()
        rest = pa.array(["Hi."]).cast(pa.string())
        with pq.ParquetWriter(
            held, pa.schema([("prompt", column.type), ("completion", pa.string())])
        ) as file:
            file.write_table(pa.table({"prompt": column, "completion": rest}))
        held.seek(0)
        (refused,) = read(held)
        assert refused.where == "Row 1"
        assert re.search("cannot be read|is longer than", refused.why)

    def test_a_csv_line_without_an_end_is_refused_and_not_kept_in_memory(self, monkeypatch):
        monkeypatch.setattr("feedback.ahead.MAX_RECORD", 1_000)
        long, open_ = "x" * 5_000, '"' + ("y" * 100 + "\n") * 50
        told = f"instruction,output\nSay hi,Hi.\n{long}\nSay hi,Ho.\n{long},{long}\nSay hi,Hu.\n{open_}"
        found = list(read(told))
        assert [row.response for row in found if isinstance(row, ImportRow)] == ["Hi.", "Ho.", "Hu."]
        assert sum("longer than 1,000" in row.why for row in found if isinstance(row, Refused)) == 3

    def test_a_list_of_small_items_is_read_across_its_pieces(self, monkeypatch):
        monkeypatch.setattr("feedback.ahead.PIECE", 7)
        told = [CHAT, CHAT, {"prompt": " a]\n", "completion": ",["}]
        for text in (
            json.dumps(told),
            json.dumps(told, indent=3),
            " \n" + json.dumps(told).replace(", {", " \n ,  {") + "\n\n",
        ):
            assert [
                len(row.messages) for row in read(text.encode().decode()) if isinstance(row, ImportRow)
            ] == [1, 1]

    @pytest.mark.parametrize("nothing", ["", "\n \n", "[]", "instruction,output\n"])
    def test_an_empty_file_is_an_error(self, nothing):
        with pytest.raises(BadImport, match="holds no rows"):
            list(read(nothing))

    def test_a_missing_file_is_an_error(self, tmp_path):
        with pytest.raises(BadImport, match="cannot be read: No such file"):
            list(read(tmp_path / "nowhere.jsonl"))


class TestOpenWebUI:
    def record(self, rating=1, last="m2", **data):
        held = {
            "m1": {
                "id": "m1",
                "parentId": None,
                "childrenIds": ["m2", "m3"],
                "role": "user",
                "content": "Say hi",
            },
            "m2": {"id": "m2", "parentId": "m1", "role": "assistant", "content": "Hi."},
            "m3": {"id": "m3", "parentId": "m1", "role": "assistant", "content": "Ho."},
        }
        chat = {"chat": {"title": "T", "history": {"messages": held, "currentId": "m3"}, "messages": []}}
        return {
            "id": "f1",
            "user_id": "u1",
            "version": 0,
            "type": "rating",
            "data": {
                "rating": rating,
                "model_id": "x",
                "reason": "accurate_information",
                "comment": "",
                **data,
            },
            "meta": {"chat_id": "c1", "message_id": last, "arena": False},
            "snapshot": {"chat": chat},
            "created_at": 1,
            "updated_at": 2,
        }

    def test_its_feedback_export_becomes_rated_answers(self, store):
        liked, disliked, none = read(
            json.dumps([self.record(), self.record("-1", "m3", comment="Wrong."), self.record(None)])
        )
        assert liked == ImportRow((USER,), "Hi.", "openwebui:c1", rating="up", comment="accurate_information")
        assert (disliked.response, disliked.rating) == ("Ho.", "down")
        assert disliked.comment == "accurate_information: Wrong."
        assert "no thumb" in none.why
        report = save(store, OTTO, "general", [liked, disliked, none], approve=False)
        assert (report.imported, report.ratings, report.refusals) == (2, 2, 1)
        rated = {exchange.response: (exchange.rating, exchange.comment) for exchange in pending(store)}
        assert rated == {"Hi.": ("up", liked.comment), "Ho.": ("down", disliked.comment)}

    @pytest.mark.parametrize("harm", ["loop", "gone", "list"])
    def test_a_chat_that_makes_no_sense_is_refused(self, harm):
        record = self.record()
        held = record["snapshot"]["chat"]["chat"]["history"]["messages"]
        if harm == "loop":
            held["m1"]["parentId"] = "m2"
        elif harm == "gone":
            del held["m2"]
        else:
            record["snapshot"] = []
        (refused,) = read(json.dumps([record]))
        assert isinstance(refused, Refused)


class TestSave:
    def test_an_import_waits_for_review_or_is_approved(self, store):
        assert save(store, OTTO, "general", rows(CHAT), approve=False).imported == 1
        assert counts(store)["pending"] == 1
        report = save(store, OTTO, "general", rows(CHAT), approve=True, source="handbook")
        assert (report.imported, report.approved) == (1, 1)
        assert {k: v for k, v in counts(store).items() if v} == {"pending": 1, "approved": 1}
        (first,) = pairs.approved(store, "general")
        assert (first.response, first.author, first.reviewer, first.own) == ("Hi.", "otto", "otto", True)
        assert first.source == "import:handbook"
        assert store.check()

    def test_the_same_file_again_adds_nothing_and_overrules_nobody(self, store):
        told = [CHAT, {**CHAT, "conversation": "x"}, CHAT]
        once = save(store, OTTO, "general", rows(*told), approve=False, source="f.jsonl")
        assert (once.imported, once.known) == (2, 1)
        (first, _) = pending(store)
        review.review(store, RITA, first.id, "reject", reason="No.")
        again = save(store, OTTO, "general", rows(*told), approve=True, source="f.jsonl")
        assert (again.imported, again.known, again.approved) == (0, 3, 0)
        assert counts(store)["rejected"] == 1
        elsewhere = save(store, OTTO, "general", rows(*told), approve=False, source="g.jsonl")
        assert elsewhere.imported == 2

    def test_an_import_that_was_interrupted_goes_on(self, store):
        def half():
            yield from rows(*({"prompt": f"q{n}", "completion": "a"} for n in range(700)))
            raise ConnectionError

        with pytest.raises(ConnectionError):
            save(store, OTTO, "general", half(), approve=True)
        kept = len(pairs.approved(store, "general"))
        assert kept == 500
        told = rows(*({"prompt": f"q{n}", "completion": "a"} for n in range(700)))
        report = save(store, OTTO, "general", told, approve=True)
        assert (report.imported, report.known) == (200, 500)
        assert len(pairs.approved(store, "general")) == 700

    def test_of_a_comparison_only_the_better_answer_can_be_learnt(self, store):
        told = [
            {"prompt": "q", "chosen": "best", "rejected": "middling"},
            {"prompt": "q", "chosen": "best", "rejected": "worst"},
            {"prompt": "q", "chosen": "middling", "rejected": "worst"},
        ]
        report = save(store, OTTO, "general", rows(*told), approve=True)
        assert (report.imported, report.comparisons) == (3, 3)
        assert sorted(p.response for p in pairs.approved(store, "general")) == ["best", "middling"]
        assert pending(store) == []
        again = save(store, OTTO, "general", rows(*told), approve=True)
        assert (again.imported, again.known) == (0, 3)

    def test_a_thumb_down_is_never_approved(self, store):
        told = [{"prompt": "q", "completion": text, "label": text == "good"} for text in ("good", "bad")]
        report = save(store, OTTO, "general", rows(*told), approve=True)
        assert (report.imported, report.ratings, report.approved) == (2, 2, 1)
        assert [p.response for p in pairs.approved(store, "general")] == ["good"]
        assert [exchange.rating for exchange in pending(store)] == ["down"]

    def test_refusals_are_all_counted_and_the_first_are_told(self, store):
        told = [Refused(f"Line {n}", "is odd") for n in range(TOLD + 50)]
        report = save(store, OTTO, "general", [*told, *rows(CHAT)], approve=False)
        assert (report.imported, report.refusals, len(report.refused)) == (1, TOLD + 50, TOLD)
        assert report.as_dict()["refused"][0] == {"where": "Line 0", "why": "is odd"}

    def test_an_import_is_no_conversation_in_anybodys_list(self, store):
        save(store, OTTO, "general", rows(CHAT), approve=False)
        assert Exchanges(store).conversations("otto") == []

    def test_nobody_can_begin_its_conversations_before_it_and_own_what_is_in_them(self, store):
        told = rows({**CHAT, "conversation": "c1"})
        save(store, OTTO, "general", told, approve=False, source="f", salt="sea")
        save(store, OTTO, "general", told, approve=False, source="g", salt="sea")
        (row, _) = pending(store)
        guessed = {str(uuid5(SPACE, json.dumps(["general", name, "c1"]))) for name in ("f", "g")}
        assert row.conversation_id not in guessed
        # Even where somebody did, as could be done before the ids were salted, the rows are the importer's.
        begun = {"owner": "rita", "principal": "rita", "assistant": "general", "title": "x"}
        store.append({"conversations": [{"id": row.conversation_id, **begun}]})
        assert lookup.get(store, row.id).principal == "otto"
        assert Exchanges(store).conversation(row.conversation_id, "rita") == []
        with pytest.raises(NotAllowed):
            ratings.rate(store, RITA, row.id, rating="down", correction="Send money.")
        with pytest.raises(NotAllowed):
            erasure.preview(store, RITA, "conversation", row.conversation_id)
        assert store.check()

    def test_a_named_source_waits_for_review_too(self, store):
        save(store, OTTO, "general", rows(CHAT), approve=False, source="chat")
        assert [exchange.source for exchange in pending(store)] == ["import:chat"]

    def test_only_operators_import_and_only_into_an_assistant_that_is(self, store):
        for principal in (ANA, RITA):
            with pytest.raises(NotAllowed, match="Only operators"):
                save(store, principal, "general", rows(CHAT), approve=True)
        with pytest.raises(NotFound):
            save(store, OTTO, "ghost", rows(CHAT), approve=True)
        assert sum(counts(store).values()) == 0

    def test_pairs_without_a_system_prompt_get_the_assistants(self, store):
        Assistants(store).add(Assistant("law", system_prompt="Cite."), "ada")
        own = {"messages": [{"role": "system", "content": "Mine."}, *CHAT["messages"]]}
        save(store, OTTO, "law", rows(CHAT, own), approve=True)
        assert [p.messages[0].content for p in pairs.approved(store, "law")] == ["Cite.", "Mine."]

    def test_rows_of_one_conversation_stay_one_group_through_export_and_import(self, store):
        first = teach(store, "What is one?", "1")
        teach(store, "Who wrote Faust?", "Goethe", conversation_id=first.conversation_id)
        teach(store, "Where is Seoul?", "In Korea")
        Assistants(store).add(Assistant("copy"), "ada")
        save(store, OTTO, "copy", read(b"".join(export(store, "general")).decode()), approve=True)
        copied = pairs.approved(store, "copy")
        assert len(curate(copied, max_tokens=99, count_tokens=lambda _: 1).groups) == 2
        assert first.conversation_id not in {p.conversation_id for p in copied}
