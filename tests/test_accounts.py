"""Who may come in: passwords, sessions, roles, and always an admin. Assistants are kept here too."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from stories import ADA, OTTO, PASSWORD

from feedback import accounts as accounts_
from feedback.accounts import Accounts, first_admin, reviewers
from feedback.assistants import Assistants
from feedback.errors import BadRequest, Conflict, NotFound
from feedback.invitations import Invitations
from feedback.lately import SECONDS, Lately
from feedback.records import COMMAND_LINE, Assistant, Principal, Role, now
from serve.identity import COOKIE, Identity

BEN = Role.USER, PASSWORD


@pytest.fixture
def accounts(store):
    return Accounts(store)


@pytest.fixture
def ana(accounts):
    return accounts.add(ADA, "ana", Role.USER, PASSWORD)


def test_only_the_right_password_of_a_known_account_opens(accounts, ana):
    assert accounts.verify("ana", PASSWORD) == ana == Principal("ana", Role.USER)
    for name, password in (
        ("ana", "wrong horse"),
        ("ben", PASSWORD),
        ("ana", ""),
        ("", ""),
        ("ana", "\ud800" * 12),
    ):
        assert accounts.verify(name, password) is None


def test_an_unknown_name_takes_as_much_work_as_a_known_one(accounts, ana, monkeypatch):
    checked = []
    matches = accounts_.matches
    monkeypatch.setattr(accounts_, "matches", lambda *words: checked.append(words[0]) or matches(*words))
    accounts.verify("ana", "wrong horse")
    accounts.verify("nobody", "wrong horse")
    assert len(checked) == 2
    assert checked[0].split("$")[:4] == checked[1].split("$")[:4]


def test_the_file_holds_neither_password_nor_token(store, accounts, ana):
    token = accounts.open_session(ana, 1)
    kept = str(store.rows("SELECT * FROM accounts")) + str(store.rows("SELECT * FROM sessions"))
    assert PASSWORD not in kept
    assert token not in kept
    assert "$argon2id$" in kept


@pytest.mark.parametrize("name", ["", "Ana", "-ana", "a b", "a" * 33, "ana\n", "ána", "../etc", "a\0"])
def test_a_name_that_is_none_is_refused(accounts, name):
    with pytest.raises(BadRequest, match="cannot be an account's name"):
        accounts.add(ADA, name, Role.USER, PASSWORD)


@pytest.mark.parametrize("name", ["cli", "hone", "model"])
def test_the_houses_own_names_are_taken(accounts, name):
    with pytest.raises(Conflict):
        accounts.add(ADA, name, Role.ADMIN, PASSWORD)


def test_a_name_is_given_once(accounts, ana):
    with pytest.raises(Conflict, match="already"):
        accounts.add(ADA, "ana", Role.ADMIN, PASSWORD)


@pytest.mark.parametrize("password", ["", "short", "123456789", "x" * 1025])
def test_passwords_are_long_enough_and_bounded(accounts, ana, password):
    with pytest.raises(BadRequest, match="A password has 10 to"):
        accounts.add(ADA, "ben", Role.USER, password)
    with pytest.raises(BadRequest):
        accounts.set_password(ADA, "ana", password)


def test_a_session_lives_until_it_is_ended(accounts, ana):
    token, other = accounts.open_session(ana, 1), accounts.open_session(ana, 1)
    assert accounts.session(token) == ana
    accounts.end_session(token)
    accounts.end_session("no such token")
    assert accounts.session(token) is None
    assert accounts.session(other) == ana
    for forged in ("", "nonsense", "' OR 1=1 --", "\ud800", other[:-1]):
        assert accounts.session(forged) is None


def test_a_session_ends_by_itself(accounts, ana):
    assert accounts.session(accounts.open_session(ana, -0.001)) is None


def test_a_session_has_the_role_of_now(accounts, ana):
    token = accounts.open_session(Principal("ana", Role.ADMIN), 1)
    assert accounts.session(token).role is Role.USER
    accounts.set_role(ADA, "ana", Role.REVIEWER)
    assert accounts.session(token).role is Role.REVIEWER


def test_a_new_password_ends_the_sessions_from_before(accounts, ana):
    token = accounts.open_session(ana, 1)
    accounts.set_password(ADA, "ana", "another horse")
    assert accounts.session(token) is None
    assert accounts.verify("ana", PASSWORD) is None
    assert accounts.session(accounts.open_session(accounts.verify("ana", "another horse"), 1)) == ana


def test_the_suspended_stay_out_and_come_back_without_their_old_sessions(accounts, ana):
    token = accounts.open_session(ana, 1)
    accounts.suspend(ADA, "ana")
    assert accounts.verify("ana", PASSWORD) is None
    assert accounts.session(token) is None
    assert [account.suspended for account in accounts.list()] == [True]
    accounts.suspend(ADA, "ana", False)
    assert accounts.verify("ana", PASSWORD) == ana
    assert accounts.session(token) is None


def test_whose_a_session_is_is_read_once_for_many_requests(store, accounts, ana, monkeypatch):
    token, asked = accounts.open_session(ana, 1), []
    row = store.row
    monkeypatch.setattr(store, "row", lambda *words: asked.append(words) or row(*words))
    assert {accounts.session(token) for _ in range(50)} == {ana}
    assert len(asked) == 1
    assert [accounts.session("no such token") for _ in range(2)] == [None, None]
    assert len(asked) == 3, "what opens nothing is not held"


@pytest.mark.parametrize(
    ("happens", "left"),
    [
        (lambda store, token: Accounts(store).suspend(ADA, "ana"), None),
        (lambda store, token: Accounts(store).end_session(token), None),
        (lambda store, token: Accounts(store).end_sessions(ADA, "ana"), None),
        (lambda store, token: Accounts(store).set_password(ADA, "ana", "another horse"), None),
        (lambda store, token: _redeemed(store), None),
        (lambda store, token: store.decide(lambda t: accounts_.end(t, "ana", "ada")), None),
        (lambda store, token: store.decide(lambda t: t.rows("DELETE FROM sessions")), None),
        (lambda store, token: Accounts(store).set_role(ADA, "ana", Role.REVIEWER), Role.REVIEWER),
    ],
)
def test_not_one_more_request_gets_through_whoever_else_revoked_it(store, accounts, ana, happens, left):
    token, other = accounts.open_session(ana, 1), accounts.open_session(accounts.add(ADA, "ben", *BEN), 1)
    assert accounts.session(token) == ana
    assert accounts.session(other)
    happens(store, token)
    now = accounts.session(token)
    assert (now and now.role) is left
    store.compact()  # counts go on over a new file
    now = accounts.session(token)
    assert (now and now.role) is left


def test_what_was_read_before_a_change_is_not_held_after_it(store, accounts, ana, monkeypatch):
    token, holder = accounts.open_session(ana, 1), accounts._holder

    def slow(kept):
        found = holder(kept)
        accounts.suspend(ADA, "ana")
        return found

    monkeypatch.setattr(accounts, "_holder", slow)
    assert accounts.session(token) == ana  # asked before
    monkeypatch.setattr(accounts, "_holder", holder)
    assert accounts.session(token) is None


def test_while_some_are_suspended_nobody_is_seen_who_is(store, accounts):
    """Readers ask all the while; once `suspend` has returned, no answer that is asked for later is theirs."""
    tokens = {n: accounts.open_session(accounts.add(ADA, f"p{n}", *BEN), 1) for n in range(8)}
    out: set[int] = set()
    wrong: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for n, token in tokens.items():
                late = n in out
                if accounts.session(token) and late:
                    wrong.append(n)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in tokens:
        accounts.suspend(ADA, f"p{n}")
        out.add(n)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert not any(map(accounts.session, tokens.values()))


def test_a_held_session_ends_in_time_and_is_read_anew_now_and_then(store, ana, monkeypatch):
    clock, reads = [0.0], []
    held = Lately(store, "accounts", clock=lambda: clock[0])
    for at in (0, SECONDS - 1, SECONDS, SECONDS + 1):
        clock[0] = at
        assert held.get("x", lambda at=at: reads.append(at) or "ana") == "ana"
    assert reads == [0, SECONDS]
    accounts = Accounts(store)
    token = accounts.open_session(ana, 1)
    assert accounts.session(token) == ana
    later = now() + timedelta(days=1, seconds=1)
    monkeypatch.setattr(accounts_, "now", lambda: later)
    assert accounts.session(token) is None


def test_a_page_looks_a_session_up_beside_the_loop_and_a_held_one_on_it(accounts, ana, monkeypatch):
    identity = Identity(accounts, token="t", anyone=None, session_days=1)
    asks = SimpleNamespace(headers={}, cookies={COOKIE: accounts.open_session(ana, 1)})
    asked, name = [], identity.page(Role.USER)

    def require(*given):
        asked.append(threading.current_thread() is threading.main_thread())
        return Identity.require(identity, *given)

    monkeypatch.setattr(identity, "require", require)
    assert [asyncio.run(name(asks)) for _ in "ab"] == ["ana", "ana"]
    assert asked == [False, True]


def _redeemed(store):
    link = Invitations(store).reset(Principal(COMMAND_LINE, Role.ADMIN), "ana")
    Invitations(store).redeem(link[1], "", "another horse")


def test_unknown_accounts_are_not_found(accounts):
    for change in (
        lambda: accounts.set_role(ADA, "ghost", Role.USER),
        lambda: accounts.set_password(ADA, "ghost", PASSWORD),
        lambda: accounts.suspend(ADA, "ghost"),
        lambda: accounts.principal("ghost"),
    ):
        with pytest.raises(NotFound, match="no account ghost"):
            change()


def test_the_first_admin_is_made_once_with_a_password_that_opens(store, accounts):
    assert accounts.first_admin_name() is None
    admin, password = first_admin(store)
    assert (admin, len(password) >= 10) == (Principal("admin", Role.ADMIN), True)
    assert accounts.verify("admin", password) == admin == accounts.principal("admin")
    assert first_admin(store) == (admin, None)
    assert accounts.first_admin_name() == "admin"


def test_there_is_always_an_admin(store, accounts):
    first_admin(store)
    for leave in (lambda: accounts.suspend(ADA, "admin"), lambda: accounts.set_role(ADA, "admin", Role.USER)):
        with pytest.raises(Conflict, match="only admin"):
            leave()
    accounts.add(ADA, "ada", Role.ADMIN, PASSWORD)
    accounts.suspend(ADA, "admin")
    assert first_admin(store) == (ADA, None)


def test_who_reviews_is_who_has_the_role_and_is_not_suspended(store, accounts):
    for name, role in (("una", Role.USER), ("rita", Role.REVIEWER), ("otto", Role.OPERATOR)):
        accounts.add(ADA, name, role, PASSWORD)
    accounts.suspend(ADA, "otto")
    assert reviewers(store) == ["rita"]


def test_every_change_is_an_event_with_its_principal(store, accounts, ana):
    accounts.set_role(OTTO, "ana", Role.REVIEWER)
    accounts.suspend(ADA, "ana")
    rows = store.rows("SELECT principal, change, role FROM accounts ORDER BY seq")
    assert [tuple(row.values()) for row in rows] == [
        ("ada", "created", "user"),
        ("otto", "role", "reviewer"),
        ("ada", "suspended", None),
    ]


class TestAssistants:
    def test_general_is_made_with_the_store(self, store):
        assert [assistant.name for assistant in Assistants(store).list()] == ["general"]

    def test_an_edit_is_an_event_and_keeps_what_it_does_not_name(self, store):
        assistants = Assistants(store)
        law = Assistant("law", title="Law", system_prompt="Cite.", examples=("What is a tort?",))
        assistants.add(law, "otto")
        edited = assistants.edit(replace(law, system_prompt="Cite the statute."), "otto")
        assert assistants.edit(edited, "otto") == edited == assistants.get("law")
        assert (edited.title, edited.examples) == ("Law", ("What is a tort?",))
        prompts = store.rows("SELECT system_prompt FROM assistants WHERE name = 'law' ORDER BY seq")
        assert [row["system_prompt"] for row in prompts] == ["Cite.", "Cite the statute."]
        assert [assistant.name for assistant in assistants.list()] == ["general", "law"]

    @pytest.mark.parametrize("name", ["", "Law", "9law", "law firm", "law@1", "l" * 33, "../x", "law\n"])
    def test_a_name_that_is_none_is_refused(self, store, name):
        with pytest.raises(BadRequest, match="cannot be an assistant's name"):
            Assistants(store).add(Assistant(name), "otto")

    def test_names_are_given_once_and_unknown_ones_not_found(self, store):
        assistants = Assistants(store)
        with pytest.raises(Conflict):
            assistants.add(Assistant("general"), "otto")
        with pytest.raises(NotFound):
            assistants.edit(Assistant("ghost", title="Boo"), "otto")
        with pytest.raises(NotFound):
            assistants.get("' OR 1=1 --")

    @pytest.mark.parametrize(
        ("fields", "what"),
        [
            ({"system_prompt": "x" * 16_001}, "system_prompt has 16,001 characters; the limit is 16,000"),
            ({"title": "x" * 121}, "title has 121"),
            ({"examples": ("x",) * 13}, "at most 12 examples"),
            ({"examples": ("x" * 501,)}, "500 characters each"),
            ({"greeting": "\ud800"}, "half a character"),
        ],
    )
    def test_fields_have_limits_that_are_said(self, store, fields, what):
        with pytest.raises(BadRequest, match=what):
            Assistants(store).edit(Assistant("general", **fields), "otto")
