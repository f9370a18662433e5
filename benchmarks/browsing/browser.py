"""What is measured in a real Chromium: how long pages take and weigh, what open ones cost, and many tabs."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect, sync_playwright

from benchmarks.browsing.visitor import WORD
from benchmarks.browsing.web import Web
from serve.identity import COOKIE

PATIENCE = 120_000
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "locale": "en-US",
    "is_mobile": True,
    "has_touch": True,
}
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
"""A phone's line as Lighthouse throttles it: 1.6 Mbit/s and 150 ms; its processor is slowed four times."""
SLOWER = 4


def _chat(page: Page) -> None:
    expect(page.locator("#send")).to_be_enabled(timeout=PATIENCE)


def _review(page: Page) -> None:
    expect(page.locator("#claim p")).to_be_visible(timeout=PATIENCE)


def _operate(page: Page) -> None:
    expect(page.locator("#pause, #resume, #tune").first).to_be_enabled(timeout=PATIENCE)


READY: dict[str, Callable[[Page], None]] = {"chat": _chat, "review": _review, "operate": _operate}
"""When each page can be used: a message can be sent, an item is claimed, a run can be started."""


@dataclass(frozen=True)
class Opening:
    """What opening a page took: seconds until it could be used, bytes over the wire, requests."""

    page: str
    device: str
    cold: bool
    seconds: float
    kilobytes: float
    requests: int


@contextmanager
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise SystemExit("There is no Chromium here. Install it (`make browser`), or leave these parts out.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS), timeout=PATIENCE)
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, web: Web, seen: dict[str, Any]) -> Iterator[BrowserContext]:
    """A browser of an operator's own, with nothing kept of earlier visits."""
    with browser.new_context(**seen) as context:
        context.add_cookies([{"name": COOKIE, "value": web.sessions[0], "url": web.url}])
        context.set_default_timeout(PATIENCE)
        yield context


def openings(browser: Browser, web: Web) -> list[Opening]:
    """Each page on a desktop and on a slow phone: the first visit, and the next one."""
    found = []
    for device, seen in (("desktop", DESKTOP), ("slow phone", PHONE)):
        for name in READY:
            with visiting(browser, web, seen) as context:
                for cold in (True, False):
                    found.append(_opened(context, web, name, device, cold))
    return found


def _opened(context: BrowserContext, web: Web, name: str, device: str, cold: bool) -> Opening:
    page = context.new_page()
    told = context.new_cdp_session(page)
    told.send("Network.enable")
    if device == "slow phone":
        told.send("Network.emulateNetworkConditions", SLOW)
        told.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    weighed = _Weighing(told)
    began = time.monotonic()
    page.goto(f"{web.url}/{name}/", wait_until="commit")
    READY[name](page)
    seconds = time.monotonic() - began
    page.wait_for_load_state("networkidle")
    page.close()
    return Opening(name, device, cold, round(seconds, 2), round(weighed.bytes / 1000, 1), weighed.requests)


class _Weighing:
    """Counts what comes over the wire; what the browser kept from before does not."""

    def __init__(self, told: CDPSession) -> None:
        self.bytes = 0.0
        self.requests = 0
        self._kept: set[str] = set()
        told.on("Network.requestServedFromCache", lambda event: self._kept.add(event["requestId"]))
        told.on("Network.loadingFinished", self._came)

    def _came(self, event: dict[str, Any]) -> None:
        if event["requestId"] not in self._kept and event["encodedDataLength"]:
            self.bytes += event["encodedDataLength"]
            self.requests += 1


def idle(browser: Browser, web: Web, *, names: Sequence[str], seconds: float) -> float:
    """Cores that the web process uses while these pages are open and nobody does anything."""
    with visiting(browser, web, DESKTOP) as context:
        for name in names:
            page = context.new_page()
            page.goto(f"{web.url}/{name}/", wait_until="commit")
            READY[name](page)
        time.sleep(5)
        used, began = web.cpu(), time.monotonic()
        time.sleep(seconds)
        return (web.cpu() - used) / (time.monotonic() - began)


def beside(browser: Browser, web: Web, *, tabs: int, words: int) -> dict[str, float]:
    """A chat in a browser that has so many tabs of Operate open already: how long its answer takes there."""
    with visiting(browser, web, DESKTOP) as context:
        alone = _answered(context, web, words)
        for _ in range(tabs):
            page = context.new_page()
            page.goto(f"{web.url}/operate/", wait_until="commit")
            _operate(page)
        told = {f"{name}_beside": value for name, value in _answered(context, web, words).items()}
        return {f"{name}_alone": value for name, value in alone.items()} | told


def _answered(context: BrowserContext, web: Web, words: int) -> dict[str, float]:
    """Seconds until the page can be used, until the first word, until the end."""
    page = context.new_page()
    began = time.monotonic()
    page.goto(f"{web.url}/chat/", wait_until="commit")
    _chat(page)
    opened = time.monotonic()
    page.locator("#message textarea").fill("What now?")
    page.locator("#send").click()
    answer = page.locator("#chatbot .bot").last
    expect(answer).to_contain_text("w", timeout=PATIENCE)
    first = time.monotonic()
    expect(answer).to_contain_text("general@0", timeout=PATIENCE)
    seconds = {"open": opened - began, "first_word": first - opened, "whole": time.monotonic() - opened}
    shown = len(WORD.findall(answer.inner_text().encode()))
    page.close()
    return {name: round(value, 2) for name, value in seconds.items()} | {"missing": words - shown}
