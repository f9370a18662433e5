"""The record of events: nothing acknowledged is lost, nothing half-written, and the projection equals it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import ANA, RITA, ask

from feedback import consent, lookup, projection, ratings, retention, review, rounds, schema
from feedback.errors import BadRequest, Conflict, HomeBusy, StoreError
from feedback.exchange_state import EXCHANGE_STATE
from feedback.exchanges import Exchanges
from feedback.migrate import migrate
from feedback.queue import QUEUES, counts, ids
from feedback.records import new_id
from feedback.store import Store

ROOT = Path(__file__).parent.parent


def decision(reason, **fields):
    return {"principal": "test", "assistant": "general", "due": False, "reason": reason, **fields}


def reasons(store):
    return [row["reason"] for row in store.rows("SELECT reason FROM decisions ORDER BY seq")]


WRITING = """
import sys, threading
from feedback.store import Store
from feedback.records import new_id

store = Store(sys.argv[1])
said = threading.Lock()

def write():
    while True:
        exchange = new_id()
        turn = {"id": exchange, "principal": "ana", "conversation_id": new_id(), "assistant": "general",
                "version": "general@0", "context": [], "instruction": "words " * 40, "source": "chat"}
        answer = {"principal": "ana", "exchange_id": exchange, "response": "more " * 40,
                  "finish_reason": "stop", "version": "general@0"}
        store.append({"exchanges": [turn], "answers": [answer]})
        for thumb in ("up", "down"):
            store.append({"ratings": [{"principal": "ana", "exchange_id": exchange, "rating": thumb}]})
            with said:
                print(exchange, thumb, flush=True)

for _ in range(4):
    threading.Thread(target=write).start()
"""


def killed_while_writing(path, seconds):
    """What a process acknowledged before kill -9: the last thumb of each exchange."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    first = child.stdout.readline()
    threading.Timer(seconds, os.kill, [child.pid, signal.SIGKILL]).start()
    lines = [first, *child.stdout]
    child.wait()
    assert child.returncode == -signal.SIGKILL
    return dict(line.split() for line in lines if line.endswith("\n"))


HALF = """SELECT count(*) AS halves FROM exchanges e
FULL JOIN answers a ON a.exchange_id = e.id WHERE e.id IS NULL OR a.id IS NULL"""


def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_half(tmp_path):
    path = tmp_path / "hone.duckdb"
    acknowledged = {}
    for number in range(6):
        acknowledged |= killed_while_writing(path, 0.2 + number * 0.09)
        store = Store(path)
        assert store.row(HALF)["halves"] == 0
        held = {
            row["exchange_id"]: row["thumbs"]
            for row in store.rows("SELECT exchange_id, list(rating) AS thumbs FROM ratings GROUP BY 1")
        }
        assert all(thumb in held[exchange] for exchange, thumb in acknowledged.items())
        assert store.check()
        store.close()
    assert len(acknowledged) > 20


FILLING = """
import os, resource, signal, sys
from feedback.errors import StoreError
from feedback.store import Store

store = Store(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
kept = 0
try:
    while True:
        reason = f"{kept} " + "x" * 100_000
        row = {"principal": "test", "assistant": "general", "due": False, "reason": reason}
        store.append({"decisions": [row]})
        kept += 1
except StoreError as fault:
    print(kept, fault, flush=True)
os._exit(0)
"""


def test_a_full_disk_is_a_clear_error_and_loses_nothing_acknowledged(tmp_path):
    path = tmp_path / "hone.duckdb"
    Store(path).close()
    said = subprocess.run(
        [sys.executable, "-c", FILLING, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    kept, _, message = said.partition(" ")
    assert int(kept) > 3
    assert "Check the disk for space" in message
    store = Store(path)
    assert [int(reason.split()[0]) for reason in reasons(store)] == list(range(int(kept)))
    store.close()


def test_the_projection_equals_a_rebuild_after_everything_that_can_happen(store):
    for number in range(3):
        exchange = ask(store, instruction=f"question {number}")
        ratings.rate(store, ANA, exchange.id, rating="down", correction="better", reasons=["not_helpful"])
        review.review(store, RITA, exchange.id, ("approve", "reject")[number % 2])
    ratings.rate(store, ANA, exchange.id, rating="down", correction="better still")
    Exchanges(store).set_training(exchange.conversation_id, "ana", False)
    ask(store, finish_reason=None)
    before = store.rows("SELECT * FROM exchange_state ORDER BY exchange_id")
    assert store.check()
    store.rebuild()
    assert store.rows("SELECT * FROM exchange_state ORDER BY exchange_id") == before
    assert len({row["state"] for row in before}) == 4


def test_a_stale_projection_is_noticed_and_mended(store):
    exchange = ask(store)
    store.decide(lambda transaction: transaction.rows("UPDATE exchange_state SET rating = 'up'"))
    assert not store.check()
    store.rebuild()
    assert store.check()
    assert (
        store.row("SELECT rating FROM exchange_state WHERE exchange_id = $1", [exchange.id])["rating"] is None
    )


@pytest.mark.parametrize("every", [1, 3, 1_000])
def test_the_counts_are_those_of_the_projection_however_often_they_are_folded(store, monkeypatch, every):
    monkeypatch.setattr("feedback.projection.FOLD_EVERY", every)
    for number in range(4):
        exchange = ask(store, instruction=f"question {number}")
        ratings.rate(store, ANA, exchange.id, rating="up")
        assert store.check()
        review.review(store, RITA, exchange.id, ("approve", "reject", "skip")[number % 3])
        assert store.check()
    forgotten = ask(store)
    Exchanges(store).set_training(exchange.conversation_id, "ana", False)
    assert retention.forget_unrated(store, days=0) == 1
    assert store.check()
    assert lookup.load(store, [forgotten.id]) == []
    told = counts(store, viewer="rita")
    assert [told[name] for name in ("approved", "rejected", "skipped")] == [1, 1, 1]
    rows = store.row("SELECT count(*) AS rows FROM exchange_state_counts")["rows"]
    assert (rows > 12) == (every == 1_000)


@pytest.mark.parametrize("table", ["exchange_state_counts", "exchange_state_begun"])
def test_stale_tables_of_the_queue_are_noticed_and_mended(store, table):
    exchange = ask(store)
    ratings.rate(store, ANA, exchange.id, rating="up")
    review.review(store, RITA, exchange.id, "skip")
    assert store.check()
    store.decide(lambda transaction: transaction.rows(f"UPDATE {table} SET setter = 'otto'"))
    assert not store.check()
    store.rebuild()
    assert store.check()


def test_an_empty_file_is_migrated_and_a_second_opening_changes_nothing(tmp_path):
    path = tmp_path / "hone.duckdb"
    Store(path).close()
    store = Store(path)
    done = [row["version"] for row in store.rows("SELECT version FROM hone_schema ORDER BY version")]
    assert done == list(range(1, len(schema.MIGRATIONS) + 1))
    assert [row["name"] for row in store.rows("SELECT name FROM assistants")] == ["general"]
    store.close()


def test_a_migration_keeps_what_is_there_and_fills_the_projection(tmp_path, monkeypatch):
    path = tmp_path / "hone.duckdb"
    store = Store(path)
    exchange = ask(store)
    store.close()
    added = ("ALTER TABLE decisions ADD COLUMN weight INTEGER", "DELETE FROM exchange_state")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, added))
    store = Store(path)
    store.append({"decisions": [decision("heavier", weight=3)]})
    assert store.row("SELECT weight FROM decisions")["weight"] == 3
    assert store.row("SELECT exchange_id FROM exchange_state")["exchange_id"] == exchange.id
    store.close()


def test_a_projection_that_a_killed_migration_emptied_is_made_at_the_next_opening(tmp_path, monkeypatch):
    path = tmp_path / "hone.duckdb"
    store = Store(path)
    exchange = ask(store)
    store.close()
    emptied = ("DROP TABLE exchange_state", EXCHANGE_STATE, "UPDATE projected SET seq = 0")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, emptied))
    with duckdb.connect(str(path)) as killed:
        migrate(killed, path)
        assert killed.execute("SELECT count(*) FROM exchange_state").fetchall() == [(0,)]
    store = Store(path)
    assert store.row("SELECT exchange_id FROM exchange_state")["exchange_id"] == exchange.id
    assert store.check()
    store.close()


# What a file of schema 7 held, in which pages read opinions, shares and gold items anew each time.
OF_SCHEMA_7 = """
INSERT INTO exchanges (id, seq, "at", principal, conversation_id, assistant, version, context, instruction,
        source)
    SELECT uuid_of('e', n), n, now(), 'ana', uuid_of('c', n), 'general', 'general@0', '[]', 'Why?',
        CASE WHEN n = 5 THEN 'proposal:teacher:big' ELSE 'chat' END FROM range(1, 6) r(n);
INSERT INTO answers (id, seq, "at", principal, exchange_id, response, finish_reason, version)
    SELECT uuid_of('a', n), 10 + n, now(), 'ana', uuid_of('e', n), 'So.', 'stop', 'general@0'
    FROM range(1, 6) r(n);
INSERT INTO ratings (id, seq, "at", principal, exchange_id, rating)
    SELECT uuid_of('f', n), 20 + n, now(), 'ana', uuid_of('e', n), 'down' FROM range(1, 3) r(n);
INSERT INTO opinions (id, seq, "at", principal, exchange_id, round, verdict, response, blind)
    SELECT uuid(), 31, now(), 'rita', uuid_of('e', 1), uuid_of('e', 1), 'approve', 'So.', true;
INSERT INTO golds (id, seq, "at", principal, exchange_id, expected, retired)
    SELECT uuid(), 32, now(), 'otto', uuid_of('e', 2), 'reject', false;
INSERT INTO shares (id, seq, "at", principal, conversation_id, review)
    SELECT uuid(), 33, now(), 'ana', uuid_of('c', 3), true;
INSERT INTO proposals (id, seq, "at", principal, exchange_id, origin_id, proposer, agree)
    SELECT uuid(), 34, now(), 'otto', uuid_of('e', 5), uuid_of('e', 4), 'teacher:big', 1;
UPDATE projected SET seq = 34"""


def test_a_file_whose_projection_knew_no_queue_has_the_same_queues(tmp_path, monkeypatch):
    path = tmp_path / "old.duckdb"
    with monkeypatch.context() as past, duckdb.connect(str(path)) as old:
        past.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:7])
        migrate(old, path)
        old.execute("""CREATE TEMP MACRO uuid_of(kind, n) AS
            ('00000000-0000-7000-8000-' || kind || lpad(n::VARCHAR, 11, '0'))::UUID""")
        for statement in OF_SCHEMA_7.split(";"):
            old.execute(statement)
    store = Store(path)
    seen = {state: [identity[-1] for identity in ids(store, "rita", state=state)] for state in QUEUES}
    assert {state: found for state, found in seen.items() if found} == {
        "pending": ["2", "3"],
        "waiting": ["1"],
    }
    assert [identity[-1] for identity in ids(store, "otto")] == ["1", "3"]
    assert store.check()
    store.close()


def test_where_no_projection_can_be_written_pages_are_read_from_the_events(store, monkeypatch):
    asked = [ask(store, instruction=f"question {number}") for number in range(3)]
    for exchange in asked[:2]:
        ratings.rate(store, ANA, exchange.id, rating="down")
    waiting, loaded = review.pending(store, viewer="rita"), lookup.load(store, [one.id for one in asked])
    counted = review.counts(store, viewer="rita")
    store.decide(lambda transaction: transaction.rows("DELETE FROM exchange_state"))

    def refuse(of):
        raise StoreError("The disk is full.", "Make room.")

    monkeypatch.setattr(store._projector, "catch_up", refuse)
    assert [exchange.id for exchange in waiting] == [exchange.id for exchange in asked[:2]]
    assert review.pending(store, viewer="rita") == waiting
    assert lookup.load(store, [one.id for one in asked]) == loaded
    assert review.counts(store, viewer="rita") == counted


def test_a_failing_migration_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "hone.duckdb"
    Store(path).close()
    broken = ("CREATE TABLE half (a INTEGER)", "CREATE TABLE half (a INTEGER)")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(StoreError):
            Store(path)
    store = Store(path)
    assert store.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'half'") == []
    store.close()


def test_a_file_of_a_newer_hone_is_refused_with_advice(tmp_path, monkeypatch):
    path = tmp_path / "hone.duckdb"
    Store(path).close()
    newest = len(schema.MIGRATIONS)
    monkeypatch.setattr(schema, "MIGRATIONS", ())
    said = rf"newer Hone wrote .* schema is {newest}, this program knows 0.*Install"
    with pytest.raises(StoreError, match=said):
        Store(path)


def test_what_is_no_store_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.duckdb"
    text.write_text("these are my notes, not a database " * 200)
    before = text.read_bytes()
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(text)
    assert text.read_bytes() == before
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    with pytest.raises(StoreError, match="not a Hone's"):
        Store(other)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "nowhere" / "hone.duckdb")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path)


def test_a_damaged_file_is_a_clear_error(tmp_path):
    path = tmp_path / "hone.duckdb"
    Store(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="restore a backup"):
        Store(path)


def test_a_second_process_is_told_who_has_the_store(tmp_path, store):
    opening = "import sys; from feedback.store import Store; Store(sys.argv[1])"
    second = subprocess.run(
        [sys.executable, "-c", opening, str(store.path)], cwd=ROOT, capture_output=True, text=True
    )
    assert second.returncode != 0
    last = second.stderr.strip().splitlines()[-1]
    assert HomeBusy.__name__ in last
    assert f"is open in process {os.getpid()}" in last


def test_many_threads_share_commits_and_a_bad_batch_fails_alone(store):
    def write(number):
        exchange = "nonsense" if number % 10 == 7 else new_id()
        rating = {"principal": "t", "exchange_id": exchange}
        store.append({"decisions": [decision(str(number))], "ratings": [rating]})

    began = time.monotonic()
    with ThreadPoolExecutor(32) as pool:
        written = [pool.submit(write, number) for number in range(200)]
    failed = {number for number, future in enumerate(written) if future.exception()}
    assert failed == {number for number in range(200) if number % 10 == 7}
    assert all(isinstance(written[number].exception(), BadRequest) for number in failed)
    assert sorted(map(int, reasons(store))) == [n for n in range(200) if n not in failed]
    assert time.monotonic() - began < 20


def test_who_writes_alone_is_not_made_to_wait_for_others(store, monkeypatch):
    paused = []
    monkeypatch.setattr("feedback.writer.time", SimpleNamespace(sleep=paused.append))
    for number in range(20):
        store.append({"signals": [{"principal": "ana", "exchange_id": new_id(), "kind": f"{number}"}]})
    assert (paused, store.row("SELECT count(*) AS n FROM signals")) == ([], {"n": 20})


def test_a_batch_is_whole_or_not_there(store):
    with pytest.raises(BadRequest, match="NOT NULL"):
        store.append({"decisions": [decision("first"), decision("second", assistant=None)]})
    assert reasons(store) == []


def test_the_same_id_again_is_the_same_row(store):
    identity = new_id()
    for reason in ("first", "second"):
        store.append({"decisions": [decision(reason, id=identity)]})
    store.append({"decisions": [decision("third", id=identity.upper()), decision("other")]})
    assert reasons(store) == ["first", "other"]
    with ThreadPoolExecutor(8) as pool:
        identity = new_id()
        list(pool.map(lambda _: store.append({"decisions": [decision("raced", id=identity)]}), range(16)))
    assert reasons(store).count("raced") == 1


def test_a_decision_reads_and_writes_with_nothing_in_between(store):
    def count_up(transaction):
        number = transaction.row("SELECT count(*) AS n FROM decisions")["n"]
        transaction.append({"decisions": [decision(f"number {number}")]})
        return number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: store.decide(count_up), range(24)))
    assert sorted(numbers) == list(range(24))
    assert len(set(reasons(store))) == 24


def told_together(store, decisions):
    """What each of these decisions answers or raises; the writing thread finds all of them waiting."""
    gate, begun = threading.Event(), threading.Event()

    def wait(transaction):
        begun.set()
        gate.wait(60)

    with ThreadPoolExecutor(len(decisions) + 1) as pool:
        blocking = pool.submit(store.decide, wait)
        begun.wait(60)
        waiting = [pool.submit(store.decide, one, about=f"thing {n}") for n, one in enumerate(decisions)]
        while store._writer._jobs.qsize() < len(decisions):
            time.sleep(0.01)
        gate.set()
        blocking.result()
        return [future.exception() or future.result() for future in waiting]


def test_what_no_thing_can_be_called_harms_its_caller_alone(store):
    """A browser may send a list where an id is asked for."""
    with pytest.raises(TypeError):
        store.decide(lambda _: None, about=["a", "list"])
    assert store.decide(lambda _: "still there", about="a thing") == "still there"


def test_decisions_about_different_things_share_a_commit_and_fail_alone(store):
    commits = []

    def write(number, transaction):
        commits.append(transaction.row("SELECT current_transaction_id() AS id")["id"])
        if number % 3 == 0:
            raise Conflict("No.", "Stop.")
        transaction.append({"decisions": [decision(f"number {number}")]})
        return number

    told = told_together(store, [partial(write, number) for number in range(9)])
    assert [type(answer).__name__ for answer in told] == ["Conflict", "int", "int"] * 3
    assert sorted(reasons(store)) == [f"number {number}" for number in range(9) if number % 3]
    assert len(set(commits)) == 1


CHANGES = {
    "update": "UPDATE decisions SET reason = 'changed' WHERE reason = 'kept'",
    "delete": "DELETE FROM decisions WHERE reason = 'kept'",
    "insert": """INSERT INTO decisions (id, seq, "at", principal, assistant, due, reason)
        VALUES (uuid(), 0, now(), 'p', 'a', false, 'added')""",
    "hidden behind a name": """WITH these AS (SELECT 'kept' AS reason)
        DELETE FROM decisions WHERE reason IN (FROM these)""",
    "returning": "UPDATE decisions SET reason = 'changed' RETURNING reason",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_decision_that_raises_takes_back_what_it_changed_itself(store, change):
    store.append({"decisions": [decision("kept")]})

    def change_mind(transaction):
        transaction.rows(change)
        raise Conflict("No.", "Stop.")

    def write(transaction):
        transaction.append({"decisions": [decision("another's")]})
        return transaction.row("SELECT count(*) AS n FROM decisions WHERE reason = 'kept'")["n"]

    for about in (None, "a thing"):
        with pytest.raises(Conflict):
            store.decide(change_mind, about=about)
    assert reasons(store) == ["kept"]
    told = told_together(store, [write, change_mind, write])
    assert [type(answer).__name__ for answer in told] == ["int", "Conflict", "int"]
    assert (told[0], told[2]) == (1, 1)
    assert sorted(reasons(store)) == ["another's", "another's", "kept"]


def test_decisions_that_meet_are_made_one_after_the_other(store):
    identity = new_id()

    def write(about):
        def decide(transaction):
            seen = transaction.row("SELECT count(*) AS n FROM decisions")["n"]
            transaction.append(
                {"decisions": [decision(f"saw {seen}", id=identity if about < 4 else new_id())]}
            )
            return seen

        return store.decide(decide, about=str(about % 8))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(16)))
    assert len(reasons(store)) == 13
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: store.decide(lambda t: write_one(t), about="one"), range(16)))
    assert sorted(seen) == list(range(13, 29))


def write_one(transaction):
    seen = transaction.row("SELECT count(*) AS n FROM decisions")["n"]
    transaction.append({"decisions": [decision(f"saw {seen}")]})
    return seen


def test_a_reader_sees_every_rating_that_was_acknowledged(store):
    def rate(number):
        exchange = ask(store)
        ratings.rate(store, ANA, exchange.id, rating="up")
        seen = store.row("SELECT rating FROM exchange_state WHERE exchange_id = $1", [exchange.id])
        return seen["rating"]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(rate, range(24))) == {"up"}
    assert store.check()


def test_who_asks_of_some_waits_for_what_was_said_of_those_alone(store, monkeypatch):
    monkeypatch.setattr(projection, "LINGER", 60.0)
    one, other = ask(store), ask(store)
    assert store.check()
    computed = []
    compute = store._projector._compute
    monkeypatch.setattr(
        store._projector, "_compute", lambda *given: computed.append(given[1]) or compute(*given)
    )
    rating = {"principal": "ana", "exchange_id": one.id, "rating": "up", "reasons": [], "comment": ""}
    store.append({"ratings": [rating]})
    assert lookup.load(store, [other.id]) == [other]
    assert computed == []
    assert lookup.get(store, one.id).rating == "up"
    assert computed == [[one.id]]
    told = {"principal": "ana", "conversation_id": one.conversation_id, "training": False}
    store.append({"consents": [told]})
    del computed[:]
    assert lookup.load(store, [other.id]) == [other]
    assert computed == []
    lookup.load(store, [one.id])
    assert computed == [[one.id]]
    assert store.check()


@pytest.mark.parametrize("spelt", [str.upper, lambda identity: identity.replace("-", "")])
def test_what_is_withdrawn_under_another_spelling_of_its_id_is_withdrawn_at_once(store, monkeypatch, spelt):
    monkeypatch.setattr(projection, "LINGER", 60.0)
    asked = ask(store)
    consent.allow(store, ANA, asked.conversation_id, review=True)
    assert rounds.load(store, [asked.id], "rita")
    consent.allow(store, ANA, spelt(asked.conversation_id), review=False)
    assert not rounds.load(store, [asked.id], "rita")
    rated = ratings.rate(store, ANA, ask(store).id, rating="down")
    assert rounds.load(store, [rated.id], "rita")
    told = {"principal": "ana", "conversation_id": spelt(rated.conversation_id), "training": False}
    store.append({"consents": [told]})
    assert not rounds.load(store, [rated.id], "rita")


def test_a_decision_without_the_projection_makes_none_and_may_not_read_it(store):
    def ask_of_it(transaction):
        return transaction.rows("SELECT 1 FROM exchange_state")

    ask(store)
    with pytest.raises(AssertionError, match="the projection was not made"):
        store.decide(ask_of_it, projected=False)
    assert store.decide(ask_of_it)


def test_what_a_crash_left_of_the_projection_is_made_at_the_next_opening(store, tmp_path):
    exchange = ask(store)
    store.check()

    def forget(transaction):
        transaction.rows("UPDATE exchange_state SET finish_reason = NULL, answer_id = NULL")
        transaction.rows("UPDATE projected SET seq = 1")

    store.decide(forget)
    assert not store.check()
    store.close()
    again = Store(store.path)
    assert again.check()
    assert Exchanges(again).get(exchange.id).response == "4."
    again.close()


def test_a_decision_that_raises_leaves_nothing_and_harms_no_one(store):
    def change_mind(transaction):
        transaction.append({"decisions": [decision("never")]})
        raise Conflict("No.", "Stop.")

    with pytest.raises(Conflict):
        store.decide(change_mind)
    with pytest.raises(ZeroDivisionError):
        store.decide(lambda transaction: 1 / 0)
    with pytest.raises(SystemExit):
        store.decide(lambda transaction: sys.exit())
    with pytest.raises(StoreError):
        store.decide(lambda transaction: transaction.rows("SELECT nothing FROM nowhere"))
    store.append({"decisions": [decision("after")]})
    assert reasons(store) == ["after"]


def test_the_newest_is_the_last_to_arrive_even_when_the_clock_steps_back(store):
    exchange = ask(store)
    late = datetime.now(UTC) + timedelta(hours=1)
    early = late - timedelta(hours=2)
    for at, thumb in ((late, "up"), (early, "down")):
        store.append(
            {"ratings": [{"principal": "ana", "exchange_id": exchange.id, "rating": thumb, "at": at}]}
        )
    assert Exchanges(store).get(exchange.id).rating == "down"


def test_values_come_back_as_they_went_in(store):
    seoul = datetime(2026, 1, 2, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    run, detail = new_id(), {"loss": [1.5, 2], "words": "가나다 🎉", "none": None}
    row = {"principal": "hone", "run_id": run, "assistant": "general", "number": 1, "state": "running"}
    store.append({"runs": [{**row, "detail": detail, "at": seoul}]})
    held = store.row('SELECT run_id, "at", detail FROM runs')
    assert held == {"run_id": run, "at": datetime(2026, 1, 2, tzinfo=UTC), "detail": detail}
    assert held["at"].tzinfo is UTC


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_unicode_text_is_kept_faithfully(store, text):
    identity = new_id()
    store.append(
        {
            "evaluations": [
                {
                    "id": identity,
                    "principal": text,
                    "run_id": new_id(),
                    "version": text,
                    "scorecard": {"t": [text]},
                    "reasons": [text],
                }
            ]
        }
    )
    held = store.row("SELECT version, scorecard, reasons FROM evaluations WHERE id = $1", [identity])
    assert held == {"version": text, "scorecard": {"t": [text]}, "reasons": [text]}


@pytest.mark.parametrize(
    "text",
    ["'; DROP TABLE decisions; --", "\0", "a\0b", "$1", "{}", "\\", "\u2028", "\ufeff", "x" * 1_000_000],
    ids=["sql", "nul", "nul-inside", "parameter", "braces", "backslash", "separator", "bom", "huge"],
)
def test_hostile_text_is_text(store, tmp_path, text):
    store.append({"decisions": [decision(text)]})
    assert reasons(store) == [text]
    store.close()
    again = Store(store.path)
    assert reasons(again) == [text]
    again.close()


def test_half_a_character_is_refused_clearly_wherever_it_hides(store):
    broken = json.loads('"\\ud83d"')
    run = {"principal": "hone", "run_id": new_id(), "assistant": "g", "number": 1, "state": "running"}
    for rows in (
        {"decisions": [decision(broken)]},
        {"runs": [{**run, "detail": {"a": [broken]}}]},
        {"evaluations": [{"principal": "x", "run_id": new_id(), "version": "v", "reasons": [broken]}]},
    ):
        with pytest.raises(BadRequest, match="half a character"):
            store.append(rows)
    with pytest.raises(BadRequest, match="half a character"):
        store.rows("SELECT 1 FROM decisions WHERE reason = $1", [broken])
    with pytest.raises(BadRequest, match="cannot be kept as JSON"):
        store.append({"runs": [{**run, "detail": {"loss": float("nan")}}]})
    with pytest.raises(BadRequest, match="the limit is"):
        store.append({"decisions": [decision("x" * 16_000_001)]})
    assert reasons(store) == []


def test_a_closed_store_says_so(tmp_path):
    store = Store(tmp_path / "hone.duckdb")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append({"decisions": [decision("late")]})
    with pytest.raises(StoreError, match="closed"):
        store.rows("SELECT 1")


def test_readers_do_not_wait_for_the_writer(store):
    began, go_on = threading.Event(), threading.Event()

    def hold(transaction):
        began.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(store.decide, hold)
        assert began.wait(10)
        assert store.rows("SELECT 1 AS one") == [{"one": 1}]
        go_on.set()
        holding.result()
