"""What the pages are like between the flows: slow answers, reloads, phones, refusals, nothing there yet."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MINUTES, RunningHone, on_tiny_model
from lived_in import lived_in
from looks import LAYOUTS, SIZES, Look, looking, mine
from playwright.sync_api import Browser, Page, expect
from test_quick_keys import LATE

pytestmark = pytest.mark.browser

PHONE, DESK = Look("narrow", "light", "ko"), Look("wide", "light", "en")
# Both widths and both languages in two; `make test-browser` takes all four.
MINE = (Look("wide", "light", "en"), Look("narrow", "light", "ko"))
each_look = pytest.mark.parametrize("look", mine(MINE, LAYOUTS))
TITLES = {"chat": ("Chat", "대화"), "review": ("Review", "검토"), "operate": ("Operate", "운영")}
TAUGHT = {"chat": "#chatbot .placeholder-content", "review": "#queue .empty", "operate": "#run .empty"}


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    with lived_in(tmp_path_factory.mktemp("states"), tiny_model) as running:
        yield running


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    """One in which nothing has happened, and that asks everybody to sign in."""
    with on_tiny_model(tmp_path_factory.mktemp("empty"), tiny_model) as running:
        running.settings = '[auth]\nlogin = "local"\n[chat]\nmax_tokens = 5\n'
        running.start()
        for name, role in (("uma", "user"), ("otto", "operator")):
            told = {"name": name, "role": role, "password": "a long password"}
            assert running.post("/v1/users", told).status_code == 201
        yield running


def opened(page: Page, hone: RunningHone, name: str = "review") -> None:
    page.goto(f"{hone.url}/{name}/")
    ready = {"chat": "#send:enabled", "review": "#claim p", "operate": "#promote:enabled"}[name]
    expect(page.locator(ready)).to_be_visible(timeout=MINUTES)


def signed_in(page: Page, hone: RunningHone, name: str) -> None:
    page.goto(f"{hone.url}/login")
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill("a long password")
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url("**/chat/")


def test_a_reason_typed_before_the_answer_comes_is_kept_and_is_about_what_was_chosen(
    browser: Browser, hone: RunningHone
) -> None:
    with looking(browser, DESK) as page:
        page.add_init_script(LATE)
        opened(page, hone)
        reason = page.locator("#review-reason textarea, #review-reason input").first
        rows, editor = page.locator("#queue [data-exchange]"), page.locator("#editor textarea")
        first, second = (str(rows.nth(place).get_attribute("data-exchange")) for place in (0, 1))
        reason.fill("About the first.")
        rows.nth(1).click()
        expect(reason).to_have_value("")
        reason.fill("About the second.")
        expect(editor).to_have_js_property("readOnly", True)
        shown = page.locator("#detail article")
        expect(shown).to_have_attribute("data-exchange-shown", second, timeout=MINUTES)
        expect(editor).to_have_js_property("readOnly", False)
        expect(reason).to_have_value("About the second.")
        rows.nth(0).click()
        expect(shown).to_have_attribute("data-exchange-shown", first, timeout=MINUTES)
        expect(reason).to_have_value("About the first.")
        page.locator("#reject").click()
        expect(shown).to_have_attribute("data-exchange-shown", second, timeout=MINUTES)
        expect(reason).to_have_value("About the second.")


def test_what_is_typed_while_a_verdict_is_on_its_way_stays(browser: Browser, hone: RunningHone) -> None:
    with looking(browser, DESK) as page:
        page.add_init_script(LATE)
        opened(page, hone)
        reason = page.locator("#review-reason textarea, #review-reason input").first
        chosen = page.locator('#queue [aria-selected="true"]')
        was = str(chosen.get_attribute("data-exchange"))
        reason.fill("Of no use.")
        page.locator("#reject").click()
        reason.fill("And the next one too.")
        expect(chosen).not_to_have_attribute("data-exchange", was, timeout=MINUTES)
        expect(reason).to_have_value("And the next one too.")


@each_look
def test_a_conversation_is_named_found_and_taken_along(
    browser: Browser, hone: RunningHone, look: Look
) -> None:
    name, said = f"Of {look.size} {look.language}", f"a marmot in {look.size} {look.language}"
    listed, find = "#conversations label", "#find input, #find textarea"
    with looking(browser, look) as page:
        opened(page, hone, "chat")
        page.locator("#message textarea").fill(f"Is it {said}?")
        page.locator("#send").click()
        expect(page.locator("#chatbot .bot").last).to_contain_text(re.compile(r"general@\d"), timeout=MINUTES)
        page.locator("#rename").click()
        page.locator("#ask-reason").fill(name)
        page.locator("#ask-yes").click()
        if look.size == "narrow":
            page.locator("#menu").click()
        expect(page.locator(listed).first).to_have_text(name)
        page.locator(find).fill("nothing has this")
        expect(page.locator(listed)).to_have_count(0)
        page.locator(find).fill(name)
        expect(page.locator(listed)).to_have_count(1)
        page.locator(find).fill("")
        expect(page.locator(listed).nth(1)).to_be_visible()
        if look.size == "narrow":
            page.locator("#main").click(position={"x": 380, "y": 5}, force=True)
        with page.expect_download() as loading:
            page.locator("#download").click()
        assert f"Is it {said}?" in loading.value.path().read_text("utf-8")


@each_look
def test_what_an_operator_says_of_an_assistant_stands_in_its_chat(
    browser: Browser, hone: RunningHone, look: Look
) -> None:
    name = f"made-{look.size}-{look.language}"
    said = {
        "title": name.upper(),
        "greeting": "Ask me.",
        "notice": "No <b>advice</b>.",
        "examples": "One?\n\nTwo?",
    }
    with looking(browser, look) as page:
        opened(page, hone, "operate")
        page.locator("#assistants > button").click()
        page.locator("#assistant-name input, #assistant-name textarea").fill(name)
        page.locator("#assistant-make").click()
        expect(page.locator("#assistant-whose textarea")).to_have_value(name)
        expect(page.locator("#operate-assistant input")).to_have_value(name)
        for field, text in said.items():
            page.locator(f"#assistant-{field}").locator("input, textarea").fill(text)
        page.locator("#assistant-save").click()
        expect(page.locator("#operate-assistant input")).to_have_value(name.upper())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        opened(page, hone, "chat")
        if look.size == "narrow":
            page.locator("#menu").click()
        page.locator("#assistant input").click()
        page.get_by_role("option", name=name.upper()).click()
        expect(page.locator("#assistant-notice")).to_have_text("No <b>advice</b>.")
        expect(page.locator("#chatbot .placeholder-content")).to_contain_text("Ask me.")
        expect(page.locator("#chatbot .example")).to_have_count(2)


@each_look
def test_who_did_what_is_read_on_the_operate_page(browser: Browser, hone: RunningHone, look: Look) -> None:
    shown = {"en": ("version: live", "assistant: saved"), "ko": ("버전: 서비스 시작", "어시스턴트: 저장")}
    with looking(browser, look) as page:
        opened(page, hone, "operate")
        listed = page.locator("#audit-list tbody tr")
        expect(listed).to_have_count(0)
        page.locator("#audit > button").click()
        for what in shown[look.language]:
            expect(listed.filter(has_text=what).first).to_be_visible()
        page.locator("#audit-kind input").click()
        page.get_by_role("option").filter(has_text={"en": "version", "ko": "버전"}[look.language]).click()
        expect(listed.filter(has_text=shown[look.language][1])).to_have_count(0)
        expect(listed.filter(has_text=shown[look.language][0]).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@each_look
def test_the_filter_stands_in_one_row(browser: Browser, hone: RunningHone, look: Look) -> None:
    with looking(browser, look) as page:
        opened(page, hone)
        labels = page.locator("#review-state label")
        expect(labels).to_have_count(6)
        assert len({round(box["y"]) for one in labels.all() if (box := one.bounding_box())}) == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_rating_panel_leaves_a_phone_the_answer_that_is_rated(
    browser: Browser, hone: RunningHone
) -> None:
    with looking(browser, PHONE) as page:
        opened(page, hone, "chat")
        page.locator("#message textarea").fill("Hello?")
        page.locator("#send").click()
        answer = page.locator("#chatbot .bot").last
        expect(answer).to_contain_text(re.compile(r"general@\d"), timeout=MINUTES)
        page.locator("#chatbot .icon-button-wrapper button").nth(-2).click()
        panel = page.locator("#rate-panel")
        expect(panel).to_be_visible(timeout=MINUTES)
        taken = panel.bounding_box()
        assert taken
        assert taken["height"] < 0.45 * SIZES["narrow"]["height"]
        for seen in (answer, page.locator("#message"), page.locator("#rate-save")):
            expect(seen).to_be_in_viewport(ratio=0.9)


def test_a_message_being_written_survives_a_reload_and_not_its_sending(
    browser: Browser, empty: RunningHone
) -> None:
    with looking(browser, DESK) as page:
        signed_in(page, empty, "uma")
        message, send = page.locator("#message textarea"), page.locator("#send")
        expect(send).to_be_enabled(timeout=MINUTES)
        message.fill("Half a thou")
        page.reload()
        expect(message).to_have_value("Half a thou", timeout=MINUTES)
        page.locator("#header form button").click()
        page.wait_for_url("**/login**")
        signed_in(page, empty, "otto")
        expect(message).to_be_focused(timeout=MINUTES)
        expect(message).to_have_value("")
        page.locator("#header form button").click()
        page.wait_for_url("**/login**")
        signed_in(page, empty, "uma")
        expect(message).to_have_value("Half a thou", timeout=MINUTES)
        send.click()
        expect(page.locator("#chatbot .bot").last).to_contain_text(re.compile(r"general@\d"), timeout=MINUTES)
        page.reload()
        expect(message).to_be_focused(timeout=MINUTES)
        expect(message).to_have_value("")


@each_look
def test_a_page_that_cannot_be_had_says_so_in_the_readers_language(
    browser: Browser, empty: RunningHone, look: Look
) -> None:
    korean = look.language == "ko"
    with looking(browser, look) as page:
        answer = page.goto(f"{empty.url}/nowhere")
        assert answer
        assert answer.status == 404
        title = page.get_by_role("heading", level=1)
        expect(title).to_have_text("페이지를 찾을 수 없습니다" if korean else "There is nothing here")
        signed_in(page, empty, "uma")
        answer = page.goto(f"{empty.url}/operate/")
        assert answer
        assert answer.status == 403
        expect(title).to_have_text(
            "이 페이지를 볼 권한이 없습니다" if korean else "This page is not open to you"
        )
        page.get_by_role("link").first.click()
        page.wait_for_url("**/chat/")


@each_look
def test_every_page_has_its_name_and_says_what_will_be_there(
    browser: Browser, empty: RunningHone, look: Look
) -> None:
    place = ("en", "ko").index(look.language)
    with looking(browser, look) as page:
        signed_in(page, empty, "otto")
        for name, titles in TITLES.items():
            page.goto(f"{empty.url}/{name}/")
            expect(page).to_have_title(f"Hone · {titles[place]}", timeout=MINUTES)
            expect(page.locator("h1")).to_have_text(f"Hone · {titles[place]}")
            icon = page.locator("link[rel=icon]").first
            assert page.request.get(empty.url + str(icon.get_attribute("href"))).ok
            expect(page.locator(TAUGHT[name]).first).not_to_be_empty(timeout=MINUTES)
