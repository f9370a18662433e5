"""Takes an erasure's words out of one store's file and the folder around it, and looks whether any is left.

The folder is the home, or one that a restore moved aside, with a store, runs and versions of its own. Which
rows the words were in is the erasure's to say; the rows themselves are empty by now.

Trail: feedback/erasure.py -> here -> feedback/scrub.py, feedback/scan.py, feedback/store_scan.py,
feedback/word_files.py
"""

import json
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from feedback import affected, scan, scrub, store_scan, word_files, words
from feedback.scan import Found, Needles
from feedback.store import Store
from feedback.transaction import Transaction

ASIDE = "before-restore-*"
"""Folders with what was there before a restore."""


def take_out(
    store: Store, folder: Path, needles: Needles, exchanges: set[str], conversations: set[str]
) -> Found:
    """Take the words out, then look for them; what others said too is theirs, and neither taken nor found."""
    others = store_scan.said_elsewhere(store, needles, exchanges | conversations)
    needles = needles.without(others) if others else needles
    clean(store, folder, exchanges, needles)
    return look(store, folder, needles)


def clean(store: Store, folder: Path, exchanges: Collection[str], needles: Needles) -> None:
    """Take the words out of runs, withdrawn versions, scorecards and logs."""
    runs = list(_run_folders(store, folder))
    for run in runs:
        scrub.run_folder(run, exchanges, needles)
    for table, column in words.RUN_WORDS.items():
        _redact(store, table, column, exchanges, needles)
    scrub.withdrawn_versions(store, folder)
    scrub.overwrite(word_files.logs(folder, runs), needles)


def look(store: Store, folder: Path, needles: Needles) -> Found:
    """Look wherever words can be: rows, files, and the store's own file, which is written anew for it.

    In that file a fragment that the store's names and receipts hold as well cannot be told from a word.
    """
    inside: set[str] = set()
    store.compact(lambda fresh: inside.update(scan.in_file(fresh, needles)))
    runs = affected.runs(store)
    found = scan.through(folder, word_files.everywhere(folder, _run_folders(store, folder)), needles)
    found.where.update(store_scan.in_store(store, needles, runs).where)
    found.files += 1
    found.bytes += store.path.stat().st_size
    if inside and (left := inside - store_scan.facts(store, Needles(sorted(inside)), runs)):
        found.where[store.path.name] = len(left)
    return found


def sweep(store: Store, home: Path) -> None:
    """Clean the folders of runs that froze words while those were being erased."""
    gone = [row["exchange_id"] for row in store.rows("SELECT DISTINCT exchange_id FROM erased_exchanges")]
    for folder in _run_folders(store, home):
        scrub.run_folder(folder, gone, Needles([]))


def asides(home: Path) -> list[Path]:
    """The folders that restores moved aside, each with a store."""
    return [folder for folder in sorted(home.glob(ASIDE)) if (folder / "hone.duckdb").exists()]


def _redact(store: Store, table: str, column: str, exchanges: Collection[str], needles: Needles) -> None:
    asked = f"SELECT seq, {column} FROM {table} WHERE run_id = $1 ORDER BY seq"  # noqa: S608
    for row in (row for run in sorted(affected.runs(store)) for row in store.rows(asked, [run])):
        cleaned = scrub.redacted(row[column], exchanges, needles)
        if cleaned != row[column]:
            given = [json.dumps(cleaned, ensure_ascii=False), row["seq"]]
            change = f"UPDATE {table} SET {column} = $1::JSON WHERE seq = $2"  # noqa: S608
            store.decide(partial(_change, change=change, given=given))


def _change(transaction: Transaction, *, change: str, given: Sequence[str | int]) -> None:
    transaction.rows(change, given)


def _run_folders(store: Store, home: Path) -> Iterator[Path]:
    hit = affected.runs(store)
    for row in store.rows("SELECT run_id, any_value(folder) AS folder FROM runs GROUP BY run_id"):
        folder = home / "runs" / Path(row["folder"] or ".").name
        if row["run_id"] in hit and row["folder"] and folder.is_dir():
            yield folder
