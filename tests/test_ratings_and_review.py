"""What users say of answers and what reviewers make of it: whose words, whose verdict, which holds."""

import pytest
from stories import ADA, ANA, BEN, OTTO, PASSWORD, RITA, ROB, ask

from feedback import imports, pairs
from feedback.accounts import Accounts
from feedback.errors import BadRequest, Conflict, NotAllowed, NotFound
from feedback.exchanges import Exchanges
from feedback.ratings import rate
from feedback.records import REASONS_DOWN, REASONS_UP, Role, new_id
from feedback.review import counts, pending, review


def events(store, table="ratings"):
    return store.row(f"SELECT count(*) AS n FROM {table}")["n"]


def corrected(store, correction="Four.", principal=ANA):
    exchange = ask(store, principal)
    return rate(store, principal, exchange.id, rating="down", correction=correction)


def add_accounts(store, *principals):
    for principal in principals:
        Accounts(store).add(ADA, principal.name, principal.role, PASSWORD)


class TestRatings:
    def test_the_thumb_is_saved_at_once_and_the_rest_may_follow(self, store):
        exchange = ask(store)
        thumb = rate(store, ANA, exchange.id, rating="down")
        assert (thumb.rating, thumb.reasons, thumb.state) == ("down", (), "pending")
        more = rate(store, ANA, exchange.id, rating="down", reasons=["too_verbose"], comment="Long.")
        most = rate(store, ANA, exchange.id, rating="down", correction="4")
        assert (more.reasons, more.comment) == (("too_verbose",), "Long.")
        assert (most.reasons, most.comment, most.correction) == (("too_verbose",), "Long.", "4")
        assert events(store) == 3

    def test_a_field_can_be_emptied(self, store):
        exchange = corrected(store)
        emptied = rate(store, ANA, exchange.id, rating="down", correction="  ", reasons=[])
        assert (emptied.correction, emptied.reasons, emptied.rating) == ("", (), "down")

    def test_the_other_thumb_clears_what_was_said_with_the_first(self, store):
        exchange = ask(store)
        rate(store, ANA, exchange.id, rating="down", reasons=["unsafe"], comment="No.", correction="Yes.")
        changed = rate(store, ANA, exchange.id, rating="up")
        assert (changed.rating, changed.reasons, changed.comment, changed.correction) == ("up", (), "", "")

    def test_taking_the_thumb_back_clears_all(self, store):
        exchange = corrected(store)
        cleared = rate(store, ANA, exchange.id, rating=None)
        assert (cleared.rating, cleared.correction, cleared.state) == (None, "", "unrated")
        with pytest.raises(BadRequest, match="needs a thumb"):
            rate(store, ANA, exchange.id, rating=None, comment="but")

    def test_the_same_rating_again_is_no_event(self, store):
        exchange = ask(store)
        for _ in range(2):
            rate(store, ANA, exchange.id, rating="up", reasons=["other", "other"])
        assert events(store) == 1

    def test_the_same_write_sent_again_is_the_same_row(self, store):
        exchange, identity = ask(store), new_id()
        rate(store, ANA, exchange.id, rating="up", id=identity)
        rate(store, ANA, exchange.id, rating="down")
        repeated = rate(store, ANA, exchange.id, rating="up", id=identity)
        assert repeated.rating == "down"
        assert events(store) == 2
        for other in ({"rating": "down"}, {"rating": "up", "comment": "More."}, {"rating": None}):
            with pytest.raises(Conflict, match="used for another rating"):
                rate(store, ANA, exchange.id, **other, id=identity)
        with pytest.raises(Conflict, match="used for another"):
            rate(store, ANA, ask(store).id, rating="up", id=identity)
        with pytest.raises(BadRequest):
            rate(store, ANA, exchange.id, rating="up", id="nonsense")

    def test_a_late_retry_of_what_changed_nothing_overwrites_nothing(self, store):
        exchange, identity = ask(store), new_id()
        rate(store, ANA, exchange.id, rating="up")
        rate(store, ANA, exchange.id, rating="up", id=identity)
        rate(store, ANA, exchange.id, rating="down")
        assert rate(store, ANA, exchange.id, rating="up", id=identity).rating == "down"

    def test_only_its_author_rates_an_exchange(self, store):
        exchange = ask(store, ANA)
        for other in (BEN, RITA, ADA):
            with pytest.raises(NotAllowed, match="someone else's"):
                rate(store, other, exchange.id, rating="up")
        with pytest.raises(NotFound):
            rate(store, ANA, new_id(), rating="up")
        assert events(store) == 0

    def test_a_running_turn_cannot_be_rated(self, store):
        exchange = ask(store, finish_reason=None)
        with pytest.raises(Conflict, match="still being written"):
            rate(store, ANA, exchange.id, rating="up")

    def test_unknown_reasons_are_named(self, store):
        exchange = ask(store)
        with pytest.raises(BadRequest, match=r"up: too_verbose, nonsense\. Use any of accurate_information"):
            rate(store, ANA, exchange.id, rating="up", reasons=["other", "too_verbose", "nonsense"])
        with pytest.raises(BadRequest, match="no rating"):
            rate(store, ANA, exchange.id, rating="sideways")
        for thumb, known in (("up", REASONS_UP), ("down", REASONS_DOWN)):
            assert rate(store, ANA, exchange.id, rating=thumb, reasons=known).reasons == known

    def test_texts_have_limits_that_are_said(self, store):
        exchange = ask(store)
        rate(store, ANA, exchange.id, rating="down", comment="x" * 4_000, correction="x" * 32_000)
        for field, limit in (("comment", 4_000), ("correction", 32_000)):
            with pytest.raises(
                BadRequest, match=f"{field} has {limit + 1:,} characters; the limit is {limit:,}"
            ):
                rate(store, ANA, exchange.id, rating="down", **{field: "x" * (limit + 1)})
        with pytest.raises(BadRequest, match="half a character"):
            rate(store, ANA, exchange.id, rating="down", comment="\ud800")


class TestQueue:
    def test_the_most_valuable_come_first(self, store):
        said = {}
        imports.save(
            store, OTTO, "general", imports.read('{"prompt": "q", "completion": "a"}'), approve=False
        )
        for name, words in {
            "up": {"rating": "up"},
            "down": {"rating": "down"},
            "reasoned": {"rating": "down", "reasons": ["unsafe"]},
            "corrected": {"rating": "down", "correction": "better"},
        }.items():
            exchange = ask(store, instruction=name)
            said[name] = rate(store, ANA, exchange.id, **words)
        queue = [exchange.instruction for exchange in pending(store)]
        assert queue == ["corrected", "reasoned", "down", "up", "q"]
        assert [e.instruction for e in pending(store, limit=2, offset=1)] == ["reasoned", "down"]
        assert pending(store)[0] == said["corrected"]
        assert pending(store, assistant="law") == []

    def test_what_nobody_rated_is_never_shown(self, store):
        exchange = ask(store)
        assert pending(store) == []
        with pytest.raises(NotAllowed, match="author's alone"):
            review(store, RITA, exchange.id, "approve")
        with pytest.raises(BadRequest, match="no queue"):
            pending(store, state="unrated")

    def test_counts_name_every_state(self, store):
        assert counts(store) == {"unrated": 0, "pending": 0, "disputed": 0, "approved": 0, "rejected": 0}
        ask(store)
        for verdict in ("approve", "reject"):
            review(store, RITA, corrected(store).id, verdict)
        corrected(store)
        assert counts(store) == {"unrated": 1, "pending": 1, "disputed": 0, "approved": 1, "rejected": 1}
        assert counts(store, "law")["pending"] == 0

    def test_a_conversation_kept_from_training_leaves_the_queue_and_comes_back(self, store):
        exchange = corrected(store)
        told = Exchanges(store)
        told.set_training(exchange.conversation_id, "ana", False)
        assert pending(store) == []
        assert counts(store)["pending"] == 0
        with pytest.raises(NotAllowed):
            review(store, RITA, exchange.id, "approve")
        told.set_training(exchange.conversation_id, "ana", True)
        assert [e.id for e in pending(store)] == [exchange.id]

    def test_judged_states_show_the_newest_verdict_first(self, store):
        judged = [review(store, RITA, corrected(store).id, "reject") for _ in range(2)]
        assert pending(store, state="rejected") == judged[::-1]


class TestReview:
    def test_approving_teaches_the_correction_in_its_authors_name(self, store):
        done = review(store, RITA, corrected(store, "Four.").id, "approve")
        assert (done.state, done.verdict, done.approved_response) == ("approved", "approve", "Four.")
        assert done.reviewed_by == "rita"
        (pair,) = pairs.approved(store, "general")
        assert (pair.response, pair.author, pair.reviewer, pair.own) == ("Four.", "ana", "rita", False)

    def test_approving_an_answer_teaches_the_models_words(self, store):
        exchange = ask(store, response="4.")
        rate(store, ANA, exchange.id, rating="up")
        review(store, RITA, exchange.id, "approve", response="4.")
        (pair,) = pairs.approved(store, "general")
        assert (pair.response, pair.author, pair.own) == ("4.", "model", False)

    def test_an_edit_teaches_the_reviewers_words(self, store):
        done = review(store, RITA, corrected(store).id, "edit", response="Four, of course.")
        assert (done.verdict, done.approved_response) == ("edit", "Four, of course.")
        (pair,) = pairs.approved(store, "general")
        assert (pair.author, pair.reviewer, pair.own) == ("rita", "rita", True)

    def test_an_edit_that_edits_nothing_is_an_approval(self, store):
        done = review(store, RITA, corrected(store, "Four.").id, "edit", response="Four.")
        assert (done.verdict, pairs.approved(store, "general")[0].author) == ("approve", "ana")

    def test_a_rejection_teaches_nothing(self, store):
        done = review(store, RITA, corrected(store).id, "reject", reason="Wrong.")
        assert (done.state, done.approved_response) == ("rejected", None)
        assert pairs.approved(store, "general") == []

    def test_only_reviewers_judge(self, store):
        exchange = corrected(store)
        for principal in (ANA, BEN):
            with pytest.raises(NotAllowed, match="Only reviewers"):
                review(store, principal, exchange.id, "approve")

    def test_words_that_changed_under_the_reviewers_eyes_are_not_approved(self, store):
        exchange = corrected(store, "Four.")
        rate(store, ANA, exchange.id, rating="down", correction="Five.")
        with pytest.raises(Conflict, match="not the one you were shown"):
            review(store, RITA, exchange.id, "approve", response="Four.")

    @pytest.mark.parametrize("ending", ["cut", "error", "length", "stopped"])
    def test_an_unfinished_answer_is_only_approved_as_an_edit(self, store, ending):
        exchange = ask(store, response="Once upon a", finish_reason=ending)
        rate(store, ANA, exchange.id, rating="up")
        for verdict in ("approve", "edit"):
            with pytest.raises(BadRequest, match="unfinished"):
                review(store, RITA, exchange.id, verdict, response="Once upon a")
        assert review(store, RITA, exchange.id, "edit", response="Once.").state == "approved"

    def test_an_unfinished_answer_with_a_correction_can_be_approved(self, store):
        exchange = ask(store, response="Fo", finish_reason="length")
        rate(store, ANA, exchange.id, rating="down", correction="Four.")
        assert review(store, RITA, exchange.id, "approve").approved_response == "Four."

    def test_what_is_there_can_be_approved_however_long_and_an_edit_brings_no_more_than_a_correction(
        self, store
    ):
        exchange = ask(store, response="word " * 10_000)
        rate(store, ANA, exchange.id, rating="up")
        with pytest.raises(BadRequest, match="the limit is 32,000"):
            review(store, RITA, exchange.id, "edit", response="words " * 10_000)
        assert review(store, RITA, exchange.id, "approve", response="word " * 10_000).state == "approved"

    def test_nothing_cannot_be_approved(self, store):
        exchange = ask(store, response=" \n", finish_reason="stop")
        rate(store, ANA, exchange.id, rating="down")
        with pytest.raises(BadRequest, match="no answer to approve"):
            review(store, RITA, exchange.id, "approve")
        with pytest.raises(BadRequest, match="needs the edited answer"):
            review(store, RITA, exchange.id, "edit", response=" ")
        with pytest.raises(BadRequest, match="no verdict"):
            review(store, RITA, exchange.id, "applaud")
        with pytest.raises(BadRequest, match="the limit is 32,000"):
            review(store, RITA, exchange.id, "edit", response="x" * 32_001)

    def test_nobody_approves_their_own_correction_where_another_could(self, store):
        add_accounts(store, RITA, ROB)
        exchange = corrected(store, principal=RITA)
        for verdict, response in (("approve", None), ("edit", "Four, I say.")):
            with pytest.raises(NotAllowed, match="their own correction"):
                review(store, RITA, exchange.id, verdict, response=response)
        assert review(store, ROB, exchange.id, "approve").state == "approved"
        assert pairs.approved(store, "general")[0].own is False

    def test_an_only_reviewer_may_and_the_pair_says_so_for_ever(self, store):
        add_accounts(store, ANA, RITA, ROB)
        Accounts(store).suspend(ADA, "rob")
        exchange = corrected(store, principal=RITA)
        review(store, RITA, exchange.id, "approve")
        (pair,) = pairs.approved(store, "general")
        assert (pair.author, pair.reviewer, pair.own) == ("rita", "rita", True)

    def test_one_may_reject_ones_own_and_the_models_answer_to_it_takes_another(self, store):
        add_accounts(store, RITA, ROB)
        assert review(store, RITA, corrected(store, principal=RITA).id, "reject").state == "rejected"
        exchange = ask(store, RITA)
        rate(store, RITA, exchange.id, rating="up")
        assert review(store, RITA, exchange.id, "approve").state == "waiting"
        assert review(store, ROB, exchange.id, "approve").state == "approved"

    def test_judging_again_needs_a_reason_and_the_newest_holds(self, store):
        exchange = corrected(store)
        review(store, RITA, exchange.id, "approve")
        with pytest.raises(BadRequest, match=r"rita has approved this exchange.*reason"):
            review(store, ROB, exchange.id, "reject")
        again = review(store, ROB, exchange.id, "reject", reason="It is wrong.")
        assert (again.state, again.reviewed_by) == ("rejected", "rob")
        assert events(store, "reviews") == 2

    def test_the_same_verdict_sent_again_is_the_same_row(self, store):
        exchange, identity = corrected(store), new_id()
        for _ in range(2):
            assert review(store, RITA, exchange.id, "approve", id=identity).state == "approved"
        assert events(store, "reviews") == 1
        for other in ({"verdict": "reject"}, {"verdict": "approve", "reason": "So."}):
            with pytest.raises(Conflict, match="used for another"):
                review(store, RITA, exchange.id, **other, id=identity)
        with pytest.raises(Conflict, match="used for another"):
            review(store, ROB, exchange.id, "approve", id=identity)

    def test_a_new_correction_reopens_what_was_judged(self, store):
        exchange = corrected(store, "Four.")
        review(store, RITA, exchange.id, "approve")
        reopened = rate(store, ANA, exchange.id, rating="down", correction="Exactly four.")
        assert (reopened.state, reopened.verdict, reopened.approved_response) == ("pending", "approve", None)
        assert pairs.approved(store, "general") == []
        assert review(store, RITA, exchange.id, "approve").approved_response == "Exactly four."

    def test_a_new_thumb_or_comment_does_not(self, store):
        exchange = ask(store)
        rate(store, ANA, exchange.id, rating="up")
        review(store, RITA, exchange.id, "approve")
        assert rate(store, ANA, exchange.id, rating="down", comment="Hm.").state == "approved"
        assert rate(store, ANA, exchange.id, rating=None).state == "approved"

    def test_withdrawing_the_correction_withdraws_the_pair(self, store):
        exchange = corrected(store)
        review(store, RITA, exchange.id, "approve")
        assert rate(store, ANA, exchange.id, rating=None).state == "unrated"
        assert pairs.approved(store, "general") == []
        assert store.check()

    def test_an_importer_may_approve_an_import_and_is_its_author(self, store):
        imports.save(
            store, OTTO, "general", imports.read('{"prompt": "q", "completion": "a"}'), approve=False
        )
        add_accounts(store, OTTO, ROB)
        (queued,) = pending(store)
        review(store, OTTO, queued.id, "approve")
        (pair,) = pairs.approved(store, "general")
        assert (pair.author, pair.own, pair.source) == ("otto", True, "import")
        assert OTTO.role is Role.OPERATOR
