"""Links that let somebody in once, and who somebody is elsewhere."""

from datetime import timedelta

import pytest
from stories import ADA, PASSWORD

from feedback import invitations as invitations_
from feedback.accounts import Accounts, first_admin
from feedback.errors import BadRequest, Conflict, NotAllowed, NotFound
from feedback.identities import Identified, Identities
from feedback.invitations import Invitations
from feedback.records import COMMAND_LINE, Principal, Role, now

HOME = Principal(COMMAND_LINE, Role.ADMIN)


@pytest.fixture
def accounts(store):
    return Accounts(store)


@pytest.fixture
def links(store):
    return Invitations(store)


def test_a_link_makes_one_account_in_its_role(links, accounts):
    link, token = links.invite(HOME, Role.REVIEWER)
    assert links.look(token) == link
    assert links.redeem(token, "rita", PASSWORD) == Principal("rita", Role.REVIEWER)
    assert accounts.verify("rita", PASSWORD)
    for again in (lambda: links.redeem(token, "ben", PASSWORD), lambda: links.look(token)):
        with pytest.raises(NotFound, match="used already"):
            again()
    assert links.list() == ()


def test_a_link_with_a_name_is_for_that_name(links, accounts):
    _, token = links.invite(HOME, Role.USER, "ana")
    assert links.redeem(token, "mallory", PASSWORD).name == "ana"
    with pytest.raises(Conflict):
        links.invite(HOME, Role.USER, "ana")


def test_what_cannot_be_used_leaves_the_link_as_it_was(links, accounts):
    accounts.add(ADA, "ana", Role.USER, PASSWORD)
    _, token = links.invite(HOME, Role.USER)
    with pytest.raises(Conflict):
        links.redeem(token, "ana", PASSWORD)
    with pytest.raises(BadRequest):
        links.redeem(token, "ben", "short")
    with pytest.raises(BadRequest):
        links.redeem(token, "../etc", PASSWORD)
    assert links.redeem(token, "ben", PASSWORD).name == "ben"


def test_a_reset_sets_a_new_password_and_ends_sessions_and_older_links(links, accounts):
    ana = accounts.add(ADA, "ana", Role.USER, PASSWORD)
    session = accounts.open_session(ana, 1)
    _, older = links.reset(HOME, "ana")
    _, token = links.reset(HOME, "ana")
    with pytest.raises(NotFound):
        links.look(older)
    assert links.redeem(token, "mallory", "another horse") == ana
    assert accounts.session(session) is None
    assert accounts.verify("ana", PASSWORD) is None
    assert accounts.verify("ana", "another horse") == ana
    with pytest.raises(NotFound):
        links.reset(HOME, "ghost")


def test_a_link_ends_by_itself_and_when_withdrawn_and_opens_no_suspended_account(
    links, accounts, monkeypatch
):
    accounts.add(ADA, "ana", Role.USER, PASSWORD)
    link, token = links.invite(HOME, Role.USER)
    with monkeypatch.context() as later:
        later.setattr(invitations_, "now", lambda: now() + timedelta(days=7, seconds=1))
        with pytest.raises(NotFound):
            links.look(token)
    links.withdraw(HOME, link.id)
    for gone in (lambda: links.look(token), lambda: links.withdraw(HOME, link.id)):
        with pytest.raises(NotFound):
            gone()
    accounts.suspend(ADA, "ana")
    _, token = links.reset(HOME, "ana")
    with pytest.raises(NotAllowed, match="suspended"):
        links.redeem(token, "", "another horse")


def test_a_reset_outlives_neither_a_password_of_ones_own_nor_a_suspension(links, accounts):
    ana = accounts.add(ADA, "ana", Role.USER, PASSWORD)
    _, token = links.reset(HOME, "ana")
    accounts.set_password(ana, "ana", "another horse")
    with pytest.raises(NotFound):
        links.redeem(token, "", "a third horse")
    _, token = links.reset(HOME, "ana")
    accounts.suspend(ADA, "ana")
    accounts.suspend(ADA, "ana", suspended=False)
    with pytest.raises(NotFound):
        links.redeem(token, "", "a third horse")
    assert accounts.verify("ana", "another horse") == ana


@pytest.mark.parametrize("parting", ["suspended", "no admin any more"])
def test_a_link_holds_no_longer_than_its_maker_is_an_admin(links, accounts, parting):
    first_admin(accounts._store)
    accounts.add(HOME, "ada", Role.ADMIN, PASSWORD)
    link, token = links.invite(ADA, Role.ADMIN)
    assert links.list() == (link,)
    if parting == "suspended":
        accounts.suspend(HOME, "ada")
    else:
        accounts.set_role(HOME, "ada", Role.OPERATOR)
    assert links.list() == ()
    with pytest.raises(NotFound):
        links.redeem(token, "mallory", PASSWORD)
    with pytest.raises(NotFound):
        Identities(accounts._store).admit(Identified("a", "s"), make=True, token=token)


def test_the_file_holds_no_token(store, links):
    _, token = links.invite(HOME, Role.USER)
    assert token not in str(store.rows("SELECT * FROM invitations"))


class TestIdentities:
    def test_an_account_made_elsewhere_has_no_password(self, store, accounts):
        made = Identities(store).admit(Identified("https://id", "s", "ana"), make=True)
        assert made == Principal("ana", Role.USER)
        for password in ("", "x", PASSWORD):
            assert accounts.verify("ana", password) is None

    def test_the_same_subject_at_another_issuer_is_somebody_else(self, store):
        identities = Identities(store)
        names = [identities.admit(Identified(at, "s", "ana"), make=True).name for at in ("a", "b", "a")]
        assert names == ["ana", "ana-2", "ana"]

    @pytest.mark.parametrize(
        ("wanted", "name"),
        [("Ana Müller@x", "ana-m-ller"), ("", "person"), ("한글", "person"), ("hone", "hone-2")],
    )
    def test_a_name_from_elsewhere_becomes_one_of_ours(self, store, wanted, name):
        assert Identities(store).admit(Identified("a", "s", wanted), make=True).name == name

    def test_a_long_name_leaves_room_for_a_number(self, store):
        names = {Identities(store).admit(Identified("a", str(n), "x" * 99), make=True).name for n in range(3)}
        assert len(names) == 3
        assert max(map(len, names)) <= 32

    def test_a_reset_link_ties_an_account_to_who_signs_in_elsewhere(self, store, accounts, links):
        before = accounts.open_session(accounts.add(ADA, "ana", Role.REVIEWER, PASSWORD), 1)
        _, token = links.reset(HOME, "ana")
        identities = Identities(store)
        who = Identified("a", "s", "mallory")
        assert identities.admit(who, make=False, token=token) == Principal("ana", Role.REVIEWER)
        assert identities.admit(who, make=False) == Principal("ana", Role.REVIEWER)
        assert accounts.session(before) is None, "whoever was in that account is out"
        with pytest.raises(NotFound):
            identities.admit(Identified("a", "t", ""), make=True, token=token)

    def test_a_claim_decides_the_role_of_a_tied_account_from_its_first_sign_in_on(
        self, store, accounts, links
    ):
        accounts.add(ADA, "ana", Role.OPERATOR, PASSWORD)
        _, token = links.reset(HOME, "ana")
        who = Identified("a", "s", role=Role.USER)
        for given in (token, ""):
            assert Identities(store).admit(who, make=False, token=given).role is Role.USER

    def test_a_claim_takes_no_role_from_the_only_admin(self, store, accounts, links):
        first_admin(store)
        _, token = links.reset(HOME, "admin")
        identities = Identities(store)
        assert identities.admit(Identified("a", "s"), make=False, token=token).role is Role.ADMIN
        assert identities.admit(Identified("a", "s", role=Role.USER), make=False).role is Role.ADMIN
        accounts.add(ADA, "ada", Role.ADMIN, PASSWORD)
        assert identities.admit(Identified("a", "s", role=Role.USER), make=False).role is Role.USER

    def test_who_was_erased_is_a_stranger_when_they_come_again(self, store, accounts):
        from feedback import accounts as accounts_

        identities = Identities(store)
        who = Identified("a", "s-secret", "ana")
        identities.admit(who, make=True)
        store.decide(lambda transaction: accounts_.end(transaction, "ana", "ana"))
        assert "s-secret" not in str(store.rows("SELECT * FROM identities"))
        with pytest.raises(NotAllowed):
            identities.admit(who, make=False)
        assert identities.admit(who, make=True).name == "ana-2"
