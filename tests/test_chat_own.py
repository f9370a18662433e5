"""The chat page in a real browser: who may read a conversation, and erasing it."""

import pytest
from conftest import MINUTES, RunningHone
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture
def hone(tiny_hone: RunningHone) -> RunningHone:
    tiny_hone.settings = "[chat]\nmax_tokens = 5\n"
    return tiny_hone.start()


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
