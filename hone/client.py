"""How a command reaches the Hone of its home: over HTTP if it runs, else the same API in this process.

A running Hone owns the store, so commands go through it; without one, the API is built here (no pages,
no engine) and called directly. Either way a command is one request, written once.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from feedback.errors import HoneError, NotRunning
from hone.home import Home


class Refused(HoneError):
    """The API said no; its sentence is passed on. A request that was wrong exits with 2, as a usage error."""

    code = "refused"

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(_sentence(answer))
        self.exit_code = 2 if answer.status_code == 400 else 1
        self.why = _code(answer)


class Client:
    """Calls the API and turns its errors back into sentences."""

    def __init__(self, http: httpx.AsyncClient, home: Path, *, running: bool) -> None:
        self._http = http
        self.home = home
        self.running = running

    async def call(self, method: str, path: str, **given: Any) -> Any:
        """The answer's JSON; None where it has none.

        Raises:
            Refused: With the API's own sentence.
        """
        try:
            answer = await self._http.request(method, path, **given)
        except httpx.HTTPError as broken:
            raise NotRunning(
                f"The running Hone did not answer ({type(broken).__name__}).",
                "Look at its output; restart it if it hangs.",
            ) from None
        if answer.is_error:
            raise Refused(answer)
        return answer.json() if answer.content else None

    async def pieces(self, path: str, **given: Any) -> AsyncIterator[bytes]:
        """The answer's bytes as they come."""
        async with self._http.stream("GET", path, **given) as answer:
            if answer.is_error:
                await answer.aread()
                raise Refused(answer)
            async for piece in answer.aiter_bytes():
                yield piece

    def need_running(self) -> None:
        if not self.running:
            raise NotRunning(f"No Hone is running for {self.home}.", "Start it with `hone up` first.")


@asynccontextmanager
async def connect(home: Home) -> AsyncIterator[Client]:
    """A client of this home's Hone, wherever it is."""
    owner = await _owner(home)
    if owner:
        headers = {"authorization": f"Bearer {home.secret('token')}"}
        timeout = httpx.Timeout(600, connect=5)
        async with httpx.AsyncClient(
            base_url=owner["url"], headers=headers, timeout=timeout, trust_env=False
        ) as http:
            yield Client(http, home.folder, running=True)
        return
    # Imported late: a command of a running Hone needs none of it.
    from hone.app import Hone
    from hone.settings import read

    hone = Hone(home, read(home.folder), pages=False)
    try:
        headers = {"authorization": f"Bearer {home.secret('token')}"}
        transport = httpx.ASGITransport(hone.web)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as http:
            yield Client(http, home.folder, running=False)
    finally:
        hone.close()


async def _owner(home: Home, *, patience: float = 60.0) -> dict[str, Any] | None:
    """Who answers for this home, once it does; None where nobody owns it."""
    until = time.monotonic() + patience
    while (owner := home.running()) is not None:
        if owner.get("url"):
            return owner
        if time.monotonic() > until:
            raise NotRunning(f"The Hone of {home.folder} is starting and does not answer yet.", "Try again.")
        await asyncio.sleep(0.2)
    return None


def _code(answer: httpx.Response) -> str:
    with suppress(json.JSONDecodeError, KeyError, TypeError):
        return str(answer.json()["error"]["code"])
    return ""


def _sentence(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"Hone answered with status {answer.status_code}."
