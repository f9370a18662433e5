"""The web process ends within an answer: the page says so, comes back by itself, and nothing is lost."""

import signal

import pytest
from conftest import MINUTES, RunningHone
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_page_whose_web_process_ended_comes_back_with_all_that_was_said(
    tiny_hone: RunningHone, page: Page, how: signal.Signals
) -> None:
    tiny_hone.settings = "[chat]\nmax_tokens = 3000\n[tuner]\nenabled = false\n"
    tiny_hone.start()
    page.goto(f"{tiny_hone.url}/chat/")
    page.locator("#message textarea").fill("Tell me of Kirkcaldy")
    expect(page.locator("#send:enabled")).to_be_visible(timeout=MINUTES)
    page.locator("#send").click()
    expect(page.locator("#chatbot .bot")).to_contain_text("a", timeout=MINUTES)
    tiny_hone.stop(how)
    expect(page.get_by_text("onnection").first).to_be_visible(timeout=MINUTES)
    tiny_hone.start()
    expect(page.locator("#send:enabled")).to_be_visible(timeout=MINUTES)
    expect(page.locator("#chatbot .user")).to_contain_text("Tell me of Kirkcaldy", timeout=MINUTES)
    expect(page.locator("#chatbot .bot")).to_be_visible()
    assert sum(tiny_hone.get("/v1/status").json()["exchanges"].values()) == 1
