"""`/v1/feedback` and `/v1/reviews` over HTTP, as honest and as hostile programs use them."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid5

import pytest
from starlette.testclient import TestClient
from stories import ANA, BEN, OTTO, RITA, ROB, ask

from feedback import imports, proposals
from feedback.exchanges import Exchanges
from feedback.ratings import rate
from feedback.records import Exchange, Principal, Role, new_id
from feedback.sides import salted
from hone.app import Hone
from hone.home import Home
from hone.settings import read

PEOPLE = (ANA, BEN, RITA, ROB, OTTO)
BAD = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hone]:
    """A Hone with a login and people; its lifespan is not entered, so neither engine nor tuner run."""
    home = Home(tmp_path_factory.mktemp("reviews") / "home")
    home.folder.mkdir()
    built = Hone(home, read(home.folder, auth={"login": "local"}), pages=False)
    for person in PEOPLE:
        built.accounts.add(Principal("admin", Role.ADMIN), person.name, person.role, "a long password")
    yield built
    built.close()


@pytest.fixture(scope="module")
def at(hone: Hone) -> dict[str, TestClient]:
    """Everybody's browser, by name."""
    tokens = {person.name: hone.accounts.open_session(person, 1) for person in PEOPLE}
    base = "http://127.0.0.1:7860"
    return {
        name: TestClient(hone.web, base_url=base, cookies={"hone_session": token})
        for name, token in tokens.items()
    }


def corrected(hone: Hone, who: Principal = ANA, words: str = "Four.") -> Exchange:
    return rate(hone.store, who, ask(hone.store, who).id, rating="down", correction=words)


def said(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


def test_a_user_rates_only_what_is_theirs_and_an_id_says_one_thing(
    hone: Hone, at: dict[str, TestClient]
) -> None:
    mine, identity = ask(hone.store, ANA), new_id()
    body = {"exchange_id": mine.id, "rating": "down", "comment": BAD, "id": identity}
    for _ in range(2):
        assert at["ana"].post("/v1/feedback", json=body).json()["comment"] == BAD
    assert said(at["ana"].post("/v1/feedback", json=body | {"rating": "up"}))[0] == 409
    for other in ("ben", "rita", "otto"):
        assert said(at[other].post("/v1/feedback", json=body))[0] == 403
    shown = at["rita"].get(f"/v1/reviews/{mine.id}")
    assert shown.headers["content-type"] == "application/json"
    assert shown.json()["comment"] == BAD


def test_an_imported_conversation_has_an_id_that_only_this_home_could_mint(
    hone: Hone, at: dict[str, TestClient]
) -> None:
    row = {"prompt": "Where is the key?", "completion": "Under the mat.", "conversation": "c1"}
    asked = {"assistant": "general", "source": "f"}
    sent = at["otto"].post("/v1/imports", params=asked, content=json.dumps(row).encode())
    assert sent.json()["imported"] == 1
    (kept,) = hone.store.rows("SELECT conversation_id FROM exchanges WHERE source = 'import:f'")
    plain = json.dumps(["general", "f", "c1"])
    assert kept["conversation_id"] == str(
        uuid5(imports.SPACE, salted(hone.home.secret("review-salt"), plain))
    )


def test_a_proposal_shows_the_words_that_another_reviewer_made_of_it(
    hone: Hone, at: dict[str, TestClient]
) -> None:
    asked = rate(hone.store, ANA, ask(hone.store, ANA).id, rating="down")
    (one,) = proposals.record(hone.store, OTTO, asked, "teacher:big", [proposals.Candidate("Four.")])
    edit = {"exchange_id": one, "verdict": "edit", "response": "Pay at evil.example.com."}
    assert at["rob"].post("/v1/reviews", json=edit).status_code == 200
    (shown,) = at["rita"].get(f"/v1/proposals/{asked.id}").json()["data"]
    assert (shown["proposed"], shown["edited"], shown["agree"]) == ("Pay at evil.example.com.", True, 1)
    assert at["rita"].post(f"/v1/proposals/{asked.id}", json={"right": [one]}).status_code == 409


def test_neither_side_learns_the_others_name(hone: Hone, at: dict[str, TestClient]) -> None:
    exchange = rate(hone.store, ANA, ask(hone.store, ANA, "Which name?").id, rating="up")
    for name in ("rita", "rob"):
        judged = {"exchange_id": exchange.id, "verdict": "approve"}
        assert at[name].post("/v1/reviews", json=judged).status_code == 200
    rated = at["ana"].post("/v1/feedback", json={"exchange_id": exchange.id, "rating": "up"}).json()
    assert (rated["state"], rated["reviewed_by"]) == ("approved", None)
    changed = {"exchange_id": exchange.id, "rating": "down", "correction": "Five."}
    at["ana"].post("/v1/feedback", json=changed)
    assert at["rita"].get(f"/v1/proposals/{exchange.id}").json()["origin"]["reviewed_by"] is None
    left = {"snapshot_id": new_id(), "exchange_id": exchange.id, "review_id": new_id()}
    why = {"reason": "contributor_cap", "detail": "ana has 5 of 27 rows already"}
    run = {"principal": "hone", "run_id": new_id(), "assistant": "general", "digest": "d"}
    hone.store.append(
        {
            "snapshots": [{**run, "id": left["snapshot_id"]}],
            "snapshot_left_out": [{"principal": "hone", **left, **why}],
        }
    )
    finds = f"/v1/exchanges/{exchange.id}/finds"
    assert [row["detail"] for row in at["rita"].get(finds).json()["left_out"]] == [""]
    assert [row["detail"] for row in at["otto"].get(finds).json()["left_out"]] == [why["detail"]]


def test_consent_and_signals_are_ones_own(hone: Hone, at: dict[str, TestClient]) -> None:
    exchange = corrected(hone)
    allowed = {"conversation_id": exchange.conversation_id, "training": False}
    assert at["ben"].put("/v1/feedback/consent", json=allowed).status_code == 403
    assert at["rita"].get(f"/v1/reviews/{exchange.id}").status_code == 200
    told = at["ana"].put("/v1/feedback/consent", json=allowed).json()
    assert told == {"conversation_id": exchange.conversation_id, "training": False, "review": False}
    assert at["rita"].get(f"/v1/reviews/{exchange.id}").status_code == 403
    signal = {"exchange_id": exchange.id, "kind": "copy"}
    assert at["ana"].post("/v1/feedback/signals", json=signal).status_code == 204
    assert at["ben"].post("/v1/feedback/signals", json=signal).status_code == 403


def test_every_door_of_reviewing_needs_its_role(hone: Hone, at: dict[str, TestClient]) -> None:
    one = corrected(hone).id
    doors = [
        ("GET", "", None),
        ("POST", "", {"exchange_id": one, "verdict": "reject"}),
        ("POST", "/bulk", {"verdicts": [{"exchange_id": one, "verdict": "reject"}]}),
        ("POST", "/claims", {"exchange_id": one}),
        ("POST", f"/claims/{new_id()}/beat", None),
        ("DELETE", f"/claims/{new_id()}", None),
        ("GET", f"/{one}", None),
        ("PUT", f"/{one}/draft", {"response": "x"}),
        ("POST", f"/{one}/reopen", {"reason": "x"}),
        ("POST", f"/{one}/adjudicate", {"verdict": "reject", "reason": "x"}),
    ]
    for method, path, body in doors:
        assert at["ana"].request(method, f"/v1/reviews{path}", json=body).status_code == 403, path
    for method, path in (
        ("GET", "/golds"),
        ("POST", "/golds"),
        ("DELETE", f"/golds/{one}"),
        ("GET", "/agreement"),
    ):
        assert at["rita"].request(method, f"/v1/reviews{path}", json={}).status_code == 403, path
    assert Exchanges(hone.store).get(one).state == "pending"


def test_a_reviewer_cannot_find_out_which_private_chats_exist(hone: Hone, at: dict[str, TestClient]) -> None:
    private = ask(hone.store, ANA, "My secret").id
    answers = set()
    for identity in (private, new_id(), "nonsense"):
        body = {"exchange_id": identity, "verdict": "approve"}
        answers |= {
            said(at["otto"].get(f"/v1/reviews/{identity}")),
            said(at["rita"].post("/v1/reviews", json=body)),
            said(at["rita"].post("/v1/reviews/claims", json={"exchange_id": identity})),
            said(at["rita"].put(f"/v1/reviews/{identity}/draft", json={"response": "x"})),
            said(at["otto"].post(f"/v1/reviews/{identity}/reopen", json={"reason": "x"})),
        }
    assert len(answers) == 1
    for state in ("pending", "waiting", "skipped", "disputed", "approved", "rejected"):
        listed = at["otto"].get("/v1/reviews", params={"state": state, "limit": 500})
        assert private not in listed.text
        assert "My secret" not in listed.text


def test_each_verdict_of_many_stands_or_falls_alone(hone: Hone, at: dict[str, TestClient]) -> None:
    own, other = corrected(hone, RITA), corrected(hone, ROB)
    private = ask(hone.store, ANA)
    chosen = [(own.id, "approve"), (other.id, "approve"), (private.id, "approve"), (other.id, "skip")]
    body = {"verdicts": [{"exchange_id": one, "verdict": verdict} for one, verdict in chosen]}
    results = at["rita"].post("/v1/reviews/bulk", json=body).json()["data"]
    assert [row["exchange_id"] for row in results] == [one for one, _ in chosen]
    assert [row["ok"] for row in results] == [False, True, False, False]
    assert "their own correction" in results[0]["error"]["message"]
    assert results[1]["state"] in ("approved", "waiting")
    assert results[2]["error"]["code"] == "not_allowed"
    assert Exchanges(hone.store).get(own.id).state == "pending"
    many = {"verdicts": [{"exchange_id": own.id, "verdict": "skip"}] * 101}
    assert at["rita"].post("/v1/reviews/bulk", json=many).status_code == 400
    assert at["rita"].post("/v1/reviews/bulk", json={"verdicts": []}).status_code == 400


def test_a_claim_lives_over_http(hone: Hone, at: dict[str, TestClient]) -> None:
    one = corrected(hone).id
    claim = at["rita"].post("/v1/reviews/claims", json={"exchange_id": one}).json()
    assert claim["exchange"]["claim"]["id"] == claim["id"]
    seen = at["rob"].get(f"/v1/reviews/{one}").json()
    assert (seen["claim"], seen["held_until"]) == (None, claim["until"])
    refused = at["rob"].post("/v1/reviews", json={"exchange_id": one, "verdict": "reject"})
    assert said(refused)[0] == 409
    assert "rita" not in refused.text
    assert at["rob"].post(f"/v1/reviews/claims/{claim['id']}/beat").status_code == 409
    assert at["rob"].delete(f"/v1/reviews/claims/{claim['id']}").status_code == 403
    assert at["rita"].post(f"/v1/reviews/claims/{claim['id']}/beat").json()["id"] == claim["id"]
    assert at["otto"].delete(f"/v1/reviews/claims/{claim['id']}").status_code == 204
    stale = {"exchange_id": one, "verdict": "reject", "claim": claim["id"]}
    assert "claim on this exchange has ended" in said(at["rita"].post("/v1/reviews", json=stale))[1]
    fresh = at["rob"].post("/v1/reviews/claims", json={}).json()
    assert fresh["exchange"]["state"] == "pending"


def test_a_draft_and_a_dispute_over_http(hone: Hone, at: dict[str, TestClient]) -> None:
    one = corrected(hone).id
    path = f"/v1/reviews/{one}"
    assert at["rita"].put(f"{path}/draft", json={"response": "Fo"}).status_code == 204
    assert (at["rita"].get(path).json()["draft"], at["rob"].get(path).json()["draft"]) == ("Fo", None)
    body = {"exchange_id": one, "verdict": "approve", "response": "Four."}
    assert at["rita"].post("/v1/reviews", json=body).json()["state"] == "waiting"
    assert "rita" not in at["rob"].get(path).text
    assert (
        at["rob"].post("/v1/reviews", json={"exchange_id": one, "verdict": "reject"}).json()["state"]
        == "disputed"
    )
    told = at["otto"].get(path).json()["opinions"]
    assert [(row["by"], row["verdict"]) for row in told] == [("rita", "approve"), ("rob", "reject")]
    end = {"verdict": "approve", "response": "Four.", "reason": "It is four."}
    assert at["rob"].post(f"{path}/adjudicate", json=end).status_code == 403
    assert at["otto"].post(f"{path}/adjudicate", json=end).json()["state"] == "approved"
    assert at["rob"].post(f"{path}/reopen", json={"reason": " "}).status_code == 400
    assert at["rob"].post(f"{path}/reopen", json={"reason": "Hm."}).status_code == 403  # he was a party to it
    again = at["otto"].post(f"{path}/reopen", json={"reason": "Hm."}).json()
    assert (again["state"], again["reopened"], again["reviewed_by"]) == ("pending", "Hm.", None)
    assert at["otto"].get("/v1/reviews/agreement").json()["exchanges"] >= 1
