"""The review page in a real browser: claim, draft, skip, verdict, reopening, and never markup."""

import pytest
from conftest import MINUTES, RunningHone
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

BAD = '<img src=x onerror="document.title=1"><b>Four</b>'


@pytest.fixture
def hone(tiny_hone: RunningHone) -> RunningHone:
    return tiny_hone.start()


def rated(hone: RunningHone, instruction: str, correction: str) -> str:
    exchange = str(hone.chat(instruction, max_tokens=5)["id"])
    body = {"exchange_id": exchange, "rating": "down", "comment": BAD, "correction": correction}
    assert hone.post("/v1/feedback", body).status_code == 200
    return exchange


def test_a_reviewers_hour(page: Page, hone: RunningHone) -> None:
    one, two = rated(hone, "First?", "One."), rated(hone, "Second?", BAD)
    page.goto(f"{hone.url}/review/")
    queue, editor = page.locator("#queue [data-exchange]"), page.locator("#editor textarea")
    expect(queue).to_have_count(2, timeout=MINUTES)
    expect(page.locator("#claim")).to_contain_text("Yours until", timeout=MINUTES)
    expect(editor).to_have_value("One.")
    assert hone.get(f"/v1/reviews/{one}").json()["held_until"], "others see that somebody looks at it"

    editor.fill("One, I th")
    editor.blur()
    hone.wait(lambda: _drafts(page, hone, one), 60)
    queue.nth(1).click()
    expect(editor).to_have_value(BAD, timeout=MINUTES)
    expect(page.locator("#detail article")).to_contain_text("<b>Four</b>")
    assert page.locator("#detail img, #detail b, #queue img").count() == 0
    assert page.title() != "1"
    hone.wait(lambda: hone.get(f"/v1/reviews/{one}").json()["held_until"] is None, 60)

    page.locator("#skip").click()
    expect(queue).to_have_count(1, timeout=MINUTES)
    expect(editor).to_have_value("One, I th", timeout=MINUTES)
    expect(page.locator("#review-state")).to_contain_text("Skipped (1)")

    editor.fill("One")
    page.locator("#approve").click()
    expect(queue).to_have_count(0, timeout=MINUTES)
    assert hone.get(f"/v1/reviews/{one}").json()["approved_response"] == "One"

    page.locator("#review-state label", has_text="Approved").click()
    expect(queue).to_have_count(1, timeout=MINUTES)
    expect(page.locator("#reopen")).to_be_visible(timeout=MINUTES)
    page.locator("#review-reason textarea, #review-reason input").first.fill("Too short.")
    page.locator("#reopen").click()
    expect(queue).to_have_count(0, timeout=MINUTES)
    page.locator("#review-state label", has_text="To review").click()
    expect(page.locator("#detail")).to_contain_text("Too short.", timeout=MINUTES)
    states = {identity: hone.get(f"/v1/reviews/{identity}").json()["state"] for identity in (one, two)}
    assert states == {one: "pending", two: "pending"}, "a skip is one's own"


def _drafts(page: Page, hone: RunningHone, exchange: str) -> bool:
    """Whether the page's own visitor has a draft: asked from the page, whose principal it is."""
    told = page.evaluate("async (id) => (await fetch('/v1/reviews/' + id)).json()", exchange)
    return bool(told["draft"] == "One, I th")
