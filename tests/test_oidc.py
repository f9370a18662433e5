"""Signing in at a provider: with an honest one as a person does, and with one that lies in every way."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from hostile_provider import CLIENT, HostileProvider, provider
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from feedback.records import Principal, Role
from hone.app import Hone
from hone.home import Home
from hone.settings import read

# The honest provider's own library speaks of its future.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ADMIN = Principal("admin", Role.ADMIN)
LINK = "http://127.0.0.1:7860/join/"
"""What a browser says where one of our own pages leads to another."""
ROLES = {"staff": "reviewer", "bosses": "operator"}


def new_hone(folder: Path, issuer: str, *, auth: dict[str, Any] | None = None, **oidc: Any) -> Hone:
    home = Home(folder / "home")
    home.folder.mkdir()
    own = {"login": "oidc", "accounts": "all"} | (auth or {})
    settings = {"issuer": issuer, "client_id": CLIENT, "client_secret": "s3cret", "title": "Acme"} | oidc
    return Hone(home, read(home.folder, auth=own, oidc=settings), pages=False)


def client(hone: Hone) -> TestClient:
    return TestClient(hone.web, base_url="http://127.0.0.1:7860", follow_redirects=False)


@pytest.fixture(scope="module")
def honest() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def hone(tmp_path: Path, honest: str) -> Iterator[Hone]:
    built = new_hone(tmp_path, honest)
    yield built
    built.close()


@pytest.fixture
def liar() -> Iterator[HostileProvider]:
    with provider() as told:
        yield told


@pytest.fixture
def opened(tmp_path: Path, liar: HostileProvider) -> Iterator[Callable[..., Hone]]:
    made = []

    def make(**given: Any) -> Hone:
        made.append(new_hone(tmp_path, liar.issuer, **given))
        return made[-1]

    yield make
    for built in made:
        built.close()


def at_provider(visitor: TestClient, subject: str, start: str = "/login/oidc") -> str:
    """Go there, say who one is, and get the address that leads back."""
    there = visitor.get(start, headers={"referer": LINK + start.partition("token=")[2]}).headers["location"]
    answer = httpx.post(there, data={"sub": subject}, trust_env=False)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def come_back(visitor: TestClient, liar: HostileProvider, *, next: str = "/chat/", **query: str) -> Any:
    """Leave for the lying provider, and come back with whatever it says."""
    sent = visitor.get("/login/oidc", params={"next": next})
    assert sent.status_code == 303, sent.text
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    liar.nonce = liar.nonce or asked["nonce"]
    return visitor.get("/login/oidc/back", params={"code": "c", "state": asked["state"]} | query)


def test_a_person_signs_in_at_the_provider_and_lands_where_they_wanted_to_go(hone: Hone, honest: str) -> None:
    httpx.put(f"{honest}/users/lee", json={"preferred_username": "Lee Min"}, trust_env=False)
    visitor = client(hone)
    page = visitor.get("/login").text
    assert "Sign in with Acme" in page
    back = at_provider(visitor, "lee", "/login/oidc?next=/review/")
    assert back.startswith("http://127.0.0.1:7860/login/oidc/back?")
    answer = visitor.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/")
    assert visitor.get("/v1/me").json() == {"name": "lee-min", "role": "user"}
    assert "hone_sign_in" not in visitor.cookies, "what was pending is gone"
    again = client(hone)
    again.get(at_provider(again, "lee"))
    assert again.get("/v1/me").json()["name"] == "lee-min", "the same person has the same account"
    assert visitor.get(back).status_code == 403, "a way back leads back once"


def test_leaving_says_what_pkce_state_and_nonce_need_and_keeps_the_rest_from_the_provider(
    hone: Hone, honest: str
) -> None:
    sent = client(hone).get("/login/oidc")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    kept = json.loads(base64.urlsafe_b64decode(sent.cookies["hone_sign_in"].strip('"')))
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] == create_s256_code_challenge(kept["verifier"])
    assert (asked["state"], asked["nonce"]) == (kept["state"], kept["nonce"])
    assert kept["verifier"] not in sent.headers["location"]
    said = sent.headers["set-cookie"].lower()
    assert all(word in said for word in ("httponly", "samesite=lax", "path=/login", "max-age=600"))


def test_the_code_is_redeemed_with_the_verifier(opened: Callable[..., Hone], liar: HostileProvider) -> None:
    visitor = client(opened())
    assert come_back(visitor, liar).status_code == 303
    assert liar.asked[0]["grant_type"] == "authorization_code"
    assert len(liar.asked[0]["code_verifier"]) >= 43


def test_a_name_that_a_local_account_has_opens_it_to_nobody(hone: Hone, honest: str) -> None:
    for name in ("admin", "cli"):
        httpx.put(f"{honest}/users/x-{name}", json={"preferred_username": name}, trust_env=False)
        visitor = client(hone)
        visitor.get(at_provider(visitor, f"x-{name}"))
        assert visitor.get("/v1/me").json() == {"name": f"{name}-2", "role": "user"}


@pytest.mark.parametrize("shared", ["email", "preferred_username"])
def test_two_subjects_who_share_an_address_or_a_name_are_two_people(
    hone: Hone, honest: str, shared: str
) -> None:
    names = set()
    for subject in ("one", "two"):
        told = {"preferred_username": f"{subject}-{shared}"} | {shared: "same@acme.example"}
        httpx.put(f"{honest}/users/{shared}-{subject}", json=told, trust_env=False)
        visitor = client(hone)
        visitor.get(at_provider(visitor, f"{shared}-{subject}"))
        names.add(visitor.get("/v1/me").json()["name"])
    assert len(names) == 2


def test_only_who_was_sent_a_link_has_an_account_where_that_is_set(tmp_path: Path, honest: str) -> None:
    hone = new_hone(tmp_path, honest, auth={"accounts": "invited"})
    try:
        stranger = client(hone)
        refused = stranger.get(at_provider(stranger, "stranger"))
        assert refused.status_code == 403
        assert "no account here yet" in refused.text
        token = hone.home.secret("token")
        made = client(hone).post(
            "/v1/invitations", json={"role": "reviewer"}, headers={"authorization": f"Bearer {token}"}
        )
        link = urlsplit(made.json()["link"]).path
        page = stranger.get(link)
        assert "/login/oidc?token=" in page.text
        start = f"/login/oidc?token={link.rpartition('/')[2]}"
        assert stranger.get(at_provider(stranger, "stranger", start)).status_code == 303
        assert stranger.get("/v1/me").json()["role"] == "reviewer"
        other = client(hone)
        assert other.get(at_provider(other, "other", start)).status_code == 404, "a link holds once"
    finally:
        hone.close()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"sec-fetch-site": "cross-site", "referer": f"{LINK}x"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"referer": "https://evil.example/127.0.0.1:7860"}, 403),
        ({"referer": "http://127.0.0.1:7860.evil.example/"}, 403),
        ({"referer": "//["}, 403),
        ({}, 403),
        ({"sec-fetch-site": "same-origin"}, 403),
        ({"sec-fetch-site": "same-origin", "referer": "http://127.0.0.1:7860/chat/"}, 403),
        ({"referer": f"{LINK}y"}, 403),
        ({"referer": f"{LINK}x"}, 303),
        ({"sec-fetch-site": "same-origin", "referer": f"{LINK}x"}, 303),
    ],
)
def test_no_other_site_ties_its_visitor_to_an_account_by_a_link(
    hone: Hone, said: dict[str, str], status: int
) -> None:
    visitor = client(hone)
    answer = visitor.get("/login/oidc?token=x", headers=said)
    assert answer.status_code == status
    assert ("hone_sign_in" in answer.headers.get("set-cookie", "")) is (status == 303)


def test_roles_follow_the_claim_at_every_sign_in(opened: Callable[..., Hone], liar: HostileProvider) -> None:
    hone = opened(auth={"roles": ROLES}, role_claim="realm_access.roles")
    for groups, role in ((["staff"], "reviewer"), (["x", "staff", "bosses"], "operator"), ([], "user")):
        liar.claims["realm_access"] = {"roles": groups}
        liar.nonce = ""
        visitor = client(hone)
        come_back(visitor, liar)
        assert visitor.get("/v1/me").json() == {"name": "mina", "role": role}


def test_a_claim_that_is_told_only_when_asked_for_is_asked_for_and_of_the_same_person(
    opened: Callable[..., Hone], liar: HostileProvider
) -> None:
    liar.userinfo = {"sub": "s-1", "groups": "staff"}
    hone = opened(auth={"roles": ROLES}, role_claim="groups")
    visitor = client(hone)
    come_back(visitor, liar)
    assert visitor.get("/v1/me").json()["role"] == "reviewer"
    liar.userinfo = {"sub": "s-2", "groups": "bosses"}
    liar.nonce = ""
    assert "somebody else" in come_back(client(hone), liar).text


def test_who_is_suspended_here_stays_out_however_the_provider_greets_them(hone: Hone) -> None:
    visitor = client(hone)
    visitor.get(at_provider(visitor, "leaver"))
    name = visitor.get("/v1/me").json()["name"]
    hone.accounts.suspend(ADMIN, name)
    assert visitor.get("/v1/me").status_code == 401
    refused = visitor.get(at_provider(visitor, "leaver"))
    assert refused.status_code == 403
    assert "suspended" in refused.text
    hone.accounts.suspend(ADMIN, name, False)
    assert visitor.get(at_provider(visitor, "leaver")).status_code == 303


def test_signing_out_offers_to_sign_out_there_too(hone: Hone, honest: str) -> None:
    visitor = client(hone)
    visitor.get(at_provider(visitor, "goer"))
    left = visitor.post("/logout")
    assert visitor.get("/v1/me").status_code == 401
    page = visitor.get(left.headers["location"]).text
    assert f'href="{honest}/oauth2/end_session?client_id=hone&amp;post_logout_redirect_uri=' in page


def test_the_first_admins_password_opens_beside_the_provider_until_passwords_are_off(
    tmp_path: Path, honest: str
) -> None:
    for on, status in ((True, 303), (False, 403)):
        folder = tmp_path / str(on)
        folder.mkdir()
        hone = new_hone(folder, honest, auth={"passwords": on})
        try:
            password = hone.home.password_file.read_text().strip()
            answer = client(hone).post("/login", data={"name": "admin", "password": password})
            assert answer.status_code == status
            assert ('type="password"' in client(hone).get("/login").text) is on
        finally:
            hone.close()


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "of another sign-in"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "another-client"},
    "another audience beside ours": {"aud": [CLIENT, "another-client"]},
    "another party": {"azp": "another-client"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "expired": {"exp": int(time.time()) - 3600},
    "no end": {"exp": None},
    "of tomorrow": {"iat": int(time.time()) + 86_400},
    "no subject": {"sub": None},
    "another token": {"at_hash": "bm90IGl0cyBoYXNo"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_lies_opens_nothing(
    opened: Callable[..., Hone], liar: HostileProvider, lie: str
) -> None:
    liar.claims = LIES[lie]
    visitor = client(opened())
    answer = come_back(visitor, liar)
    assert answer.status_code == 403, answer.text
    assert "did not succeed" in answer.text
    assert liar.asked, "it was the token that was refused"
    assert visitor.get("/v1/me").status_code == 401


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512"])
def test_a_token_signed_in_a_way_that_was_not_agreed_opens_nothing(
    opened: Callable[..., Hone], liar: HostileProvider, algorithm: str
) -> None:
    liar.algorithm = algorithm
    visitor = client(opened(client_secret="s3cret"))
    assert come_back(visitor, liar).status_code == 403
    assert visitor.get("/v1/me").status_code == 401


def test_a_token_signed_with_a_key_that_is_not_the_providers_opens_nothing_and_a_new_key_does(
    opened: Callable[..., Hone], liar: HostileProvider
) -> None:
    hone = opened()
    liar.published = RSAKey.generate_key(2048, {"kid": "one"})
    assert come_back(client(hone), liar).status_code == 403
    liar.nonce = ""
    liar.published, liar.key = None, RSAKey.generate_key(2048, {"kid": "two"})
    assert come_back(client(hone), liar).status_code == 303, "keys that were changed are fetched anew"


def test_a_way_back_that_this_browser_did_not_begin_opens_nothing(
    opened: Callable[..., Hone], liar: HostileProvider
) -> None:
    hone = opened()
    assert come_back(client(hone), liar, state="another").status_code == 403
    assert client(hone).get("/login/oidc/back", params={"code": "c", "state": "s"}).status_code == 403
    for cookie in ("", "bm90IGpzb24", base64.urlsafe_b64encode(b'{"state": ""}').decode()):
        visitor = client(hone)
        visitor.cookies.set("hone_sign_in", cookie, path="/login")
        assert visitor.get("/login/oidc/back", params={"code": "c", "state": ""}).status_code == 403
    assert liar.asked == [], "no code was redeemed"


def test_a_refusal_and_another_providers_answer_open_nothing(
    opened: Callable[..., Hone], liar: HostileProvider
) -> None:
    hone = opened()
    refused = come_back(client(hone), liar, error="access_denied<script>")
    assert refused.status_code == 403
    assert "access_denied" in refused.text
    assert "<script>" not in refused.text
    assert come_back(client(hone), liar, iss="https://evil.example").status_code == 403
    assert liar.asked == []


def test_a_document_of_another_issuer_or_without_https_is_not_believed(
    opened: Callable[..., Hone], liar: HostileProvider
) -> None:
    hone = opened()
    for lie in (
        {"issuer": "https://evil.example"},
        {"token_endpoint": "ftp://x/token"},
        {"jwks_uri": None},
        {"userinfo_endpoint": "file:///etc/passwd"},
        {"end_session_endpoint": "javascript:alert(1)"},
    ):
        liar.document = lie
        assert client(hone).get("/login/oidc").status_code == 403
    liar.document = {}
    assert client(hone).get("/login/oidc").status_code == 303


def test_a_provider_that_is_down_is_said_to_be(opened: Callable[..., Hone], liar: HostileProvider) -> None:
    hone = opened()
    liar.status = 500
    answer = client(hone).get("/login/oidc", headers={"accept-language": "ko"})
    assert answer.status_code == 502
    assert "로그인 서비스가 응답하지 않습니다." in answer.text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "x:1", "//["]
)
def test_the_way_back_never_leads_to_another_site(
    opened: Callable[..., Hone], liar: HostileProvider, target: str
) -> None:
    assert come_back(client(opened()), liar, next=target).headers["location"] == "/chat/"
