"""The review page in a real browser, beyond one verdict: private data, many at once, agreement and golds."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import MINUTES, RunningHone, wide_page
from playwright.sync_api import Browser, Dialog, Page, expect

pytestmark = pytest.mark.browser

PRIVATE = "Ask <b>ana@example.com</b> about it."


@pytest.fixture
def hone(idle_hone: RunningHone) -> RunningHone:
    return idle_hone


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Whose scripts fail where a question is not confirmed: that is how they stop the event."""
    with wide_page(browser) as page:
        yield page


def waiting(hone: RunningHone, name: str, *answers: str) -> None:
    """Exchanges that wait for review, one for each answer."""
    rows = [{"prompt": f"{name} {n}?", "completion": answer} for n, answer in enumerate(answers, 1)]
    taken = hone.request("POST", f"/v1/imports?assistant=general&source={name}", json=rows)
    assert taken.json()["imported"] == len(rows), taken.text


def counts(hone: RunningHone) -> dict[str, Any]:
    return dict(hone.get("/v1/reviews").json()["counts"])


def test_private_data_is_marked_and_the_mark_goes_as_it_is_typed_away(page: Page, hone: RunningHone) -> None:
    waiting(hone, "Private", PRIVATE)
    page.goto(f"{hone.url}/review/")
    expect(page.locator("#detail .original mark")).to_have_text("ana@example.com", timeout=MINUTES)
    expect(page.locator("#taught")).to_contain_text("No run learns from such a pair.")
    expect(page.locator("#taught mark")).to_have_attribute("data-find", "email")
    expect(page.locator("#detail b, #taught b")).to_have_count(0)
    editor = page.locator("#editor textarea")
    expect(editor).to_have_value(PRIVATE)
    editor.fill("Ask Ana about it.")
    expect(page.locator("#taught mark")).to_have_count(0)
    editor.fill("Call her: +82 2-312-3456.")
    expect(page.locator("#taught mark")).to_have_attribute("data-find", "phone")
    page.locator("#reject").click()
    expect(page.locator("#queue [data-exchange]")).to_have_count(0, timeout=MINUTES)


def test_what_is_ticked_gets_one_verdict_and_a_line_that_says_so(page: Page, hone: RunningHone) -> None:
    asked: list[str] = []
    answers = [True, False]

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if answers.pop() else dialog.dismiss()

    page.on("dialog", answer)
    before = counts(hone)
    waiting(hone, "Many", *(f"Answer {n}." for n in range(6)))
    page.goto(f"{hone.url}/review/")
    queue, ticks = page.locator("#queue [data-exchange]"), page.locator("#queue [data-tick]")
    expect(queue).to_have_count(6, timeout=MINUTES)
    expect(page.locator("#bulk-approve")).to_be_hidden()
    expect(page.locator("#claim")).to_contain_text("Yours until")
    ticks.nth(1).click()
    ticks.nth(3).click(modifiers=["Shift"])
    expect(page.locator("#queue [data-tick]:checked")).to_have_count(3)
    page.locator("#queue").press("j")
    expect(queue.nth(1)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#queue [data-tick]:checked")).to_have_count(3)
    page.locator("#queue").press("x")
    expect(page.locator("#queue [data-tick]:checked")).to_have_count(2)
    page.locator("#bulk-reject").click()
    expect(page.locator("#bulk-result")).to_have_text("2 rejected.", timeout=MINUTES)
    expect(queue).to_have_count(4)
    expect(page.locator("#bulk-approve")).to_be_hidden()

    for box in (0, 1):
        ticks.nth(box).click()
    page.locator("#bulk-approve").click()
    expect(page.locator("#queue [data-tick]:checked")).to_have_count(2)
    page.locator("#bulk-approve").click()
    expect(page.locator("#bulk-result")).to_have_text("2 approved.", timeout=MINUTES)
    assert asked == ["Approve 2 ticked answers as they are proposed?"] * 2
    after = counts(hone)
    assert (after["approved"], after["rejected"]) == (before["approved"] + 2, before["rejected"] + 2)


def test_an_operator_sets_and_retires_a_known_verdict_beside_the_figures(
    page: Page, hone: RunningHone
) -> None:
    page.goto(f"{hone.url}/review/")
    expect(page.locator("#review-state")).to_contain_text("To review (", timeout=MINUTES)
    page.get_by_role("tab", name="Agreement").click()
    expect(page.locator("#agreement [data-alpha]")).to_contain_text("not defined yet", timeout=MINUTES)
    page.get_by_text("Set a new one").click()
    page.locator("#gold-instruction textarea").fill("Is two a prime number?")
    page.locator("#gold-response textarea").fill("<b>No.</b>")
    page.locator("#gold-rating label", has_text="Bad").click()
    page.locator("#gold-reasons label", has_text="Not correct").click()
    page.locator("#gold-expected label", has_text="Reject").click()
    page.locator("#gold-add").click()
    expect(page.locator("#golds")).to_contain_text("<b>No.</b>", timeout=MINUTES)
    assert page.locator("#golds b").count() == 0
    (gold,) = hone.get("/v1/reviews/golds").json()["data"]
    assert (gold["expected"], gold["retired"]) == ("reject", False)
    page.locator("#gold-to-retire input").click()
    page.get_by_role("option", name="Is two a prime number?").click()
    page.locator("#gold-retire").click()
    expect(page.locator("#golds .state")).to_have_text("retired", timeout=MINUTES)
    assert json.loads(hone.get("/v1/reviews/golds").text)["data"][0]["retired"]
