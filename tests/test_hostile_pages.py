"""Whatever people, models and operators write, the pages show it as text: no script, no outside request.

The store is filled before Hone starts, since a model would not say such things by itself; then a browser
reads all of it on the pages, and writes the own-written ones there too.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MINUTES, RunningHone, on_tiny_model, wide_page
from hostile_words import OWN, texts
from playwright.sync_api import Browser, Page, expect
from stories import ask, new_store

from feedback.accounts import first_admin
from feedback.assistants import Assistants
from feedback.errors import HoneError
from feedback.ratings import rate
from feedback.records import Assistant

pytestmark = [pytest.mark.browser, pytest.mark.long]

A_LINE = 25
"""Texts in one conversation: each as a question, as an answer, as a comment and as a correction."""
READ = int(os.environ.get("HOSTILE_READ", "12"))
"""How many waiting exchanges a reviewer opens one by one."""
EVERY = 10
"""Of the texts of files, one in so many is also typed and sent."""
MARKUP = (
    ":is(#chatbot, #side, #queue, #detail, #taught, #versions, #decisions, #runs, #header, #rate-panel) "
    ":is(script, iframe, object, embed, form[action*=evil], meta, base, link, video, mglyph, "
    "[onerror], [onload], [onfocus], [ontoggle], [href^='javascript:' i])"
)


class Watch:
    """Notes what a page must never do."""

    def __init__(self, page: Page, hone: RunningHone) -> None:
        self.page = page
        self.seen: list[str] = []
        self._own = hone.url
        page.on("dialog", self._spoke)
        page.on("pageerror", lambda error: self.seen.append(f"the page failed: {error}"))
        page.on("requestfinished", self._asked)
        page.on("requestfailed", self._asked)
        page.on("popup", lambda other: self.seen.append(f"a window: {other.url}"))

    def _spoke(self, dialog: Any) -> None:
        self.seen.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Any) -> None:
        # What the page's own policy forbids is told of as well, and never left the browser.
        forbidden = "csp" in (request.failure or "").lower()
        inside = request.url.startswith((self._own, "data:", "blob:", "about:"))
        if not (inside or forbidden):
            self.seen.append(f"a request outside: {request.url}")

    def check(self, where: str) -> None:
        self.page.wait_for_timeout(200)
        found = self.page.evaluate("(q) => [...document.querySelectorAll(q)].map((e) => e.outerHTML)", MARKUP)
        ran = self.page.evaluate("window.ran")
        seen = [*self.seen, *found, *(["a script ran"] if ran else [])]
        assert not seen, f"{where}: {seen}"
        expect(self.page.locator("#header nav")).to_be_visible()


@pytest.fixture(scope="module")
def told() -> list[str]:
    return texts()


@pytest.fixture(scope="module")
def lines(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, told: list[str]
) -> Iterator[tuple[Any, Any]]:
    """A Hone in which every text was said, and its conversations."""
    with on_tiny_model(tmp_path_factory.mktemp("hostile"), tiny_model) as running:
        running.settings = "[chat]\nmax_tokens = 5\n[tuner]\nenabled = false\n"
        running.home.mkdir()
        conversations = _said(running.home / "hone.duckdb", told)
        yield running.start(), conversations


def _said(path: Path, told: list[str]) -> list[str]:
    store, conversations = new_store(path), []
    admin, _ = first_admin(store)
    for start in range(0, len(told), A_LINE):
        line = None
        for text in told[start : start + A_LINE]:
            try:
                one = ask(store, admin, text, text, conversation_id=line)
                line = one.conversation_id
                rate(store, admin, one.id, rating="down", comment=text[:2000], correction=f"{text}!")
            except HoneError:
                continue  # no text that can be kept: refused in a sentence, before any page
        if line:
            conversations.append(line)
    known = Assistants(store)
    for number, text in enumerate(OWN):
        words = {"title": text[:100], "greeting": text[:500], "examples": (text[:100],)}
        known.add(Assistant(f"a{number}", system_prompt=text, domain=text[:50], **words), admin.name)
    store.close()
    return conversations


@pytest.fixture
def watch(browser: Browser, lines: tuple[RunningHone, list[str]]) -> Iterator[Watch]:
    with wide_page(browser) as page:
        yield Watch(page, lines[0])


def test_the_watch_sees_what_it_watches_for(watch: Watch, lines: tuple[RunningHone, list[str]]) -> None:
    """Else all the others would pass on any page."""
    watch.page.goto(f"{lines[0].url}/chat/")
    expect(watch.page.locator("#send")).to_be_enabled(timeout=MINUTES)
    watch.check("the page itself")
    put = "(text) => document.querySelector('#chatbot').insertAdjacentHTML('beforeend', text)"
    watch.page.evaluate(put, OWN[2])
    with pytest.raises(AssertionError, match=r"a script ran: 1.*onerror.*a script ran"):
        watch.check("a page that takes it as markup")


def test_chats_show_it_as_text(watch: Watch, lines: tuple[RunningHone, list[str]]) -> None:
    hone, conversations = lines
    for line in conversations:
        watch.page.goto(f"{hone.url}/chat/?c={line}")
        expect(watch.page.locator("#send")).to_be_enabled(timeout=MINUTES)
        expect(watch.page.locator("#chatbot .bot").first).to_be_visible(timeout=MINUTES)
        watch.check(f"the conversation {line}")


def test_what_is_sent_is_shown_as_text_and_answered(
    watch: Watch, lines: tuple[RunningHone, list[str]], told: list[str]
) -> None:
    page = watch.page
    page.goto(f"{lines[0].url}/chat/")
    for text in [*OWN, *told[len(OWN) :: EVERY]]:
        expect(page.locator("#send")).to_be_enabled(timeout=MINUTES)
        page.locator("#new-chat").click()
        expect(page.locator("#chatbot .bot")).to_have_count(0, timeout=MINUTES)
        page.locator("#message textarea").fill(text)
        page.locator("#send").click()
        expect(page.locator("#chatbot .bot").last).to_contain_text(
            re.compile(r"general@0|⚠"), timeout=MINUTES
        )
        watch.check(f"sent {text!r}")


def test_a_comment_and_a_better_answer_are_shown_as_text(
    watch: Watch, lines: tuple[RunningHone, list[str]]
) -> None:
    page = watch.page
    page.goto(f"{lines[0].url}/chat/?c={lines[1][0]}")
    expect(page.locator("#send")).to_be_enabled(timeout=MINUTES)
    for text in OWN[:4]:
        page.locator("#rate-more").click()
        expect(page.locator("#rate-panel")).to_be_visible(timeout=MINUTES)
        page.locator("#rate-comment textarea").fill(text)
        page.locator("#rate-correction textarea").fill(text)
        page.locator("#rate-save").click()
        expect(page.locator("#rate-panel")).to_be_hidden(timeout=MINUTES)
        watch.check(f"rated with {text!r}")


def test_an_assistants_words_are_shown_as_text(watch: Watch, lines: tuple[RunningHone, list[str]]) -> None:
    page = watch.page
    page.goto(f"{lines[0].url}/chat/")
    expect(page.locator("#send")).to_be_enabled(timeout=MINUTES)
    for number in range(1, len(OWN) + 1):
        page.locator("#assistant input").click()
        page.get_by_role("option").nth(number).click()
        page.wait_for_timeout(300)
        watch.check(f"the assistant of {OWN[number - 1]!r}")


def test_reviewers_read_and_edit_it_as_text(watch: Watch, lines: tuple[RunningHone, list[str]]) -> None:
    page = watch.page
    page.goto(f"{lines[0].url}/review/")
    expect(page.locator("#claim p")).to_be_visible(timeout=MINUTES)
    while page.locator("#queue-more").is_visible():
        held = page.locator("#queue [data-exchange]").count()
        page.locator("#queue-more").click()
        expect(page.locator("#queue [data-exchange]").nth(held)).to_be_visible(timeout=MINUTES)
    for place in range(min(READ, page.locator("#queue [data-exchange]").count() - 1)):
        page.locator("#queue").press("j")
        chosen = page.locator("#queue [data-exchange]").nth(place + 1)
        expect(chosen).to_have_attribute("aria-selected", "true", timeout=MINUTES)
        watch.check(f"the waiting exchange {place}")
    waiting = page.locator("#queue [data-exchange]").count()
    for text in OWN[:3]:
        page.locator("#editor textarea").fill(text)
        watch.check(f"edited to {text!r}")
        page.locator("#review-reason textarea, #review-reason input").first.fill(text)
        page.locator("#approve").click()
        waiting -= 1
        expect(page.locator("#queue [data-exchange]")).to_have_count(waiting, timeout=MINUTES)
        watch.check(f"approved as {text!r}")


def test_operators_read_it_as_text(watch: Watch, lines: tuple[RunningHone, list[str]]) -> None:
    page = watch.page
    page.goto(f"{lines[0].url}/operate/")
    expect(page.locator("#tune")).to_be_enabled(timeout=MINUTES)
    for number, text in enumerate(OWN[:6]):
        page.locator("#operate-reason textarea, #operate-reason input").first.fill(text)
        page.locator("#resume" if number % 2 else "#pause").click()
        expect(page.locator("#operate-reason textarea, #operate-reason input").first).to_have_value(
            "", timeout=MINUTES
        )
        watch.check(f"ordered because of {text!r}")
