"""Two answers side by side on the page: blind until chosen, by keyboard, still there after a reload."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MINUTES, RunningHone
from lived_in import lived_in
from looks import Look, looking
from playwright.sync_api import Browser, Page, expect
from test_accessible import at_rest, faults

pytestmark = pytest.mark.browser

VERSION = re.compile(r"general@\d")
MINE = Look("wide", "light", "en"), Look("narrow", "dark", "ko")


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    folder = tmp_path_factory.mktemp("comparing")
    with lived_in(folder, tiny_model, HONE_CHAT__COMPARE_SHARE="1") as running:
        yield running


def waits(page: Page) -> tuple[str, str]:
    """Both answers, once a choice waits that the keyboard is at."""
    expect(page.locator("#choose-first")).to_be_visible(timeout=MINUTES)
    page.wait_for_function("document.activeElement?.id === 'compare-panel'")
    first, second = (page.locator(f"#compared-{side}").inner_text().strip() for side in "ab")
    assert first
    assert second
    return first, second


@pytest.mark.parametrize("look", MINE, ids=str)
def test_two_answers_are_blind_until_one_is_chosen_which_then_stands(
    browser: Browser, hone: RunningHone, look: Look
) -> None:
    with looking(browser, look) as page:
        heard: list[str] = []
        page.on("response", lambda answer: heard.append(answer.url))
        page.goto(f"{hone.url}/chat/")
        expect(page.locator("#send")).to_be_enabled(timeout=MINUTES)
        page.locator("#message textarea").fill(f"Which one, {look}?")
        page.keyboard.press("Enter")
        told = waits(page)
        assert not VERSION.search(page.content())
        page.reload()
        assert waits(page) == told
        assert not VERSION.search(page.content())
        left, right = (page.locator(f"#compared-{side}").bounding_box() for side in "ab")
        assert left
        assert right
        beside = look.size == "wide"
        assert (abs(left["y"] - right["y"]) < 2) is beside
        assert (left["x"] + left["width"] < right["x"]) is beside
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        at_rest(page)
        assert not (found := faults(page)), "\n".join(found)

        page.keyboard.press("2")
        expect(page.locator("#compare-panel")).to_be_hidden(timeout=MINUTES)
        answered = page.locator("#chatbot .bot").last
        expect(answered).to_contain_text(VERSION)
        expect(page.locator("#compare-told")).to_contain_text(re.compile(r"general@\d.*general@\d"))
        expect(page.locator("#message textarea")).to_be_focused()
        assert told[1].split()[0] in answered.inner_text()
        at_rest(page)
        assert not (found := faults(page)), "\n".join(found)
        page.reload()
        expect(answered).to_contain_text(VERSION, timeout=MINUTES)
        expect(page.locator("#compare-panel")).to_be_hidden()

        page.locator("#message textarea").fill("And again?")
        page.locator("#send").click()
        waits(page)
        page.keyboard.press("Escape")
        expect(page.locator("#compare-panel")).to_be_hidden(timeout=MINUTES)
        expect(page.locator("#chatbot .bot")).to_have_count(2)
