"""Erasure: the words are found before and nowhere after, whatever is killed, restored or said meanwhile."""

import json
import shutil
import threading
from datetime import timedelta

import pytest
from erasure_home import ANSWER, KOREAN, LEE, SECRET, erase, live, pretended, taught, version
from stories import ADA, ANA, BEN, OTTO, PASSWORD, RITA, admitted, ask, killed, new_store

from feedback import (
    affected,
    conversations,
    erased,
    erasure,
    erasure_jobs,
    pairs,
    ratings,
    receipt,
    retention,
    review,
    scan,
    scrub,
    snapshot,
    store_scan,
    words,
)
from feedback.accounts import Accounts
from feedback.errors import Conflict, HoneError, NotAllowed, NotFound, NotSignedIn, StoreError
from feedback.exchanges import Exchanges
from feedback.ledger import Ledger
from feedback.records import Message, Principal, Role, now
from feedback.scan import Needles
from feedback.store import Store
from hone import backups
from hone.home import Home
from tuner import registry

WORDS = scan.fragments([SECRET, ANSWER, KOREAN])


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def store(home):
    opened = new_store(home / "hone.duckdb")
    # Compressed text cannot be found even where it is, so nothing would be proved.
    opened.decide(lambda t: t.rows("SET GLOBAL force_compression = 'uncompressed'"))
    yield opened
    opened.close()


def bytes_with_words(home):
    """Where the words are, found by the plainest means."""
    forms = [form for text in WORDS for form in scan._spellings(text)]
    found = []
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if any(form in content for form in forms) or (
            path.suffix == ".parquet" and scan.in_parquet(path, Needles(WORDS))
        ):
            found.append(str(path.relative_to(home)))
    return found


class TestDrill:
    def test_words_are_in_every_kind_of_file_before_and_in_none_after(self, store, home):
        past = live(store, home)
        before = bytes_with_words(home)
        for name in ("snapshot/train.parquet", "evaluation.json", "probe.json", "checkpoint.pt"):
            assert f"runs/0003-general/{name}" in before
        assert {"engine.log", "runs/0002-general/training.log"} <= set(before)
        assert {"hone.duckdb", "hone.duckdb.wal"} & set(before)

        told = erase(store, home, LEE, "user", "lee")

        proof = told["proof"]
        assert (proof["clean"], proof["found"], proof["rows_with_words"]) == (True, {}, 0)
        assert proof["fragments"] >= len(WORDS)
        assert proof["files"] > 10
        assert receipt.verify(told, receipt.key(home))
        store.close()  # so that the log is in the file too
        assert bytes_with_words(home) == []
        assert told["removed"]["exchanges"] == 2
        assert "wren" in (home / "runs/0003-general/evaluation.json").read_text("utf-8")
        assert past.versions

    def test_what_somebody_else_called_a_conversation_stays_and_is_told_to_nobody(self, store, home):
        past = live(store, home)
        conversations.rename(store, past.ana.conversation_id, "ana", SECRET)
        assert erase(store, home, LEE, "user", "lee")["proof"]["clean"]
        assert store.rows("SELECT title FROM titles WHERE title <> ''") == [{"title": SECRET}]

    def test_the_rebuilt_versions_snapshot_lacks_the_rows_and_keeps_the_others(self, store, home):
        past = live(store, home)
        erase(store, home, LEE, "user", "lee")
        for number in (2, 3):
            left = snapshot.load(home / f"runs/000{number}-general/snapshot")
            assert [row.exchange_id for row in left.train] == [past.ana.id]
            assert (left.counts["train"], left.counts["train_groups"]) == (1, 1)
        rebuilt = version(store, home, 4)
        learnt = snapshot.load(home / "runs/0004-general/snapshot").train
        assert [row.exchange_id for row in learnt] == [past.ana.id]
        assert rebuilt not in affected.tainted(store)

    def test_events_keep_the_fact_and_lose_the_words(self, store, home):
        past = live(store, home)
        before = store.row("SELECT count(*) AS n FROM ratings")
        erase(store, home, LEE, "user", "lee")
        assert store.row("SELECT count(*) AS n FROM ratings") == before
        row = store.row("SELECT * FROM exchanges WHERE id = $1", [past.lee.id])
        assert (row["instruction"], row["context"], row["principal"]) == ("", [], "lee")
        verdict = store.row("SELECT * FROM reviews WHERE exchange_id = $1", [past.lee.id])
        assert (verdict["verdict"], verdict["principal"], verdict["response"]) == ("approve", "rita", "")
        assert [pair.exchange_id for pair in pairs.approved(store, "general")] == [past.ana.id]
        assert store.check()
        with pytest.raises(NotFound):
            Exchanges(store).get(past.lee.id)

    def test_a_deleted_text_stays_in_the_stores_file_until_that_is_written_anew(self, store, home):
        live(store, home)
        store.compact()  # from the log into the file
        job = erasure.new(LEE, "user", "lee", account=False, policy="keep")
        taken = erasure.take(store, home, job, LEE)
        store.close()
        assert "hone.duckdb" in bytes_with_words(home)
        again = Store(home / "hone.duckdb")
        again.decide(lambda t: t.rows("SET GLOBAL force_compression = 'uncompressed'"))
        erasure.finish(again, home, taken)
        again.close()
        assert bytes_with_words(home) == []

    def test_words_that_others_said_too_are_theirs_and_stay(self, store, home):
        ask(store, LEE, SECRET, ANSWER)
        kept = ask(store, ANA, SECRET, "I don't know.")
        assert kept.id in erasure.preview(store, OTTO, "user", "lee")["said_elsewhere"]
        assert erasure.preview(store, LEE, "user", "lee")["said_elsewhere"] == []
        told = erase(store, home, LEE, "user", "lee")
        assert told["proof"]["clean"]
        assert kept.id not in json.dumps(told)
        assert Exchanges(store).get(kept.id).instruction == SECRET


class TestReach:
    def test_an_exchange_goes_with_every_try_at_it_and_all_that_followed(self, store, home):
        first = ask(store, LEE, "Before it.", "Yes.")
        line = first.conversation_id
        old = ask(store, LEE, SECRET, "A first try.", conversation_id=line)
        new = ask(store, LEE, SECRET, ANSWER, conversation_id=line, replaces=old.id)
        after = ask(store, LEE, "And so?", "So it is.", conversation_id=line)
        other = ask(store, LEE, "Elsewhere.", "Here.")
        told = erase(store, home, LEE, "exchange", new.id)
        assert told["removed"]["exchanges"] == 3
        left = [e.id for e in Exchanges(store).conversation(line, "lee")]
        assert left == [first.id]
        for gone in (old, new, after):
            with pytest.raises(NotFound):
                Exchanges(store).get(gone.id)
        assert Exchanges(store).get(other.id).instruction == "Elsewhere."

    def test_a_conversation_vanishes_for_its_owner_and_takes_nothing_more(self, store, home):
        gone, kept = ask(store, LEE, SECRET), ask(store, LEE, "Another.")
        erase(store, home, LEE, "conversation", gone.conversation_id)
        told = Exchanges(store)
        assert [c["id"] for c in told.conversations("lee")] == [kept.conversation_id]
        for use in (
            lambda: told.conversation(gone.conversation_id, "lee"),
            lambda: told.open(admitted(gone.conversation_id, LEE)),
            lambda: told.begin_conversation("lee", "general", "x", gone.conversation_id),
            lambda: told.set_training(gone.conversation_id, "lee", True),
            lambda: ratings.rate(store, LEE, gone.id, rating="up", comment=SECRET),
        ):
            with pytest.raises(NotFound):
                use()

    @pytest.mark.parametrize("who", [ANA, RITA])
    @pytest.mark.parametrize("scope", ["user", "conversation", "exchange"])
    def test_nobody_below_an_operator_erases_what_is_not_theirs(self, store, home, who, scope):
        asked = ask(store, LEE, SECRET)
        target = {"user": "lee", "conversation": asked.conversation_id, "exchange": asked.id}[scope]
        with pytest.raises(NotAllowed):
            erase(store, home, who, scope, target)
        assert Exchanges(store).get(asked.id).instruction == SECRET
        assert not (home / "erasures.jsonl").exists()

    def test_an_operator_erases_users_but_neither_admins_nor_the_command_lines_chats(self, store, home):
        accounts = Accounts(store)
        accounts.add(ADA, "ada", Role.ADMIN, PASSWORD)
        admins = ask(store, ADA, "An admin asks.")
        shell = ask(store, Principal("cli", Role.ADMIN), "The shell asks.")
        for scope, target in (("exchange", admins.id), ("user", "ada"), ("exchange", shell.id)):
            with pytest.raises(NotAllowed):
                erase(store, home, OTTO, scope, target)
        asked = ask(store, LEE, SECRET)
        assert erase(store, home, OTTO, "exchange", asked.id)["asked_by"] == "otto"

    def test_what_is_not_there_looks_to_a_user_like_what_is_not_theirs(self, store, home):
        asked = ask(store, LEE, SECRET)
        said = set()
        nowhere = "0192d3a0-0000-7000-8000-000000000000"
        for scope, target in (
            ("exchange", asked.id),
            ("exchange", nowhere),
            ("user", "lee"),
            ("user", "nobody"),
        ):
            with pytest.raises(NotAllowed) as refused:
                erase(store, home, ANA, scope, target)
            said.add(str(refused.value))
        assert len(said) == 1
        with pytest.raises(NotFound):
            erase(store, home, OTTO, "user", "nobody")

    def test_an_account_ends_with_its_chats_and_nobody_gets_its_name(self, store, home):
        accounts = Accounts(store)
        accounts.add(ADA, "ada", Role.ADMIN, PASSWORD)
        lee = accounts.add(ADA, "lee", Role.USER, PASSWORD)
        token = accounts.open_session(lee, 1)
        ask(store, LEE, SECRET)
        told = erase(store, home, LEE, "user", "lee", account=True)
        assert told["account_ended"]
        assert accounts.session(token) is None
        assert accounts.verify("lee", PASSWORD) is None
        assert [account.name for account in accounts.list()] == ["ada"]
        with pytest.raises(Conflict):
            accounts.add(ADA, "lee", Role.USER, PASSWORD)
        with pytest.raises(NotSignedIn):
            Exchanges(store).begin_conversation("lee", "general", SECRET)
        with pytest.raises(Conflict):
            erase(store, home, ADA, "user", "ada", account=True)


class TestMeanwhile:
    def test_an_answer_that_ends_after_its_erasure_keeps_no_word(self, store, home):
        running = ask(store, LEE, SECRET, finish_reason=None)
        erase(store, home, LEE, "user", "lee")
        Exchanges(store).close(
            running.id, response=ANSWER, finish_reason="stop", version="general@0", principal="lee"
        )
        row = store.row("SELECT * FROM answers WHERE exchange_id = $1", [running.id])
        assert (row["response"], row["finish_reason"]) == ("", "stop")

    def test_a_turn_whose_context_was_erased_on_its_way_is_not_admitted(self, store, home):
        first = ask(store, LEE, "Before it.", "Yes.")
        secret = ask(store, LEE, SECRET, ANSWER, conversation_id=first.conversation_id)
        told = (Message("user", SECRET), Message("assistant", ANSWER))
        late = admitted(first.conversation_id, LEE, "And?", context=told)
        erase(store, home, LEE, "exchange", secret.id)
        with pytest.raises(Conflict):
            Exchanges(store).open(late)
        clean = (Message("user", "Before it."), Message("assistant", "Yes."))
        Exchanges(store).open(admitted(first.conversation_id, LEE, "And?", context=clean))

    def test_who_goes_on_writing_while_being_erased_leaves_nothing(self, store, home):
        accounts = Accounts(store)
        accounts.add(ADA, "ada", Role.ADMIN, PASSWORD)
        accounts.add(ADA, "lee", Role.USER, PASSWORD)
        ask(store, LEE, SECRET)
        began, over = threading.Event(), threading.Event()

        def write():
            while not over.is_set():
                try:
                    exchange = ask(store, LEE, SECRET, ANSWER)
                    ratings.rate(store, LEE, exchange.id, rating="down", correction=KOREAN)
                except HoneError:
                    pass
                began.set()

        writers = [threading.Thread(target=write) for _ in range(3)]
        for writer in writers:
            writer.start()
        began.wait(60)
        told = erase(store, home, LEE, "user", "lee", account=True)
        over.set()
        for writer in writers:
            writer.join(60)
        assert told["proof"]["clean"]
        assert not store_scan.in_store(store, Needles(WORDS), affected.runs(store)).where
        assert store.check()
        store.close()
        assert bytes_with_words(home) == []


KILLED = """
import os, signal, sys
sys.path.insert(0, "tests")
from pathlib import Path
from feedback import affected, erasure, erasure_jobs, receipt, scrub, store_file, words
from feedback.records import Principal, Role
from feedback.store import Store
from hone import backups
from hone.home import Home

home, place, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
module, name = place.split(".")
target = {"affected": affected, "erasure_jobs": erasure_jobs, "receipt": receipt, "scrub": scrub,
          "store_file": store_file, "words": words}[module]
real = getattr(target, name)

def killed(*given, **named):
    if when == "after":
        real(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(target, name, killed)
store = Store(home / "hone.duckdb")
lee = Principal("lee", Role.USER)
job = erasure.new(lee, "user", "lee", account=False, policy="stop")
taken = erasure.take(store, home, job, lee)
erasure.settle(store, taken)
erasure.finish(store, home, taken)
"""

PLACES = (
    ("erasure_jobs.keep", "after"),
    ("words.empty", "after"),
    ("erasure_jobs.enlist", "before"),
    ("affected.settle", "before"),
    ("scrub.run_folder", "after"),
    ("store_file.put_in_place", "after"),
    ("receipt.save", "before"),
)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A home with a past, and the receipt of an erasure that nobody killed."""
    home = tmp_path_factory.mktemp("lived") / "home"
    home.mkdir()
    store = Store(home / "hone.duckdb")
    live(store, home)
    store.close()
    other = home.with_name("other")
    shutil.copytree(home, other)
    store = Store(other / "hone.duckdb")
    told = erase(store, other, LEE, "user", "lee", policy="stop")
    store.close()
    return home, told


class TestKilled:
    @pytest.mark.parametrize(("place", "when"), PLACES)
    def test_an_erasure_killed_anywhere_ends_in_the_same_receipt(self, lived, tmp_path, place, when):
        lived_in, expected = lived
        home = tmp_path / "home"
        shutil.copytree(lived_in, home)
        killed(KILLED, str(home), place, when)
        store = Store(home / "hone.duckdb")
        erasure.resume(store, home)
        (done,) = erased.listed(store)
        told = erased.get(store, done["id"])
        assert receipt.verify(told, receipt.key(home))
        assert comparable(told) == comparable(expected)
        assert json.loads((home / "receipts" / f"{done['id']}.json").read_text()) == told
        assert not list((home / "erasing").iterdir())
        assert erasure.resume(store, home) == []
        assert store.check()
        store.close()
        assert bytes_with_words(home) == []


def comparable(told):
    """A receipt without what differs between two homes and two moments."""
    moments = ("erasure", "asked_at", "finished_at", "signature")
    kept = {name: value for name, value in told.items() if name not in moments}
    return {**kept, "proof": {k: v for k, v in told["proof"].items() if k not in ("files", "bytes")}}


def test_an_erasure_that_the_disk_refused_is_not_done_later(store, home, monkeypatch):
    asked = ask(store, LEE, SECRET)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(words, "empty", full)
    with pytest.raises(StoreError):
        erase(store, home, LEE, "exchange", asked.id)
    monkeypatch.undo()
    assert erasure.resume(store, home) == []
    assert erasure.reapply(store, home) == []
    assert Exchanges(store).get(asked.id).instruction == SECRET


class TestRestored:
    def test_a_restored_backup_is_erased_again(self, store, home, tmp_path):
        past = live(store, home)
        store.close()
        backup = tmp_path / "backup"
        shutil.copytree(home, backup)
        again = Store(home / "hone.duckdb")
        first = erase(again, home, LEE, "user", "lee", policy="stop")
        taught(again, ANA, "Something said since.", "Indeed.")
        again.close()

        for name in ("hone.duckdb", "runs", "versions"):
            old = home / name
            shutil.rmtree(old) if old.is_dir() else old.unlink()
            (shutil.copytree if (backup / name).is_dir() else shutil.copy)(backup / name, old)
        assert bytes_with_words(home)
        restored = Store(home / "hone.duckdb")
        (told,) = erasure.reapply(restored, home)
        assert told["again_after_a_restore"]
        assert told["erasure"] == first["erasure"]
        assert told["removed"] == first["removed"]
        assert receipt.verify(told, receipt.key(home))
        assert len(list((home / "receipts").iterdir())) == 2
        assert erasure.reapply(restored, home) == []
        assert Ledger(restored).live("general").version == past.versions[0]
        restored.close()
        assert bytes_with_words(home) == []

    def test_a_restore_erases_again_and_what_it_moved_aside_is_erased_too(self, tmp_path):
        home = Home(tmp_path / "home")
        home.prepare()
        first = Store(home.store)
        live(first, home.folder)
        backups.back_up(home, first, tmp_path / "backup")
        first.close()
        aside = backups.restore(home, tmp_path / "backup")
        assert f"{aside.name}/runs/0003-general/probe.json" in bytes_with_words(home.folder)

        store = Store(home.store)
        told = erase(store, home.folder, LEE, "user", "lee", policy="stop")
        store.close()
        assert told["proof"]["clean"]
        assert bytes_with_words(home.folder) == []
        old = Store(aside / "hone.duckdb")
        assert words.gather(old, told_exchanges(old), []) == []
        old.close()

        backups.restore(home, tmp_path / "backup")
        assert bytes_with_words(home.folder) == []
        restored = Store(home.store)
        assert words.gather(restored, told_exchanges(restored), []) == []
        assert restored.check()
        restored.close()
        assert [record["id"] for record in erasure_jobs.records(home.folder)] == [told["erasure"]]
        saved = sorted((home.folder / "receipts").iterdir())
        assert len(saved) == 2
        assert all(receipt.verify(receipt.read(path), receipt.key(home.folder)) for path in saved)

    def test_what_had_been_let_go_before_its_conversation_was_erased_does_not_return(self, store, home):
        gone = ask(store, LEE, SECRET, ANSWER)
        kept = ask(store, LEE, "Another line.", "Yes.", conversation_id=gone.conversation_id)
        ratings.rate(store, LEE, kept.id, rating="up")
        old = home / "staging" / "hone.duckdb"
        old.parent.mkdir()
        store.copy(old)
        assert retention.forget_unrated(store, 1, at=now() + timedelta(days=3)) == 1
        erase(store, home, LEE, "conversation", gone.conversation_id)
        restored = Store(old)
        erasure.reapply(restored, home, files=old.parent)
        said = restored.rows("SELECT instruction FROM exchanges")
        states = restored.rows("SELECT state FROM exchange_state")
        restored.close()
        assert said == [{"instruction": ""}] * 2
        assert states == [{"state": "erased"}] * 2

    def test_a_list_that_was_cut_in_the_middle_of_a_line_is_read_and_written_on(self, store, home):
        asked = ask(store, LEE, SECRET)
        (home / "erasures.jsonl").write_text('{"id": "0192')
        erase(store, home, LEE, "exchange", asked.id)
        (record,) = erasure_jobs.records(home)
        assert record["exchanges"] == [asked.id]
        assert SECRET not in (home / "erasures.jsonl").read_text()


def told_exchanges(store):
    return [row["exchange_id"] for row in store.rows("SELECT exchange_id FROM erased_exchanges")]


class TestReceipts:
    def test_a_receipt_is_valid_here_unchanged_and_nowhere_else(self, store, home, tmp_path):
        asked = ask(store, BEN, "Forget this question, please.")
        told = erase(store, home, BEN, "exchange", asked.id)
        key = receipt.key(home)
        assert receipt.verify(told, key)
        assert not receipt.verify({**told, "removed": {**told["removed"], "exchanges": 2}}, key)
        assert not receipt.verify({k: v for k, v in told.items() if k != "signature"}, key)
        for signature in ("\ud800", "é", None, [], told["signature"][:-1]):
            assert not receipt.verify({**told, "signature": signature}, key)
        assert not receipt.verify(told, receipt.key(tmp_path))
        for name in ("receipt-key", "erasures.jsonl"):
            assert (home / name).stat().st_mode & 0o077 == 0

    def test_words_that_are_left_make_the_receipt_say_so(self, store, home, monkeypatch):
        asked = ask(store, LEE, SECRET)
        (home / "engine.log").write_text(SECRET)
        monkeypatch.setattr(scrub, "overwrite", lambda *_: None)
        told = erase(store, home, LEE, "exchange", asked.id)
        assert told["proof"]["found"] == {"engine.log": len(scan.fragments([SECRET]))}
        assert not told["proof"]["clean"]

    def test_of_two_that_end_together_only_the_one_whose_words_are_left_says_so(
        self, store, home, monkeypatch
    ):
        jobs = []
        for text in (SECRET, KOREAN):
            job = erasure.new(LEE, "exchange", ask(store, LEE, text).id, account=False, policy="keep")
            jobs.append(erasure.take(store, home, job, LEE))
            erasure.settle(store, jobs[-1])
        (home / "engine.log").write_text(KOREAN)
        monkeypatch.setattr(scrub, "overwrite", lambda *_: None)
        told = erasure.finish_all(store, home, jobs)
        assert [one["proof"]["clean"] for one in told] == [True, False]
        assert [one["proof"]["found"] for one in told] == [
            {},
            {"engine.log": len(scan.fragments([KOREAN]))},
        ]
        assert not list((home / "erasing").iterdir())


def real_adapter(folder, number):
    pretended(folder, number)
    told = {"base_model_name_or_path": "smollm2", "peft_type": "LORA", "modules_to_save": None}
    (folder / "adapter_config.json").write_text(json.dumps(told))


@pytest.mark.parametrize("taught_too", [False, True])
def test_whoever_says_what_stands_in_hones_own_files_breaks_none_of_them(store, home, taught_too):
    """Nor the proof: only what can hold people's words is overwritten or looked through."""
    past = live(store, home, real_adapter)
    before = erase(store, home, LEE, "user", "lee")
    model = home / "models" / "tiny"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"max_position_embeddings": 8192}')
    (model / "tokenizer.json").write_text('{"\u0120responsibilities": 9131, "responsibilities": 1}')
    (home / "hone.toml").write_text('[web]\nallowed_hosts = ["chat.example.org"]\n')
    (home / "desired.json").write_text(json.dumps({"routes": {"general": past.versions[0]}}))
    said = "max_position_embeddings", "allowed_hosts = [", "again_after_a_restore", "responsibilities"
    said += "base_model_name_or_path", "erased_conversations", "incumbent_is_base", past.ana.id
    line = None
    for text in (*said, before["erasure"], past.versions[0], str(home / "versions" / past.versions[0])):
        asked = ask(store, BEN, text, "Indeed.", conversation_id=line)
        line = asked.conversation_id
        if taught_too:
            ratings.rate(store, BEN, asked.id, rating="up")
            review.review(store, RITA, asked.id, "approve")
    if taught_too:
        version(store, home, 4, real_adapter)
        (home / "runs/0004-general/plan.json").write_text('{"base": "max_position_embeddings"}')
    (home / "engine.log").write_text("warning: prompt max_position_embeddings was long\n")
    evaluation = scorecards(store)
    own = [path for path in home.rglob("*") if path.is_file() and "duckdb" not in path.name]
    kept = {path: path.read_bytes() for path in own if not can_hold_words(path.relative_to(home))}

    told = erase(store, home, BEN, "conversation", line)

    assert told["proof"]["clean"], told["proof"]
    changed = {
        str(path.relative_to(home)) for path in kept if path.exists() and path.read_bytes() != kept[path]
    }
    assert changed == {
        "erasures.jsonl",
        *(["runs/0004-general/snapshot/manifest.json"] if taught_too else []),
    }
    assert receipt.verify(receipt.read(home / "receipts" / f"{before['erasure']}.json"), receipt.key(home))
    assert registry.verify(home, past.versions[0])
    assert [record["id"] for record in erasure_jobs.records(home)] == [before["erasure"], told["erasure"]]
    assert "max_position" not in (home / "engine.log").read_text()
    assert scorecards(store)[: len(evaluation) - taught_too] == evaluation[: len(evaluation) - taught_too]


def can_hold_words(path):
    names = {"engine.log", "training.log", "evaluation.json", "probe.json", "answers.jsonl", "checkpoint.pt"}
    return path.name in names or path.suffix == ".parquet"


def scorecards(store):
    return [row["scorecard"] for row in store.rows("SELECT scorecard FROM evaluations ORDER BY seq")]


def test_every_column_of_text_is_known_to_hold_words_or_not(store):
    assert words.unclassified(store) == set()
