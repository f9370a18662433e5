"""A person with the chat page open, as the server sees one: the very calls that the page makes, in its order.

Opening: the page, then the queue's events `header` and `restore`, heard through one stream of events. A
message: `send`, and once the answer has begun the event that the address's change sets off. Streams are
asked for as `serve/pages/stream.js` asks for them: the next one when something is owed. Scripts and styles
are not fetched; a browser holds them after the first visit.
"""

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.browsing.wire import Wire
from serve.identity import COOKIE

WORD = re.compile(rb"w(\d+\.\d{6})")


@dataclass
class Answer:
    """What a visitor saw of one answer."""

    asked_at: float
    first: float | None = None
    """Seconds until its first word was there."""
    words: set[bytes] = field(default_factory=set)
    lags: list[float] = field(default_factory=list)
    """Of each word, seconds from the engine to the page."""
    views: list[float] = field(default_factory=list)
    ended: bool = False

    def saw(self, line: bytes) -> None:
        now = time.monotonic()
        # A view may show the whole conversation again: words from before the question are older ones.
        fresh = {word for word in WORD.findall(line) if float(word) > self.asked_at} - self.words
        if not fresh:
            return
        self.words |= fresh
        self.first = self.first or now - self.asked_at
        self.views.append(now)
        self.lags += [now - float(word) for word in fresh]

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.views, self.views[1:], strict=False)]


class Page:
    """What every visitor's page knows: the build's id, and the number of each event of the chat page."""

    def __init__(self, html: str, config: dict[str, Any]) -> None:
        found = re.search(r'"X-Hone-Build", "(\w+)"', html)
        assert found, "the page names no build"
        self.build = found[1]
        self.events = {told["api_name"]: told["id"] for told in config["dependencies"]}
        shown = config["dependencies"][self.events["send"]]["outputs"]
        address = config["dependencies"][self.events["restore"]]["inputs"][0]
        self.address = shown.index(address)
        """Where the conversation's id stands in what `send` shows."""


class Visitor:
    """One tab of one person."""

    def __init__(self, port: int, session: str, page: Page) -> None:
        self._page = page
        self._tab = secrets.token_hex(5)
        self._conversation = ""
        self._wire = Wire(port, f"{COOKIE}={session}", f"X-Hone-Build: {page.build}\r\n")

    async def open(self) -> None:
        html = await self._wire.get("/chat/", "text/html")
        assert b"gradio_config" in html, html[:200]
        owed = {await self._join("header", []), await self._join("restore", [""])}
        await self._hear(owed, lambda line: None)

    async def ask(self, text: str) -> Answer:
        """Send a message and read the answer to its end."""
        answer = Answer(time.monotonic())
        sent = await self._join("send", [text, "general", self._conversation, "", True, False])
        owed = {sent}
        named = bool(self._conversation)

        async def heard(line: bytes) -> None:
            nonlocal named
            answer.saw(line)
            if not named and b'"process_generating"' in line:
                named = True
                self._conversation = str(json.loads(line)["output"]["data"][self._page.address])
                owed.add(await self._join("close_1", []))

        endings = await self._hear(owed, heard)
        answer.ended = endings.get(sent, False)
        return answer

    async def _join(self, event: str, data: list[Any]) -> str:
        number = self._page.events[event]
        body = {"data": data, "event_data": None, "fn_index": number, "trigger_id": 0}
        told = await self._wire.post("/chat/gradio_api/queue/join?", body | {"session_hash": self._tab})
        return str(told["event_id"])

    async def _hear(self, owed: set[str], heard: Callable[[bytes], Any]) -> dict[str, bool]:
        """Read streams until nothing is owed; of each event, whether it ended well."""
        endings: dict[str, bool] = {}
        while owed:
            said = False
            async for line in self._wire.events(f"/chat/gradio_api/queue/data?session_hash={self._tab}"):
                said = True
                if waiting := heard(line):
                    await waiting
                if b'"process_completed"' in line:
                    told = json.loads(line)
                    endings[told["event_id"]] = bool(told["success"])
                    owed.discard(told["event_id"])
                if b'"unexpected_error"' in line or b'"close_stream"' in line:
                    break
            if not said:
                break  # as the page would: the connection is lost
        return endings
