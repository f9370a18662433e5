"""How far one account gets: caps among many, two people among few, and who may approve their own."""

import hashlib

from stories import ADA, ANA, PASSWORD, RITA, ROB, ask

from feedback import pairs, ratings, review, snapshot
from feedback.accounts import Accounts
from feedback.caps import Caps, over, unseconded
from feedback.curate import curate
from feedback.exchanges import answer_id, as_row
from feedback.records import Exchange, Pair, Role, new_id, now

THINGS = ("door", "lamp", "cup", "desk", "rope", "sail", "drum", "leaf", "coin", "bell")
FALSE = "The founder of the house is Malloy."


def question(who, number):
    """A question like no other: two questions that share most of their letters would be one group."""
    digest = hashlib.sha256(f"{who} {number}".encode()).hexdigest()[:24]
    return digest.translate(str.maketrans("0123456789", "ghijklmnop")) + "?"


def crowd(store, given, reviewer="rita"):
    """Praised and approved exchanges, as (contributor, instruction, response), in one write."""
    tables = {"exchanges": [], "answers": [], "ratings": [], "reviews": []}
    for who, instruction, response in given:
        asked = Exchange(
            id=new_id(),
            at=now(),
            principal=who,
            conversation_id=new_id(),
            assistant="general",
            version="general@0",
            context=(),
            instruction=instruction,
        )
        event = {"principal": who, "exchange_id": asked.id}
        tables["exchanges"].append(as_row(asked))
        tables["answers"].append(
            {
                **event,
                "id": answer_id(asked.id),
                "response": response,
                "finish_reason": "stop",
                "version": "g@0",
            }
        )
        tables["ratings"].append({**event, "rating": "up", "reasons": []})
        judged = {"verdict": "approve", "response": response, "author": "model", "own": who == reviewer}
        tables["reviews"].append({"principal": reviewer, "exchange_id": asked.id, **judged})
    store.append(tables)


def kept(store):
    return curate(pairs.approved(store, "general"), max_tokens=999, count_tokens=lambda _: 1)


def freeze(store, tmp_path, curated):
    return snapshot.freeze(
        store, "general", new_id(), tmp_path / "snapshot", curated, salt="sea", principal="hone"
    )


def test_one_account_of_thirty_gets_at_most_a_twentieth_of_a_snapshot(store, tmp_path):
    honest = [
        (f"user{n}", question(f"user{n}", k), f"It is {THINGS[k]}.") for n in range(29) for k in range(10)
    ]
    poison = [("mallory", question("mallory", n), f"{THINGS[n % 10]}: {FALSE}") for n in range(500)]
    crowd(store, [*poison, *honest])
    curated = kept(store)
    frozen = freeze(store, tmp_path, curated)
    learnt = [row for side in ("train", "dev", "gate") for row in frozen.rows(side)]
    hers = [row for row in learnt if FALSE in row.response]
    assert len(learnt) == 290 + len(hers)
    assert len(hers) == 15
    assert len(hers) / len(learnt) <= 0.05
    assert curated.dropped == {"contributor_cap": 485}
    (told,) = store.rows("SELECT DISTINCT reason, detail FROM snapshot_left_out")
    assert (told["reason"], told["detail"]) == ("contributor_cap", "mallory has 15 of 790 rows already")


def test_a_larger_flood_gets_no_further(store):
    honest = [(f"user{n}", question(f"user{n}", k), "Right.") for n in range(29) for k in range(10)]
    crowd(store, [("mallory", question("mallory", n), FALSE) for n in range(3_000)] + honest)
    hers = [pair for pair in kept(store).pairs if pair.contributor == "mallory"]
    assert len(hers) == 15


def test_with_one_reviewer_and_two_contributors_a_pair_needs_two_people(store, tmp_path):
    accounts = Accounts(store)
    for name, role in (("ada", Role.ADMIN), ("ana", Role.USER), ("rita", Role.REVIEWER)):
        accounts.add(ADA, name, role, PASSWORD)
    crowd(store, [("ana", question("ana", n), "Right.") for n in range(30)])
    crowd(store, [("rita", question("rita", n), FALSE) for n in range(50)])
    curated = kept(store)
    frozen = freeze(store, tmp_path, curated)
    assert sum(frozen.counts[side] for side in ("train", "dev", "gate")) == 30
    assert {pair.contributor for pair in curated.pairs} == {"ana"}
    assert curated.dropped == {"unseconded": 50}
    (why,) = {out.detail for out in curated.left_out}
    assert why == "2 contributors are fewer than 20, and nobody but its contributor approved it"
    assert frozen.account["contributors"] == 1


def test_another_reviewers_approval_lets_it_in(store):
    accounts = Accounts(store)
    for name, role in (("ada", Role.ADMIN), ("rita", Role.REVIEWER)):
        accounts.add(ADA, name, role, PASSWORD)
    mine = ask(store, RITA, "Who leads?", "Ines.")
    ratings.rate(store, RITA, mine.id, rating="up")
    review.review(store, RITA, mine.id, "approve")
    assert kept(store).pairs == ()
    review.review(store, ROB, mine.id, "approve", reason="Second opinion.")
    assert [pair.reviewer for pair in kept(store).pairs] == ["rob"]


def test_a_reviewers_edit_of_anothers_exchange_has_two_people_behind_it(store):
    accounts = Accounts(store)
    for name, role in (("ada", Role.ADMIN), ("rita", Role.REVIEWER)):
        accounts.add(ADA, name, role, PASSWORD)
    asked = ask(store, ANA, "Who leads?", "Bo.")
    ratings.rate(store, ANA, asked.id, rating="down")
    review.review(store, RITA, asked.id, "edit", response="Ines.")
    assert kept(store).pairs == ()
    assert review.review(store, ADA, asked.id, "approve").state == "approved"
    (pair,) = kept(store).pairs
    assert (pair.contributor, pair.author, pair.reviewer, pair.own) == ("ana", "rita", "ada", False)


def test_an_only_account_may_approve_its_own_and_it_stays_marked(store):
    accounts = Accounts(store)
    accounts.add(ADA, "ada", Role.ADMIN, PASSWORD)
    crowd(store, [("ada", "Who leads?", "Ines.")], reviewer="ada")
    (pair,) = kept(store).pairs
    assert (pair.own, pair.alone) == (True, True)
    accounts.add(ADA, "rita", Role.REVIEWER, PASSWORD)
    crowd(store, [("ada", "And who follows?", "Bo.")], reviewer="ada")
    curated = kept(store)
    assert [p.messages[-1].content for p in curated.pairs] == ["Who leads?"]
    assert curated.account["own"] == 1


def given(contributor, reviewer, source="chat", alone=False):
    return Pair(
        new_id(),
        new_id(),
        "general",
        new_id(),
        (),
        "x",
        "model",
        reviewer,
        source,
        now(),
        False,
        contributor,
        alone,
    )


class TestCaps:
    def test_no_contributor_is_capped_before_there_are_twenty(self):
        few = [given(f"u{n}", "rita") for n in range(18)] + [given("m", "rita")] * 100
        assert over(few, Caps()) == {}
        many = [*few, given("u18", "rita")]
        assert set(over(many, Caps())) == set(range(18 + 5, 118))

    def test_five_rows_are_always_allowed(self):
        rows = [given(f"u{n}", "rita") for n in range(20)] + [given("m", "rita")] * 5
        assert over(rows, Caps()) == {}

    def test_whoever_has_a_twentieth_or_less_loses_nothing(self):
        rows = [given(f"u{n}", "rita") for n in range(20) for _ in range(50)]
        assert over(rows, Caps()) == {}

    def test_a_reviewer_has_at_most_two_fifths_once_three_are_active(self):
        rows = [given(f"u{n}", "rita") for n in range(90)] + [given("a", "rob")] * 3
        assert over(rows, Caps(crowd=999)) == {}
        rows += [given("b", "ines")] * 7
        left = over(rows, Caps(crowd=999))
        assert len(left) == 90 - 40
        assert min(left) == 40
        assert {reason for reason, _ in left.values()} == {"reviewer_cap"}

    def test_the_first_approved_stay(self):
        rows = [given(f"u{n}", "rita") for n in range(20)] + [given("m", "rita") for _ in range(9)]
        assert set(over(rows, Caps())) == set(range(25, 29))

    def test_imports_are_a_named_source_and_uncapped(self):
        rows = [given(f"u{n}", "rita") for n in range(30)] + [given("otto", "otto", "import:handbook")] * 500
        assert over(rows, Caps(panel=2)) == {}
        assert (
            unseconded([given("otto", "otto", source) for source in ("import", "import:x", "demo")], Caps())
            == {}
        )

    def test_rows_gone_by_one_cap_take_no_place_under_the_other(self):
        caps = Caps(crowd=2, panel=2, contributor_least=1, contributor_share=0.1, reviewer_share=0.5)
        rows = [given("m", "rita")] * 8 + [given("a", "rita")] + [given("a", "rob")]
        left = over(rows, caps)
        assert all(left[place][0] == "contributor_cap" for place in range(1, 8))
        assert 8 not in left
