"""The audit log: each act once with who did it, nobody's words, and doors for those who may read it."""

from datetime import timedelta

import pytest
from stories import ANA, BEN, OTTO, RITA, ask
from test_pages import World, signed_in, world  # noqa: F401  # the fixtures

from feedback import audit, disputes, ratings, review
from feedback.accounts import Accounts, end
from feedback.assistants import Assistants
from feedback.invitations import Invitations
from feedback.keys import Keys, Scope
from feedback.ledger import Ledger
from feedback.orders import Orders
from feedback.records import Assistant, Principal, Role, new_id, now
from serve.brake import FREE_OF_MANY, FREE_TRIES, Brake
from serve.pages.audit import PAGE, Desk

ADMIN = Principal("ada", Role.ADMIN)


def kinds(store, **asked):
    return [(entry.principal, entry.kind, entry.subject) for entry in audit.listed(store, **asked)]


def test_each_act_is_in_it_once_with_who_did_it_and_to_what(store):
    accounts, links = Accounts(store), Invitations(store)
    accounts.add(ADMIN, "sol", Role.REVIEWER, "a long password")
    accounts.set_role(ADMIN, "sol", Role.OPERATOR)
    link, _ = links.invite(ADMIN, Role.USER, "new")
    links.withdraw(ADMIN, link.id)
    key, _ = Keys(store).add(Principal("sol", Role.OPERATOR), "bot", Role.USER, [Scope.CHAT], 1, by=ADMIN)
    accounts.suspend(ADMIN, "sol")
    Assistants(store).add(Assistant("leases"), "otto")
    Orders(store).give("general", "pin", version="general@0", reason="An audit.", principal="otto")
    Orders(store).give("general", "unpin", version="general@0", reason="", principal="otto")
    run = {"run_id": new_id(), "assistant": "general", "number": 1, "step": ""}
    for state in ("queued", "running"):
        Ledger(store).record_run(**run, state=state, principal="otto" if state == "queued" else "hone")
    audit.record(store, "otto", "data.exported", "general", form="messages")
    told = kinds(store)
    assert told[:4] == [
        ("otto", "data.exported", "general"),
        ("otto", "run.begun", "general 1"),
        ("otto", "order.pin_ended", "general"),
        ("otto", "order.pin", "general"),
    ]
    assert ("otto", "assistant.saved", "leases") in told
    done = ["created", "role", "suspended"]
    assert [kind for _, kind, name in reversed(told) if name == "sol" and kind.startswith("account.")] == [
        f"account.{change}" for change in done
    ]
    for kind in ("link.made", "link.withdrawn", "key.made"):
        assert len([one for one in told if one[:2] == ("ada", kind)]) == 1
    pinned = audit.listed(store, kind="order.pin")[-1]
    assert pinned.detail == {"reason": "An audit."}
    assert key.label in str(audit.listed(store, kind="key")[0].detail)


def test_it_is_read_page_by_page_by_whom_of_which_kind_and_when(store):
    for place in range(5):
        audit.record(store, "otto" if place % 2 else "ada", "data.exported", f"{place}")
    first = audit.listed(store, kind="data.", limit=2)
    assert [entry.subject for entry in first] == ["4", "3"]
    rest = audit.listed(store, kind="data.", before=first[-1].seq)
    assert [entry.subject for entry in rest] == ["2", "1", "0"]
    assert [name for _, _, name in kinds(store, principal="otto")] == ["3", "1"]
    soon = now() + timedelta(minutes=1)
    assert kinds(store, since=soon) == []
    assert len(kinds(store, until=soon, kind="data")) == 5
    assert kinds(store, kind="data", without=["data"]) == []


def test_nobodys_words_are_in_it(store):
    secret = "the marmot in the harbour"
    said = ask(store, ANA, instruction=secret, response=secret)
    ratings.rate(store, ANA, said.id, rating="down", comment=secret, correction=f"{secret} sleeps")
    review.review(store, RITA, said.id, "reject", reason=secret)
    disputes.reopen(store, OTTO, said.id, secret)
    assert ("otto", "review.reopened", said.id) in kinds(store)
    assert secret not in str(audit.listed(store, limit=1000))


async def test_a_password_that_is_being_guessed_is_told_once_a_row_of_tries():
    told = []
    brake = Brake(stopped=lambda *guessed: told.append(guessed))
    for _ in range(FREE_TRIES + 2):
        brake.failed("ana", "192.0.2.1")
    assert told == [("ana", "192.0.2.1")]
    for place in range(FREE_OF_MANY):
        brake.failed("ben", f"198.51.100.{place}")
    assert told[1:] == [("ben", f"198.51.100.{FREE_OF_MANY - 1}")], "from everywhere, a try each"


def test_an_address_goes_with_the_account_that_it_may_be_of(store):
    Accounts(store).add(ADMIN, "sol", Role.USER, "a long password")
    audit.record(store, "hone", "sign_in.stopped", "sol", address="192.0.2.1")
    store.decide(lambda transaction: end(transaction, "sol", "sol"))
    (kept,) = audit.listed(store, kind="sign_in.stopped")
    assert (kept.subject, kept.detail) == ("sol", {})


async def test_operators_read_it_and_only_admins_who_may_come_in(world: World) -> None:  # noqa: F811
    desk = Desk(world.parts)
    for place in range(PAGE):
        audit.record(world.parts.store, "otto", "data.exported", f"pairs {place}")
    choices, table, more, count = await world.call(desk.read, OTTO, None)
    assert ("pairs 49" in table, more.visible, count) == (True, True, PAGE)
    assert "account" not in {name for _, name in choices.choices}
    assert "created" not in (await world.call(desk.read, OTTO, "account"))[1]
    _, table, more, _ = await world.call(desk.more, OTTO, "data", PAGE)
    assert (table.count("<tr>"), more.visible) == (PAGE + 1, False)
    with pytest.raises(Exception, match="role operator; yours is user"):
        await world.call(desk.read, BEN, "data")
