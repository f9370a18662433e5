"""Pages that are open while the web process is killed: they say so, lose nothing, and go on by themselves."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import MINUTES, RunningHone
from looks import SIZES, Look, looking
from playwright.sync_api import Browser, Page, Route, expect

from serve.pages.words import Language, say

LONG = "[chat]\nmax_tokens = 2000\n"
SHORT = "[chat]\nmax_tokens = 5\n"
THUMB = "#chatbot button:is([aria-label='Dislike'], [aria-label='싫어요'])"
RETRY = "#chatbot button:is([aria-label='Retry'], [aria-label='다시 시도'])"
DRAFT = "A thought that is not finis"
EDIT = "One, I th"


def rated(hone: RunningHone, instruction: str, correction: str) -> str:
    exchange = str(hone.chat(instruction, max_tokens=5)["id"])
    body = {"exchange_id": exchange, "rating": "down", "correction": correction}
    assert hone.post("/v1/feedback", body).status_code == 200
    return exchange


@pytest.mark.browser
@pytest.mark.long
@pytest.mark.parametrize("look", [Look("wide", "light", "en"), Look("narrow", "dark", "ko")], ids=str)
def test_a_killed_web_process_is_told_of_on_the_pages_which_go_on_by_themselves(
    browser: Browser, tiny_hone: RunningHone, look: Look
) -> None:
    language: Language = "ko" if look.language == "ko" else "en"
    tiny_hone.settings = LONG
    hone = tiny_hone.start()
    exchange = rated(hone, f"First, in {look}?", "One.")
    with looking(browser, look) as chat:
        review = chat.context.new_page()
        for page in (chat, review):
            page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
        editor, queue = review.locator("#editor textarea"), review.locator("#queue [data-exchange]")
        review.goto(f"{hone.url}/review/")
        expect(review.locator("#claim")).not_to_be_empty(timeout=MINUTES)
        expect(editor).to_have_value("One.")
        chat.goto(f"{hone.url}/chat/")
        message, away = chat.locator("#message textarea"), chat.locator("#away")
        message.fill("Talk for long.")
        chat.locator("#send").click()
        expect(message).to_have_value("", timeout=MINUTES)
        expect(chat.locator("#chatbot .bot").last).to_contain_text(" ", timeout=MINUTES)
        message.fill(DRAFT)
        review.bring_to_front()
        editor.fill(EDIT)

        hone.stop(signal.SIGKILL)
        review.locator("#approve").click()
        missed = say(language, "away_missed")
        expect(review.locator("#away")).to_have_text(f"{say(language, 'away_gone')} {missed}")
        chat.bring_to_front()
        expect(away).to_have_text(say(language, "away_gone"))
        box = away.bounding_box()
        assert box
        assert 0 <= box["x"] < box["x"] + box["width"] <= SIZES[look.size]["width"]
        message.press("Enter")
        expect(away).to_contain_text(missed)
        expect(message).to_have_value(DRAFT)
        thumbs = chat.locator(THUMB)
        thumbs.last.click()
        expect(thumbs).to_have_count(0)

        hone.settings = SHORT
        hone.start()
        expect(away).to_have_text(missed, timeout=MINUTES)
        expect(message).to_have_value(DRAFT)
        expect(chat.locator("#chatbot .bot").last).to_contain_text(say(language, "no_answer_cut"))
        expect(thumbs).to_have_count(1)
        expect(chat.locator(RETRY).last).to_be_visible()
        assert "c=" in chat.url
        chat.locator("#send").click()
        expect(chat.locator("#chatbot .bot")).to_have_count(2)
        expect(chat.locator("#chatbot .bot").last).to_contain_text("general@", timeout=MINUTES)
        expect(away).to_be_empty()

        review.bring_to_front()
        expect(review.locator("#away")).to_have_text(missed, timeout=MINUTES)
        expect(editor).to_have_value(EDIT)
        expect(queue).to_have_count(1)
        review.locator("#approve").click()
        expect(queue).to_have_count(0, timeout=MINUTES)
        expect(review.locator("#away")).to_be_empty()
        assert hone.get(f"/v1/reviews/{exchange}").json()["approved_response"] == EDIT


@pytest.mark.browser
def test_a_page_of_another_build_is_loaded_anew_with_what_was_being_written(
    browser: Browser, idle_hone: RunningHone
) -> None:
    for name in ("First", "Second"):
        rated(idle_hone, f"{name}?", f"{name}.")
    with looking(browser, Look("wide", "light", "en")) as page:
        page.goto(f"{idle_hone.url}/review/")
        queue, editor = page.locator("#queue [data-exchange]"), page.locator("#editor textarea")
        reason = page.locator("#review-reason :is(textarea, input)")
        expect(queue).to_have_count(2, timeout=MINUTES)
        queue.nth(1).click()
        expect(editor).to_have_value("Second.")
        reason.fill("It is not the fir")
        with _renewed(page):
            editor.fill(EDIT)
        expect(page.locator("#claim p")).to_be_visible(timeout=MINUTES)
        expect(reason).to_have_value("It is not the fir", timeout=MINUTES)
        expect(queue.nth(1)).to_have_attribute("aria-selected", "true")
        expect(editor).to_have_value(EDIT)

        page.goto(f"{idle_hone.url}/chat/")
        message, correction = page.locator("#message textarea"), page.locator("#rate-correction textarea")
        message.fill("Hello")
        page.locator("#send").click()
        expect(page.locator("#chatbot .bot").last).to_contain_text("general@", timeout=MINUTES)
        page.locator(THUMB).last.click()
        correction.fill(EDIT)
        with _renewed(page):
            page.locator("#share").click()
        expect(correction).to_have_value(EDIT, timeout=MINUTES)
        page.locator("#rate-close").click()
        page.locator("#edit-last").click()
        expect(message).to_have_value("Hello")
        message.fill("Hello, y")
        with _renewed(page):
            page.locator("#share").click()
        expect(page.locator("#edit-row")).to_be_visible(timeout=MINUTES)
        expect(message).to_have_value("Hello, y")


@pytest.mark.browser
def test_an_assistant_that_is_being_written_is_there_again_on_a_page_of_another_build(
    browser: Browser, idle_hone: RunningHone
) -> None:
    with looking(browser, Look("wide", "light", "en")) as page:
        page.goto(f"{idle_hone.url}/operate/")
        greeting, notice = (
            page.locator("#assistant-greeting textarea"),
            page.locator("#assistant-notice textarea"),
        )
        page.locator("#assistants > button").click()  # as early as can be: the page may not know of whom
        expect(page.locator("#assistant-whose :is(textarea, input)")).to_have_value(
            "general", timeout=MINUTES
        )
        before = notice.input_value()
        greeting.fill("Good morn")
        with _renewed(page):
            page.locator("#assistant-save").click()
        expect(greeting).to_have_value("Good morn", timeout=MINUTES)
        expect(notice).to_have_value(before)
        assert idle_hone.get("/v1/assistants").json()["data"][0]["greeting"] != "Good morn"
        page.reload()
        page.locator("#assistants > button").click()
        expect(page.locator("#assistant-whose :is(textarea, input)")).to_have_value(
            "general", timeout=MINUTES
        )
        expect(greeting).not_to_have_value("Good morn")


@contextmanager
def _renewed(page: Page) -> Iterator[None]:
    """What is done within finds a server of another build, and the page is loaded anew."""
    page.evaluate("sessionStorage.removeItem('honeReloaded')")

    def older(route: Route) -> None:
        route.continue_(headers=route.request.headers | {"x-hone-build": "another"})

    page.route("**/queue/join*", older, times=1)
    with page.expect_event("load"):
        yield
