"""A stream ends when whoever opened it may hear it no more."""

from collections.abc import Callable
from typing import Any

import pytest
from stories import ADA, PASSWORD

from feedback.accounts import Accounts
from feedback.keys import Keys, Scope
from feedback.records import Principal, Role
from feedback.store import Store
from serve.ended_streams import SECONDS, EndedStreams
from serve.identity import COOKIE, Identity

ANA = Principal("ana", Role.USER)
STREAM, WHOLE = b"text/event-stream; charset=utf-8", b"application/json"


@pytest.fixture
def accounts(store: Store) -> Accounts:
    made = Accounts(store)
    made.add(ADA, "ana", Role.USER, PASSWORD)
    return made


class Told:
    """An application that says five words, with something happening after the second."""

    def __init__(self, happens: Callable[[], Any], kind: bytes = STREAM) -> None:
        self._happens, self._kind = happens, kind
        self.clock = 0.0
        self.finished = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", self._kind)]}
        await send(head)
        for number in range(5):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            if number == 1:
                self._happens()
                self.clock += SECONDS
        await send({"type": "http.response.body", "body": b""})
        self.finished = True


async def heard(accounts: Accounts, told: Told, header: tuple[bytes, bytes], *, login: bool = True) -> bytes:
    anyone = None if login else Principal("admin", Role.ADMIN)
    keys = Keys(accounts._store)
    identity = Identity(accounts, token="t", anyone=anyone, session_days=1, keys=keys)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is asked")

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [header]}
    await EndedStreams(told, identity, clock=lambda: told.clock)(scope, receive, send)
    assert not sent[-1].get("more_body"), "the answer has an end"
    return b"".join(message.get("body", b"") for message in sent)


def cookie(token: str) -> tuple[bytes, bytes]:
    return b"cookie", f"{COOKIE}={token}".encode()


async def test_a_stream_that_nothing_happens_to_is_heard_to_its_end(accounts: Accounts) -> None:
    told = Told(lambda: None)
    assert await heard(accounts, told, cookie(accounts.open_session(ANA, 1))) == b"01234"
    assert told.finished


@pytest.mark.parametrize("what", ["suspended", "signed out", "signed out everywhere", "a new password"])
async def test_it_ends_with_the_right_to_hear_it(accounts: Accounts, what: str) -> None:
    token = accounts.open_session(ANA, 1)
    assert accounts.session(token) == ANA, "held from now on, as after any request"
    happens = {
        "suspended": lambda: accounts.suspend(ADA, "ana"),
        "signed out": lambda: accounts.end_session(token),
        "signed out everywhere": lambda: accounts.end_sessions(ADA, "ana"),
        "a new password": lambda: accounts.set_password(ADA, "ana", "another horse"),
    }
    told = Told(happens[what])
    assert await heard(accounts, told, cookie(token)) == b"01"
    assert not told.finished, "what made the answer is told that nobody listens"


async def test_a_key_that_is_revoked_hears_no_more(accounts: Accounts) -> None:
    keys = Keys(accounts._store)
    key, secret = keys.add(ANA, "", Role.USER, [Scope.CHAT], None)
    told = Told(lambda: keys.revoke(ANA, key.id))
    assert await heard(accounts, told, (b"authorization", f"Bearer {secret}".encode())) == b"01"


async def test_what_is_no_stream_is_told_whole(accounts: Accounts) -> None:
    told = Told(lambda: accounts.suspend(ADA, "ana"), WHOLE)
    assert await heard(accounts, told, cookie(accounts.open_session(ANA, 1))) == b"01234"


async def test_where_nobody_signs_in_nobody_is_asked(accounts: Accounts) -> None:
    told = Told(lambda: None)
    assert await heard(accounts, told, (b"x", b"y"), login=False) == b"01234"
