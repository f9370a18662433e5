"""nginx and Caddy, really run with the files of `deploy/`: sign-in, streams, swaps, limits through them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import RunningHone, launched, lines_of, on_tiny_model
from playwright.sync_api import expect
from proxies import NAME, PROGRAMS, Proxy, proxy
from test_canary_process import with_version

from serve.pages.words import say

pytestmark = pytest.mark.long

SETTINGS = f"""[auth]
login = "local"
[web]
allowed_hosts = ["{NAME}"]
trusted_proxies = ["127.0.0.1"]
[tuner]
enabled = false
[chat]
max_tokens = 40
"""
SIZE = 3 * 2**20
"""Bytes: more than any request but an import may have."""


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[RunningHone, str]]:
    """A Hone with accounts that knows of proxies, and a version of it that is a candidate."""
    folder = tmp_path_factory.mktemp("behind")
    with on_tiny_model(folder, tiny_model) as running:
        running.settings = SETTINGS
        version = with_version(running.home, tiny_model, folder / "adapter", "candidate", "It was trained.")
        yield running.start(), version


@pytest.fixture(scope="module", params=list(PROGRAMS))
def proxied(
    request: pytest.FixtureRequest,
    behind: tuple[RunningHone, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    kind = request.param
    if not PROGRAMS[kind]:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {kind}")
        pytest.skip(f"NO {kind.upper()}: apt-get install {'nginx-light' if kind == 'nginx' else kind}")
    with proxy(kind, tmp_path_factory.mktemp(kind) / "run", behind[0].port) as running:
        yield running


@pytest.fixture
def visitor(proxied: Proxy, behind: tuple[RunningHone, str]) -> Iterator[httpx.Client]:
    """Somebody who signed in through the proxy."""
    with proxied.client() as client:
        client.headers["x-forwarded-for"] = "203.0.113.9"  # a lie, which the proxy must not pass on
        password = (behind[0].home / "admin-password").read_text().strip()
        form = {"name": "admin", "password": password, "next": "/chat/"}
        answer = client.post("/login", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/chat/"), answer.text
        assert "Secure" in answer.headers["set-cookie"], "Hone was not told of the TLS"
        yield client


def test_it_offers_http_2_and_asks_browsers_to_stay_with_tls(proxied: Proxy) -> None:
    assert proxied.agreed() == "h2"
    with proxied.client() as client:
        answer = client.get("/healthz")
        assert answer.json() == {"status": "ok"}
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert client.get("/v1/me").status_code == 401


def test_the_first_word_arrives_while_the_answer_is_being_given_and_a_swap_leaves_it_alone(
    visitor: httpx.Client, behind: tuple[RunningHone, str]
) -> None:
    hone, version = behind
    hone.post("/v1/versions/general@0/promote", {"reason": "To begin with."})
    body = {
        "model": "general",
        "messages": [{"role": "user", "content": "Talk for long."}],
        "stream": True,
        "max_tokens": 1500,
    }
    with visitor.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        events = lines_of(answer)
        heard = [next(events) for _ in range(3)]
        flying = hone.get("/v1/status").json()["router"]["in_flight"]
        assert flying, "the words came when all had been said"
        promoted = hone.post(f"/v1/versions/{version}/promote", {"reason": "A swap in mid-answer."})
        assert promoted.json()["state"] == "live", promoted.text
        assert hone.get("/v1/status").json()["router"]["in_flight"], "the answer ended before the swap did"
        heard += events
    assert {event["model"] for event in heard} == {"general@0"}
    assert heard[-1]["choices"][0]["finish_reason"] == "length"
    after = visitor.post("/v1/chat/completions", json=body | {"stream": False, "max_tokens": 3})
    assert after.json()["model"] == version


def test_large_bodies_are_refused_except_an_operators_import(visitor: httpx.Client) -> None:
    row = {"instruction": "Who?", "output": "x" * 900}
    lines = (json.dumps(row) + "\n").encode() * (SIZE // 900)
    told = visitor.post("/v1/imports?assistant=general&source=pairs.jsonl", content=lines)
    assert told.status_code == 200, told.text
    refused = visitor.post("/v1/feedback", content=b"x" * SIZE)
    assert refused.status_code == 413
    assert "x-content-type-options" not in refused.headers, "it was carried to Hone"


@pytest.mark.browser
def test_a_page_signs_in_streams_and_outlives_a_restart_in_a_browser(
    proxied: Proxy, behind: tuple[RunningHone, str]
) -> None:
    hone, _ = behind
    password = (hone.home / "admin-password").read_text().strip()
    with launched(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as browser:
        page = browser.new_page(ignore_https_errors=True, locale="en-US")
        page.goto(f"https://{proxied.host}/chat/")
        page.fill("input[name=name]", "admin")
        page.fill("input[name=password]", password)
        page.click("button")
        page.locator("#message textarea").fill("Tell me a story")
        page.locator("#send").click()
        expect(page.locator("#chatbot .bot").last).to_contain_text("general@", timeout=60_000)
        protocols = page.evaluate(
            "performance.getEntriesByType('navigation').map(entry => entry.nextHopProtocol)"
        )
        assert protocols == ["h2"]
        page.goto(f"https://{proxied.host}/operate/")
        expect(page.locator("#pin")).to_be_enabled(timeout=60_000)
        hone.stop()
        page.locator("#pin").click()
        away, missed = page.locator("#away"), say("en", "away_missed")
        expect(away).to_have_text(f"{say('en', 'away_gone')} {missed}", timeout=60_000)
        expect(page.locator(".toast-body")).to_have_count(0)
        hone.start()
        expect(away).to_have_text(missed, timeout=60_000)
        assert page.evaluate("performance.getEntriesByType('navigation')[0].type") == "navigate"


def test_while_hone_restarts_visitors_are_told_and_their_sign_in_outlives_it(
    visitor: httpx.Client, behind: tuple[RunningHone, str]
) -> None:
    hone, _ = behind
    assert visitor.get("/v1/me").json()["name"] == "admin"
    hone.stop()
    told = visitor.get("/v1/me")
    assert (told.status_code, told.json()["error"]["code"]) == (503, "restarting")
    assert told.headers["retry-after"] == "5"
    hone.start()
    assert visitor.get("/v1/me").json()["name"] == "admin"
