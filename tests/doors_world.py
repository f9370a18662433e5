"""A whole Hone with a login and people of every role, in this process: its doors without its engine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from doors_table import PAGES
from starlette.testclient import TestClient

from feedback.keys import Keys, Scope
from feedback.records import Principal, Role, new_id
from hone.app import Hone
from hone.home import Home
from hone.settings import read
from serve.identity import COOKIE
from serve.web import _build_id

PASSWORD = "correct horse battery"
ADMIN = Principal("admin", Role.ADMIN)
NOBODY, PEOPLE = "anonymous", [str(role) for role in Role]
BUILD = {"x-hone-build": _build_id()}


@dataclass
class World:
    hone: Hone
    keys: dict[str, str]
    portal: Any

    def visitor(self, who: str) -> TestClient:
        """A browser that is signed in anew, or a program with a key, since some calls end sessions."""
        client = TestClient(
            self.hone.web,
            base_url="http://127.0.0.1:7860",
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        client.portal = self.portal
        if who in self.keys:
            client.headers["authorization"] = f"Bearer {self.keys[who]}"
        elif who != NOBODY:
            principal = Principal(f"a-{who}", Role(who))
            client.cookies.set(COOKIE, self.hone.accounts.open_session(principal, 1))
        return client


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """Accounts `a-user` to `a-admin`, a key of the last for each scope, and one of a user's role for all."""
    home = Home(folder / "home")
    home.folder.mkdir()
    hone = Hone(home, read(home.folder, auth={"login": "local", "requests_per_minute": 0}))
    for role in Role:
        hone.accounts.add(ADMIN, f"a-{role}", role, PASSWORD)
    keys, owner = Keys(hone.store), Principal("a-admin", Role.ADMIN)
    made = {f"key:{scope}": keys.add(owner, "", Role.ADMIN, [scope], None)[1] for scope in Scope}
    made["key:user"] = keys.add(owner, "", Role.USER, list(Scope), None)[1]
    # One loop for all requests: Gradio's queue lives in it. The lifespan is not entered, so no engine runs.
    with start_blocking_portal() as portal:
        world = World(hone, made, portal)
        for page in PAGES:
            assert world.visitor(NOBODY).get(f"/{page}/gradio_api/startup-events").status_code == 200
        yield world
        for page in PAGES:
            queue_of(hone, page).close()
    hone.close()


def queue_of(hone: Hone, page: str) -> Any:
    return blocks_of(hone, page)._queue


def blocks_of(hone: Hone, page: str) -> Any:
    (mounted,) = [route for route in hone.web.routes if getattr(route, "path", "") == f"/{page}"]
    return mounted.app.get_blocks()


def handlers(world: World, page: str) -> dict[int, Any]:
    """Gradio's functions of a page, by their number; the rest run in the browser alone."""
    return {number: fn for number, fn in blocks_of(world.hone, page).fns.items() if fn.fn is not None}


def pressed(
    client: TestClient, page: str, number: int, values: list[Any], event: dict[str, Any] | None = None
) -> str:
    """Run a function as a browser would: all that was said, or the status of the refusal."""
    session = new_id()
    body = {"data": values, "fn_index": number, "session_hash": session, "event_data": event}
    joined = client.post(f"/{page}/gradio_api/queue/join", json=body, headers=BUILD)
    if joined.status_code != 200:
        return str(joined.status_code)
    heard = client.get(f"/{page}/gradio_api/queue/data", params={"session_hash": session})
    said = [json.loads(line[6:]) for line in heard.text.split("\n\n") if line.startswith("data: ")]
    return json.dumps(said)
