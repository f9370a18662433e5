"""Upgrades: files of every earlier schema open with all that is in them, and the way back is kept."""

import lzma
from pathlib import Path

import duckdb
import pytest
from erasure_home import erase
from make_past import PAST
from stories import OTTO, ROB, ask, new_store

from feedback import lookup, migrate, review, schema
from feedback.errors import StoreError
from feedback.exchanges import Exchanges
from feedback.ledger import Ledger
from feedback.store import Store

NEWEST = len(schema.MIGRATIONS)
PROJECTED = {"hone_schema", "projected", "exchange_state", "exchange_state_counts", "exchange_state_begun"}


def past(number: int, folder: Path) -> Path:
    path = folder / "hone.duckdb"
    path.write_bytes(lzma.decompress((PAST / f"schema-{number}.duckdb.xz").read_bytes()))
    return path


def events(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables but what is made from others, in the columns that a file has."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY seq").fetchall()
            for table in tables
            if table not in PROJECTED
        }


def test_a_file_of_every_earlier_schema_is_kept() -> None:
    kept = {int(path.name.split("-")[1].split(".")[0]) for path in PAST.glob("*.xz")}
    assert kept >= set(range(1, NEWEST)), "python tests/make_past.py, before the migration is added"


@pytest.mark.parametrize("number", range(1, NEWEST))
def test_a_file_of_an_earlier_schema_opens_with_all_that_is_in_it(number: int, tmp_path: Path) -> None:
    path = past(number, tmp_path)
    before = events(path)
    assert len(before["exchanges"]) == 4
    store = Store(path)
    assert store.check()
    Exchanges(store).cut_unfinished()
    (first, second) = Exchanges(store).conversation("00000000-0000-7000-8000-000000006331", "ana")
    assert (first.instruction, first.response, first.rating) == ("May rent rise?", "Once a year.", "up")
    assert (second.rating, second.correction) == ("down", "By a fifth.")
    assert lookup.get(store, first.id).state == "approved"
    ledger = Ledger(store)
    assert ledger.live("tenants").version == "tenants@1-0badf00d"
    (run,) = ledger.runs("tenants")
    assert (run.state, run.detail) == ("passed", {"steps": {"train": 2.5}})
    assert review.counts(store)["approved"] == 1
    review.review(store, ROB, second.id, "reject", reason="It is wrong.")
    ask(store)
    assert store.check()
    store.close()
    after = events(path)
    for table, rows in before.items():
        kept = [row[: len(rows[0])] for row in after[table][: len(rows)]] if rows else []
        assert kept == rows, table


@pytest.mark.parametrize("number", range(1, NEWEST))
def test_the_file_is_copied_before_its_first_migration_and_the_copy_can_take_its_place(
    number: int, tmp_path: Path
) -> None:
    path = past(number, tmp_path)
    before = events(path)
    Store(path).close()
    (copy,) = tmp_path.glob("hone.schema-*.duckdb")
    assert copy.name == f"hone.schema-{number}.duckdb"
    assert events(copy) == before
    copy.replace(path)
    Store(path).close()


def test_a_new_file_and_one_of_this_schema_are_not_copied(tmp_path: Path) -> None:
    new_store(tmp_path / "hone.duckdb").close()
    Store(tmp_path / "hone.duckdb").close()
    assert [path.name for path in tmp_path.iterdir()] == ["hone.duckdb"]


def test_a_copy_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = past(3, tmp_path)
    before = events(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("feedback.store_file.durable", full)
    with pytest.raises(StoreError, match="Check the disk for space"):
        Store(path)
    assert events(path) == before
    assert not list(tmp_path.glob("*schema-*"))


def test_the_copy_goes_with_the_next_words_that_are_deleted(tmp_path: Path) -> None:
    store = Store(past(5, tmp_path))
    assert list(tmp_path.glob("hone.schema-*"))
    store.compact()
    store.close()
    assert not list(tmp_path.glob("hone.schema-*"))


def test_an_older_hone_refuses_the_file_and_names_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = past(5, tmp_path)
    Store(path).close()
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:5])
    with pytest.raises(
        StoreError, match=r"Install the newer Hone.*or put hone\.schema-5\.duckdb in its place"
    ):
        Store(path)
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:4])
    with pytest.raises(StoreError, match=r"schema is \d+, this program knows 4.*made with this one\.$"):
        Store(path)
    (copy,) = tmp_path.glob("hone.schema-*")
    monkeypatch.undo()
    migrate.forget(path)
    assert not copy.exists()


def test_the_copy_is_gone_when_words_of_the_file_are_erased(tmp_path: Path) -> None:
    store = Store(past(8, tmp_path))
    (copy,) = tmp_path.glob("hone.schema-*")
    receipt = erase(store, tmp_path, OTTO, "conversation", "00000000-0000-7000-8000-000000006331")
    store.close()
    assert receipt["proof"]["clean"], receipt
    assert not copy.exists()
