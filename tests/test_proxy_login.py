"""Signing in at a proxy: whom it names is let in, and nobody else's word counts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feedback.errors import SettingsError
from feedback.records import Principal, Role
from hone.app import Hone
from hone.home import Home
from hone.settings import read

PROXY, ELSEWHERE = "10.0.0.2", "10.9.9.9"
USER = "X-Forwarded-User"
ADMIN = Principal("admin", Role.ADMIN)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Hone]]:
    made = []

    def make(**auth: Any) -> Hone:
        home = Home(tmp_path / "home")
        home.folder.mkdir()
        own = {"login": "proxy", "accounts": "all", "proxy_groups_header": "X-Forwarded-Groups"} | auth
        web = {"trusted_proxies": [PROXY]}
        made.append(Hone(home, read(home.folder, auth=own, web=web), pages=False))
        return made[-1]

    yield make
    for hone in made:
        hone.close()


def client(hone: Hone, address: str = PROXY) -> TestClient:
    return TestClient(hone.web, base_url="http://127.0.0.1:7860", client=(address, 5), follow_redirects=False)


def test_whom_the_proxy_names_is_signed_in_and_gets_an_account_once(opened: Callable[..., Hone]) -> None:
    hone = opened()
    for _ in range(2):
        told = client(hone).get("/v1/me", headers={USER: "Mina@acme.example"}).json()
        assert told == {"name": "mina", "role": "user"}
    assert [account.name for account in hone.accounts.list()] == ["admin", "mina"]


@pytest.mark.parametrize("name", [USER, USER.lower(), "X-Forwarded-Groups"])
def test_a_name_from_anywhere_else_is_refused(opened: Callable[..., Hone], name: str) -> None:
    hone = opened()
    refused = client(hone, ELSEWHERE).get("/v1/me", headers={name: "admin"})
    assert refused.status_code == 400
    assert "web.trusted_proxies" in refused.json()["error"]["message"]
    assert client(hone, ELSEWHERE).get("/v1/me").status_code == 401
    assert [account.name for account in hone.accounts.list()] == ["admin"]


def test_an_address_that_the_proxy_forwards_is_not_the_proxy(opened: Callable[..., Hone]) -> None:
    forged = {USER: "mina", "X-Forwarded-For": PROXY}
    assert client(opened(), ELSEWHERE).get("/v1/me", headers=forged).status_code == 400


def test_what_the_proxy_was_signed_in_with_is_between_it_and_the_browser(opened: Callable[..., Hone]) -> None:
    hone = opened()
    basic = {"authorization": "Basic bWluYTpzZWNyZXQ="}
    assert client(hone).get("/v1/me", headers={USER: "mina"} | basic).json()["name"] == "mina"
    assert client(hone).get("/v1/me", headers=basic).status_code == 401
    wrong = {"authorization": "Bearer hone_wrong"}
    assert client(hone).get("/v1/me", headers={USER: "mina"} | wrong).status_code == 401


def test_two_names_at_once_are_refused(opened: Callable[..., Hone]) -> None:
    both = [(USER, "admin"), (USER, "mina")]
    assert client(opened()).get("/v1/me", headers=both).status_code == 400


def test_naming_the_first_admin_does_not_open_their_account(opened: Callable[..., Hone]) -> None:
    assert client(opened()).get("/v1/me", headers={USER: "admin"}).json() == {
        "name": "admin-2",
        "role": "user",
    }


def test_groups_give_roles_and_take_them(opened: Callable[..., Hone]) -> None:
    hone = opened(roles={"staff": "reviewer", "bosses": "operator"})
    for groups, role in (("staff", "reviewer"), ("x, bosses ,staff", "operator"), ("", "user")):
        told = client(hone).get("/v1/me", headers={USER: "mina", "X-Forwarded-Groups": groups}).json()
        assert told["role"] == role


def test_who_is_suspended_or_was_not_invited_stays_out(opened: Callable[..., Hone]) -> None:
    hone = opened()
    client(hone).get("/v1/me", headers={USER: "mina"})
    hone.accounts.suspend(ADMIN, "mina")
    refused = client(hone).get("/v1/me", headers={USER: "mina"})
    assert (refused.status_code, "suspended" in refused.text) == (403, True)


def test_only_the_invited_where_that_is_set(opened: Callable[..., Hone]) -> None:
    hone = opened(accounts="invited")
    refused = client(hone).get("/v1/me", headers={USER: "mina"})
    assert (refused.status_code, "no account here yet" in refused.text) == (403, True)


def test_the_header_means_nothing_where_the_proxy_signs_nobody_in(opened: Callable[..., Hone]) -> None:
    hone = opened(login="local")
    assert client(hone).get("/v1/me", headers={USER: "admin"}).status_code == 401


def test_without_a_trusted_proxy_hone_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"web\.trusted_proxies is empty"):
        read(tmp_path, auth={"login": "proxy"})
