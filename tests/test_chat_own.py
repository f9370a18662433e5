"""The chat page in a real browser: who may read a conversation, and erasing it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RunningHone, chromium
from playwright.sync_api import Page, expect, sync_playwright
from test_end_to_end import LAUNCH, MINUTES

pytestmark = pytest.mark.browser


@pytest.fixture
def hone(tmp_path: Path, tiny_model: Path) -> Iterator[RunningHone]:
    environment = {"HONE_ENGINE__DTYPE": "float32", "HONE_MODEL__NAME": str(tiny_model)}
    running = RunningHone(tmp_path / "home", "[chat]\nmax_tokens = 5\n", environment=environment)
    yield running.start()
    running.stop()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), **LAUNCH)
        page = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(MINUTES)
        page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
        yield page
        browser.close()


def test_a_conversation_is_shown_to_reviewers_and_erased_by_its_author(page: Page, hone: RunningHone) -> None:
    def seen() -> int:
        return int(hone.get("/v1/reviews").json()["counts"]["pending"])

    page.goto(f"{hone.url}/chat/")
    page.locator("#share label").click()
    page.locator("#message textarea").fill(f"Something that may be read\n```\n{'a long line, ' * 20}\n```")
    page.locator("#send").click()
    expect(page.locator("#chatbot .bot").last).to_contain_text("general@0", timeout=MINUTES)
    hone.wait(lambda: seen() == 1, 60)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.reload()
    expect(page.locator("#share input")).to_be_checked(timeout=MINUTES)
    page.locator("#share label").click()
    expect(page.get_by_text("Only you see what you don't rate in it.")).to_be_visible(timeout=MINUTES)
    assert seen() == 0

    page.locator("#erase-open").click()
    expect(page.locator("#erase-told")).to_contain_text("questions with their answers: 1", timeout=MINUTES)
    page.locator("#erase-keep").click()
    expect(page.locator("#erase-told")).to_be_hidden()
    page.locator("#erase-open").click()
    expect(page.locator("#erase-told")).to_contain_text("Nobody can undo it.", timeout=MINUTES)
    page.locator("#erase-confirm").click()
    expect(page.locator("#erase-told")).to_contain_text("nothing of it is left", timeout=MINUTES)
    expect(page.locator("#conversations label")).to_have_count(0)
    assert page.url.endswith("/chat/")
    assert hone.get("/v1/erasures").json()["data"][0]["scope"] == "conversation"
