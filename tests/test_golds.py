"""Gold items: they measure reviewers, teach nothing, and cannot be told from other exchanges."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient
from stories import add_people, ask

from feedback import golds, lookup, pairs, proposals
from feedback.accounts import Accounts
from feedback.curate import curate
from feedback.errors import BadRequest, NotAllowed, NotFound
from feedback.exports import export
from feedback.policy import Policy
from feedback.proposals import Candidate
from feedback.queue import item, items
from feedback.ratings import rate
from feedback.records import Message, Principal, Role, new_id
from feedback.review import review
from feedback.search import Search
from feedback.snapshot import freeze
from feedback.store import Store
from hone.app import Hone
from hone.home import Home
from hone.settings import read

PEOPLE = [Principal(name, Role.REVIEWER) for name in ("rita", "rob", "zoe")]
RITA, ROB, ZOE = PEOPLE
OTTO = Principal("otto", Role.OPERATOR)
POLICY = Policy(salt="sea")


@pytest.fixture
def store(store: Store) -> Store:
    add_people(store, *PEOPLE, OTTO)
    return store


def gold(store: Store, **told: Any) -> str:
    said: dict[str, Any] = {
        "expected": "reject",
        "rating": "down",
        "reasons": ["other"],
        "correction": "Five.",
    }
    return golds.add(store, OTTO, "general", "What is 2 + 2?", "4.", **(said | told))


def real(store: Store, name: str) -> str:
    """The first exchange of somebody new, rated in the same way."""
    author = Principal(name, Role.USER)
    asked = ask(store, author, context=(Message("system", "You are a helpful assistant."),))
    rate(store, author, asked.id, rating="down", reasons=["other"], correction="Five.")
    return asked.id


def test_a_gold_item_never_becomes_a_pair_whatever_reviewers_say(store: Store, tmp_path: Path) -> None:
    identity = gold(store, expected="approve")
    review(store, RITA, identity, "approve")
    assert review(store, ROB, identity, "approve").state == "approved"
    assert pairs.approved(store, "general") == []
    assert b"".join(export(store, "general")) == b""
    golds.retire(store, OTTO, identity)
    chosen = curate(pairs.approved(store, "general"), max_tokens=99, count_tokens=lambda pair: 1)
    shot = freeze(store, "general", new_id(), tmp_path / "s", chosen, salt="s", principal="hone")
    assert [shot.rows(side) for side in ("train", "dev", "gate")] == [(), (), ()]
    assert store.check()


def test_no_answer_is_proposed_to_one_and_none_that_was_is_learnt(store: Store) -> None:
    identity = gold(store, correction="")
    real(store, "ana")
    assert proposals.disliked(store, "general", "self@", 9) == []
    assert identity not in [one.id for one in proposals.rated(store, "general", "self@", 9)]
    (one,) = proposals.record(store, OTTO, lookup.get(store, identity), "teacher:big", [Candidate("5.")])
    review(store, RITA, one, "approve")
    assert review(store, ROB, one, "approve").state == "approved"
    assert pairs.approved(store, "general") == []


def test_a_search_finds_one_where_its_time_is(store: Store, tmp_path: Path) -> None:
    for name in ("ana", "ben"):
        real(store, name)
    gold(store)
    real(store, "cem")
    search = Search(store, tmp_path / "words.duckdb")
    search.catch_up()
    found = lookup.load(store, search.to_review("what", "rita"))
    assert len(found) == 4
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)


def test_accuracy_is_of_first_blind_opinions_and_not_of_who_set_it(store: Store) -> None:
    wrong, right = gold(store), gold(store, expected="approve")
    review(store, RITA, wrong, "approve")
    review(store, RITA, wrong, "reject", reason="I was told.")
    review(store, ROB, wrong, "reject")
    review(store, RITA, right, "approve")
    review(store, ZOE, right, "skip")
    told = {row["reviewer"]: (row["judged"], row["correct"]) for row in golds.accuracy(store)}
    assert told == {"rita": (2, 1), "rob": (1, 1)}
    listed = golds.listed(store)
    assert [row["exchange_id"] for row in listed] == [right, wrong]
    assert {row["principal"] for row in listed} == {"otto"}
    assert [o["verdict"] for o in listed[1]["opinions"]] == ["approve", "reject"]


def test_who_set_it_never_sees_it_and_cannot_judge_it(store: Store) -> None:
    identity = gold(store)
    assert items(store, OTTO, POLICY) == []
    with pytest.raises(NotAllowed, match="author's alone"):
        review(store, OTTO, identity, "reject")
    assert [one.exchange.id for one in items(store, RITA, POLICY)] == [identity]


def test_a_retired_one_leaves_every_queue(store: Store) -> None:
    identity = gold(store)
    review(store, RITA, identity, "reject")
    golds.retire(store, OTTO, identity)
    golds.retire(store, OTTO, identity)
    for person in PEOPLE:
        for state in ("pending", "waiting"):
            assert items(store, person, POLICY, state=state) == []
    assert golds.listed(store)[0]["retired"] is True
    assert golds.accuracy(store)[0]["correct"] == 1


def test_what_no_user_could_have_said_is_refused(store: Store) -> None:
    with pytest.raises(NotAllowed, match="Only operators"):
        golds.add(store, RITA, "general", "q", "a", expected="reject", rating="up")
    with pytest.raises(BadRequest, match="Unknown reasons"):
        gold(store, reasons=["because"])
    with pytest.raises(NotFound, match="no assistant"):
        golds.add(store, OTTO, "nobody", "q", "a", expected="reject", rating="up")
    with pytest.raises(BadRequest, match="no verdict"):
        gold(store, expected="applaud")
    with pytest.raises(BadRequest, match="needs an instruction"):
        golds.add(store, OTTO, "general", " ", "a", expected="reject", rating="up")
    with pytest.raises(NotFound, match="no gold item"):
        golds.retire(store, OTTO, real(store, "newcomer"))


def test_nobody_can_come_to_own_one(store: Store) -> None:
    identity = gold(store)
    owner = store.rows("SELECT owner FROM exchange_state WHERE exchange_id = $1", [identity])[0]["owner"]
    with pytest.raises(BadRequest, match="cannot be an account's name"):
        Accounts(store).add(OTTO, owner, Role.USER, "a long password")
    with pytest.raises(NotAllowed, match="someone else's"):
        rate(store, RITA, identity, rating="up")


def minted(identity: UUID) -> datetime:
    return datetime.fromtimestamp((identity.int >> 80) / 1000, UTC)


def test_its_ids_and_times_are_those_of_a_chat(store: Store) -> None:
    seen: dict[str, set[bool]] = {"gold": set(), "real": set()}
    for kind, ids in {
        "gold": [gold(store) for _ in range(8)],
        "real": [real(store, f"new{number}") for number in range(8)],
    }.items():
        for identity in ids:
            shown = item(store, RITA, POLICY, identity).exchange
            exchange, conversation = UUID(shown.id), UUID(shown.conversation_id)
            assert exchange.version == conversation.version == 7
            # Ids minted in a hurry run a little ahead of the clock, so that they stay in order.
            ahead = max(minted(UUID(new_id())) - datetime.now(UTC), timedelta())
            assert abs(shown.at - minted(exchange)) < timedelta(seconds=5) + ahead
            assert abs(minted(exchange) - minted(conversation)) < timedelta(seconds=5) + ahead
            assert shown.at <= datetime.now(UTC)
            seen[kind].add(bool(re.fullmatch(r"contributor-[0-9a-f]{8}", shown.principal)))
    assert seen == {"gold": {True}, "real": {True}}


@pytest.fixture
def hone(tmp_path: Path) -> Iterator[Hone]:
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    built = Hone(home, read(home.folder, auth={"login": "local"}), pages=False)
    for person in (*PEOPLE, OTTO):
        built.accounts.add(Principal("admin", Role.ADMIN), person.name, person.role, "a long password")
    yield built
    built.close()


def browser(hone: Hone, person: Principal) -> TestClient:
    token = hone.accounts.open_session(person, 1)
    return TestClient(hone.web, base_url="http://127.0.0.1:7860", cookies={"hone_session": token})


def shape(value: Any, known: dict[str, str]) -> Any:
    """An answer with what differs between any two exchanges made equal: ids, times, pseudonyms."""
    text = json.dumps(value, sort_keys=True)
    for identity, name in known.items():
        text = text.replace(identity, name)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", "TIME", text)
    return json.loads(re.sub(r"contributor-[0-9a-f]{8}", "SOMEBODY", text))


def test_through_the_api_a_gold_item_lives_the_life_of_any_other(hone: Hone) -> None:
    store = hone.store
    body = {"assistant": "general", "instruction": "What is 2 + 2?", "response": "4.", "expected": "reject"}
    said = {"rating": "down", "reasons": ["other"], "correction": "Five.", "note": "A wrong correction."}
    added = browser(hone, OTTO).post("/v1/reviews/golds", json=body | said)
    assert added.status_code == 201, added.text
    # Neither is of the share that two judge by the luck of the draw: both need two as a newcomer's.
    one, two = added.json()["exchange_id"], real(store, "newcomer")
    rita, rob, zoe = (browser(hone, person) for person in PEOPLE)
    lives: list[list[Any]] = []
    for identity in (one, two):
        known = {identity: "THIS"}

        def told(answer: Any, known: dict[str, str] = known) -> Any:
            return answer.status_code, shape(answer.json() if answer.content else None, known)

        at = f"/v1/reviews/{identity}"
        life = [
            told(rita.get(at)),
            told(rita.put(f"{at}/draft", json={"response": "Fo"})),
            told(rita.get(at)),
        ]
        claim = rita.post("/v1/reviews/claims", json={"exchange_id": identity})
        life += [told(claim), told(rob.get(at))]
        held = {"exchange_id": identity, "claim": claim.json()["id"]}
        life.append(told(rita.post("/v1/reviews", json=held | {"verdict": "approve"})))
        life += [told(rita.get(at)), told(rob.get(at)), told(zoe.get(at))]
        life.append(told(rob.post("/v1/reviews", json={"exchange_id": identity, "verdict": "reject"})))
        life += [told(person.get(at)) for person in (rita, rob, zoe)]
        life.append(told(zoe.post(f"{at}/adjudicate", json={"verdict": "reject", "reason": "Wrong."})))
        life += [told(person.get(at)) for person in (rita, rob, zoe)]
        life += [told(person.post(f"{at}/reopen", json={"reason": "Again."})) for person in (rob, zoe)]
        life.append(told(rita.post("/v1/feedback", json={"exchange_id": identity, "rating": "up"})))
        lives.append(life)
    assert lives[0] == lives[1]
    listed = rita.get("/v1/reviews").json()["data"]
    assert {record["id"] for record in listed} == {one, two}
    assert len({json.dumps(shape(record, {})) for record in listed}) == 1
    figures = browser(hone, OTTO).get("/v1/reviews/agreement").json()
    assert {row["reviewer"]: row["correct"] for row in figures["accuracy"]} == {"rita": 0, "rob": 1}
    for person in PEOPLE:
        for path in ("golds", "agreement"):
            assert browser(hone, person).get(f"/v1/reviews/{path}").status_code == 403
