"""From a version to its exact rows, from an exchange to its fate, and what an erasure does to versions."""

from datetime import timedelta

import pytest
from erasure_home import LEE, SECRET, erase, live, taught, version
from stories import ANA, OTTO, RITA, ROB, ask, new_store

from feedback import affected, lineage, ratings, review
from feedback.errors import NotAllowed, NotFound, UnknownVersion
from feedback.exchanges import Exchanges
from feedback.ledger import Ledger
from feedback.records import new_id, now
from tuner.schedule import Terms, due


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def store(home):
    opened = new_store(home / "hone.duckdb")
    yield opened
    opened.close()


class TestRows:
    def test_a_versions_rows_have_the_events_behind_them(self, store, home):
        past = live(store, home)
        rows = lineage.rows(store, past.versions[1])
        assert [row["exchange_id"] for row in rows][:2] == [past.ana.id, past.lee.id]
        row = rows[1]
        assert (row["side"], row["owner"], row["reviewer"], row["verdict"]) == (
            "train",
            "lee",
            "rita",
            "approve",
        )
        assert row["author"] == "lee"
        assert [(r["by"], r["rating"], r["corrected"]) for r in row["ratings"]] == [("lee", "down", True)]
        assert row["asked_at"] <= row["ratings"][0]["at"] <= row["reviewed_at"]
        assert SECRET not in str(rows)

    def test_rows_that_were_erased_since_are_told_and_the_base_has_none(self, store, home):
        past = live(store, home)
        erase(store, home, LEE, "user", "lee")
        assert [row["erased"] for row in lineage.rows(store, past.versions[2])] == [False, True, True]
        assert lineage.rows(store, "general@0") == []
        with pytest.raises(UnknownVersion):
            lineage.rows(store, "general@9-00000000")


class TestFate:
    def summary(self, store, who, exchange):
        return lineage.fate(store, who, exchange.id)["summary"]

    def test_the_author_is_told_where_their_words_are_now(self, store, home):
        asked = ask(store, LEE, "How tall is it?")
        assert self.summary(store, LEE, asked) == "Left out because nobody has rated it."
        ratings.rate(store, LEE, asked.id, rating="down", correction="Nine metres.")
        assert self.summary(store, LEE, asked) == "Waiting for a reviewer."
        review.review(store, RITA, asked.id, "approve")
        assert self.summary(store, LEE, asked) == "Approved by one; it waits for the next run."
        review.review(store, ROB, asked.id, "approve", reason="Yes.")
        name = version(store, home, 1)
        told = lineage.fate(store, LEE, asked.id)
        since = Ledger(store).version(name).changed_at.strftime("%Y-%m-%d %H:%M UTC")
        assert told["summary"] == (
            f"Approved by two, in the snapshot of run 1 to learn from, in version {name}, live since {since}."
        )
        assert told["versions"] == [name]
        assert "rita" not in str(told)
        assert "approved by rita" in str(lineage.fate(store, OTTO, asked.id)["story"])

    def test_what_was_left_out_says_why(self, store, home):
        private = taught(store, LEE, "Keep this.", "Kept.")
        Exchanges(store).set_training(private.conversation_id, "lee", False)
        assert "kept from training" in self.summary(store, LEE, private)
        rejected = ask(store, LEE, "And this?")
        ratings.rate(store, LEE, rejected.id, rating="up")
        review.review(store, RITA, rejected.id, "reject", reason="It is made up.")
        assert self.summary(store, LEE, rejected) == (
            "Left out because a reviewer rejected it: It is made up."
        )
        first = taught(store, ANA, "The same.", "Indeed.")
        twin = taught(store, LEE, "The same.", "Indeed.")
        version(store, home, 1)
        said = self.summary(store, LEE, twin)
        assert said == "Approved by one; left out of run 1 because: duplicate."
        assert "in the snapshot of run 1" in self.summary(store, ANA, first)

    def test_others_are_told_nothing_and_an_erased_one_only_that(self, store, home):
        asked = ask(store, LEE, SECRET)
        for who, target in ((ANA, asked.id), (ANA, new_id()), (RITA, asked.id)):
            with pytest.raises(NotAllowed):
                lineage.fate(store, who, target)
        with pytest.raises(NotFound):
            lineage.fate(store, OTTO, new_id())
        erase(store, home, LEE, "exchange", asked.id)
        assert self.summary(store, LEE, asked).startswith("Erased")


class TestVersions:
    def states(self, store):
        return {v.number: v.state for v in Ledger(store).versions("general")}

    def test_kept_versions_serve_until_a_clean_one_is_live_and_are_withdrawn_then(self, store, home):
        past = live(store, home)
        told = erase(store, home, LEE, "user", "lee")
        assert {v["version"]: (v["learnt"], v["state"]) for v in told["versions"]} == {
            past.versions[1]: (2, "erased"),
            past.versions[2]: (2, "live"),
        }
        assert self.states(store) == {0: "previous", 1: "previous", 2: "erased", 3: "live"}
        assert not (home / "versions" / past.versions[1]).exists()
        assert (home / "versions" / past.versions[2]).exists()
        assert affected.retire(store) == []
        version(store, home, 4)
        assert affected.retire(store) == [past.versions[2]]
        assert self.states(store)[4] == "live"

    def test_to_stop_gives_the_newest_clean_version_the_traffic_and_deletes_the_others(self, store, home):
        past = live(store, home)
        told = erase(store, home, LEE, "user", "lee", policy="stop")
        assert {v["state"] for v in told["versions"]} == {"erased"}
        assert Ledger(store).live("general").version == past.versions[0]
        assert [path.name for path in (home / "versions").iterdir()] == [past.versions[0]]
        assert not (home / "runs/0003-general/adapter").exists()

    def test_a_version_that_was_rolled_back_does_not_come_back(self, store, home):
        past = live(store, home)
        ledger = Ledger(store)
        ledger.set_state("general@0", "live", "Rolled back.", "otto")
        ledger.set_state(past.versions[0], "live", "Tried again.", "otto")
        ledger.set_state("general@0", "live", "Rolled back again.", "otto")
        ledger.set_state(past.versions[2], "live", "Promoted.", "otto")
        erase(store, home, LEE, "user", "lee", policy="stop")
        assert ledger.live("general").version == "general@0"

    def test_where_nothing_is_left_to_learn_the_base_answers(self, store, home):
        taught(store, LEE, SECRET, "Yes, so it was.")
        name = version(store, home, 1)
        erase(store, home, LEE, "user", "lee")
        assert Ledger(store).live("general").version == name
        Ledger(store).record_run(
            run_id=new_id(), assistant="general", number=2, state="skipped", step="snapshot", principal="hone"
        )
        assert affected.retire(store) == [name]
        assert Ledger(store).live("general").version == "general@0"

    def test_a_version_that_was_only_judged_by_the_words_stays(self, store, home):
        past = live(store, home)
        store.decide(lambda t: t.rows("UPDATE snapshot_rows SET side = 'gate'"))
        told = erase(store, home, LEE, "user", "lee", policy="stop")
        assert {(v["learnt"], v["judged"]) for v in told["versions"]} == {(0, 2)}
        assert Ledger(store).live("general").version == past.versions[2]

    def test_an_erasure_makes_a_run_due_however_few_pairs_are_new(self, store, home):
        live(store, home)
        ledger, later = Ledger(store), now() + timedelta(days=1)
        assert not due(Terms(), [], ledger.runs("general"), later, affected.rebuild_since(store, "general"))[
            0
        ]
        erase(store, home, LEE, "user", "lee")
        since = affected.rebuild_since(store, "general")
        wanted, why = due(Terms(), [], ledger.runs("general"), later, since)
        assert (wanted, why) == (True, "A version learnt from words that were erased.")
        version(store, home, 4)
        assert not due(Terms(), [], ledger.runs("general"), later, since)[0]

    def test_a_run_that_is_learning_from_the_words_is_ended(self, store, home):
        live(store, home)
        ledger = Ledger(store)
        run = ledger.runs("general")[0]
        ledger.record_run(
            run_id=run.id, assistant="general", number=3, state="running", step="train", principal="hone"
        )
        erase(store, home, LEE, "user", "lee")
        assert (ledger.run(run.id).state, "erased" in ledger.run(run.id).reason) == ("failed", True)
