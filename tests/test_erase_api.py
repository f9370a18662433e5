"""Who may erase what over HTTP, and what a Hone does with an erasure while no engine runs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from erasure_home import SECRET, live
from starlette.testclient import TestClient
from stories import ask

from feedback import erasure, purge
from feedback.errors import NotFound
from feedback.ledger import Ledger
from feedback.records import Principal, Role, new_id
from feedback.store import Store
from hone.app import Hone
from hone.commands.erase import say
from hone.home import Home
from hone.settings import read

PASSWORD = "correct horse battery"
ADMIN = Principal("admin", Role.ADMIN)


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hone]:
    home = Home(tmp_path_factory.mktemp("erase") / "home")
    home.folder.mkdir()
    built = Hone(home, read(home.folder, auth={"login": "local"}), pages=False)
    for name, role in (("uma", Role.USER), ("una", Role.USER), ("rex", Role.REVIEWER), ("oz", Role.OPERATOR)):
        built.accounts.add(ADMIN, name, role, PASSWORD)
    yield built
    built.close()


def signed_in(hone: Hone, name: str) -> TestClient:
    visitor = TestClient(hone.web, base_url="http://127.0.0.1:7860", follow_redirects=False)
    visitor.post("/login", data={"name": name, "password": PASSWORD})
    return visitor


@pytest.fixture(autouse=True)
def rested(hone: Hone) -> None:
    """Nobody has had anything erased just now."""
    hone.erasing._rests.clear()


def asked(hone: Hone, name: str, text: str = SECRET) -> tuple[str, str]:
    """The exchange and the conversation of a new question of theirs."""
    exchange = ask(hone.store, Principal(name, Role.USER), text)
    return exchange.id, exchange.conversation_id


def wanted(scope: str, target: str, **more: object) -> dict[str, object]:
    return {"scope": scope, "target": target, **more}


def test_without_confirm_nothing_goes_and_the_answer_says_what_would(hone: Hone) -> None:
    exchange, line = asked(hone, "una")
    told = signed_in(hone, "una").post("/v1/erasures", json=wanted("conversation", line)).json()
    assert (told["exchanges"], told["removes"]["answers"], told["policy"]) == ([exchange], 1, "keep")
    assert hone.exchanges.get(exchange).instruction == SECRET


def test_people_erase_their_own_and_nobody_elses(hone: Hone) -> None:
    exchange, line = asked(hone, "una", "Only mine to erase, this one.")
    for name in ("uma", "rex"):
        visitor = signed_in(hone, name)
        assert visitor.delete(f"/v1/conversations/{line}").status_code == 403
        assert visitor.post("/v1/erasures", json=wanted("exchange", exchange)).status_code == 403
        assert visitor.post("/v1/erasures", json=wanted("user", "una", confirm=True)).status_code == 403
    told = signed_in(hone, "una").delete(f"/v1/conversations/{line}")
    assert told.json()["proof"]["clean"], told.text
    receipt = told.json()["erasure"]
    assert signed_in(hone, "una").get(f"/v1/erasures/{receipt}").status_code == 200
    assert signed_in(hone, "oz").get(f"/v1/erasures/{receipt}").status_code == 200
    answers = {signed_in(hone, "uma").get(f"/v1/erasures/{name}").text for name in (receipt, new_id())}
    assert len(answers) == 1
    assert "somebody else" in answers.pop()
    assert signed_in(hone, "oz").get(f"/v1/erasures/{new_id()}").status_code == 404


def test_whoever_just_erased_waits_so_that_nobody_keeps_the_house_busy(hone: Hone) -> None:
    visitor = signed_in(hone, "una")
    (_, first), (kept, second) = asked(hone, "una", "The first of two to go."), asked(hone, "una", "And two.")
    assert visitor.delete(f"/v1/conversations/{first}").status_code == 200
    refused = visitor.delete(f"/v1/conversations/{second}")
    assert (refused.status_code, int(refused.headers["retry-after"]) >= 1) == (429, True)
    assert hone.exchanges.get(kept).instruction == "And two."
    operator = signed_in(hone, "oz")
    for _ in range(2):
        body = wanted("exchange", asked(hone, "una", "Operators may go on.")[0], confirm=True)
        assert operator.post("/v1/erasures", json=body).status_code == 200


def test_an_erasure_that_failed_is_ended_before_the_next_begins(
    hone: Hone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next, which finds nothing more to take, would sign that all is clean."""
    log, text = hone.home.engine_log, "My hedgehogs are four hundred and twelve."
    _, line = asked(hone, "una", text)
    log.write_text(f"warning: prompt {text!r} was long\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(purge, "clean", full)
        with pytest.raises(OSError, match="No space"):
            signed_in(hone, "una").delete(f"/v1/conversations/{line}")
    assert text in log.read_text()
    (left,) = (hone.home.folder / "erasing").iterdir()
    hone.erasing._rests.clear()

    told = signed_in(hone, "una").delete(f"/v1/conversations/{line}").json()
    assert told["proof"]["clean"]
    assert text not in log.read_text()
    assert not list((hone.home.folder / "erasing").iterdir())
    first = signed_in(hone, "una").get(f"/v1/erasures/{left.stem}").json()
    assert (first["proof"]["clean"], first["removed"]["exchanges"]) == (True, 1)


def test_erasures_asked_for_together_share_one_rewriting_and_each_has_its_own_receipt(
    hone: Hone, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"My {count} hedgehogs are called after rivers." for count in ("three", "four", "five")]
    exchanges = [asked(hone, "una", text)[0] for text in texts]
    written: list[str] = []
    compact = hone.store.compact
    monkeypatch.setattr(hone.store, "compact", lambda *given: (written.append("anew"), compact(*given)))

    async def together() -> list[dict[str, object] | BaseException]:
        every = [hone.erasing.erase(ADMIN, "exchange", target) for target in (*exchanges, new_id())]
        return await asyncio.gather(*every, return_exceptions=True)

    *receipts, unknown = asyncio.run(together())
    assert written == ["anew"]
    assert isinstance(unknown, NotFound)
    known = {row["id"]: row["target"] for row in hone.store.rows("SELECT id, target FROM erasures")}
    assert [known[told["erasure"]] for told in receipts] == exchanges  # type: ignore[index]
    for told in receipts:
        assert told["removed"]["exchanges"] == 1  # type: ignore[index]
        assert told["proof"]["clean"]  # type: ignore[index]
        assert told["proof"]["rows_with_words"] == 0  # type: ignore[index]
    assert not list((hone.home.folder / "erasing").iterdir())


def test_an_operator_erases_a_user_but_not_an_admin_and_only_operators_choose_the_policy(hone: Hone) -> None:
    exchange, line = asked(hone, "admin", "What the admin asked is the admin's.")
    operator = signed_in(hone, "oz")
    for scope, target in (("user", "admin"), ("conversation", line), ("exchange", exchange)):
        refused = operator.post("/v1/erasures", json=wanted(scope, target, confirm=True))
        assert refused.status_code == 403, refused.text
    exchange, _ = asked(hone, "una", "An operator may take this away.")
    body = wanted("exchange", exchange, confirm=True, policy="stop")
    assert signed_in(hone, "una").post("/v1/erasures", json=body).status_code == 403
    assert operator.post("/v1/erasures", json=body).json()["policy"] == "stop"


def test_an_account_is_erased_by_its_owner_who_is_out_at_once(hone: Hone) -> None:
    asked(hone, "uma", "My account shall go, and this with it.")
    visitor = signed_in(hone, "uma")
    assert visitor.delete("/v1/me").status_code == 400
    told = visitor.delete("/v1/me", params={"confirm": "uma"}).json()
    assert (told["account_ended"], told["proof"]["clean"]) == (True, True)
    assert visitor.get("/v1/me").status_code == 401
    assert signed_in(hone, "uma").get("/v1/me").status_code == 401
    assert "uma" not in [u["name"] for u in hone_users(hone)]


def hone_users(hone: Hone) -> list[dict[str, object]]:
    token = {"authorization": f"Bearer {hone.home.secret('token')}"}
    visitor = TestClient(hone.web, base_url="http://127.0.0.1:7860", headers=token)
    users: list[dict[str, object]] = visitor.get("/v1/users").json()["data"]
    return users


@pytest.mark.parametrize(
    "body",
    [
        {"scope": "everything", "target": "x"},
        {"scope": "exchange"},
        {"scope": "exchange", "target": "x", "policy": "later"},
        {"scope": "exchange", "target": "x" * 201},
        {"scope": "exchange", "target": "x", "yes": True},
    ],
)
def test_a_request_that_is_wrong_is_refused_in_words(hone: Hone, body: dict[str, object]) -> None:
    answer = signed_in(hone, "oz").post("/v1/erasures", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert signed_in(hone, "oz").post("/v1/erasures", json=wanted("exchange", "../x")).status_code == 404


def test_what_a_killed_process_left_is_finished_before_a_hone_serves(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    store = Store(home.store)
    past = live(store, home.folder)
    lee = Principal("lee", Role.USER)
    erasure.take(store, home.folder, erasure.new(lee, "user", "lee", account=False, policy="stop"), lee)
    store.close()
    hone = Hone(home, read(home.folder), pages=False)
    try:
        assert not list((home.folder / "erasing").iterdir())
        (receipt,) = (home.folder / "receipts").iterdir()
        assert '"clean": true' in receipt.read_text()
        assert Ledger(hone.store).live("general").version == past.versions[0]
    finally:
        hone.close()


def test_the_command_says_so_where_only_an_account_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = {"fragments": 0, "files": 1, "clean": True, "found": {}}
    told = {"erasure": "x", "removed": {}, "account_ended": True, "versions": [], "proof": proof}
    say({**told, "engine": "It keeps nothing."}, tmp_path)
    say({**told, "removed": {"exchanges": 2}, "engine": "It keeps nothing."}, tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Erased")]
    assert said == ["Erased: the account", "Erased: 2 exchanges, the account"]
