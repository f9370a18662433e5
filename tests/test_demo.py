"""The demo fills a home once, with data that people could have made, and enough of it to tune on."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from stories import new_store

from feedback import pairs, ratings, review
from feedback.accounts import NAME, RESERVED, Accounts, first_admin
from feedback.assistants import Assistants
from feedback.curate import curate
from feedback.errors import Conflict
from feedback.exchanges import Exchanges
from feedback.records import REASONS_DOWN, REASONS_UP, Assistant, Principal, Role, now
from feedback.store import Store
from hone import demo
from hone.demo import rows
from serve.api import errors
from serve.identity import Identity

COMMAND_LINE = Principal("cli", Role.ADMIN)
ASSISTANTS = ("helpdesk", "leases")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
HOST = re.compile(r"https?://\S+|\bwww\.\S+")
PHONE = re.compile(r"\+?\d[\d\s().-]{5,}\d")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with the demo in it."""
    path = tmp_path_factory.mktemp("demo") / "hone.duckdb"
    store = new_store(path)
    first_admin(store)
    demo.fill(store, COMMAND_LINE)
    store.close()
    return path


@pytest.fixture
def filled(file: Path, tmp_path: Path) -> Iterator[Store]:
    store = Store(shutil.copyfile(file, tmp_path / "filled.duckdb"))
    yield store
    store.close()


def words() -> list[str]:
    """Every text of the demo's files."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            return [text for item in inner for text in texts(item)]
        return [value] if isinstance(value, str) else []

    return [text for name in ("assistants", "exchanges", *ASSISTANTS) for text in texts(rows.told_in(name))]


def contents(store: Store) -> dict[str, list[dict[str, Any]]]:
    tables = ("assistants", "conversations", "consents", "exchanges", "answers", "ratings", "reviews")
    return {table: store.rows(f"SELECT * FROM {table} ORDER BY id") for table in tables}


def test_both_assistants_have_enough_approved_pairs_to_tune(filled: Store) -> None:
    counts = {name: len(pairs.approved(filled, name)) for name in ASSISTANTS}
    assert counts["helpdesk"] >= 75
    assert counts["leases"] >= 55
    known = {assistant.name: assistant for assistant in Assistants(filled).list()}
    assert set(known) == {"general", *ASSISTANTS}
    assert all(known[name].system_prompt and len(known[name].examples) >= 3 for name in ASSISTANTS)
    assert "not legal advice" in known["leases"].notice


def test_every_state_rating_verdict_and_ending_is_there(filled: Store) -> None:
    found = filled.rows("SELECT state, rating, finish_reason, verdict, has_correction FROM exchange_state")
    assert {row["state"] for row in found} == set(review.STATES)
    assert {row["rating"] for row in found} == {None, "up", "down"}
    assert {row["finish_reason"] for row in found} == {"stop", "length", "stopped", "cut", "error"}
    assert {row["verdict"] for row in found} == {None, "approve", "edit", "reject"}
    corrections = Counter(row["state"] for row in found if row["has_correction"])
    assert corrections["pending"]
    assert corrections["approved"]
    assert len(filled.rows("SELECT 1 FROM exchange_state WHERE NOT training")) == 1
    assert filled.check()


def test_the_demo_twice_is_the_demo_once(filled: Store) -> None:
    before = contents(filled)
    assert "nothing was added" in demo.fill(filled, COMMAND_LINE)
    assert contents(filled) == before


def test_another_admin_gets_conversations_of_their_own_and_nothing_else(filled: Store) -> None:
    before = contents(filled)
    demo.fill(filled, Principal("robin", Role.ADMIN))
    after = contents(filled)
    own = Exchanges(filled).conversations("robin")
    assert len(own) == len(after["conversations"]) - len(before["conversations"]) == 4
    assert after["assistants"] == before["assistants"]


def test_no_pair_is_dropped_but_the_one_that_two_people_asked_alike(filled: Store) -> None:
    dropped: Counter[str] = Counter()
    for name in ASSISTANTS:
        approved = pairs.approved(filled, name)
        curated = curate(approved, max_tokens=400, count_tokens=lambda pair: len(str(pair.messages)) // 2)
        dropped += curated.dropped
        # A question and its second right answer share a group; nothing else may tie pairs together.
        assert len(curated.groups) >= len(approved) - 12
    assert dropped == {"duplicate": 1}


def test_some_questions_keep_two_right_answers(filled: Store) -> None:
    groups = [
        group
        for name in ASSISTANTS
        for group in curate(pairs.approved(filled, name), max_tokens=9999, count_tokens=lambda pair: 1).groups
    ]
    two = [group for group in groups if len({(p.messages, p.response) for p in group.pairs}) == 2]
    assert len([group for group in two if len({p.messages for p in group.pairs}) == 1]) >= 5


def test_some_pairs_have_turns_before_them_and_some_are_korean() -> None:
    told = rows.told_in("helpdesk")
    assert sum("context" in pair for pair in told) >= 5
    assert sum(bool(re.search(r"[가-힣]", pair["response"])) for pair in told) >= 5


def test_answers_are_short_and_their_facts_agree() -> None:
    for name in ASSISTANTS:
        lengths = [len(pair["response"].split()) for pair in rows.told_in(name)]
        assert max(lengths) < 120
        assert sum(lengths) / len(lengths) < 60
    said = " ".join(pair["response"] for pair in rows.told_in("helpdesk"))
    assert set(re.findall(r"\b\d{4}\b", said)) == {"4040"}
    assert set(re.findall(r"\broom ([A-Z]\d+)\b", said)) == {"B12"}
    assert set(re.findall(r"(\d+) MB", said)) == {"25"}
    assert set(re.findall(r"(\d+) characters", said)) - {"10"} == {"14"}
    assert all(re.search(r"\(Code, section \d+\)$", pair["response"]) for pair in rows.told_in("leases"))


def test_personal_data_is_from_the_reserved_ranges_and_rejected(filled: Store) -> None:
    emails = {found for text in words() for found in EMAIL.findall(text)}
    phones = {found for text in words() for found in PHONE.findall(text)}
    assert emails
    assert phones
    assert all(email.endswith(".example") for email in emails)
    assert all("555-01" in phone for phone in phones)
    assert not [text for text in words() if HOST.search(text)]
    for name in ASSISTANTS:
        for pair in pairs.approved(filled, name):
            text = " ".join([pair.response, *(message.content for message in pair.messages)])
            assert not EMAIL.search(text)
            assert not PHONE.search(text)


def test_markup_and_injection_wait_for_a_reviewer(filled: Store) -> None:
    waiting = review.pending(filled, limit=200)
    assert any("<script>" in exchange.instruction for exchange in waiting)


def test_every_event_is_one_that_people_could_have_made(filled: Store) -> None:
    """What the API would refuse must not be in the store by another way."""
    names = {row["principal"] for table in contents(filled).values() for row in table}
    assert all(NAME.fullmatch(name) for name in names)
    assert names & RESERVED <= {"hone"}
    for rating in contents(filled)["ratings"]:
        assert set(rating["reasons"]) <= set(REASONS_UP if rating["rating"] == "up" else REASONS_DOWN)
        assert len(rating["correction"]) <= ratings.MAX_CORRECTION
    exchanges = {row["id"]: row for row in contents(filled)["exchanges"]}
    for judged in contents(filled)["reviews"]:
        assert judged["principal"] != exchanges[judged["exchange_id"]]["principal"]
        assert judged["own"] == (judged["author"] == judged["principal"]) == (judged["verdict"] == "edit")
        assert bool(judged["response"]) == (judged["verdict"] != "reject")
    unfinished = filled.rows(
        """SELECT 1 FROM exchange_state WHERE state = 'approved' AND verdict = 'approve'
        AND finish_reason <> 'stop' AND NOT has_correction"""
    )
    assert not unfinished


def test_no_reviewer_judged_more_than_their_share(filled: Store) -> None:
    for name in ASSISTANTS:
        judged = Counter(pair.reviewer for pair in pairs.approved(filled, name))
        assert len(judged) == 3
        assert max(judged.values()) <= 0.4 * judged.total()


def test_times_lie_in_the_last_two_weeks_and_turns_in_their_order(filled: Store) -> None:
    newest = now()
    for table, held in contents(filled).items():
        ours = [row for row in held if UUID(row["id"]).version == 5]
        assert ours, table
        assert all(newest - timedelta(days=15) < row["at"] <= newest for row in ours)
    line = filled.rows('SELECT "at" FROM exchanges ORDER BY seq')
    assert line == sorted(line, key=lambda row: row["at"])
    assert rows.batch("a", newest) == rows.batch("a", newest)


def test_the_one_who_asked_has_conversations_on_their_chat_page(filled: Store) -> None:
    admin = Accounts(filled).first_admin_name()
    assert admin
    exchanges = Exchanges(filled)
    own = exchanges.conversations(admin)
    assert len(own) == 4
    turns = [exchanges.conversation(conversation["id"], admin) for conversation in own]
    assert max(len(line) for line in turns) == 3
    last = next(line for line in turns if len(line) == 3)[-1]
    assert [message.role for message in last.context] == ["system", *["user", "assistant"] * 2]


def test_a_retry_takes_the_place_of_what_was_cut(filled: Store) -> None:
    scan = next(c for c in Exchanges(filled).conversations("demo.mina") if c["title"] == "Scanner to mail")
    assert scan["exchanges"] == 2
    line = Exchanges(filled).conversation(scan["id"], "demo.mina")
    assert [exchange.finish_reason for exchange in line] == ["stop"]
    assert [message.role for message in line[0].context] == ["system"]


def test_an_assistant_of_ones_own_is_not_mixed_with_the_demo(store: Store) -> None:
    Assistants(store).add(Assistant("helpdesk", title="Ours"), "robin")
    before = contents(store)
    with pytest.raises(Conflict, match="helpdesk"):
        demo.fill(store, COMMAND_LINE)
    assert contents(store) == before


async def test_only_an_admin_may_fill_a_home(store: Store) -> None:
    first_admin(store)
    identity = Identity(
        Accounts(store), token="right", anyone=Principal("kim", Role.OPERATOR), session_days=1
    )
    app = FastAPI()
    errors.install(app)
    app.include_router(demo.routes(identity, store))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        refused = await client.post("/v1/demo")
        done = await client.post("/v1/demo", headers={"authorization": "Bearer right"})
        again = await client.post("/v1/demo", headers={"authorization": "Bearer right"})
    assert refused.status_code == 403
    assert "approved pairs" in done.json()["said"]
    assert "hone tune --assistant helpdesk --wait" in done.json()["said"]
    assert "nothing was added" in again.json()["said"]
