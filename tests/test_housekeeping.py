"""What a running Hone does for its store, and who may ask it to."""

from datetime import datetime, timedelta

import pytest
from engine_process import until
from starlette.testclient import TestClient
from stories import ADA, ANA, ask

from feedback import audit, ratings, retention
from feedback.records import Role, now
from hone import housekeeping
from hone.app import Hone
from hone.home import Home
from hone.settings import read
from serve.brake import FREE_TRIES

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def hone(tmp_path_factory):
    """A Hone with a login; its lifespan is not entered."""
    home = Home(tmp_path_factory.mktemp("keeping") / "home")
    home.folder.mkdir()
    given = {"auth": {"login": "local"}, "store": {"unrated_days": 30}}
    built = Hone(home, read(home.folder, **given), pages=False)
    for name, role in (("ana", Role.USER), ("ben", Role.USER), ("rita", Role.REVIEWER), ("ada", Role.ADMIN)):
        built.accounts.add(ADA, name, role, PASSWORD)
    yield built
    built.close()


def signed_in(hone, name):
    visitor = TestClient(hone.web, base_url="http://127.0.0.1:7860", follow_redirects=False)
    assert visitor.post("/login", data={"name": name, "password": PASSWORD, "next": "/"}).status_code == 303
    return visitor


def found(visitor, **asked):
    answer = visitor.get("/v1/search", params=asked)
    assert answer.status_code == 200, answer.text
    return [exchange["messages"][-1]["content"] for exchange in answer.json()["data"]]


def test_people_find_their_own_and_only_reviewers_what_others_rated(hone):
    ask(hone.store, ANA, instruction="A secret of mine")
    rated = ask(hone.store, ANA, instruction="A shared secret")
    ratings.rate(hone.store, ANA, rated.id, rating="up")
    hone.housekeeping.search.catch_up()
    ana, ben, rita = (signed_in(hone, name) for name in ("ana", "ben", "rita"))
    assert found(ana, q="secret") == ["A shared secret", "A secret of mine"]
    assert found(ben, q="secret") == []
    assert found(rita, q="secret") == []
    assert found(rita, q="secret", among="reviews", state="pending") == ["A shared secret"]
    told = rita.get("/v1/search", params={"q": "secret", "among": "reviews"})
    assert told.json()["data"][0]["principal"].startswith("contributor-")
    assert '"ana"' not in told.text
    refused = ben.get("/v1/search", params={"q": "secret", "among": "reviews"})
    assert refused.status_code == 403
    assert ben.get("/v1/search", params={"q": "??"}).status_code == 400
    assert ben.get("/v1/search", params={"q": "x" * 500}).status_code == 400


def test_only_admins_copy_the_home_or_rewrite_its_file(hone, tmp_path):
    rita, ada = signed_in(hone, "rita"), signed_in(hone, "ada")
    same = {"origin": "http://127.0.0.1:7860"}
    body = {"folder": str(tmp_path / "backup")}
    assert rita.post("/v1/backups", json=body, headers=same).status_code == 403
    assert rita.post("/v1/compact", headers=same).status_code == 403
    made = ada.post("/v1/backups", json=body, headers=same)
    assert made.status_code == 201, made.text
    assert (tmp_path / "backup" / "hone.duckdb").stat().st_size <= made.json()["bytes"]
    assert ada.post("/v1/backups", json=body, headers=same).status_code == 409
    log = hone.home.store.with_name("hone.duckdb.wal")
    ask(hone.store, ANA, instruction="Lies in the log")
    whole = hone.home.store.stat().st_size + log.stat().st_size
    done = ada.post("/v1/compact", headers=same).json()
    assert (done["before"] >= whole, done["after"] > 0) == (True, True)


def test_at_night_old_unrated_exchanges_go_with_their_words(hone, monkeypatch):
    ask(hone.store, ANA, instruction="Forgettable")
    kept = ask(hone.store, ANA, instruction="Remarkable")
    ratings.rate(hone.store, ANA, kept.id, rating="up")
    search = hone.housekeeping.search
    search.catch_up()
    assert len(search.own("forgettable", "ana")) == 1
    assert hone.housekeeping.tidy() == 0
    later = now() + timedelta(days=31)
    forget = retention.forget_unrated
    monkeypatch.setattr(retention, "forget_unrated", lambda store, days: forget(store, days, at=later))
    assert hone.housekeeping.tidy() >= 1
    search.catch_up()
    assert search.own("forgettable", "ana") == []
    assert [exchange.id for exchange in search.own("remarkable", "ana")] == [kept.id]


@pytest.mark.parametrize(
    ("clock", "hours"), [("03:00", 1), ("04:00", 24), ("03:59:30", 24), ("05:00", 23), ("23:00", 5)]
)
def test_the_night_comes_once_a_day(clock, hours):
    at = datetime.fromisoformat(f"2026-03-01T{clock}+00:00")
    waits = housekeeping._seconds_until(4, at)
    assert waits == pytest.approx(hours * 3600, abs=60)


def test_what_leaves_no_other_event_behind_is_kept_for_the_audit_log(hone, tmp_path):
    ada, same = signed_in(hone, "ada"), {"origin": "http://127.0.0.1:7860"}
    pair = b'{"instruction": "Which bird?", "output": "A wren."}\n'
    before = hone.store.newest
    assert ada.post("/v1/imports?assistant=general", content=pair, headers=same).status_code == 200
    assert ada.get("/v1/exports?assistant=general&form=alpaca").status_code == 200
    made = ada.post("/v1/backups", json={"folder": str(tmp_path / "copy")}, headers=same)
    assert made.status_code == 201
    assert ada.post("/v1/compact", headers=same).status_code == 200
    stranger = TestClient(hone.web, base_url="http://127.0.0.1:7860")
    for name in ("nobody", "ben"):
        tries = [
            stranger.post("/login", data={"name": name, "password": "a guess"}) for _ in range(FREE_TRIES + 1)
        ]
        assert [answer.status_code for answer in tries] == [401] * FREE_TRIES + [429]
    until(lambda: audit.listed(hone.store, kind="sign_in.stopped"))
    told = ada.get("/v1/audit").json()["data"]
    acts = {one["kind"]: (one["principal"], one["subject"]) for one in told if one["seq"] > before}
    assert acts["data.imported"] == acts["data.exported"] == ("ada", "general")
    assert acts["home.backed_up"] == ("ada", str(tmp_path / "copy"))
    assert acts["home.compacted"] == ("ada", "")
    assert acts["sign_in.stopped"] == ("hone", "ben"), "a name that is nobody's is not kept"
    for asked in ("since=0001-01-01T00:00:00%2B14:00", "before=9" + 40 * "9"):
        assert ada.get(f"/v1/audit?{asked}").status_code == 400
