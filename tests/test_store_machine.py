"""The record of events against a simple model: whatever people do in whatever order, pages read the truth."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from stories import ANA, BEN, HISTORIES, OTTO, RITA, ROB, admitted, new_store

from feedback import proposals, ratings, review
from feedback.errors import BadRequest, Conflict, NotAllowed
from feedback.exchanges import Exchanges
from feedback.proposals import Candidate
from feedback.store import Store

PEOPLE = {person.name: person for person in (ANA, BEN)}
TEXTS = st.sampled_from(["", "Four.", "Exactly four."])
THUMBS = st.sampled_from(["up", "down"])


class Known:
    """What the model knows of one exchange."""

    def __init__(self, owner, conversation):
        self.owner = owner
        self.conversation = conversation
        self.rating = None
        self.correction = ""
        self.verdict = None
        self.judged_correction = ""

    @property
    def state(self):
        if self.verdict and self.correction == self.judged_correction:
            return "rejected" if self.verdict == "reject" else "approved"
        return "pending" if self.rating or self.correction else "unrated"


class Feedback(RuleBasedStateMachine):
    exchanges = Bundle("exchanges")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "hone.duckdb"
        self.store = new_store(self.path)
        self.known = {}
        self.training = {}
        self.running = set()
        self.proposed = {}

    @initialize(target=exchanges)
    def begin(self):
        return multiple(*(self._ask(name, None) for name in PEOPLE))

    @rule(target=exchanges, name=st.sampled_from(sorted(PEOPLE)), finished=st.booleans())
    def ask(self, name, finished):
        return self._ask(name, None, finished)

    @rule(target=exchanges, before=exchanges)
    def ask_on(self, before):
        held = self.known[before]
        return self._ask(held.owner, held.conversation)

    @rule(identity=exchanges)
    def finish(self, identity):
        self._close(identity, self.known[identity].owner)
        self.running.discard(identity)

    @rule(identity=exchanges, thumb=THUMBS, correction=TEXTS)
    def rate(self, identity, thumb, correction):
        held = self.known[identity]
        if identity not in self.running:
            ratings.rate(self.store, PEOPLE[held.owner], identity, rating=thumb, correction=correction)
            held.rating, held.correction = thumb, correction

    @rule(identity=exchanges)
    def clear(self, identity):
        held = self.known[identity]
        if identity not in self.running:
            ratings.rate(self.store, PEOPLE[held.owner], identity, rating=None)
            held.rating, held.correction = None, ""

    @rule(identity=exchanges, thumb=THUMBS)
    def somebody_else_may_not_rate(self, identity, thumb):
        stranger = BEN if self.known[identity].owner == "ana" else ANA
        try:
            ratings.rate(self.store, stranger, identity, rating=thumb)
        except NotAllowed:
            return
        raise AssertionError("a stranger rated")

    @rule(
        identity=exchanges,
        reviewer=st.sampled_from([RITA, ROB]),
        verdict=st.sampled_from(["approve", "edit", "reject"]),
        reason=st.sampled_from(["", "It is wrong."]),
    )
    def judge(self, identity, reviewer, verdict, reason):
        held = self.known[identity]
        reopened = held.state in ("approved", "rejected")
        response = "Four, says the reviewer." if verdict == "edit" else None
        allowed = held.state != "unrated" and self.training.get(held.conversation, True)
        allowed = allowed and not (reopened and not reason) and identity not in self.running
        refusal = None
        try:
            review.review(self.store, reviewer, identity, verdict, response=response, reason=reason)
        except (NotAllowed, BadRequest, Conflict) as refused:
            refusal = refused
        assert allowed == (refusal is None), refusal
        if allowed:
            held.verdict, held.judged_correction = verdict, held.correction

    @rule(identity=exchanges, training=st.booleans())
    def consent(self, identity, training):
        held = self.known[identity]
        Exchanges(self.store).set_training(held.conversation, held.owner, training)
        self.training[held.conversation] = training

    @rule(identity=exchanges, response=st.sampled_from(["Four it is.", "IV."]))
    def propose(self, identity, response):
        asked = Exchanges(self.store).get(identity)
        for one in proposals.record(self.store, OTTO, asked, "teacher:big", [Candidate(response)]):
            self.proposed[one] = identity

    @rule()
    def rebuild(self):
        before = self._projection()
        self.store.rebuild()
        assert self._projection() == before

    @rule()
    def compact(self):
        before = self._projection()
        self.store.compact()
        assert self._projection() == before

    @rule()
    def reopen(self):
        before = self._projection()
        self.store.close()
        self.store = Store(self.path)
        assert self._projection() == before

    @invariant()
    def the_projection_is_what_the_events_say(self):
        assert self.store.check()

    @invariant()
    def the_pages_read_what_the_model_says(self):
        read = self.store.rows(
            """SELECT exchange_id, owner, rating, state, training FROM exchange_state s
            WHERE source NOT LIKE 'proposal:%'"""
        )
        assert {row.pop("exchange_id"): row for row in read} == {
            identity: {
                "owner": held.owner,
                "rating": held.rating,
                "state": held.state,
                "training": self.training.get(held.conversation, True),
            }
            for identity, held in self.known.items()
        }
        shown = [held for held in self.known.values() if self.training.get(held.conversation, True)]
        counted = {state: sum(held.state == state for held in shown) for state in review.STATES}
        asked = [self.known[origin] for origin in self.proposed.values()]
        counted["pending"] += sum(held in shown and held.state != "unrated" for held in asked)
        told = review.counts(self.store)
        assert {state: told[state] for state in review.STATES} == counted

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    def _projection(self):
        return self.store.rows("SELECT * FROM exchange_state ORDER BY exchange_id")

    def _ask(self, name, conversation, finished=True):
        told = Exchanges(self.store)
        conversation = conversation or told.begin_conversation(name, "general", "title")
        exchange = admitted(conversation, PEOPLE[name])
        told.open(exchange)
        if finished:
            self._close(exchange.id, name)
        else:
            self.running.add(exchange.id)
        self.known[exchange.id] = Known(name, conversation)
        return exchange.id

    def _close(self, identity, name):
        Exchanges(self.store).close(
            identity, response="4.", finish_reason="stop", version="general@0", principal=name
        )


Feedback.TestCase.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestFeedback = Feedback.TestCase
