"""The review page under quick hands: every verdict arrives, and no event is lost between two streams."""

import pytest
from conftest import MINUTES, RunningHone
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.long]

WAITING = 16
# As on a slow line: what the server says of events comes later than its answers to other requests.
LATE = """
const fetched = window.fetch;
window.fetch = async (resource, options) => {
  const answer = await fetched(resource, options);
  if (!String(resource.url || resource).includes("/queue/data")) return answer;
  const slow = new TransformStream({
    transform: async (chunk, out) => {
      await new Promise((done) => setTimeout(done, 300));
      out.enqueue(chunk);
    },
  });
  return new Response(answer.body.pipeThrough(slow), answer);
};
"""
# A key held down, as far as the page can tell: presses without a repeat mark, every few milliseconds.
HELD = """
(code) => { window.held = setInterval(() => document.dispatchEvent(
  new KeyboardEvent("keydown", { code, bubbles: true })), 5); }
"""


@pytest.fixture
def hone(idle_hone: RunningHone, request: pytest.FixtureRequest) -> RunningHone:
    rows = [
        {"prompt": f"{request.node.name} {number}?", "completion": f"Answer {number}.", "label": True}
        for number in range(WAITING)
    ]
    taken = idle_hone.request("POST", "/v1/imports?assistant=general&source=quick.json", json=rows)
    assert taken.json()["imported"] == WAITING, taken.text
    return idle_hone


def test_an_event_sent_while_the_stream_is_ending_is_answered(page: Page, hone: RunningHone) -> None:
    page.add_init_script(LATE)
    page.goto(f"{hone.url}/review/")
    queue = page.locator("#queue [data-exchange]")
    expect(queue.first).to_have_attribute("aria-selected", "true", timeout=MINUTES)
    for other in range(2, 8):
        page.keyboard.press("j")
        page.wait_for_timeout(150)  # the server is done with it, and the page does not know yet
        queue.nth(other).click()
        expect(queue.nth(other)).to_have_attribute("aria-selected", "true")


def test_a_key_judges_nothing_while_another_exchange_is_shown_than_the_one_chosen(
    page: Page, hone: RunningHone
) -> None:
    page.add_init_script(LATE)
    page.goto(f"{hone.url}/review/")
    queue = page.locator("#queue [data-exchange]")
    expect(queue.first).to_have_attribute("aria-selected", "true", timeout=MINUTES)
    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(queue.nth(1)).to_have_attribute("aria-selected", "true")
    assert hone.get("/v1/reviews").json()["counts"]["pending"] == WAITING
    page.keyboard.press("r")
    expect(queue).to_have_count(WAITING - 1)


def test_a_key_pressed_as_fast_as_can_be_judges_all_that_waits(page: Page, hone: RunningHone) -> None:
    page.goto(f"{hone.url}/review/")
    queue = page.locator("#queue [data-exchange]")
    expect(queue).to_have_count(WAITING, timeout=MINUTES)
    expect(page.locator("#claim")).to_contain_text("Yours until", timeout=MINUTES)
    page.evaluate(HELD, "KeyR")
    expect(queue).to_have_count(0)
    page.evaluate("clearInterval(window.held)")
    assert hone.get("/v1/reviews").json()["counts"]["pending"] == 0
