"""Who may judge what, together with whom, and what that comes to: claims, opinions, disputes, consent."""

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import ADA, ANA, BEN, OTTO, RITA, ROB, add_people, admitted, ask

from feedback import (
    claims,
    disputes,
    drafts,
    golds,
    imports,
    pairs,
    preferences,
    proposals,
    ranking,
    rounds,
    signals,
)
from feedback.agreement import alpha, figures
from feedback.claims import MOST_CLAIMS
from feedback.consent import allow
from feedback.curate import curate
from feedback.disputes import adjudicate, reopen
from feedback.errors import BadRequest, Conflict, NotAllowed, NotFound
from feedback.exchanges import Exchanges
from feedback.policy import _ADDED, _SIGNS, Policy, flags
from feedback.proposals import Candidate
from feedback.queue import QUEUES, claim_next, counts, ids, item, items
from feedback.ratings import rate
from feedback.records import Principal, Role, new_id, now
from feedback.review import pending, review
from feedback.snapshot import freeze
from feedback.store import Store

ZOE = Principal("zoe", Role.REVIEWER)
KIM = Principal("kim", Role.REVIEWER)
STRICT = Policy()
TRUSTING = Policy(trusted_after=0)


@pytest.fixture
def team(store):
    """The store with three reviewers, so that a second opinion can be had."""
    add_people(store, RITA, ROB, ZOE)
    return store


def corrected(store, correction="Four.", principal=ANA, **turn):
    return rate(store, principal, ask(store, principal, **turn).id, rating="down", correction=correction)


def states(store, exchange_id, *people):
    seen = [item(store, person, STRICT, exchange_id).exchange.state for person in people]
    assert seen == [rounds.state(store, exchange_id, person) for person in people]
    return seen


@pytest.fixture
def clock(monkeypatch):
    """Moves the time that claims see."""

    class Clock:
        ahead = timedelta()

        def __call__(self):
            return now() + self.ahead

    moved = Clock()
    monkeypatch.setattr(claims, "now", moved)
    return moved


class TestClaims:
    def test_of_many_who_race_for_one_exchange_one_gets_it(self, team):
        exchange = corrected(team)
        people = [Principal(f"r{number}", Role.REVIEWER) for number in range(8)]
        start, got, refused = threading.Barrier(len(people)), [], []

        def race(person):
            start.wait()
            try:
                got.append(claims.take(team, person, exchange.id, STRICT).principal)
            except Conflict as conflict:
                refused.append(str(conflict))

        threads = [threading.Thread(target=race, args=[person]) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (len(got), len(refused)) == (1, 7)
        assert not any(name in text for text in refused for name in got), "nobody learns who holds it"

    def test_others_may_read_what_is_claimed_and_not_judge_it(self, team):
        exchange = corrected(team)
        held = claims.take(team, RITA, exchange.id, STRICT)
        seen = item(team, ROB, STRICT, exchange.id)
        assert (seen.claim, seen.held.until) == (None, held.until)
        with pytest.raises(Conflict, match="Another reviewer is looking at it until"):
            review(team, ROB, exchange.id, "approve")
        with pytest.raises(Conflict, match="Another reviewer"):
            claims.take(team, ROB, exchange.id, STRICT)
        claims.release(team, RITA, held.id)
        assert claims.take(team, ROB, exchange.id, STRICT).principal == "rob"

    def test_a_claim_ends_by_itself_and_then_it_is_anybodys(self, team, clock):
        exchange = corrected(team)
        stale = claims.take(team, RITA, exchange.id, STRICT)
        clock.ahead = STRICT.lease + timedelta(seconds=1)
        assert item(team, ROB, STRICT, exchange.id).held is None
        fresh = claims.take(team, ROB, exchange.id, STRICT)
        with pytest.raises(Conflict, match="claim has ended"):
            claims.beat(team, RITA, stale.id, STRICT)
        with pytest.raises(Conflict, match="Another reviewer"):
            review(team, RITA, exchange.id, "approve", claim=stale.id)
        claims.release(team, ROB, fresh.id)
        with pytest.raises(Conflict, match="Your claim on this exchange has ended"):
            review(team, RITA, exchange.id, "approve", claim=stale.id)
        assert team.row("SELECT count(*) AS n FROM opinions")["n"] == 0
        again = claims.take(team, RITA, exchange.id, STRICT)
        assert review(team, RITA, exchange.id, "approve", claim=again.id).state == "waiting"

    def test_a_claim_of_something_else_is_no_claim(self, team):
        one, other = corrected(team), corrected(team)
        held = claims.take(team, RITA, other.id, STRICT)
        with pytest.raises(Conflict, match="claim on this exchange has ended"):
            review(team, RITA, one.id, "approve", claim=held.id)
        with pytest.raises(BadRequest, match="no claim's id"):
            claims.beat(team, RITA, "' OR 1=1 --", STRICT)

    def test_signs_of_life_renew_it_with_few_rows_and_not_for_ever(self, team, clock):
        exchange = corrected(team)
        held = claims.take(team, RITA, exchange.id, STRICT)
        for _ in range(10):
            claims.beat(team, RITA, held.id, STRICT)
        assert team.row("SELECT count(*) AS n FROM claims")["n"] == 1
        for _ in range(60):
            clock.ahead += timedelta(minutes=5)
            try:
                renewed = claims.beat(team, RITA, held.id, STRICT)
            except Conflict:
                break
            assert renewed.id == held.id
        assert timedelta(hours=4) <= clock.ahead <= timedelta(hours=4, minutes=15)

    def test_taking_it_again_does_not_keep_it_for_ever_either(self, team, clock):
        exchange = corrected(team)
        held = claims.take(team, RITA, exchange.id, STRICT)
        while clock.ahead < claims.LONGEST - timedelta(minutes=9):
            clock.ahead += timedelta(minutes=9)
            again = claims.take(team, RITA, exchange.id, STRICT)
        assert again.id == held.id
        clock.ahead = claims.LONGEST + timedelta(minutes=1)
        assert claims.take(team, ROB, exchange.id, STRICT).principal == "rob"

    def test_nobody_holds_more_than_their_share_and_nobody_elses_is_ended(self, team):
        for _ in range(MOST_CLAIMS + 1):
            corrected(team)
        held = [claim_next(team, RITA, STRICT) for _ in range(1)]
        ids = [exchange.id for exchange in pending(team, limit=100)]
        for identity in ids[:MOST_CLAIMS]:
            claims.take(team, RITA, identity, STRICT)
        with pytest.raises(Conflict, match="hold 20 claims"):
            claims.take(team, RITA, ids[MOST_CLAIMS], STRICT)
        with pytest.raises(NotAllowed, match="another reviewer's"):
            claims.release(team, ROB, held[0].id)
        claims.release(team, OTTO, held[0].id)
        assert len(claims.of(team, "rita")) == MOST_CLAIMS - 1

    def test_a_claim_is_left_for_another_at_once_and_only_by_its_holder(self, team):
        one, two, three = (corrected(team, instruction=f"What is {n}?").id for n in range(3))
        left = claims.take(team, RITA, one, STRICT)
        theirs = claims.take(team, ROB, three, STRICT)
        fresh = claims.take(team, RITA, two, STRICT, leaving=left.id)
        assert claims.of(team, "rita") == [fresh]
        assert claims.take(team, RITA, two, STRICT, leaving=fresh.id).id == fresh.id, (
            "it is not left for itself"
        )
        claims.take(team, RITA, one, STRICT, leaving=theirs.id)
        assert claims.active(team, [one, two, three])[three].id == theirs.id
        with pytest.raises(Conflict):
            claims.take(team, RITA, three, STRICT, leaving=fresh.id)
        assert claims.active(team, [two])[two].id == fresh.id, "what is refused changes nothing"

    def test_a_state_is_told_only_to_who_may_see_the_exchange(self, team):
        own = ask(team).id
        gold = golds.add(team, OTTO, "general", "One?", "Two.", expected="reject", rating="down")
        assert rounds.state(team, gold, RITA) == "pending"
        for identity, person in ((own, RITA), (gold, OTTO), (new_id(), RITA), ("no id", RITA)):
            with pytest.raises(NotAllowed):
                rounds.state(team, identity, person)

    def test_the_next_one_is_the_most_valuable_that_is_free(self, team):
        rate(team, ANA, ask(team, instruction="up").id, rating="up")
        best = corrected(team, instruction="corrected")
        assert claim_next(team, RITA, STRICT).exchange_id == best.id
        assert claim_next(team, ROB, STRICT).exchange_id != best.id
        with pytest.raises(NotFound, match="Nothing waits"):
            claim_next(team, ZOE, STRICT)

    def test_users_claim_nothing_and_what_is_judged_or_withdrawn_cannot_be_claimed(self, team):
        exchange = corrected(team)
        with pytest.raises(NotAllowed, match="Only reviewers"):
            claims.take(team, BEN, exchange.id, STRICT)
        held = claims.take(team, RITA, exchange.id, STRICT)
        Exchanges(team).set_training(exchange.conversation_id, "ana", False)
        with pytest.raises(NotAllowed, match="author's alone"):
            claims.beat(team, RITA, held.id, STRICT)
        Exchanges(team).set_training(exchange.conversation_id, "ana", True)
        review(team, RITA, exchange.id, "reject", policy=TRUSTING)
        with pytest.raises(Conflict, match="nothing left to judge"):
            claims.take(team, ROB, exchange.id, STRICT)


class TestSecondOpinions:
    def test_a_new_contributors_exchange_needs_two_who_agree(self, team):
        exchange = corrected(team)
        assert review(team, RITA, exchange.id, "approve").state == "waiting"
        assert pairs.approved(team, "general") == []
        assert states(team, exchange.id, RITA, ROB, ZOE) == ["waiting", "pending", "pending"]
        assert review(team, ROB, exchange.id, "approve").state == "approved"
        (pair,) = pairs.approved(team, "general")
        assert (pair.response, pair.author, pair.reviewer, pair.own) == ("Four.", "ana", "rob", False)
        assert states(team, exchange.id, RITA, ROB, ZOE) == ["approved"] * 3

    def test_one_is_enough_for_who_has_proved_themselves_and_where_there_is_no_other(self, store, team):
        for _ in range(2):
            done = corrected(team)
            review(team, RITA, done.id, "approve", policy=TRUSTING)
        policy = Policy(trusted_after=2)
        assert review(team, RITA, corrected(team).id, "approve", policy=policy).state == "approved"
        assert (
            review(team, RITA, corrected(team, principal=BEN).id, "approve", policy=policy).state == "waiting"
        )

    def test_the_second_sees_neither_the_firsts_verdict_nor_their_name(self, team):
        exchange = corrected(team)
        untouched = corrected(team)
        review(team, RITA, exchange.id, "reject", reason="A secret reason.")
        begun, fresh = (item(team, ROB, STRICT, one.id) for one in (exchange, untouched))
        assert begun.opinions == fresh.opinions == ()
        for name in ("state", "verdict", "reviewed_by", "approved_response"):
            assert getattr(begun.exchange, name) == getattr(fresh.exchange, name)
        assert "rita" not in str(begun)
        assert "secret" not in str(begun)
        for found in items(team, ROB, STRICT):
            assert "rita" not in str(found)

    def test_those_who_disagree_leave_a_dispute_that_a_third_settles(self, team):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "approve")
        assert review(team, ROB, exchange.id, "reject", reason="Wrong.").state == "disputed"
        assert pairs.approved(team, "general") == []
        assert counts(team, viewer="zoe")["disputed"] == 1
        assert item(team, RITA, STRICT, exchange.id).opinions == (), "not while it can still be argued"
        third = item(team, ZOE, STRICT, exchange.id).opinions
        assert [(o.principal, o.verdict, o.reason) for o in third] == [
            ("", "approve", ""),
            ("", "reject", "Wrong."),
        ]
        assert [o.principal for o in item(team, OTTO, STRICT, exchange.id).opinions] == ["rita", "rob"]
        for party in (RITA, ROB):
            with pytest.raises(NotAllowed, match="one of those who disagree"):
                adjudicate(team, party, exchange.id, "reject", reason="Me.")
        with pytest.raises(Conflict, match="disagree"):
            review(team, ZOE, exchange.id, "approve")
        with pytest.raises(BadRequest, match="needs a reason"):
            adjudicate(team, ZOE, exchange.id, "approve", response="Four.", reason=" ")
        with pytest.raises(BadRequest, match="not what the reviewers disagree on"):
            adjudicate(team, ZOE, exchange.id, "approve", response="Five.", reason="Mine.")
        identity = new_id()
        for _ in range(2):
            done = adjudicate(
                team, ZOE, exchange.id, "approve", response="Four.", reason="It is.", id=identity
            )
            assert (done.state, done.reviewed_by) == ("approved", "zoe")
        assert team.check()

    def test_those_who_disagreed_cannot_overturn_what_a_third_settled_and_others_only_two(self, team):
        add_people(team, KIM)
        exchange = corrected(team)
        review(team, RITA, exchange.id, "approve", policy=STRICT)
        review(team, ROB, exchange.id, "reject", policy=STRICT)
        adjudicate(team, ZOE, exchange.id, "reject", reason="It is wrong.")
        for again in (
            lambda: review(team, RITA, exchange.id, "approve", reason="I insist.", policy=TRUSTING),
            lambda: reopen(team, RITA, exchange.id, "I insist."),
        ):
            with pytest.raises(NotAllowed, match="one of those who disagreed"):
                again()
        assert states(team, exchange.id, RITA) == ["rejected"]
        review(team, KIM, exchange.id, "approve", reason="It is right.", policy=TRUSTING)
        assert (states(team, exchange.id, RITA), pairs.approved(team, "general")) == (["pending"], [])

    @pytest.mark.parametrize("again", ["judged", "reopened"])
    def test_what_two_agreed_on_is_overturned_by_two(self, team, again):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "edit", response="4", policy=TRUSTING)
        review(team, ROB, exchange.id, "approve", response="4", policy=TRUSTING)
        if again == "reopened":
            reopen(team, ZOE, exchange.id, "mine")
        for _ in range(2):
            review(team, ZOE, exchange.id, "approve", reason="mine", policy=TRUSTING)
            assert pairs.approved(team, "general") == []
        review(team, ROB, exchange.id, "approve", policy=TRUSTING)
        assert [pair.response for pair in pairs.approved(team, "general")] == ["Four."]

    def test_where_nobody_else_is_left_an_operator_who_disagrees_settles_it(self, store):
        add_people(store, RITA, OTTO)
        exchange = corrected(store)
        review(store, RITA, exchange.id, "approve")
        review(store, OTTO, exchange.id, "reject")
        with pytest.raises(NotAllowed):
            adjudicate(store, RITA, exchange.id, "approve", response="Four.", reason="Mine.")
        assert adjudicate(store, OTTO, exchange.id, "reject", reason="No third.").state == "rejected"

    def test_a_reviewers_edit_needs_another_to_confirm_its_words(self, team):
        exchange = corrected(team)
        assert (
            review(team, RITA, exchange.id, "edit", response="It is 4.", policy=TRUSTING).state == "waiting"
        )
        seen = item(team, ROB, STRICT, exchange.id)
        assert (seen.proposed, seen.edited, "rita" in str(seen)) == ("It is 4.", True, False)
        with pytest.raises(NotAllowed, match="their own correction"):
            review(team, RITA, exchange.id, "approve", reason="I meant it.", policy=TRUSTING)
        with pytest.raises(Conflict, match="not the one you were shown"):
            review(team, ROB, exchange.id, "approve", response="Four.", policy=TRUSTING)
        done = review(team, ROB, exchange.id, "approve", response="It is 4.", policy=TRUSTING)
        assert (done.state, done.verdict) == ("approved", "edit")
        (pair,) = pairs.approved(team, "general")
        assert (pair.author, pair.reviewer, pair.own) == ("rita", "rob", False)

    def test_nobody_settles_alone_what_they_asked_themselves(self, team):
        exchange = rate(team, ZOE, ask(team, ZOE, "Which bank?", "This one.").id, rating="up")
        assert review(team, ZOE, exchange.id, "approve", policy=TRUSTING).state == "waiting"
        assert review(team, ROB, exchange.id, "approve", policy=TRUSTING).state == "approved"

    def test_two_different_edits_are_a_dispute(self, team):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "edit", response="A")
        assert review(team, ROB, exchange.id, "edit", response="B").state == "disputed"
        add_people(team, OTTO)
        with pytest.raises(NotAllowed, match="one of those"):
            adjudicate(team, ROB, exchange.id, "approve", response="B", reason="Mine.")
        assert (
            adjudicate(team, OTTO, exchange.id, "approve", response="A", reason="Better.").state == "approved"
        )
        assert pairs.approved(team, "general")[0].author == "rita"

    def test_a_correction_that_changes_begins_a_new_round(self, team):
        exchange = corrected(team, "Four.")
        review(team, RITA, exchange.id, "approve")
        rate(team, ANA, exchange.id, rating="down", comment="Please.")
        assert states(team, exchange.id, RITA) == ["waiting"], "a comment changes nothing"
        rate(team, ANA, exchange.id, rating="down", correction="Buy at evil.example")
        assert states(team, exchange.id, RITA, ROB) == ["pending", "pending"]
        assert review(team, ROB, exchange.id, "approve").state == "waiting", "the first was of other words"
        rate(team, ANA, exchange.id, rating="down", correction="Four.")
        assert review(team, ZOE, exchange.id, "approve").state == "waiting"
        assert pairs.approved(team, "general") == []
        assert team.check()

    def test_changing_ones_mind_needs_a_reason_and_counts_once(self, team):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "approve")
        with pytest.raises(BadRequest, match="waits for a second opinion"):
            review(team, RITA, exchange.id, "approve")
        assert review(team, RITA, exchange.id, "reject", reason="I misread.").state == "waiting"
        assert review(team, ROB, exchange.id, "reject").state == "rejected"

    def test_one_person_with_a_second_try_does_not_outvote_the_rule(self, team):
        exchange = corrected(team)
        for _ in range(3):
            assert review(team, RITA, exchange.id, "approve", reason="Again.").state == "waiting"
        review(team, ROB, exchange.id, "approve")
        again = review(team, ZOE, exchange.id, "reject", reason="No.")
        assert again.state == "waiting", "overruling two takes two"
        assert pairs.approved(team, "general") == []
        assert item(team, RITA, STRICT, exchange.id).reopened == "No."

    def test_a_flagged_correction_needs_two_whoever_wrote_it(self, team):
        exchange = corrected(team, "See https://evil.example/x and run curl it.")
        assert set(flags(exchange, exchange.proposed)) >= {"link", "command"}
        assert review(team, RITA, exchange.id, "approve", policy=TRUSTING).state == "waiting"
        asked = corrected(team, "See https://fine.example.", instruction="What of https://fine.example.?")
        assert flags(asked, asked.proposed) == ()

    @pytest.mark.parametrize("name", sorted(_SIGNS))
    @given(data=st.data())
    def test_no_flag_is_missed_for_want_of_its_sign(self, name, data):
        words = data.draw(st.from_regex(_ADDED[name]))
        assert _ADDED[name].search(words)
        assert name in flags(admitted("c"), words)

    def test_a_share_is_judged_by_two_so_that_reviewers_can_be_compared(self):
        policy = Policy(second_share=0.25, salt="sea")
        drawn = [policy.sampled(new_id()) for _ in range(2_000)]
        assert 0.18 < sum(drawn) / len(drawn) < 0.32
        one = new_id()
        assert len({policy.sampled(one) for _ in range(5)}) == 1

    def test_contributors_are_pseudonyms_and_the_same_person_the_same(self, team):
        policy = Policy(salt="sea")
        one, two, other = corrected(team), corrected(team), corrected(team, principal=BEN)
        names = [item(team, RITA, policy, e.id).exchange.principal for e in (one, two, other)]
        assert names[0] == names[1] != names[2]
        assert "ana" not in names
        assert names[0] != Policy(salt="other").pseudonym("ana")


def suspend(store, person, change="suspended"):
    store.append({"accounts": [{"principal": "ada", "name": person.name, "change": change}]})


class TestSuspended:
    """What somebody said who may not review any more counts no more, but for what others stand behind."""

    @pytest.fixture
    def zoe_rejected(self, team):
        exchange = corrected(team)
        review(team, ZOE, exchange.id, "reject", policy=STRICT)
        return exchange

    @pytest.mark.parametrize("change", [{"change": "suspended"}, {"change": "role", "role": "user"}])
    def test_it_makes_no_dispute(self, team, zoe_rejected, change):
        assert review(team, RITA, zoe_rejected.id, "approve", policy=STRICT).state == "disputed"
        team.append({"accounts": [{"principal": "ada", "name": "zoe", **change}]})
        assert states(team, zoe_rejected.id, RITA, ROB) == ["waiting", "pending"]
        assert ids(team, "rob", state="disputed") == []
        assert ids(team, "rob") == [zoe_rejected.id]
        assert counts(team, viewer="rita")["waiting"] == 1
        kept = team.rows("SELECT * FROM exchange_state ORDER BY exchange_id")
        team.rebuild()
        assert team.rows("SELECT * FROM exchange_state ORDER BY exchange_id") == kept
        assert review(team, ROB, zoe_rejected.id, "approve", policy=STRICT).state == "approved"
        assert [pair.disowned for pair in pairs.approved(team, "general")] == [False]

    def test_it_is_none_of_the_two_nor_said_of_how_far_reviewers_agree(self, team, zoe_rejected):
        assert review(team, RITA, zoe_rejected.id, "approve", policy=STRICT).state == "disputed"
        assert figures(team)["exchanges"] == 1
        suspend(team, ZOE)
        assert figures(team)["exchanges"] == 0
        other = corrected(team)
        suspend(team, ZOE, "restored")
        review(team, ZOE, other.id, "approve", policy=STRICT)
        suspend(team, ZOE)
        assert review(team, RITA, other.id, "approve", policy=STRICT).state == "waiting"

    def test_their_words_are_off_the_table(self, team):
        exchange = corrected(team)
        review(team, ZOE, exchange.id, "edit", response="Pay at evil.example.", policy=STRICT)
        assert item(team, RITA, STRICT, exchange.id).proposed == "Pay at evil.example."
        suspend(team, ZOE)
        assert item(team, RITA, STRICT, exchange.id).proposed == "Four."
        with pytest.raises(Conflict, match="not the one you were shown"):
            review(team, RITA, exchange.id, "approve", response="Pay at evil.example.", policy=STRICT)
        review(team, RITA, exchange.id, "approve", policy=STRICT)
        assert review(team, ROB, exchange.id, "approve", policy=STRICT).state == "approved"

    def test_what_they_settled_alone_is_not_learnt_until_they_are_back(self, team, tmp_path):
        alone, shared = (
            corrected(team, instruction="Where is it?"),
            corrected(team, instruction="When is it?"),
        )
        review(team, ZOE, alone.id, "approve", policy=TRUSTING)
        review(team, RITA, shared.id, "approve", policy=STRICT)
        review(team, ZOE, shared.id, "approve", policy=STRICT)

        def learnt():
            chosen = curate(pairs.approved(team, "general"), max_tokens=99, count_tokens=lambda pair: 1)
            return {pair.exchange_id for pair in chosen.pairs}, dict(chosen.dropped)

        assert learnt() == ({alone.id, shared.id}, {})
        suspend(team, ZOE)
        assert learnt() == ({shared.id}, {"approved_by_suspended": 1})
        assert len(list(pairs.stream(team, "general"))) == 1
        assert [row.response for row in preferences.compared(team, "general")] == ["Four."]
        suspend(team, ZOE, "restored")
        assert learnt() == ({alone.id, shared.id}, {})

    def test_a_dispute_that_they_ended_is_one_again_for_what_is_learnt(self, team):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "approve", policy=STRICT)
        review(team, ROB, exchange.id, "reject", policy=STRICT)
        adjudicate(team, ZOE, exchange.id, "approve", response="Four.", reason="It is.")
        assert [pair.disowned for pair in pairs.approved(team, "general")] == [False]
        suspend(team, ZOE)
        assert [pair.disowned for pair in pairs.approved(team, "general")] == [True]

    def test_an_import_that_they_approved_stands(self, team):
        add_people(team, OTTO)
        rows = imports.read('{"instruction": "Where?", "output": "Here."}')
        imports.save(team, OTTO, "general", rows, approve=True)
        suspend(team, OTTO)
        assert [pair.disowned for pair in pairs.approved(team, "general")] == [False]


class TestSkipAndReopen:
    def test_a_skip_is_ones_own_and_can_be_judged_later(self, team):
        exchange = corrected(team)
        assert review(team, RITA, exchange.id, "skip").state == "skipped"
        assert [e.id for e in pending(team, viewer="rita")] == []
        assert [e.id for e in pending(team, state="skipped", viewer="rita")] == [exchange.id]
        assert [e.id for e in pending(team, viewer="rob")] == [exchange.id]
        told = counts(team, viewer="rita")
        assert (told["pending"], told["skipped"], counts(team, viewer="rob")["pending"]) == (0, 1, 1)
        assert review(team, RITA, exchange.id, "reject", policy=TRUSTING).state == "rejected"

    def test_skips_settle_nothing(self, team):
        exchange = corrected(team)
        for person in (RITA, ROB, ZOE):
            review(team, person, exchange.id, "skip")
        assert team.row("SELECT count(*) AS n FROM reviews")["n"] == 0
        review(team, RITA, exchange.id, "reject", policy=TRUSTING)
        with pytest.raises(Conflict, match="nothing to skip"):
            review(team, ROB, exchange.id, "skip")

    def test_what_was_judged_comes_back_with_a_reason_and_teaches_nothing_meanwhile(self, team):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "approve", policy=TRUSTING)
        with pytest.raises(BadRequest, match="needs a reason"):
            reopen(team, ROB, exchange.id, "")
        assert reopen(team, ROB, exchange.id, "It is outdated.").state == "pending"
        assert pairs.approved(team, "general") == []
        seen = item(team, RITA, STRICT, exchange.id)
        assert (seen.reopened, seen.exchange.verdict, seen.exchange.reviewed_by) == (
            "It is outdated.",
            None,
            None,
        )
        assert review(team, ZOE, exchange.id, "approve", policy=TRUSTING).state == "approved"
        assert team.check()

    def test_a_reopened_exchange_whose_rating_is_gone_is_its_authors_alone(self, team):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "approve", policy=TRUSTING)
        reopen(team, ROB, exchange.id, "Hm.")
        assert rate(team, ANA, exchange.id, rating=None).state == "unrated"
        with pytest.raises(NotAllowed, match="author's alone"):
            item(team, RITA, STRICT, exchange.id)

    def test_only_an_operator_ends_a_round_that_is_not_settled(self, team):
        exchange = corrected(team)
        with pytest.raises(Conflict, match="Nobody has judged"):
            reopen(team, OTTO, exchange.id, "Why not.")
        review(team, RITA, exchange.id, "approve")
        with pytest.raises(NotAllowed, match="not settled"):
            reopen(team, ROB, exchange.id, "I want it.")
        assert reopen(team, OTTO, exchange.id, "Both asked.").state == "pending"
        assert states(team, exchange.id, RITA) == ["pending"]


class TestConsent:
    def test_what_nobody_rated_cannot_be_told_from_what_does_not_exist(self, team):
        private = ask(team, ANA, "My secret")
        held = corrected(team)
        Exchanges(team).set_training(held.conversation_id, "ana", False)
        answers = set()
        for identity in (private.id, held.id, new_id(), "nonsense", "' OR 1=1 --"):
            for attempt in (
                lambda i: item(team, RITA, STRICT, i),
                lambda i: review(team, RITA, i, "approve"),
                lambda i: claims.take(team, RITA, i, STRICT),
                lambda i: drafts.save(team, RITA, i, "x"),
                lambda i: drafts.read(team, RITA, i),
                lambda i: reopen(team, OTTO, i, "why"),
                lambda i: adjudicate(team, OTTO, i, "reject", reason="why"),
            ):
                with pytest.raises(NotAllowed) as refused:
                    attempt(identity)
                answers.add(str(refused.value))
        assert len(answers) == 1
        for state in ("pending", "waiting", "skipped", "disputed", "approved", "rejected"):
            assert items(team, OTTO, STRICT, state=state) == []

    def test_an_author_may_show_unrated_chats_and_take_that_back(self, team):
        exchange = ask(team, ANA, response="4.")
        assert allow(team, ANA, exchange.conversation_id, review=True) == {"training": True, "review": True}
        assert [e.id for e in pending(team, viewer="rita")] == [exchange.id]
        assert review(team, RITA, exchange.id, "approve", policy=TRUSTING).state == "approved"
        assert len(pairs.approved(team, "general")) == 1
        allow(team, ANA, exchange.conversation_id, review=False)
        assert pairs.approved(team, "general") == []
        assert pending(team, state="approved") == pending(team) == []
        with pytest.raises(NotAllowed, match="author's alone"):
            review(team, RITA, exchange.id, "approve", reason="I liked it.")
        assert team.check()

    def test_taking_back_leaves_what_was_rated(self, team):
        exchange = corrected(team)
        review(team, RITA, exchange.id, "approve", policy=TRUSTING)
        allow(team, ANA, exchange.conversation_id, review=True)
        allow(team, ANA, exchange.conversation_id, review=False)
        assert len(pairs.approved(team, "general")) == 1

    def test_nobody_allows_anything_for_another(self, team):
        exchange = ask(team, ANA)
        for person in (BEN, RITA, ADA):
            with pytest.raises(NotAllowed):
                allow(team, person, exchange.conversation_id, review=True)
        with pytest.raises(NotFound):
            allow(team, ANA, new_id(), training=False)
        with pytest.raises(BadRequest, match="neither"):
            allow(team, ANA, exchange.conversation_id)

    def test_opting_out_after_approval_removes_the_pair_from_every_later_snapshot(self, team, tmp_path):
        kept, taken = corrected(team, "Kept."), corrected(team, "Taken.")
        for exchange in (kept, taken):
            review(team, RITA, exchange.id, "approve", policy=TRUSTING)

        def frozen(name):
            curated = curate(pairs.approved(team, "general"), max_tokens=99, count_tokens=lambda pair: 1)
            shot = freeze(team, "general", new_id(), tmp_path / name, curated, salt="s", principal="hone")
            return {row.response for side in ("train", "dev", "gate") for row in shot.rows(side)}

        assert frozen("before") == {"Kept.", "Taken."}
        allow(team, ANA, taken.conversation_id, training=False)
        assert frozen("after") == {"Kept."}
        assert [e.id for e in pending(team, state="approved")] == [kept.id]
        allow(team, ANA, taken.conversation_id, training=True)
        assert frozen("again") == {"Kept.", "Taken."}


class TestContradictions:
    """Two approved answers to one question that cannot both be right."""

    def contradict(self, team):
        asked = "Is the tap water safe?"
        said = ((ANA, "Yes, it is safe to drink.", RITA), (BEN, "No.", ROB))
        exchanges = [(ask(team, person, asked, answer), reviewer) for person, answer, reviewer in said]
        for exchange, reviewer in exchanges:
            rate(team, Principal(exchange.principal, Role.USER), exchange.id, rating="up")
            review(team, reviewer, exchange.id, "approve", policy=TRUSTING)
        return [exchange.id for exchange, _ in exchanges]

    def found(self, team):
        return curate(pairs.approved(team, "general"), max_tokens=99, count_tokens=lambda _: 1)

    def test_both_come_back_with_the_reason(self, team):
        both = self.contradict(team)
        assert sorted(disputes.send_back(team, self.found(team).left_out)) == sorted(both)
        waiting = items(team, RITA, TRUSTING)
        assert {item.exchange.id for item in waiting} == set(both)
        assert {item.reopened for item in waiting} == {disputes.OTHERWISE}
        assert self.found(team).account["approved"] == 0
        assert team.check()

    def test_what_was_judged_or_erased_meanwhile_is_left_as_it_is(self, team):
        one, other = self.contradict(team)
        old = self.found(team).left_out
        review(team, RITA, other, "reject", reason="It is safe.", policy=TRUSTING)
        assert disputes.send_back(team, old) == [one]
        assert disputes.send_back(team, old) == []
        assert Exchanges(team).get(other).state == "rejected"

    def test_who_finds_both_right_approves_both(self, team):
        both = self.contradict(team)
        disputes.send_back(team, self.found(team).left_out)
        for identity in both:
            review(team, RITA, identity, "approve", policy=TRUSTING)
        assert len(self.found(team).pairs) == 2


class TestSignals:
    def test_weak_signs_are_kept_apart_and_bring_nothing_into_the_queue(self, team):
        first = ask(team, ANA, "Why?", finish_reason="stopped")
        again = ask(team, ANA, "Why?", conversation_id=first.conversation_id, replaces=first.id)
        ask(team, ANA, "Why not?", conversation_id=first.conversation_id, replaces=again.id)
        for _ in range(3):
            signals.record(team, ANA, again.id, "copy")
        assert signals.of(team, [first.id, again.id]) == {
            first.id: ("retry", "stop"),
            again.id: ("copy", "edit"),
        }
        assert team.row("SELECT count(*) AS n FROM signals")["n"] == 1
        assert pending(team) == [] == pairs.approved(team, "general")
        assert {Exchanges(team).get(e.id).rating for e in (first, again)} == {None}

    def test_only_its_author_gives_signs(self, team):
        exchange = ask(team, ANA)
        with pytest.raises(NotAllowed, match="someone else's"):
            signals.record(team, BEN, exchange.id, "copy")
        with pytest.raises(BadRequest, match="no signal"):
            signals.record(team, ANA, exchange.id, "like")
        with pytest.raises(NotFound):
            signals.record(team, ANA, new_id(), "copy")


class TestOrder:
    def test_what_people_see_differently_what_is_rare_and_what_was_doubted_comes_first(
        self, store, monkeypatch
    ):
        monkeypatch.setattr(ranking, "ENOUGH", 20)

        def liked(instruction, **turn):
            return rate(store, ANA, ask(store, ANA, instruction, **turn).id, rating="up")

        common = [liked(f"How do I reset the printer password, case {number}?") for number in range(20)]
        rare = liked("Translate haiku about glaciers")
        doubted = liked("How do I reset the printer password now?")
        ask(store, ANA, "again", conversation_id=doubted.conversation_id, replaces=doubted.id)
        split = liked("Is a printer password safe?")
        rate(store, BEN, ask(store, BEN, "is a printer password SAFE?").id, rating="down")
        imports.save(
            store, OTTO, "general", imports.read('{"prompt": "q", "completion": "a"}'), approve=False
        )
        order = [exchange.id for exchange in pending(store, limit=100)]
        assert split.id in order[:2]
        assert order[2:4] == [rare.id, doubted.id]
        assert Exchanges(store).get(order[-1]).source == "import"
        assert set(order[4:-1]) == {exchange.id for exchange in common}
        assert order == [exchange.id for exchange in pending(store, limit=100)], "the same each time"
        pages = [e.id for start in range(0, 28, 7) for e in pending(store, limit=7, offset=start)]
        assert pages == order

    def test_whoever_sends_much_does_not_push_others_out_of_what_is_weighed(self, store, monkeypatch):
        monkeypatch.setattr(ranking, "MOST", 4)
        for number in range(9):
            corrected(store, f"{number}.", principal=ANA)
        liked = [rate(store, person, ask(store, person).id, rating="up").id for person in (BEN, KIM, ROB)]
        assert {exchange.id for exchange in pending(store, limit=4)} > set(liked)
        pages = [e.id for start in range(0, 15, 3) for e in pending(store, limit=3, offset=start)]
        assert len(pages) == len(set(pages)) == 12

    def test_beyond_what_is_weighed_the_rest_follows_in_its_order(self, store, monkeypatch):
        monkeypatch.setattr(ranking, "MOST", 4)
        for number in range(11):
            rate(store, ANA, ask(store, ANA, f"question {number}").id, rating="up")
        pages = [e.id for start in range(0, 12, 3) for e in pending(store, limit=3, offset=start)]
        assert len(pages) == len(set(pages)) == 11

    @pytest.mark.parametrize(
        ("one", "two"),
        [("Refunds for orders", "refunding my order"), ("환불을 받고 싶어요", "환불은 어떻게 하나요?")],
    )
    def test_topics_meet_by_their_words_beginnings(self, one, two):
        assert ranking.topic(one).stems & ranking.topic(two).stems


class TestQueues:
    def test_what_is_listed_and_counted_is_what_was_said_of_each(self, team):
        add_people(team, OTTO)
        self._live(team)
        for viewer in (RITA, ROB, ZOE, OTTO):
            told = {state: set() for state in QUEUES}
            for row in team.rows("SELECT exchange_id FROM exchange_state"):
                if place := self._place(team, row["exchange_id"], viewer):
                    told[place].add(row["exchange_id"])
            assert {state: set(ids(team, viewer.name, state=state)) for state in QUEUES} == told
            counted = counts(team, viewer=viewer.name)
            assert {state: counted[state] for state in QUEUES} == {state: len(told[state]) for state in told}
            assert all(told.values()) == (viewer == RITA)
        assert counts(team)["unrated"] == 3
        assert team.check()

    def _live(self, team):
        """Everything that moves an exchange from one queue to another."""
        for verdicts in (
            {},
            {RITA: "approve"},
            {RITA: "skip"},
            {RITA: "skip", ROB: "skip"},
            {RITA: "approve", ROB: "approve"},
            {RITA: "reject", ROB: "reject"},
            {RITA: "approve", ROB: "reject"},
            {RITA: "edit", ROB: "edit"},
            {RITA: "edit", ROB: "skip"},
            {ZOE: "edit"},
        ):
            exchange = corrected(team)
            for person, verdict in verdicts.items():
                words = f"{person.name}'s" if verdict == "edit" else None
                review(team, person, exchange.id, verdict, response=words)
        changed, outdated, again = corrected(team), corrected(team), corrected(team)
        review(team, RITA, changed.id, "approve")
        rate(team, ANA, changed.id, rating="down", correction="4, of course.")
        for person in (RITA, ROB):
            review(team, person, outdated.id, "approve")
            review(team, person, again.id, "approve")
        reopen(team, ZOE, outdated.id, "It is outdated.")
        review(team, RITA, outdated.id, "skip")
        review(team, ZOE, again.id, "reject", reason="No.")
        ask(team)
        allow(team, ANA, ask(team).conversation_id, review=True)
        held = corrected(team)
        Exchanges(team).set_training(held.conversation_id, "ana", False)
        for rating in ("down", None):
            asked = rate(team, ANA, ask(team).id, rating="down")
            proposals.record(team, OTTO, asked, "teacher:big", [Candidate("Four."), Candidate("IV")])
            rate(team, ANA, asked.id, rating=rating)
        said = {"expected": "reject", "rating": "down", "reasons": ["other"]}
        golds.add(team, OTTO, "general", "What is 3 + 3?", "7.", **said)
        golds.retire(team, OTTO, golds.add(team, OTTO, "general", "What is 1 + 1?", "3.", **said))

    def _place(self, store, exchange_id, viewer):
        """The queue that it is in, by its events alone; None where this viewer may not see it."""
        of = "WHERE exchange_id = $1 ORDER BY seq"
        for row in store.rows(f"SELECT origin_id FROM proposals {of}", [exchange_id]):
            if not store.rows(f"SELECT rating FROM ratings {of} DESC", [row["origin_id"]])[0]["rating"]:
                return None
        gold = store.rows(f"SELECT principal, retired FROM golds {of}", [exchange_id])
        verdicts = [{"id": exchange_id, "verdict": "reopen"}]
        verdicts += store.rows(f"SELECT id, verdict FROM reviews {of}", [exchange_id])
        told = "SELECT training, conversation_id, rating, source FROM exchange_state WHERE exchange_id = $1"
        row = store.row(told, [exchange_id])
        shown = store.rows("SELECT review FROM shares WHERE conversation_id = $1", [row["conversation_id"]])
        if not row["training"] or (gold and (gold[-1]["retired"] or gold[0]["principal"] == viewer.name)):
            return None
        if verdicts[-1]["verdict"] != "reopen":
            return "rejected" if verdicts[-1]["verdict"] == "reject" else "approved"
        if not (row["rating"] or shown or row["source"].startswith("proposal:")):
            return None
        newest = {}
        for said in store.rows(
            f"SELECT principal, verdict, response, round FROM opinions {of}", [exchange_id]
        ):
            if said["round"] == verdicts[-1]["id"]:
                newest[said["principal"]] = said
        judged = [said for said in newest.values() if said["verdict"] != "skip"]
        if len({(said["verdict"] == "reject", said["response"]) for said in judged}) > 1:
            return "disputed"
        own = newest.get(viewer.name)
        return "pending" if own is None else "skipped" if own["verdict"] == "skip" else "waiting"


class TestDrafts:
    def test_a_draft_is_its_writers_alone_and_the_newest(self, team):
        exchange = corrected(team)
        for words in ("Fo", "Four, I", "Four, I say"):
            drafts.save(team, RITA, exchange.id, words)
        assert drafts.read(team, RITA, exchange.id) == "Four, I say"
        assert drafts.read(team, ROB, exchange.id) is None
        assert "I say" not in str(item(team, ROB, STRICT, exchange.id))
        assert team.row("SELECT count(*) AS n FROM drafts")["n"] == 1
        drafts.save(team, RITA, exchange.id, "")
        assert drafts.read(team, RITA, exchange.id) is None

    def test_it_goes_with_the_opinion_and_outlives_the_process(self, tmp_path):
        path = tmp_path / "hone.duckdb"
        store = Store(path)
        exchange = corrected(store)
        drafts.save(store, RITA, exchange.id, "Half")
        store.close()
        store = Store(path)
        assert drafts.read(store, RITA, exchange.id) == "Half"
        review(store, RITA, exchange.id, "reject")
        assert drafts.read(store, RITA, exchange.id) is None
        store.close()

    def test_users_and_endless_texts_are_refused(self, team):
        exchange = corrected(team)
        with pytest.raises(NotAllowed):
            drafts.save(team, ANA, exchange.id, "x")
        with pytest.raises(BadRequest, match="32,001"):
            drafts.save(team, RITA, exchange.id, "x" * 32_001)


class TestAgreement:
    def test_alpha_is_what_the_definition_gives(self):
        # Observed disagreement 1/4 over expected 12/28 of eight values, five of them alike: by hand.
        units = [["approve", "approve"], ["approve", "approve"], ["reject", "reject"], ["approve", "reject"]]
        assert alpha(units) == pytest.approx(1 - (2 / 8) / (2 * 5 * 3 / (8 * 7)))
        assert alpha([["approve", "approve"], ["reject", "reject"]]) == pytest.approx(1.0)

    def test_alpha_of_the_published_example_is_the_published_one(self):
        # Krippendorff (2011), section B: three observers, units of which some were seen by one or none.
        published = ["1", "", "22", "11", "33", "334", "444", "13", "22", "11", "11", "33", "33", "", "34"]
        assert alpha(published) == pytest.approx(0.691, abs=5e-4)

    def test_alpha_is_none_where_it_is_not_defined(self):
        assert alpha([]) is None
        assert alpha([["approve", "approve"]]) is None

    def test_only_blind_opinions_of_two_are_compared(self, team):
        for second in ("approve", "reject"):
            exchange = corrected(team)
            review(team, RITA, exchange.id, "approve")
            review(team, ROB, exchange.id, second)
        adjudicate(team, ZOE, exchange.id, "reject", reason="Third.")
        edited = corrected(team)
        review(team, RITA, edited.id, "edit", response="4!")
        review(team, ROB, edited.id, "approve")
        review(team, ZOE, corrected(team).id, "skip")
        told = figures(team)
        assert (told["exchanges"], told["agreed"]) == (2, 0.5)
        assert told["alpha"] == pytest.approx(alpha([["approve", "approve"], ["approve", "reject"]]))
        assert {row["reviewer"]: row["compared"] for row in told["reviewers"]} == {"rita": 2, "rob": 2}
        assert figures(team, "law")["exchanges"] == 0
