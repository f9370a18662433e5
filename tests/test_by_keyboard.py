"""Everything can be done without a mouse, and the focus is seen and goes where one expects it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MINUTES, RunningHone
from lived_in import lived_in
from looks import LAYOUTS, Look, looking, mine
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

FOCUSED = """
() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const drawn = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return drawn && one.matches(":focus-visible");
}
"""
MOST = 80
"""Presses of Tab after which what is looked for is not there."""
FIRST, DARK = Look("wide", "light", "en"), Look("narrow", "dark", "ko")
FULL = mine([FIRST], LAYOUTS)


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    with lived_in(tmp_path_factory.mktemp("keyboard"), tiny_model) as running:
        yield running


def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press Tab until the focus is there, where it must be seen."""
    for _ in range(MOST):
        if page.evaluate("(selector) => !!document.activeElement?.closest(selector)", selector):
            assert page.evaluate(FOCUSED), f"the focus cannot be seen on {selector}"
            return
        page.keyboard.press(key)
    pytest.fail(f"{selector} is not reached by {key}")


def focus_within(page: Page, selector: str) -> None:
    page.wait_for_function("(selector) => !!document.activeElement?.closest(selector)", arg=selector)


@pytest.mark.parametrize("look", FULL)
def test_a_chat_is_had_rated_and_corrected(browser: Browser, hone: RunningHone, look: Look) -> None:
    with looking(browser, look) as page:
        page.goto(f"{hone.url}/chat/")
        expect(page.locator("#send")).to_be_enabled(timeout=MINUTES)
        focus_within(page, "#message")
        page.keyboard.type("Where is the harbour office?")
        page.keyboard.press("Enter")
        answered = page.locator("#chatbot .bot").last
        expect(answered).to_contain_text(re.compile(r"general@\d"), timeout=MINUTES)
        expect(page.locator("#send")).to_be_visible()
        focus_within(page, "#message")

        tab_to(page, "#chatbot button:is([aria-label='dislike' i], [aria-label='싫어요'])", "Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#rate-panel")).to_be_visible(timeout=MINUTES)
        focus_within(page, "#rate-panel")
        page.keyboard.press("Space")
        expect(page.locator("#rate-reasons input:checked")).to_have_count(1)
        tab_to(page, "#rate-correction")
        page.keyboard.press("Control+A")
        page.keyboard.type("At the end of the pier.")
        tab_to(page, "#rate-save")
        page.keyboard.press("Enter")
        expect(page.locator("#rate-panel")).to_be_hidden(timeout=MINUTES)
        focus_within(page, "#chatbot")

        tab_to(page, "#erase-open")
        page.keyboard.press("Enter")
        expect(page.locator("#erase-told")).not_to_be_empty(timeout=MINUTES)
        focus_within(page, "#erase-panel")
        page.keyboard.press("Escape")
        expect(page.locator("#erase-panel")).to_be_hidden(timeout=MINUTES)
        focus_within(page, "#erase-open")
    waiting = hone.get("/v1/reviews?limit=500").json()["data"]
    rated = next(one for one in waiting if "harbour office" in json.dumps(one))
    told = hone.get(f"/v1/reviews/{rated['id']}").json()
    assert (told["correction"], len(told["reasons"])) == ("At the end of the pier.", 1)


@pytest.mark.parametrize("look", FULL)
def test_five_exchanges_are_judged(browser: Browser, hone: RunningHone, look: Look) -> None:
    rows = [{"prompt": f"{look} {n}?", "completion": f"Answer {n}."} for n in range(6)]
    taken = hone.request("POST", f"/v1/imports?assistant=general&source=keys-{look}", json=rows)
    assert taken.json()["imported"] == len(rows), taken.text

    def counts() -> dict[str, int]:
        return dict(hone.get("/v1/reviews").json()["counts"])

    before = counts()
    with looking(browser, look) as page:
        page.goto(f"{hone.url}/review/")
        expect(page.locator("#claim p")).to_be_visible(timeout=MINUTES)
        tab_to(page, "#queue [role=row]")
        chosen = page.locator('#queue [aria-selected="true"]')

        def acts(key: str) -> None:
            """Press, and wait for what comes next; the focus is on it."""
            was = chosen.get_attribute("data-exchange")
            page.keyboard.press(key)
            expect(chosen).not_to_have_attribute("data-exchange", str(was), timeout=MINUTES)
            focus_within(page, '[aria-selected="true"]')

        acts("ArrowDown")
        acts("k")
        acts("r")
        acts("r")
        acts("s")
        page.keyboard.press("e")
        focus_within(page, "#editor")
        page.keyboard.press("Control+A")
        page.keyboard.type("It is in the book.")
        page.keyboard.press("Escape")
        focus_within(page, '[aria-selected="true"]')
        acts("a")
        tab_to(page, "#reject")
        was = chosen.get_attribute("data-exchange")
        page.keyboard.press("Enter")
        expect(chosen).not_to_have_attribute("data-exchange", str(was), timeout=MINUTES)
        focus_within(page, "#reject")
    after = counts()
    assert after["rejected"] + after["approved"] + after.get("waiting", 0) == (
        before["rejected"] + before["approved"] + before.get("waiting", 0) + 4
    )


@pytest.mark.parametrize("look", [FIRST, pytest.param(DARK, marks=pytest.mark.slow)], ids=str)
def test_a_version_is_promoted_and_rolled_back_with_its_reason(
    browser: Browser, hone: RunningHone, look: Look
) -> None:
    live = "() => document.querySelector('#versions .state.live')?.closest('tr').innerText.includes(%r)"
    with looking(browser, look) as page:
        page.goto(f"{hone.url}/operate/")
        expect(page.locator("#promote")).to_be_enabled(timeout=MINUTES)
        page.wait_for_function(live % "general@2")
        tab_to(page, "#promote-version")
        page.keyboard.press("ArrowDown")
        page.keyboard.type("general@1")
        page.keyboard.press("Enter")
        tab_to(page, "#operate-reason")
        page.keyboard.type("It rambles.")
        tab_to(page, "#promote")
        page.keyboard.press("Enter")
        focus_within(page, "#ask-reason")
        expect(page.locator("#ask-question")).to_contain_text("general@1")
        expect(page.locator("#ask-reason")).to_have_value("It rambles.")
        for _ in range(5):  # nothing behind it is reached
            page.keyboard.press("Tab")
            assert page.evaluate(
                "document.activeElement === document.body || !!ask.contains(document.activeElement)"
            )
        page.keyboard.press("Escape")
        expect(page.locator("#ask")).to_have_count(0)
        focus_within(page, "#promote")
        assert page.evaluate(live % "general@2"), "Escape leaves all as it was"
        page.keyboard.press("Enter")
        focus_within(page, "#ask-reason")
        page.keyboard.type(" A lot.")
        page.keyboard.press("Enter")
        page.wait_for_function(live % "general@1")
        focus_within(page, "#promote")
        expect(page.locator("#operate-reason textarea, #operate-reason input")).to_have_value("")
        tab_to(page, "#rollback")
        page.keyboard.press("Enter")
        focus_within(page, "#ask-reason")
        page.keyboard.type("It was no better.")
        tab_to(page, "#ask-yes")
        page.keyboard.press("Enter")
        page.wait_for_function(live % "general@2")
        focus_within(page, "#rollback")
    told = hone.get("/v1/assistants/general/rollout").json()["events"]
    assert [event["reason"] for event in told if event["state"] == "live"][:2] == [
        "It was no better.",
        "It rambles. A lot.",
    ]
