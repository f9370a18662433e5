"""Everybody can use the pages: axe-core finds nothing serious, on any page, in any look."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from conftest import MINUTES, RunningHone, on_tiny_model
from lived_in import lived_in
from looks import LOOKS, Look, looking, mine
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
"""Target size among them: 24 by 24 pixels at least."""
SERIOUS = ("serious", "critical")
MINE = Look("wide", "light", "en"), Look("narrow", "dark", "ko")
"""Those that every run of the tests looks at; `make test-browser` looks at all eight."""
FULL = mine(MINE, LOOKS)


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    with lived_in(tmp_path_factory.mktemp("accessible"), tiny_model) as running:
        yield running


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    """One that asks everybody to sign in."""
    with on_tiny_model(tmp_path_factory.mktemp("closed"), tiny_model) as running:
        provider = 'issuer = "http://127.0.0.1:9"\nclient_id = "hone"\ntitle = "Acme"'
        running.settings = f'[auth]\nlogin = "oidc"\n[oidc]\n{provider}\n'
        yield running.start(ready=False)


def faults(page: Page) -> list[str]:
    """What axe-core holds against the page as it stands: rule, place, how to mend it."""
    page.evaluate(AXE_SCRIPT)
    told = page.evaluate("(rules) => axe.run({ resultTypes: ['violations'], runOnly: rules })", RULES)
    assert told["testEngine"]["name"] == "axe-core"
    return [
        f"{found['id']} ({found['impact']}) at {node['target']}: {node['failureSummary']}"
        for found in told["violations"]
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


def at_rest(page: Page) -> None:
    """Toasts gone and nothing moving: what fades is pale for a while."""
    expect(page.locator(".toast-body")).to_have_count(0, timeout=MINUTES)
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")


def chat(page: Page, url: str) -> Iterator[str]:
    page.goto(f"{url}/chat/")
    expect(page.locator("#send")).to_be_enabled(timeout=MINUTES)
    yield "empty"
    if page.locator("#menu").is_visible():
        page.locator("#menu").click()
        expect(page.locator("#new-chat")).to_be_visible()
        yield "menu open"
        page.locator("#new-chat").click()
    page.locator("#message textarea").fill("Hello?\n```py\nx = 1\n```")
    page.locator("#send").click()
    expect(page.locator("#chatbot .bot").last).to_contain_text(re.compile(r"general@\d"), timeout=MINUTES)
    expect(page.locator("#send")).to_be_visible()
    yield "answered"
    page.locator("#chatbot .icon-button-wrapper button").filter(has=page.locator("svg")).nth(-2).click()
    expect(page.locator("#rate-panel")).to_be_visible(timeout=MINUTES)
    yield "rating"
    page.locator("#rate-close").click()
    page.locator("#erase-open").click()
    expect(page.locator("#erase-told")).not_to_be_empty(timeout=MINUTES)
    yield "erasing"


def review(page: Page, url: str) -> Iterator[str]:
    page.goto(f"{url}/review/")
    expect(page.locator("#claim p")).to_be_visible(timeout=MINUTES)
    yield "an exchange"
    page.locator("#queue [data-tick]").first.click()
    page.locator("#editor textarea").fill("Write to ana@example.com.")
    expect(page.locator("#taught mark")).to_be_visible(timeout=MINUTES)
    yield "an edit, and one ticked"
    page.locator("#review-state label").nth(4).click()
    expect(page.locator("#reopen")).to_be_visible(timeout=MINUTES)
    yield "approved"
    page.get_by_role("tab").nth(1).click()
    expect(page.locator("#golds")).not_to_be_empty(timeout=MINUTES)
    page.locator("#gold-new > button").click()
    yield "agreement"


def operate(page: Page, url: str) -> Iterator[str]:
    page.goto(f"{url}/operate/")
    expect(page.locator("#gate [data-verdict]")).to_be_visible(timeout=MINUTES)
    expect(page.locator("#promote")).to_be_enabled(timeout=MINUTES)
    for tab in page.get_by_role("tab").all() or [None]:
        if tab:
            tab.click()
        yield tab.inner_text() if tab else "all of it"


PAGES: dict[str, Callable[[Page, str], Iterator[str]]] = {"chat": chat, "review": review, "operate": operate}


@pytest.mark.parametrize("look", FULL)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(browser: Browser, hone: RunningHone, name: str, look: Look) -> None:
    with looking(browser, look) as page:
        for state in PAGES[name](page, hone.url):
            at_rest(page)
            assert not (found := faults(page)), f"{name}, {state}:\n" + "\n".join(found)


@pytest.mark.parametrize("look", FULL)
def test_nothing_serious_before_one_is_signed_in(browser: Browser, closed: RunningHone, look: Look) -> None:
    with looking(browser, look) as page:
        page.goto(f"{closed.url}/login")
        assert not (found := faults(page)), "\n".join(found)
        page.locator("input[name=name]").fill(f"nobody-{look}")
        page.locator("input[name=password]").fill("wrong")
        page.locator("form button").first.click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert not (found := faults(page)), "\n".join(found)


def entrance(page: Page, hone: RunningHone) -> Iterator[str]:
    """A link, and what it says once it holds no more."""
    link = hone.post("/v1/invitations", {"role": "user"}).json()["link"]
    page.goto(link)
    yield "a link"
    page.locator("input[name=name]").fill("Not A Name")
    page.locator("input[name=password]").fill("long enough it is")
    page.locator("form button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "a link, wrongly used"
    page.goto(f"{hone.url}/join/spent")
    yield "a link that is spent"


def signed_in(page: Page, hone: RunningHone) -> None:
    page.goto(f"{hone.url}/login?next=/account")
    page.locator("input[name=name]").fill("admin")
    page.locator("input[name=password]").fill((hone.home / "admin-password").read_text().strip())
    page.locator("form button").click()
    expect(page.locator("#key")).to_be_visible()


def account(page: Page, hone: RunningHone) -> Iterator[str]:
    signed_in(page, hone)
    page.locator("#key input[name=label]").fill("A bot that answers")
    page.locator("#key input[value=chat]").check()
    page.locator("#key button").click()
    expect(page.locator("output")).to_contain_text("hone_")
    expect(page.locator("td").first).to_be_visible()
    yield "a new key"
    page.locator("#password input[name=old]").fill("wrong")
    page.locator("#password input[name=new]").fill("long enough it is")
    page.locator("#password button").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    yield "a wrong password"


def people(page: Page, hone: RunningHone) -> Iterator[str]:
    signed_in(page, hone)
    for name in ("mina", "a-name-as-long-as-they-may-be-x2"):
        hone.post("/v1/users", {"name": name, "password": "long enough it is"})
    hone.request("PATCH", "/v1/users/mina", json={"suspended": True})
    page.goto(f"{hone.url}/people")
    page.locator("#invite button").click()
    expect(page.locator("output")).to_contain_text("/join/")
    expect(page.locator("[data-do=withdraw]").first).to_be_visible()
    yield "a new link"


DOORS = {"entrance": entrance, "account": account, "people": people}


@pytest.mark.parametrize("look", FULL)
@pytest.mark.parametrize("name", DOORS)
def test_nothing_serious_at_the_doors(browser: Browser, closed: RunningHone, name: str, look: Look) -> None:
    with looking(browser, look) as page:
        for state in DOORS[name](page, closed):
            assert not (found := faults(page)), f"{name}, {state}:\n" + "\n".join(found)
            width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert width <= 0, f"{name}, {state}: {width} px wider than the window"
