"""Keeping the store: compaction, retention, a full disk; what is acknowledged stays, what is deleted goes."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from stories import ANA, RITA, ask

from feedback import ratings, retention, review
from feedback.errors import StoreError
from feedback.exchanges import Exchanges
from feedback.records import now
from feedback.store import Store

ROOT = Path(__file__).parent.parent


def decision(reason):
    return {"decisions": [{"principal": "test", "assistant": "general", "due": False, "reason": reason}]}


class TestCompaction:
    def test_deleted_words_are_in_the_file_until_it_is_rewritten(self, tmp_path):
        path = tmp_path / "hone.duckdb"
        Store(path).close()
        with duckdb.connect(str(path)) as connection:
            # Compressed text cannot be looked for.
            connection.execute("SET force_compression = 'uncompressed'")
            connection.execute(
                """INSERT INTO decisions SELECT gen_random_uuid(), 10 + i, now(), 'p', 'a', false,
                'unforgettable words ' || i FROM range(3000) r(i)"""
            )
            connection.execute("CHECKPOINT")
        store = Store(path)
        store.decide(lambda transaction: transaction.rows("DELETE FROM decisions"))
        store.append(decision("kept"))
        store.close()
        assert b"unforgettable words" in path.read_bytes()
        store = Store(path)
        store.compact()
        assert [row["reason"] for row in store.rows("SELECT reason FROM decisions")] == ["kept"]
        store.close()
        assert b"unforgettable words" not in path.read_bytes()

    def test_everyone_waits_and_loses_nothing(self, store):
        exchange = ask(store)
        ended = threading.Event()

        def write(number):
            count = 0
            while not ended.is_set():
                store.append(decision(f"{number}/{count}"))
                assert store.row("SELECT count(*) AS n FROM exchange_state")["n"] == 1
                count += 1
            return count

        with ThreadPoolExecutor(8) as pool:
            written = [pool.submit(write, number) for number in range(8)]
            for _ in range(4):
                store.compact()
            ended.set()
        total = sum(future.result() for future in written)
        assert store.row("SELECT count(*) AS n FROM decisions")["n"] == total > 0
        assert ratings.rate(store, ANA, exchange.id, rating="up").rating == "up"
        assert store.check()

    def test_keys_and_views_are_kept(self, store):
        exchange = ask(store)
        store.compact()
        known = store.row("SELECT * FROM exchanges WHERE id = $1", [exchange.id])
        store.append({"exchanges": [{**known, "instruction": "again"}]})
        assert store.rows("SELECT instruction FROM exchanges") == [{"instruction": exchange.instruction}]
        assert store.rows("SELECT name FROM assistant_now") == [{"name": "general"}]

    def test_a_refused_rewrite_leaves_the_store_as_it_was(self, store, monkeypatch):
        ask(store)

        def refuse(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("feedback.store_file.durable", refuse)
            with pytest.raises(StoreError, match="No space left"):
                store.compact()
        assert not store.path.with_name("hone.duckdb.new").exists()
        store.append(decision("after"))
        assert store.check()


COMPACTING = """
import sys, threading
from feedback.store import Store

store = Store(sys.argv[1])
said = threading.Lock()

def write(number):
    count = 0
    while True:
        said_so = {"principal": "t", "assistant": "a", "due": False, "reason": f"{number}/{count}"}
        store.append({"decisions": [said_so]})
        with said:
            print(f"{number}/{count}", flush=True)
        count += 1

for number in range(4):
    threading.Thread(target=write, args=(number,), daemon=True).start()
while True:
    store.compact()
"""


def test_a_process_killed_while_it_compacts_loses_nothing_acknowledged(tmp_path):
    path = tmp_path / "hone.duckdb"
    acknowledged = []
    for number in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", COMPACTING, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        first = child.stdout.readline()
        threading.Timer(0.3 + number * 0.07, os.kill, [child.pid, signal.SIGKILL]).start()
        acknowledged += [line.strip() for line in [first, *child.stdout] if line.endswith("\n")]
        child.wait()
        store = Store(path)
        held = [row["reason"] for row in store.rows("SELECT reason FROM decisions")]
        store.close()
        assert set(acknowledged) <= set(held)
        assert not path.with_name("hone.duckdb.new").exists()
    assert len(acknowledged) > 4


class TestRetention:
    def test_only_what_nobody_ever_rated_goes_and_only_when_it_is_old(self, store):
        quiet, rated, cleared, judged = (
            ask(store, instruction=name) for name in ("quiet", "rated", "cleared", "judged")
        )
        running = ask(store, finish_reason=None)
        for exchange in (rated, cleared, judged):
            ratings.rate(store, ANA, exchange.id, rating="up")
        ratings.rate(store, ANA, cleared.id, rating=None)
        review.review(store, RITA, judged.id, "approve")
        assert retention.forget_unrated(store, 30) == 0
        assert retention.forget_unrated(store, 30, at=now() + timedelta(days=31)) == 1
        left = {row["id"] for row in store.rows("SELECT id FROM exchanges")}
        assert left == {rated.id, cleared.id, judged.id, running.id}
        assert store.rows("SELECT 1 FROM answers WHERE exchange_id = $1", [quiet.id]) == []
        assert store.check()
        (told,) = store.rows("SELECT principal, days, exchanges, conversations FROM retentions")
        assert told == {"principal": "hone", "days": 30, "exchanges": 1, "conversations": 1}

    def test_what_hangs_on_an_exchange_goes_with_it_and_what_somebody_judged_stays(self, store):
        lost, judged, gold = (ask(store, instruction=name) for name in ("lost", "judged", "gold"))
        of = {"principal": "rita", "exchange_id": lost.id}
        store.append(
            {"signals": [{**of, "kind": "copy"}], "drafts": [{**of, "response": "Unfinished words."}]}
        )
        opinion = {"round": judged.id, "verdict": "reject", "blind": True}
        store.append({"opinions": [{**of, "exchange_id": judged.id, **opinion}]})
        store.append({"golds": [{**of, "exchange_id": gold.id, "expected": "reject", "retired": False}]})
        store.append(
            {"shares": [{"principal": "ana", "conversation_id": lost.conversation_id, "review": True}]}
        )
        assert retention.forget_unrated(store, 1, at=now() + timedelta(days=2)) == 1
        assert {row["id"] for row in store.rows("SELECT id FROM exchanges")} == {judged.id, gold.id}
        for table in ("signals", "drafts", "shares"):
            assert store.rows(f"SELECT 1 FROM {table}") == []

    def test_a_conversation_goes_with_its_last_exchange(self, store):
        first = ask(store)
        kept = ask(store, conversation_id=first.conversation_id)
        ratings.rate(store, ANA, kept.id, rating="up")
        Exchanges(store).set_training(first.conversation_id, "ana", False)
        lost = ask(store)
        Exchanges(store).set_training(lost.conversation_id, "ana", False)
        later = now() + timedelta(days=2)
        assert retention.forget_unrated(store, 1, at=later) == 2
        assert [c["id"] for c in Exchanges(store).conversations("ana")] == [first.conversation_id]
        shown = Exchanges(store).conversation(first.conversation_id, "ana")
        assert [exchange.id for exchange in shown] == [kept.id]
        assert store.row("SELECT count(*) AS n FROM consents")["n"] == 1
        assert retention.forget_unrated(store, 1, at=later) == 0

    def test_many_go_in_several_transactions(self, store, monkeypatch):
        monkeypatch.setattr(retention, "AT_ONCE", 2)
        for _ in range(5):
            ask(store)
        assert retention.forget_unrated(store, 1, at=now() + timedelta(days=2)) == 5
        assert store.rows("SELECT 1 FROM exchange_state") == []


FULL = """
import os, resource, signal, sys
sys.path.insert(0, "tests")
from feedback import review
from feedback.errors import StoreError
from feedback.exchanges import Exchanges
from feedback.store import Store
from stories import ask

store = Store(sys.argv[1])
old = ask(store, instruction="old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, unlimited))
kept = 0
try:
    while True:
        ask(store, instruction=f"{kept}", response=os.urandom(20_000).hex())
        kept += 1
except StoreError as fault:
    print(kept, fault.status, fault)
# What was kept can be read while nothing can be written.
print(Exchanges(store).get(old.id).instruction, review.counts(store)["unrated"])
print(len(Exchanges(store).conversations("ana")))
for _ in range(3):
    try:
        ask(store, instruction="x" * 400_000)
        print("written")
    except StoreError as fault:
        print("refused", "space" in str(fault))
resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
print(ask(store, instruction="new").instruction, store.check())
store.close()
"""


def test_a_full_disk_refuses_writes_loudly_reads_go_on_and_room_mends_it(tmp_path):
    path = tmp_path / "hone.duckdb"
    Store(path).close()
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    filled, read, listed, *refused, mended = said.stdout.splitlines()
    kept, status, message = filled.split(" ", 2)
    assert (int(kept) > 3, status) == (True, "507")
    assert "nothing of this was kept" in message
    assert "Check the disk for space" in message
    assert read == f"old {int(kept) + 1}" or read == f"old {int(kept) + 2}"  # with one that was cut
    assert int(listed) >= int(kept) + 1
    assert refused == ["refused True"] * 3
    assert mended == "new True"
    store = Store(path)
    whole = store.rows("""SELECT e.instruction FROM exchanges e JOIN answers a ON a.exchange_id = e.id""")
    assert {row["instruction"] for row in whole} >= {"old", "new", *(str(n) for n in range(int(kept)))}
    assert store.check()
    store.close()


class TestLog:
    @pytest.fixture
    def small(self, monkeypatch):
        monkeypatch.setattr("feedback.store_file.LOG_BYTES", 100_000)
        monkeypatch.setattr("feedback.store_file.RETRY", 0.0)

    def test_it_is_moved_into_the_file_while_others_read_and_write(self, store, small):
        ended = threading.Event()

        def read():
            while not ended.is_set():
                store.rows("SELECT count(*) AS n FROM decisions WHERE length(reason) > 3")

        def write(number):
            for count in range(30):
                store.append(decision(f"{number}/{count} " + "x" * 2_000))
                assert store.row("SELECT count(*) AS n FROM exchange_state")["n"] == 0

        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            for written in [pool.submit(write, number) for number in range(4)]:
                written.result()
            ended.set()
            assert not any(reader.exception() for reader in readers)
        store.append(decision("last"))
        assert store.path.with_name("hone.duckdb.wal").stat().st_size < 150_000
        assert store.row("SELECT count(*) AS n FROM decisions")["n"] == 121

    def test_it_stays_where_the_disk_has_no_room(self, store, small, monkeypatch):
        monkeypatch.setattr("feedback.store_file.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
        for count in range(80):
            store.append(decision(f"{count} " + "x" * 2_000))
        assert store.path.with_name("hone.duckdb.wal").stat().st_size > 150_000
