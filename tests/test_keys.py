"""API keys: a part of what their account may do, for a time, and nothing beyond."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from stories import ADA, ANA, PASSWORD

from feedback import keys as keys_
from feedback.accounts import Accounts
from feedback.errors import BadRequest, NotAllowed, NotFound, TryLater
from feedback.keys import Keys, Scope
from feedback.records import Principal, Role, now
from serve.identity import Identity
from serve.pace import Pace

RITA = Principal("rita", Role.REVIEWER)
CHAT = [Scope.CHAT]


@pytest.fixture
def accounts(store):
    made = Accounts(store)
    made.add(ADA, "ana", Role.USER, PASSWORD)
    made.add(ADA, "rita", Role.REVIEWER, PASSWORD)
    return made


@pytest.fixture
def keys(store, accounts):
    return Keys(store)


def test_a_key_opens_as_its_account_for_what_it_is_for(keys):
    key, secret = keys.add(RITA, "a bot", Role.USER, [Scope.REVIEW, Scope.CHAT], 30)
    assert secret.startswith("hone_")
    assert keys.opened(secret) == (Principal("rita", Role.USER), {Scope.CHAT, Scope.REVIEW})
    assert keys.list("rita") == keys.list() == (key,)
    assert keys.list("ana") == ()
    for wrong in ("", "hone_", secret[:-1], secret + "x", "' OR 1=1 --", "\ud800"):
        assert keys.opened(wrong) is None


def test_the_file_holds_no_key(store, keys):
    _, secret = keys.add(ANA, "a bot", Role.USER, CHAT, 30)
    assert secret not in str(store.rows("SELECT * FROM api_keys"))


def test_a_key_is_worth_no_more_than_its_account_is_now(keys, accounts):
    with pytest.raises(NotAllowed, match="with the role reviewer"):
        keys.add(ANA, "", Role.REVIEWER, CHAT, None)
    _, secret = keys.add(RITA, "", Role.REVIEWER, CHAT, None)
    accounts.set_role(ADA, "rita", Role.USER)
    assert keys.opened(secret)[0].role is Role.USER
    accounts.set_role(ADA, "rita", Role.OPERATOR)
    assert keys.opened(secret)[0].role is Role.REVIEWER, "nor than it was made for"


def test_a_key_ends_by_itself_when_revoked_and_while_its_account_is_suspended(keys, accounts, monkeypatch):
    key, secret = keys.add(ANA, "", Role.USER, CHAT, 1)
    accounts.suspend(ADA, "ana")
    assert keys.opened(secret) is None
    accounts.suspend(ADA, "ana", False)
    assert keys.opened(secret)
    with monkeypatch.context() as later:
        later.setattr(keys_, "now", lambda: now() + timedelta(days=1, seconds=1))
        assert keys.opened(secret) is None
        assert keys.list() == ()
    keys.revoke(ANA, key.id)
    assert keys.opened(secret) is None
    with pytest.raises(NotFound):
        keys.revoke(ANA, key.id)


def test_only_its_owner_and_admins_end_a_key(keys):
    key, secret = keys.add(ANA, "", Role.USER, CHAT, None)
    for nobody in (RITA, Principal("otto", Role.OPERATOR)):
        with pytest.raises(NotFound):
            keys.revoke(nobody, key.id)
    with pytest.raises(NotFound):
        keys.revoke(ADA, "' OR 1=1 --")
    assert keys.opened(secret)
    keys.revoke(ADA, key.id)
    assert keys.opened(secret) is None


def test_a_key_tells_who_made_it(keys):
    assert keys.add(ANA, "", Role.USER, CHAT, None, by=ADA)[0].made_by == "ada"
    assert keys.add(ANA, "", Role.USER, CHAT, None)[0].made_by == "ana"
    assert [(key.account, key.made_by) for key in keys.list()] == [("ana", "ada"), ("ana", "ana")]


def test_a_key_says_what_it_is_for_and_there_is_an_end_to_their_number(keys, monkeypatch):
    with pytest.raises(BadRequest, match="without a scope"):
        keys.add(ANA, "", Role.USER, [], None)
    with pytest.raises(BadRequest, match="at most 80"):
        keys.add(ANA, "x" * 81, Role.USER, CHAT, None)
    with pytest.raises(BadRequest, match="cannot be shown"):
        keys.add(ANA, "\x1b]0;gone\x07", Role.USER, CHAT, None)
    monkeypatch.setattr(keys_, "MAX_KEYS", 1)
    keys.add(ANA, "", Role.USER, CHAT, None)
    with pytest.raises(BadRequest, match="1 keys already"):
        keys.add(ANA, "", Role.USER, CHAT, None)


def test_an_account_may_ask_so_often_and_another_is_not_kept_waiting():
    clock = [0.0]
    pace = Pace(3, clock=lambda: clock[0])
    for _ in range(3):
        pace.take("ana")
    with pytest.raises(TryLater, match="more than 3 requests in a minute") as refused:
        pace.take("ana")
    assert refused.value.retry_after == 20
    pace.take("ben")
    clock[0] = 20
    pace.take("ana")
    with pytest.raises(TryLater):
        pace.take("ana")
    clock[0] = 3600
    for _ in range(3):
        pace.take("ana")
    with pytest.raises(TryLater):
        pace.take("ana")


def test_a_refusal_says_whether_scope_or_role_is_missing_and_it_is_the_keys(accounts, keys):
    identity = Identity(accounts, token="t", anyone=None, session_days=1, keys=keys)
    _, secret = keys.add(RITA, "", Role.USER, [Scope.CHAT, Scope.REVIEW], None)
    bearer = SimpleNamespace(headers={"authorization": f"Bearer {secret}"}, cookies={})

    def refused(role, *route):
        with pytest.raises(NotAllowed) as told:
            identity.require(bearer, role, route or None)
        return str(told.value)

    assert identity.require(bearer, Role.USER, ("GET", "/v1/models")).name == "rita"
    assert refused(Role.REVIEWER, "GET", "/v1/reviews") == (
        "This needs the role reviewer; your key's is user. "
        "Make a key with that role, where its account has it."
    )
    assert refused(Role.OPERATOR, "GET", "/v1/status").endswith("Take a key for metrics or operate.")
    for closed in (("GET", "/v1/users"), ()):
        assert refused(Role.ADMIN, *closed).endswith("No key opens this: sign in on the pages.")
