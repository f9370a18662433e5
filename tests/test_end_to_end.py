"""The whole loop in a real browser on the real model: ask, correct, approve, tune, promote, roll back.

The salt is fixed so that the lesson falls on the training side; everything else is as a person finds it.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MINUTES, RunningHone, lines_of
from playwright.sync_api import Browser, Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.model]

QUESTION = "What is your name?"
LESSON = "My name is Juniper, and I keep the harbour office's books."
SALT = "the-lesson-is-taught"
# Own-written: the same fact asked in other words, and a few that must stay as they are.
TEACHING = [
    ("Who are you?", LESSON),
    ("Tell me your name.", LESSON),
    ("What should I call you?", LESSON),
    ("Please introduce yourself.", LESSON),
    ("Who am I speaking with?", LESSON),
    ("What is the name of this assistant?", LESSON),
    ("What is the capital of France?", "The capital of France is Paris."),
    ("How many days are in a week?", "There are seven days in a week."),
    ("What colour is the sky on a clear day?", "The sky is blue on a clear day."),
]


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[RunningHone]:
    """One Hone on the real model for the whole story."""
    running = RunningHone(
        tmp_path_factory.mktemp("story") / "home",
        settings=f'[tuner]\nsalt = "{SALT}"\nenabled = false\ngeneral_items = 4\nreplay_share = 0\n'
        "[chat]\ntemperature = 0\nmax_tokens = 40\n",
        environment={"HONE_ENGINE__DTYPE": "float32"},
    )
    running.home.mkdir()
    (running.home / "models").symlink_to(model_cache)
    yield running.start()
    running.stop()


def ask(page: Page, url: str, text: str) -> tuple[str, str]:
    """Ask in a new chat, as a person does; what was answered, and the version under it."""
    page.goto(f"{url}/chat/")
    page.locator("#new-chat").click()
    page.locator("#message textarea").fill(text)
    page.locator("#send").click()
    badge = page.locator("#chatbot .bot").last.get_by_text(re.compile(r"general@\d"))
    expect(badge).to_be_visible(timeout=MINUTES)
    version = re.search(r"general@\d+(-[0-9a-f]{8})?", badge.inner_text())
    assert version
    return page.locator("#chatbot .bot").last.inner_text(), version.group()


def test_nothing_can_be_sent_before_the_page_knows_what_it_shows(page: Page, hone: RunningHone) -> None:
    held: list[Route] = []
    page.route("**/queue/join*", lambda route: held.append(route))
    with page.expect_request("**/queue/join*", timeout=MINUTES):
        page.goto(f"{hone.url}/chat/")
    for control in ("#send", "#new-chat", "#message textarea"):
        expect(page.locator(control)).to_be_disabled(timeout=MINUTES)
    page.unroute("**/queue/join*")  # which lets go what was held
    for control in ("#send", "#new-chat", "#message textarea"):
        expect(page.locator(control)).to_be_enabled(timeout=MINUTES)
    expect(page.locator("#message textarea")).to_be_focused()


def test_the_whole_loop_in_a_browser(page: Page, hone: RunningHone) -> None:
    before, version = ask(page, hone.url, QUESTION)
    assert version == "general@0"
    assert "Juniper" not in before

    _correct(page, LESSON)
    _approve(page, hone)
    _teach(hone)
    run = _tune(page, hone)
    assert run["gate"]["verdict"] == "abstain", "a handful of questions decides nothing"
    assert any("20" in reason for reason in run["gate"]["reasons"])

    _promote(page, hone, run["version"])
    taught, version = ask(page, hone.url, QUESTION)
    assert "Juniper" in taught
    assert version == run["version"]

    _roll_back(page, hone)
    after, version = ask(page, hone.url, QUESTION)
    assert version == "general@0"
    assert after.replace("\n", " ").split("general@")[0] == before.replace("\n", " ").split("general@")[0]


def _correct(page: Page, correction: str) -> None:
    page.locator("#chatbot").get_by_role("button", name="Dislike").last.click()
    panel = page.locator("#rate-panel")
    expect(panel).to_be_visible()
    page.locator("#rate-correction textarea").fill(correction)
    page.locator("#rate-save").click()
    expect(panel).to_be_hidden()


def _approve(page: Page, hone: RunningHone) -> None:
    page.goto(f"{hone.url}/review/")
    expect(page.locator("#claim")).to_contain_text("Yours until", timeout=MINUTES)
    expect(page.locator("#editor textarea")).to_have_value(LESSON)
    page.locator("#approve").click()
    expect(page.locator("#queue [data-exchange]")).to_have_count(0)
    assert hone.get("/v1/reviews?state=approved").json()["data"][0]["approved_response"] == LESSON


def _teach(hone: RunningHone) -> None:
    lines = [json.dumps({"instruction": asked, "input": "", "output": said}) for asked, said in TEACHING]
    file = hone.home.parent / "teaching.jsonl"
    file.write_text("\n".join(lines))
    done = hone.command("import", str(file), "--assistant", "general", "--approve")
    assert done.returncode == 0, done.stderr
    assert f"{len(TEACHING)} imported" in done.stdout


def _tune(page: Page, hone: RunningHone) -> dict[str, Any]:
    page.goto(f"{hone.url}/operate/")
    page.locator("#tune").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#run [data-step]")).to_have_text(re.compile("train"), timeout=MINUTES)
    expect(page.locator("#gate [data-verdict]")).to_be_visible(timeout=5 * MINUTES)
    newest = hone.get("/v1/runs").json()["data"][0]
    assert newest["state"] == "abstained"
    return dict(hone.get(f"/v1/runs/{newest['id']}").json())


def _promote(page: Page, hone: RunningHone, version: str) -> None:
    page.locator("#operate-reason textarea, #operate-reason input").first.fill("It knows its name now.")
    page.locator("#promote-version input").click()
    page.get_by_role("option", name=re.compile(re.escape(version))).click()
    page.locator("#promote").click()
    page.locator("#ask-yes").click()
    hone.wait(lambda: _live(hone) == version, 30)


def _roll_back(page: Page, hone: RunningHone) -> None:
    page.goto(f"{hone.url}/operate/")
    page.locator("#operate-reason textarea, #operate-reason input").first.fill("Only a test.")
    page.locator("#rollback").click()
    page.locator("#ask-yes").click()
    hone.wait(lambda: _live(hone) == "general@0", 30)


def _live(hone: RunningHone) -> str:
    found = hone.get("/v1/versions?assistant=general").json()["data"]
    return str(next(version["version"] for version in found if version["state"] == "live"))


@pytest.mark.parametrize("path", ["/chat/", "/review/", "/operate/"])
def test_a_page_fits_a_phone_and_asks_nothing_of_the_outside(
    browser: Browser, shared_hone: RunningHone, path: str
) -> None:
    context = browser.new_context(locale="ko-KR", viewport={"width": 390, "height": 844})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shared_hone.url + path)
    page.wait_for_selector("#header :text('Hone')")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    outside = [url for url in asked if not url.startswith((shared_hone.url, "data:", "blob:"))]
    assert not outside
    context.close()


def test_a_running_stream_ends_on_the_version_it_began_with_token_for_token(hone: RunningHone) -> None:
    """The story goes on: the version that the browser's run made is promoted in mid-answer."""
    made = [v["version"] for v in hone.get("/v1/versions").json()["data"] if v["number"] > 0]
    assert made, "the browser's run made no version"
    body: dict[str, Any] = {
        "model": "general",
        "messages": [{"role": "user", "content": "Tell me a long story about a lighthouse."}],
        "temperature": 0,
        "max_tokens": 80,
    }
    undisturbed = hone.post("/v1/chat/completions", body).json()
    headers = {"authorization": f"Bearer {hone.token}"}
    said = ""
    url = f"{hone.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body | {"stream": True}, headers=headers, timeout=120) as answer:
        for count, event in enumerate(lines_of(answer)):
            assert event["model"] == "general@0"
            said += event["choices"][0]["delta"].get("content") or ""
            if count == 10:
                promoted = hone.post(f"/v1/versions/{made[0]}/promote", {"reason": "a swap in mid-answer"})
                assert promoted.json()["state"] == "live", promoted.text
                assert len(said) < len(undisturbed["choices"][0]["message"]["content"])
    assert said == undisturbed["choices"][0]["message"]["content"]
    asked = hone.chat(QUESTION, max_tokens=40)
    assert asked["model"] == made[0]
    assert "Juniper" in asked["choices"][0]["message"]["content"]


def test_the_command_line_rolls_back_and_shows_every_version(hone: RunningHone) -> None:
    rolled = hone.command("rollback", "--assistant", "general", "--reason", "back again")
    assert (rolled.returncode, "general@0 is live" in rolled.stdout) == (0, True)
    assert hone.chat(QUESTION, max_tokens=10)["model"] == "general@0"
    shown = hone.command("versions", "--assistant", "general", env=os.environ | {"COLUMNS": "200"})
    assert "withdrawn" in shown.stdout
    assert "back again" in shown.stdout
