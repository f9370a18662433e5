"""Takes the pictures of the pages: those that README and docs show, or all that a person should look at.

    make screenshots              # docs/images, from a fresh home with the demo in it, and a run
    make screenshots ALL=folder   # each page narrow and wide, light and dark, in both languages

The words are the demo's; what is learnt and judged is the default model's own. Some minutes.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from conftest import MINUTES, RunningHone, launched
from playwright.sync_api import Browser, Page, expect
from test_end_to_end import TEACHING

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SETTINGS = "[tuner]\nenabled = false\ngeneral_items = 8\nreplay_share = 0\n"
LINE = "First day: what do I need?"
"""The conversation of the demo that the chat page shows."""
SHOWN = {"width": 1200, "height": 760}
SIZES = {"narrow": {"width": 390, "height": 844}, "wide": {"width": 1440, "height": 900}}


@contextmanager
def living(folder: Path) -> Iterator[RunningHone]:
    """A Hone with the demo, and one run behind it."""
    hone = RunningHone(folder / "home", settings=SETTINGS)
    try:
        hone.start()
        _told(hone, "demo")
        taught = folder / "taught.jsonl"
        taught.write_text("\n".join(json.dumps({"prompt": ask, "completion": say}) for ask, say in TEACHING))
        _told(hone, "import", str(taught), "--assistant", "general", "--approve")
        _told(hone, "tune", "--assistant", "general", "--wait", may_fail=True)
        yield hone
    finally:
        hone.stop()


def _told(hone: RunningHone, *command: str, may_fail: bool = False) -> None:
    done = hone.command(*command)
    assert may_fail or done.returncode == 0, done.stdout + done.stderr


def opened(browser: Browser, size: dict[str, int], *, dark: bool = False, language: str = "en-US") -> Page:
    seen: Any = {"viewport": size, "locale": language, "color_scheme": "dark" if dark else "light"}
    page = browser.new_context(**seen).new_page()
    page.set_default_timeout(MINUTES)
    return page


def chat(page: Page, hone: RunningHone) -> None:
    page.goto(f"{hone.url}/chat/")
    expect(page.locator("#send")).to_be_enabled(timeout=MINUTES)
    if page.locator("#menu").is_visible():
        page.locator("#menu").click()
    page.locator("#conversations label", has_text=LINE).click()
    expect(page.locator("#chatbot .bot").last).to_contain_text(re.compile(r"helpdesk@\d"), timeout=MINUTES)


def review(page: Page, hone: RunningHone) -> None:
    page.goto(f"{hone.url}/review/")
    expect(page.locator("#claim p")).to_be_visible(timeout=MINUTES)


def operate(page: Page, hone: RunningHone) -> None:
    page.goto(f"{hone.url}/operate/")
    expect(page.locator("#gate [data-verdict]")).to_be_visible(timeout=MINUTES)


PAGES = {"chat": chat, "review": review, "operate": operate}


def shown(browser: Browser, hone: RunningHone) -> None:
    """Those that README and docs show."""
    for name, look in PAGES.items():
        page = opened(browser, SHOWN)
        look(page, hone)
        page.wait_for_timeout(1000)
        page.screenshot(path=str(IMAGES / f"{name}.png"))
        page.context.close()


def looked_over(browser: Browser, hone: RunningHone, folder: Path) -> None:
    """Every page in every look, each to its end."""
    for (size, shape), dark, language in product(SIZES.items(), (False, True), ("en", "ko")):
        for name, look in PAGES.items():
            page = opened(browser, shape, dark=dark, language=language)
            look(page, hone)
            page.wait_for_timeout(1000)
            file = f"{name}-{size}-{'dark' if dark else 'light'}-{language}.png"
            page.screenshot(path=str(folder / file), full_page=True)
            page.context.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, living(Path(place)) as hone, launched() as browser:
        if len(sys.argv) > 1:
            looked_over(browser, hone, Path(sys.argv[1]))
        else:
            shown(browser, hone)
