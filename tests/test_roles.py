"""Signing in over HTTP, with accounts and sessions; which role opens what is `test_matrix.py`'s."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from feedback.records import Principal, Role
from hone.app import Hone
from hone.home import Home
from hone.settings import read

PASSWORD = "correct horse battery"
ADMIN = Principal("admin", Role.ADMIN)


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hone]:
    """A Hone with a login; its lifespan is not entered, so neither engine nor tuner run."""
    home = Home(tmp_path_factory.mktemp("roles") / "home")
    home.folder.mkdir()
    built = Hone(home, read(home.folder, auth={"login": "local"}), pages=False)
    for role in Role:
        if role is not Role.ADMIN:
            built.accounts.add(ADMIN, f"a-{role}", role, PASSWORD)
    yield built
    built.close()


def client(hone: Hone) -> TestClient:
    return TestClient(hone.web, base_url="http://127.0.0.1:7860", follow_redirects=False)


def signed_in(hone: Hone, role: Role) -> TestClient:
    visitor = client(hone)
    form = {"name": f"a-{role}", "password": PASSWORD, "next": "/review/"}
    answer = visitor.post("/login", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=lax" in answer.headers["set-cookie"].lower()
    return visitor


def test_the_homes_token_may_do_everything_and_a_wrong_one_nothing(hone: Hone) -> None:
    token = hone.home.secret("token")
    assert client(hone).get("/v1/users", headers={"authorization": f"Bearer {token}"}).status_code == 200
    for wrong in ("Bearer x", "Bearer ", "Basic abc", f"Bearer {token}x"):
        assert client(hone).get("/v1/me", headers={"authorization": wrong}).status_code == 401


def test_a_wrong_password_and_an_unknown_name_look_the_same(hone: Hone) -> None:
    texts = set()
    for name in ("a-user", "nobody-at-all"):
        answer = client(hone).post("/login", data={"name": name, "password": "wrong password"})
        assert answer.status_code == 401
        texts.add(answer.text)
    assert len(texts) == 1


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"]
)
def test_signing_in_never_leads_to_another_site(hone: Hone, target: str) -> None:
    form = {"name": "a-user", "password": PASSWORD, "next": target}
    assert client(hone).post("/login", data=form).headers["location"] == "/chat/"
    assert "evil" not in client(hone).get("/login", params={"next": target}).text


def test_signing_out_ends_the_session_for_every_copy_of_the_cookie(hone: Hone) -> None:
    visitor = signed_in(hone, Role.USER)
    thief = client(hone)
    thief.cookies.update(visitor.cookies)
    assert thief.get("/v1/me").json()["name"] == "a-user"
    assert visitor.post("/logout").status_code == 303
    assert thief.get("/v1/me").status_code == 401


def test_suspending_an_account_ends_its_sessions_at_once(hone: Hone) -> None:
    hone.accounts.add(ADMIN, "leaver", Role.USER, PASSWORD)
    visitor = client(hone)
    visitor.post("/login", data={"name": "leaver", "password": PASSWORD})
    assert visitor.get("/v1/me").json()["name"] == "leaver"
    hone.accounts.suspend(ADMIN, "leaver")
    assert visitor.get("/v1/me").status_code == 401


def test_the_first_admin_gets_a_password_that_only_the_home_knows(hone: Hone) -> None:
    password = hone.home.password_file.read_text().strip()
    assert hone.home.password_file.stat().st_mode & 0o777 == 0o600
    answer = client(hone).post("/login", data={"name": "admin", "password": password})
    assert answer.status_code == 303


def test_without_a_login_a_visitor_of_this_machine_is_the_admin_and_any_other_host_is_refused(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    hone = Hone(home, read(home.folder), pages=False)
    try:
        assert client(hone).get("/v1/me").json() == {"name": "admin", "role": "admin"}
        assert client(hone).get("/v1/me", headers={"host": "rebound.example"}).status_code == 400
    finally:
        hone.close()


def test_the_name_typed_into_a_link_is_still_there_when_it_is_refused(hone: Hone) -> None:
    token = hone.home.secret("token")
    made = client(hone).post(
        "/v1/invitations", json={"role": "user"}, headers={"authorization": f"Bearer {token}"}
    )
    link = "/join/" + made.json()["link"].rpartition("/")[2]
    visitor = client(hone)
    typed = 'mi"na<b>'
    refused = visitor.post(link, data={"name": typed, "password": PASSWORD})
    assert refused.status_code == 400
    assert 'value="mi&quot;na&lt;b&gt;"' in refused.text
    assert "<b>" not in refused.text
    short = visitor.post(link, data={"name": "mina", "password": "short"})
    assert (short.status_code, 'value="mina"' in short.text, "short" in short.text) == (400, True, False)
    assert "value=" not in visitor.get(link).text
    assert visitor.post(link, data={"name": "mina", "password": PASSWORD}).status_code == 303
