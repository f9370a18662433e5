"""Two users never see each other's words, whatever one of them sends in the other's name.

Ben is handed all that Ana's browser knows: ids, the name of her session, her events. He tries them on every
route and function that is open to him, and hears nothing of hers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from doors_table import routes
from doors_world import ADMIN, BUILD, PASSWORD, World, handlers, opened, pressed
from starlette.testclient import TestClient
from stories import ask

from feedback import ratings
from feedback.keys import Keys, Scope
from feedback.records import Principal, Role, new_id
from serve.identity import COOKIE

SECRET = "The wedding is on the fourth of May"
TITLE = "Whose wedding"
ANA, BEN = Principal("ana", Role.USER), Principal("ben", Role.USER)


@dataclass
class Two:
    """Ana with her words in the store, and Ben who knows their ids."""

    world: World
    conversation: str
    exchange: str
    key: str
    secrets: dict[str, str]

    def browser(self, who: Principal) -> TestClient:
        client = self.world.visitor("anonymous")
        client.cookies.set(COOKIE, self.world.hone.accounts.open_session(who, 1))
        return client

    def program(self, who: Principal) -> TestClient:
        client = self.world.visitor("anonymous")
        client.headers["authorization"] = f"Bearer {self.secrets[who.name]}"
        return client

    def hers(self) -> str:
        """All that is known of Ana's conversation."""
        line = self.world.hone.exchanges.conversation(self.conversation, ANA.name)
        asked = "SELECT * FROM {} WHERE conversation_id = $1"
        said = [
            self.world.hone.store.rows(asked.format(t), [self.conversation]) for t in ("consents", "shares")
        ]
        return repr((line, said, Keys(self.world.hone.store).list(ANA.name)))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with opened(tmp_path_factory.mktemp("separation")) as world:
        hone = world.hone
        for person in (ANA, BEN):
            hone.accounts.add(ADMIN, person.name, person.role, PASSWORD)
        asked = ask(hone.store, principal=ANA, instruction=TITLE, response=SECRET)
        ratings.rate(hone.store, ANA, asked.id, rating="down", comment=SECRET, correction=SECRET)
        keys = Keys(hone.store)
        key, hers = keys.add(ANA, SECRET, Role.USER, [Scope.CHAT], None)
        _, his = keys.add(BEN, "", Role.USER, list(Scope), None)
        hone.housekeeping.search.catch_up()
        yield Two(world, asked.conversation_id, asked.id, key.id, {"ana": hers, "ben": his})


def hears_nothing(told: str, where: str) -> None:
    for words in (SECRET, TITLE):
        assert words not in told, f"{where}: {told[:500]}"


OPEN = sorted(route for route, (needed, _) in routes().items() if needed in ("anyone", "user"))


@pytest.mark.parametrize("route", OPEN)
def test_no_route_that_is_open_to_a_user_tells_or_changes_what_is_anothers(two: Two, route: str) -> None:
    method, path = route.split()
    before = two.hers()
    for one in (two.conversation, two.exchange, two.key, ANA.name):
        named = {"exchange_id": one, "conversation_id": one, "erasure_id": one, "target": one, "account": one}
        named["comparison_id"] = one
        body = named | {"scope": "conversation", "rating": "up", "training": False, "review": True}
        body |= {"kind": "copy", "choice": "second", "confirm": True, "label": "x", "scopes": ["chat"]}
        body |= {"model": "general", "messages": [{"role": "user", "content": "wedding"}]}
        filled = re.sub(r"\{\w+\}", one, path)
        known = KNOWN.get(route)
        sent = {name: body[name] for name in known} if known else None
        for client in (two.browser(BEN), two.program(BEN)):
            query = {"q": "wedding", "among": "own", "confirm": one} | named
            answer = client.request(method, filled, params=query, json=sent, headers=BUILD)
            assert answer.status_code != 500, answer.text
            hears_nothing(answer.text, f"{route} with {one}")
    assert two.hers() == before


KNOWN = {
    "POST /v1/feedback": ("exchange_id", "rating"),
    "PUT /v1/feedback/consent": ("conversation_id", "training", "review"),
    "POST /v1/feedback/signals": ("exchange_id", "kind"),
    "POST /v1/feedback/choices": ("comparison_id", "choice"),
    "POST /v1/erasures": ("scope", "target", "confirm"),
    "POST /v1/keys": ("account", "label", "scopes"),
    "POST /v1/chat/completions": ("conversation_id", "model", "messages"),
}
"""What those routes take that take something."""


def test_what_ben_is_not_told_ana_is(two: Two) -> None:
    """Else the tests around this one could not fail."""
    mine = two.browser(ANA)
    assert SECRET in mine.get("/v1/search", params={"q": "wedding"}).text
    functions = handlers(two.world, "chat")
    (restore,) = [number for number, fn in functions.items() if fn.fn.__name__ == "restore"]
    assert SECRET in said(mine, restore, [two.conversation])


def test_no_function_of_the_chat_tells_or_changes_what_is_anothers(two: Two) -> None:
    before = two.hers()
    forged = [
        {"role": "user", "content": "x", "metadata": {"id": two.exchange}},
        {"role": "assistant", "content": "x", "metadata": {"id": two.exchange}},
    ]
    event = {"index": 1, "liked": True, "value": ["x"], "selected": True}
    for number, fn in handlers(two.world, "chat").items():
        for given in (two.conversation, two.exchange, ANA.name, forged, [two.exchange], True):
            for client in (two.browser(BEN), two.program(BEN)):
                told = said(client, number, [given] * len(fn.inputs), event)
                hears_nothing(told, f"{fn.fn.__name__} with {given}")
        for mixed in ([forged, two.conversation], ["conversation", ANA.name, two.conversation, "general"]):
            values = [*mixed, *[None] * len(fn.inputs)][: len(fn.inputs)]
            hears_nothing(said(two.browser(BEN), number, values, event), fn.fn.__name__)
    assert two.hers() == before


def said(client: TestClient, number: int, values: list[Any], event: dict[str, Any] | None = None) -> str:
    return pressed(client, "chat", number, values, event)


def test_who_names_anothers_session_hears_an_empty_one_and_ends_nothing_in_it(two: Two) -> None:
    session = new_id()
    functions = handlers(two.world, "chat")
    (restore,) = [number for number, fn in functions.items() if fn.fn.__name__ == "restore"]
    mine, his = two.browser(ANA), two.browser(BEN)
    body = {"data": [two.conversation], "fn_index": restore, "session_hash": session}
    joined = mine.post("/chat/gradio_api/queue/join", json=body, headers=BUILD)
    named = {"session_hash": session, "fn_index": restore, "event_id": joined.json()["event_id"]}
    his.post("/chat/gradio_api/cancel", json=named | {"event_id": new_id()})
    his.post("/chat/gradio_api/reset", json=named)
    for thief in (his, two.program(BEN), two.world.visitor("anonymous"), two.world.visitor("admin")):
        for query in (f"session_hash={session}", f"session_hash=x&session_hash={session}"):
            answer = thief.get(f"/chat/gradio_api/queue/data?{query}")
            hears_nothing(answer.text, "the stream")
            assert "process_completed" not in answer.text
    heard = mine.get("/chat/gradio_api/queue/data", params={"session_hash": session}).text
    assert SECRET in heard
    assert "process_completed" in heard


def test_the_same_name_of_a_session_in_two_browsers_is_two_sessions(two: Two) -> None:
    session = "chosen-by-both"
    functions = handlers(two.world, "chat")
    (restore,) = [number for number, fn in functions.items() if fn.fn.__name__ == "restore"]
    body = {"data": [two.conversation], "fn_index": restore, "session_hash": session}
    mine, his = two.browser(ANA), two.browser(BEN)
    for client in (mine, his):
        assert client.post("/chat/gradio_api/queue/join", json=body, headers=BUILD).status_code == 200
    hears_nothing(his.get("/chat/gradio_api/queue/data", params={"session_hash": session}).text, "his stream")
    assert SECRET in mine.get("/chat/gradio_api/queue/data", params={"session_hash": session}).text


def test_no_upload_is_taken_and_no_file_is_served(two: Two, tmp_path: Any) -> None:
    kept = tmp_path / "upload.txt"
    kept.write_text(SECRET)
    mine = two.browser(ANA)
    sent = mine.post("/chat/gradio_api/upload", files={"files": ("x.txt", SECRET.encode())})
    assert sent.status_code == 404
    for client in (mine, two.browser(BEN), two.world.visitor("admin")):
        for path in (
            kept,
            two.world.hone.home.password_file,
            "/etc/passwd",
            "http://127.0.0.1:7860/v1/users",
        ):
            for verb in ("file=", "file/", "proxy=", "stream/x/", "custom_component/x/"):
                answer = client.get(f"/chat/gradio_api/{verb}{path}")
                assert answer.status_code == 404, f"{verb}{path}"
                hears_nothing(answer.text, verb)


def test_what_a_page_holds_before_anything_is_pressed_is_nobodys(two: Two) -> None:
    for path in ("/chat/", "/chat/config", "/account"):
        answer = two.browser(ANA).get(path)
        assert answer.status_code == 200
        hears_nothing(answer.text, path)
