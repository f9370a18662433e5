"""Proposals: gathered from consenting conversations, kept for review, never taught by themselves."""

import pytest
from erasure_home import LEE, erase
from stories import ANA, OTTO, RITA, ROB, add_people, ask
from teacher_stand_in import TeacherStandIn

from feedback import lookup, pairs, personal, proposals, queue, ratings, review
from feedback.assistants import Assistants
from feedback.errors import (
    BadRequest,
    Conflict,
    EngineError,
    EngineUnavailable,
    NotAllowed,
    NotFound,
    PromptTooLong,
)
from feedback.exchanges import Exchanges
from feedback.policy import Policy
from feedback.proposals import Candidate
from feedback.records import Message, new_id
from feedback.search import Search
from hone.proposing import Proposing
from hone.teacher import Teacher
from tuner.server import Answer


@pytest.fixture
def stand_in():
    house = TeacherStandIn()
    yield house
    house.close()


def disliked(store, instruction="How far is the moon?", who=ANA, **turn):
    exchange = ask(store, who, instruction, "No idea.", **turn)
    return ratings.rate(store, who, exchange.id, rating="down")


class Server:
    """Says what it is told to, in turn; texts of the same first word mean the same."""

    def __init__(self, *said):
        self.said = list(said)
        self.asked = []

    async def answer(self, version, messages, *, max_tokens, temperature=0.0, seed=None):
        self.asked.append((version, messages, temperature, seed))
        return Answer(self.said[seed % len(self.said)], "stop", 5)

    async def embed(self, texts):
        first = sorted({text.split()[0] for text in texts})
        return [[float(text.split()[0] == word) for word in first] for text in texts]


def proposing(store, server=None, teacher=None):
    return Proposing(store, server or Server("x"), live=lambda name: f"{name}@0", teacher=teacher)


def gather(store, **given):
    asked = {"limit": 10, "samples": 4, "ask_teacher": "teacher" in given}
    return proposing(store, **given).propose(OTTO, "general", **asked)


def kept_by(stand_in):
    return Teacher(stand_in.url, "big", key="k", max_tokens=64, timeout=10)


class TestRecorded:
    def test_proposals_wait_for_review_beside_their_question_and_teach_nothing_by_themselves(self, store):
        asked = disliked(store)
        ids = proposals.record(store, OTTO, asked, "self@general@3-ab", [Candidate("384,400 km.", 3)])
        (one,) = lookup.load(store, ids)
        assert (one.state, one.source, one.version) == (
            "pending",
            "proposal:self@general@3-ab",
            "general@3-ab",
        )
        assert (one.instruction, one.response) == (asked.instruction, "384,400 km.")
        assert one.id in [waiting.id for waiting in review.pending(store)]
        assert pairs.approved(store, "general") == []
        assert [e.id for e in Exchanges(store).conversation(asked.conversation_id, "ana")] == [asked.id]
        assert Exchanges(store).conversations("ana")[0]["exchanges"] == 1
        assert store.check()

    def test_every_one_that_is_right_is_ticked_and_becomes_a_pair(self, store):
        asked = disliked(store)
        found = [Candidate("384,400 km."), Candidate("About 30 Earths."), Candidate("Two miles.")]
        right, also, wrong = proposals.record(store, OTTO, asked, "teacher:big", found)
        with pytest.raises(BadRequest):
            proposals.tick(store, RITA, asked.id, [new_id()])
        proposals.tick(store, RITA, asked.id, [right, also], reject_rest=True)
        assert [p.response for p in pairs.approved(store, "general")] == ["384,400 km.", "About 30 Earths."]
        assert {p.author for p in pairs.approved(store, "general")} == {"model"}
        assert lookup.get(store, wrong).state == "rejected"

    def test_a_tick_is_no_second_opinion_on_what_another_made_of_it(self, store):
        add_people(store, RITA, ROB)
        asked = disliked(store)
        (one,) = proposals.record(store, OTTO, asked, "teacher:big", [Candidate("384,400 km.")])
        review.review(store, ROB, one, "edit", response="Two miles. Pay at evil.example.com.")
        with pytest.raises(Conflict, match="not the one you were shown"):
            proposals.tick(store, RITA, asked.id, [one])
        assert pairs.approved(store, "general") == []

    def test_it_is_shown_and_learnt_only_while_its_question_is(self, store):
        asked = disliked(store, "What of my illness?")
        judged, waiting = proposals.record(
            store, OTTO, asked, "teacher:big", [Candidate("See a doctor."), Candidate("Wait.")]
        )
        review.review(store, RITA, judged, "approve")
        ratings.rate(store, ANA, asked.id, rating=None)
        assert pairs.approved(store, "general") == []
        for state in queue.QUEUES:
            assert review.pending(store, state=state, viewer="rita") == []
        assert {
            count for name, count in review.counts(store, viewer="rita").items() if name != "unrated"
        } == {0}
        for one in (judged, waiting):
            with pytest.raises(NotAllowed):
                queue.item(store, RITA, Policy(), one)
        ratings.rate(store, ANA, asked.id, rating="down")
        assert [pair.response for pair in pairs.approved(store, "general")] == ["See a doctor."]
        assert waiting in [one.id for one in review.pending(store, viewer="rita")]

    def test_it_is_for_reviewers_and_no_contribution_of_who_asked(self, store, tmp_path):
        add_people(store, RITA, ROB)
        asked = disliked(store)
        ids = proposals.record(store, OTTO, asked, "teacher:big", [Candidate(f"Far {n}.") for n in range(3)])
        with pytest.raises(NotAllowed):
            ratings.rate(store, ANA, ids[0], rating="down", correction="Mine.")
        search = Search(store, tmp_path / "words.duckdb")
        search.catch_up()
        assert [one.id for one in search.own("far", "ana")] == [asked.id]
        for identity in ids:
            for reviewer in (RITA, ROB):
                review.review(store, reviewer, identity, "approve", policy=Policy(trusted_after=3))
        mine = ratings.rate(store, ANA, ask(store, ANA, "Where?").id, rating="up")
        assert (
            review.review(store, RITA, mine.id, "approve", policy=Policy(trusted_after=3)).state == "waiting"
        )

    def test_what_says_nothing_new_is_left_out(self, store):
        asked = ratings.rate(store, ANA, disliked(store).id, rating="down", correction="384,400 km.")
        said = [Candidate(text) for text in (" No idea. ", "384,400 km.", "", "Far.", "Far.")]
        assert len(proposals.record(store, OTTO, asked, "teacher:big", said)) == 1
        assert proposals.record(store, OTTO, asked, "teacher:big", said) == []

    def test_an_erased_question_takes_its_proposals_along_and_gets_no_more(self, store, tmp_path):
        asked = disliked(store, who=LEE)
        (one,) = proposals.record(store, OTTO, asked, "teacher:big", [Candidate("384,400 km.")])
        erase(store, tmp_path, LEE, "exchange", asked.id)
        with pytest.raises(NotFound):
            lookup.get(store, one)
        assert proposals.record(store, OTTO, asked, "teacher:big", [Candidate("More.")]) == []

    def test_what_is_its_authors_alone_is_shown_to_no_reviewer(self, store):
        asked = disliked(store)
        Exchanges(store).set_training(asked.conversation_id, "ana", False)
        with pytest.raises(NotAllowed):
            proposals.of(store, asked.id)
        assert proposals.record(store, OTTO, asked, "teacher:big", [Candidate("Far.")]) == []
        assert proposals.disliked(store, "general", "self@", 10) == []


class TestGathered:
    async def test_samples_that_mean_the_same_are_one_proposal_with_their_count(self, store):
        asked = disliked(store)
        server = Server("Far away.", "Far away!", "Near by.", "Far away.")
        assert await gather(store, server=server) == {"questions": 1, "proposed": 2, "left_out": {}}
        told = [(one.response, agree) for one, agree in proposals.of(store, asked.id)["proposals"]]
        assert told == [("Far away.", 3), ("Near by.", 1)]
        assert len({(temperature, seed) for _, _, temperature, seed in server.asked}) == 4
        assert await gather(store, server=server) == {"questions": 0, "proposed": 0, "left_out": {}}

    async def test_rare_questions_come_after_the_disliked(self, store):
        for text in ("Tax one?", "Tax two?", "Tax three?", "Herons?"):
            ratings.rate(store, ANA, ask(store, ANA, text).id, rating="up")
        server = Server("So.")
        await gather(store, server=server)
        assert {messages[-1].content for _, messages, *_ in server.asked} == {"Herons?"}

    async def test_the_teacher_sees_only_what_may_leave_the_house(self, store, stand_in):
        fine = disliked(store, "How far is the moon?")
        private = disliked(store, "And the sun?", who=LEE)
        Exchanges(store).set_training(private.conversation_id, "lee", False)
        disliked(store, "Write to philomena@example.org, please.")
        disliked(store, "Call me at 010-1234-5678.")
        said = await gather(store, teacher=kept_by(stand_in))
        assert [sent["messages"][-1]["content"] for sent in stand_in.asked] == [fine.instruction]
        assert stand_in.asked[0]["path"] == "/v1/chat/completions"
        assert stand_in.asked[0]["authorization"] == "Bearer k"
        assert said == {
            "questions": 1,
            "proposed": 1,
            "left_out": {
                "holds what may be personal: email": 1,
                "holds what may be personal: phone": 1,
            },
        }
        (one,) = proposals.of(store, fine.id)["proposals"]
        assert (one[0].response, one[0].source) == ("The teacher's answer.", "proposal:teacher:big")

    @pytest.mark.parametrize("by", ["itself", "teacher"])
    async def test_one_question_that_is_refused_keeps_the_others_from_nothing(self, store, stand_in, by):
        hard = [disliked(store, f"Too long {n}?") for n in range(3)]
        fine = disliked(store, "How far is the moon?", who=LEE)

        class Refusing(Server):
            async def answer(self, version, messages, **asked):
                if "Too long" in messages[-1].content:
                    raise PromptTooLong("It has 9 tokens.", "Shorten it.")
                return await super().answer(version, messages, **asked)

        def refuse(body):
            return {"choices": []} if "Too long" in body["messages"][-1]["content"] else answered(body)

        answered, stand_in.answer = stand_in.answer, refuse
        given = {"server": Refusing("Far.")} if by == "itself" else {"teacher": kept_by(stand_in)}
        asked = {"limit": 2, "samples": 1, "ask_teacher": by == "teacher"}
        said = await proposing(store, **given).propose(OTTO, "general", **asked)
        code = "prompt_too_long" if by == "itself" else "engine"
        assert said == {"questions": 1, "proposed": 1, "left_out": {f"refused: {code}": 1}}
        assert len(proposals.of(store, fine.id)["proposals"]) == 1
        assert proposals.of(store, hard[0].id)["proposals"] == []
        with pytest.raises((PromptTooLong, EngineError)):
            await proposing(store, **given).propose(OTTO, "general", **asked)

    @pytest.mark.parametrize("said", ["x" * 32_001, "x" * 2**21, ["x"], {"a": 1}, "half \ud800"])
    async def test_a_teacher_that_says_too_much_or_no_text_is_refused(self, store, stand_in, said):
        asked = disliked(store)
        stand_in.said = said
        with pytest.raises((EngineError, BadRequest)):
            await gather(store, teacher=kept_by(stand_in))
        assert proposals.of(store, asked.id)["proposals"] == []

    async def test_rare_questions_are_told_apart_by_their_beginnings(self, store):
        for text in ("Tax one?", "Tax two?", "Tax three?", "Herons? " + "x" * 5_000):
            ratings.rate(store, ANA, ask(store, ANA, text).id, rating="up")
        server = Server("So.")
        read = []
        server.embed = lambda texts, embed=server.embed: read.extend(texts) or embed(texts)
        await gather(store, server=server)
        assert {messages[-1].content[:7] for _, messages, *_ in server.asked} == {"Herons?"}
        assert max(map(len, read)) <= 1_000

    async def test_a_system_prompt_with_somebodys_data_keeps_the_question_here(self, store, stand_in):
        told = Exchanges(store)
        line = told.begin_conversation("ana", "general", "x")
        from stories import admitted

        system = Message("system", "Escalate to the desk at 02-555-0199, key sk-abcdefghijklmnop1234.")
        exchange = admitted(line, ANA, "Who helps me?", context=(system,))
        told.open(exchange)
        told.close(exchange.id, response="?", finish_reason="stop", version="general@0", principal="ana")
        ratings.rate(store, ANA, exchange.id, rating="down")
        said = await gather(store, teacher=kept_by(stand_in))
        assert (stand_in.asked, said["proposed"]) == ([], 0)

    async def test_a_teacher_that_is_not_there_refuses_or_is_not_set_is_said_so(self, store, stand_in):
        disliked(store)
        with pytest.raises(BadRequest):
            await proposing(store).propose(OTTO, "general", limit=1, samples=1, ask_teacher=True)
        stand_in.status = 401
        with pytest.raises(EngineError):
            await gather(store, teacher=kept_by(stand_in))
        stand_in.close()
        with pytest.raises(EngineUnavailable):
            await gather(store, teacher=kept_by(stand_in))
        assert Assistants(store).list()


@pytest.mark.parametrize(
    "text",
    [
        "ana.b+c@mail.example.co.kr",
        "+82 10-1234-5678",
        "card 4111 1111 1111 1111",
        "880101-1234567",
        "GB33BUKB20201555555555",
        "at 192.168.4.17",
        "https://u:p@host/x",
        "-----BEGIN RSA PRIVATE KEY-----",
        "sk-proj-abcdefgh12345678",
        "my password is hunter2",
        "비밀번호는 호랑이",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
    ],
)
def test_what_could_be_somebodys_stays(text):
    assert personal.finds(f"Please look at {text} for me.")


@pytest.mark.parametrize(
    "text",
    ["What is 2 + 2?", "In 1984, 12 of 40 agreed.", "달까지 거리는 얼마인가요?", "Use tokens sparingly."],
)
def test_what_is_nobodys_may_go(text):
    assert personal.finds(text) == []
