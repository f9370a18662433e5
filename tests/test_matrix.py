"""Every door of Hone against everyone who might try it: those it has, not those somebody remembers.

Routes, Gradio's routes and Gradio's functions are read from the running application; who may comes from
`doors_table.py`. Each cell is called.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from doors_table import ASSETS, HANDLERS, NEEDED, PAGES, routes
from starlette.testclient import TestClient

from feedback.keys import Keys, Scope
from feedback.records import Principal, Role, new_id
from hone.app import Hone
from hone.home import Home
from hone.settings import read
from serve.identity import COOKIE
from serve.scopes import OPENS
from serve.web import _build_id

PASSWORD = "correct horse battery"
ADMIN = Principal("admin", Role.ADMIN)
DECLARED = routes()
NOBODY, PEOPLE = "anonymous", [str(role) for role in Role]
ORDER = ["anyone", *PEOPLE]
BUILD = {"x-hone-build": _build_id()}


@dataclass
class World:
    hone: Hone
    keys: dict[str, str]

    def visitor(self, who: str) -> TestClient:
        """A browser that is signed in anew, or a program with a key, since some calls end sessions."""
        client = TestClient(
            self.hone.web,
            base_url="http://127.0.0.1:7860",
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        if who in self.keys:
            client.headers["authorization"] = f"Bearer {self.keys[who]}"
        elif who != NOBODY:
            principal = Principal(f"a-{who}", Role(who))
            client.cookies.set(COOKIE, self.hone.accounts.open_session(principal, 1))
        return client


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = Home(tmp_path_factory.mktemp("matrix") / "home")
    home.folder.mkdir()
    hone = Hone(home, read(home.folder, auth={"login": "local", "requests_per_minute": 0}))
    for role in Role:
        hone.accounts.add(ADMIN, f"a-{role}", role, PASSWORD)
    keys, owner = Keys(hone.store), Principal("a-admin", Role.ADMIN)
    made = {f"key:{scope}": keys.add(owner, "", Role.ADMIN, [scope], None)[1] for scope in Scope}
    made["key:user"] = keys.add(owner, "", Role.USER, list(Scope), None)[1]
    yield World(hone, made)
    hone.close()


def walk(found: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every method and address that an application answers, whatever is mounted into whatever."""
    for route in found:
        if hasattr(route, "original_router"):  # an included router keeps its own routes
            yield from walk(route.original_router.routes, prefix)
        elif hasattr(route, "app") and not hasattr(route, "methods"):
            yield from walk(route.routes, prefix + route.path)
        else:
            assert route.methods, f"{prefix}{route.path} is of a kind that this test does not know"
            yield from ((method, prefix + route.path) for method in route.methods if method != "HEAD")


def call(client: TestClient, method: str, path: str, **given: Any) -> Any:
    filled = re.sub(r"\{(\w+)(?::path)?\}", lambda part: FILLED.get(part[1], new_id()), path)
    return client.request(method, filled, headers=BUILD, **given)


FILLED = {"name": "nobody-here", "version": "general@99-aaaaaaaa", "token": "x", "path": "x.js"}


def test_every_route_is_in_the_table_and_every_line_of_it_is_a_route(world: World) -> None:
    found = {f"{method} {path}" for method, path in walk(world.hone.web.routes)}
    ours = {route for route in found if not re.match(r"\w+ /(chat|review|operate)/", route)}
    assert ours == set(DECLARED)
    for scope, opened in OPENS.items():
        declared = {route for route, (_, scopes) in DECLARED.items() if scope in scopes}
        assert opened == declared, scope


@pytest.mark.parametrize("route", sorted(DECLARED))
def test_a_route_is_open_to_whom_the_table_says_and_to_nobody_else(world: World, route: str) -> None:
    method, path = route.split()
    needed, scopes = DECLARED[route]
    for who in (NOBODY, *PEOPLE, *world.keys):
        answer = call(world.visitor(who), method, path)
        told = f"{who}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code != 500, told
        if may(who, needed, scopes):
            # The sign-in's own routes refuse what is sent, not who sends it.
            assert needed == "anyone" or answer.status_code not in (401, 403), told
        elif who == NOBODY:
            assert answer.status_code == 401, told
        else:
            assert answer.status_code == 403, told
            assert re.search("This needs the role|Your key is for", answer.json()["error"]["message"]), told


def may(who: str, needed: str, scopes: frozenset[str]) -> bool:
    if needed == "anyone":
        return True
    if not who.startswith("key:"):
        return who in PEOPLE and ORDER.index(who) >= ORDER.index(needed)
    kind = who.removeprefix("key:")
    if kind == "user":  # with every scope
        return needed == "user" and scopes != {"-"}
    return kind in scopes or scopes == {"any"}


def gradios(world: World, page: str) -> list[tuple[str, str]]:
    inside = [(method, path) for method, path in walk(world.hone.web.routes) if path.startswith(f"/{page}/")]
    return [(method, path.removeprefix(f"/{page}")) for method, path in inside]


@pytest.mark.parametrize("page", PAGES)
def test_gradio_serves_its_own_files_to_anyone_a_page_to_its_role_and_nothing_else(
    world: World, page: str
) -> None:
    found = gradios(world, page)
    assert len(found) > 80
    known = {path.rstrip("/") for _, path in found}
    assert {path.rstrip("/") for path in ASSETS | NEEDED} <= known, "the table names what is not there"
    for method, path in found:
        bare = path.rstrip("/") or "/"
        for who in (NOBODY, *PEOPLE, *world.keys):
            answer = call(world.visitor(who), method, f"/{page}{path}")
            told = f"{who} {method} {path}: {answer.status_code} {answer.text[:200]}"
            if bare in ASSETS:
                assert answer.status_code not in (401, 403), told
            elif bare not in NEEDED:
                assert answer.status_code == 404, told
                assert "No page of Hone uses this" in answer.text or "Hone takes no uploads" in answer.text, (
                    told
                )
            elif who in PEOPLE and ORDER.index(who) >= ORDER.index(PAGES[page]):
                assert answer.status_code not in (401, 403), told
            else:
                assert answer.status_code in (401, 403), told


@pytest.mark.parametrize("address", ["upload", "run/send", "call/send", "queue/join", "queue/data"])
def test_an_address_that_ends_a_line_too_early_is_no_other_address(world: World, address: str) -> None:
    """Routes are matched up to a line's end, and a check that is not would let this by."""
    for who in ("user", "admin"):
        for method in ("GET", "POST"):
            answer = world.visitor(who).request(method, f"/chat/gradio_api/{address}%0A", headers=BUILD)
            assert answer.status_code == 404, answer.text


def handlers(world: World, page: str) -> dict[int, Any]:
    """Gradio's functions of a page, by their number; the rest run in the browser alone."""
    (blocks,) = [
        route.app.get_blocks() for route in world.hone.web.routes if getattr(route, "path", "") == f"/{page}"
    ]
    return {number: fn for number, fn in blocks.fns.items() if fn.fn is not None}


@pytest.mark.parametrize("page", PAGES)
def test_a_function_of_a_page_runs_for_its_role_and_for_nobody_else(world: World, page: str) -> None:
    functions = handlers(world, page)
    assert len(functions) > 5
    named = {fn.fn.__name__ for fn in functions.values()}
    assert {name.partition(".")[2] for name in HANDLERS if name.startswith(f"{page}.")} <= named
    for number, fn in functions.items():
        needed = HANDLERS.get(f"{page}.{fn.fn.__name__}", PAGES[page])
        assert str(fn.fn.role) == needed, f"{page}.{fn.fn.__name__} is not what the table says"
        for who in (NOBODY, *PEOPLE, *world.keys):
            told = pressed(world.visitor(who), page, number, len(fn.inputs))
            note = f"{who} {page}.{fn.fn.__name__}: {told}"
            opens = who in PEOPLE and ORDER.index(who) >= ORDER.index(PAGES[page])
            if not opens:
                assert told in ("401", "403"), note
            elif ORDER.index(who) >= ORDER.index(needed):
                assert told not in ("401", "403"), note
                assert "process_completed" in told, note
                assert "needs the role" not in told, note
            else:
                assert f"needs the role {needed}" in told, note


def pressed(client: TestClient, page: str, number: int, inputs: int) -> str:
    """Run a function as a browser would, with nothing in its inputs: all that was said, or the refusal."""
    session = new_id()
    body = {"data": [None] * inputs, "fn_index": number, "session_hash": session, "event_data": None}
    joined = client.post(f"/{page}/gradio_api/queue/join", json=body, headers=BUILD)
    if joined.status_code != 200:
        return str(joined.status_code)
    heard = client.get(f"/{page}/gradio_api/queue/data", params={"session_hash": session})
    said = [json.loads(line[6:]) for line in heard.text.split("\n\n") if line.startswith("data: ")]
    return json.dumps(said)
