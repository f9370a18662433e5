"""Takes an erasure's words out of one store's file and the folder around it, and looks whether any is left.

The folder is the home, or one that a restore moved aside, with a store, runs and versions of its own. Which
rows the words were in is the job's to say; the rows themselves are empty by now.

Trail: feedback/erasure.py -> here -> feedback/scrub.py, feedback/scan.py
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from feedback import affected, erasure_jobs, scan, scrub, words
from feedback.erasure_jobs import Job
from feedback.scan import Found, Needles
from feedback.store import Store
from feedback.transaction import Transaction

ASIDE = "before-restore-*"
"""Folders with what was there before a restore."""


def clean(store: Store, folder: Path, job: Job, needles: Needles) -> None:
    """Take the words out of runs, withdrawn versions, scorecards and whatever else quotes them."""
    for run in _run_folders(store, folder):
        scrub.run_folder(run, job.exchanges, needles)
    for table, column in words.RUN_WORDS.items():
        _redact(store, table, column, job, needles)
    scrub.withdrawn_versions(store, folder)
    scrub.quotes(folder, needles, unopened(folder))


def look(store: Store, folder: Path, needles: Needles) -> Found:
    """Look everywhere: rows, files, and the store's own file, which is written anew for it."""
    inside: list[set[int]] = []
    store.compact(lambda fresh: inside.append(scan.in_file(fresh, needles)))
    found = scan.home(folder, needles, leave=unopened(folder))
    found.where.update(scan.in_store(store, needles).where)
    found.files += 1
    found.bytes += store.path.stat().st_size
    if inside[0]:
        found.where[store.path.name] = len(inside[0])
    return found


def sweep(store: Store, home: Path) -> None:
    """Clean the folders of runs that froze words while those were being erased."""
    gone = [row["exchange_id"] for row in store.rows("SELECT DISTINCT exchange_id FROM erased_exchanges")]
    for folder in _run_folders(store, home):
        scrub.run_folder(folder, gone, Needles([]))


def asides(home: Path) -> list[Path]:
    """The folders that restores moved aside, each with a store."""
    return [folder for folder in sorted(home.glob(ASIDE)) if (folder / "hone.duckdb").exists()]


def unopened(folder: Path) -> set[Path]:
    """What is not opened here: erasures on their way, and databases, which are looked through otherwise.

    To close a file that DuckDB has open would let go of the process's lock on it. The search index holds
    digests of words, and is made anew by whoever owns it.
    """
    return {folder / erasure_jobs.FOLDER, *folder.glob("*.duckdb"), *folder.glob("*.duckdb.wal")}


def _redact(store: Store, table: str, column: str, job: Job, needles: Needles) -> None:
    for row in words.kept(store, table, "id"):
        cleaned = scrub.redacted(row[column], job.exchanges, needles)
        if cleaned != row[column]:
            given = [json.dumps(cleaned, ensure_ascii=False), row["id"]]
            change = f"UPDATE {table} SET {column} = $1::JSON WHERE id = $2"  # noqa: S608
            store.decide(partial(_change, change=change, given=given))


def _change(transaction: Transaction, *, change: str, given: Sequence[str]) -> None:
    transaction.rows(change, given)


def _run_folders(store: Store, home: Path) -> Iterator[Path]:
    hit = affected.runs(store)
    for row in store.rows("SELECT run_id, any_value(folder) AS folder FROM runs GROUP BY run_id"):
        folder = home / "runs" / Path(row["folder"] or ".").name
        if row["run_id"] in hit and row["folder"] and folder.is_dir():
            yield folder
