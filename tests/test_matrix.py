"""Every door of Hone against everyone who might try it: those it has, not those somebody remembers.

Routes, Gradio's routes and Gradio's functions are read from the running application; who may comes from
`doors_table.py`. Each cell is called.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from doors_table import ASSETS, HANDLERS, NEEDED, PAGES, routes
from doors_world import BUILD, NOBODY, PEOPLE, World, handlers, opened, pressed
from starlette.testclient import TestClient

from feedback.records import new_id
from serve.scopes import OPENS

DECLARED = routes()
ORDER = ["anyone", *PEOPLE]
REFUSED = re.compile("This needs the role|Your key is for")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("matrix")) as world:
        yield world


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
    for scope, keyed in OPENS.items():
        declared = {route for route, (_, scopes) in DECLARED.items() if scope in scopes}
        assert keyed == declared, scope


@pytest.mark.parametrize("route", sorted(DECLARED))
def test_a_route_is_open_to_whom_the_table_says_and_to_nobody_else(world: World, route: str) -> None:
    method, path = route.split()
    needed, scopes = DECLARED[route]
    for who in (NOBODY, *PEOPLE, *world.keys):
        answer = call(world.visitor(who), method, path)
        told = f"{who}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code != 500, told
        if may(who, needed, scopes):
            # Past the door it may be somebody else's; the sign-in refuses what is sent, not who sends it.
            assert needed == "anyone" or answer.status_code != 401, told
            assert not REFUSED.search(answer.text), told
        elif who == NOBODY:
            assert answer.status_code == 401, told
        else:
            assert answer.status_code == 403, told
            assert REFUSED.search(answer.json()["error"]["message"]), told


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
    assert len(found) > 60
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
            told = pressed(world.visitor(who), page, number, [None] * len(fn.inputs))
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
