"""Whatever people say, review and erase, in any order: the record is whole and what went stays gone."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from stories import ANA, BEN, HISTORIES, RITA, ask, new_store

from feedback import erasure, pairs, ratings, review, words
from feedback.errors import HoneError

PEOPLE = {"ana": ANA, "ben": BEN}


class Histories(RuleBasedStateMachine):
    exchanges = Bundle("exchanges")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.home = Path(self._folder.name)
        self.store = new_store(self.home / "hone.duckdb")
        self.gone: set[str] = set()

    def teardown(self) -> None:
        self.store.close()
        self._folder.cleanup()

    def attempt(self, deed):
        """Do it; what was erased refuses, and so may what is in the wrong state."""
        try:
            deed()
        except HoneError:
            return

    @rule(target=exchanges, who=st.sampled_from(["ana", "ben"]), n=st.integers(0, 3))
    def asks(self, who, n):
        return who, ask(self.store, PEOPLE[who], f"What about number {n}, said {who}?", f"It is {n}.")

    @rule(target=exchanges, earlier=exchanges)
    def goes_on(self, earlier):
        who, exchange = earlier
        if exchange.id in self.gone:
            return earlier
        return who, ask(
            self.store, PEOPLE[who], "And then?", "Then so.", conversation_id=exchange.conversation_id
        )

    @rule(one=exchanges, thumb=st.sampled_from(["up", "down", None]), corrects=st.booleans())
    def rates(self, one, thumb, corrects):
        correction = f"{one[0]} corrects this." if corrects and thumb else None
        self.attempt(
            lambda: ratings.rate(self.store, PEOPLE[one[0]], one[1].id, rating=thumb, correction=correction)
        )

    @rule(one=exchanges, verdict=st.sampled_from(["approve", "edit", "reject"]))
    def reviews(self, one, verdict):
        response = "A reviewer wrote this instead." if verdict == "edit" else None
        self.attempt(
            lambda: review.review(self.store, RITA, one[1].id, verdict, response=response, reason="So.")
        )

    @rule(one=consumes(exchanges), scope=st.sampled_from(["exchange", "conversation"]))
    def erases(self, one, scope):
        who, exchange = one
        target = exchange.id if scope == "exchange" else exchange.conversation_id
        job = erasure.new(PEOPLE[who], scope, target, account=False, policy="keep")
        taken = erasure.take(self.store, self.home, job, PEOPLE[who])
        self.gone |= set(taken.exchanges)

    @invariant()
    def what_is_gone_is_gone_and_the_projection_is_true(self):
        assert self.store.check()
        assert words.gather(self.store, list(self.gone), []) == []
        assert not {pair.exchange_id for pair in pairs.approved(self.store, "general")} & self.gone


Histories.TestCase.settings = settings(
    max_examples=HISTORIES, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistories = Histories.TestCase
