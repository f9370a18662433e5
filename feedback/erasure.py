"""Erasure: words leave the store, the snapshots, the runs and the logs; the fact that they were there stays.

    take    in one transaction: what is meant, its texts into a job file, the words out of the rows; then
            the erasure onto the list outside the store
    settle  which versions learnt from them, and what becomes of those
    finish  files, the store's own file written anew, proof by looking for every fragment, the receipt

Each step may be taken twice, and the job file goes last, so an erasure that was killed anywhere is
resumed at the next start and ends in the same receipt. The list in the home outlives the store's file, so
that `reapply` erases again in whatever backup is restored. Knows no engine and no route.

Trail: hone/erasing.py -> here -> feedback/reach.py, feedback/words.py, feedback/affected.py,
feedback/scrub.py
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from feedback import accounts, affected, erased, erasure_jobs, purge, reach, receipt, scan, scrub, words
from feedback.erasure_jobs import Job, new
from feedback.errors import Conflict, HoneError
from feedback.reach import Reach, Scope
from feedback.records import Principal, Role
from feedback.scan import Found, Needles
from feedback.store import Store
from feedback.store_scan import places_elsewhere
from feedback.transaction import Transaction

__all__ = [
    "Job",
    "finish",
    "finish_all",
    "new",
    "none_under_way",
    "preview",
    "reapply",
    "resume",
    "settle",
    "take",
]

NOTHING_KEPT = "The engine keeps nothing of it."
ELSEWHERE_SHOWN = 20
log = logging.getLogger(__name__)
_ONE = threading.Lock()
"""One erasure at a time takes words or cleans files, and none while a backup is made."""


@contextmanager
def none_under_way(home: Path) -> Iterator[None]:
    """While a backup is made: one from the middle of an erasure would bring the words back in its files.

    Raises:
        Conflict: An erasure has begun and is not finished.
    """
    with _ONE:
        if erasure_jobs.unfinished(home):
            raise Conflict(
                "An erasure is not finished, and a backup would keep its words.",
                "Try again in a minute; if it stays so, restart Hone, which finishes it.",
            )
        yield


def preview(
    store: Store, principal: Principal, scope: Scope, target: str, *, account: bool = False
) -> dict[str, Any]:
    """What an erasure would take: counts, the versions that learnt from it, and who else said the same.

    The last is for operators: to others it would tell what somebody else said.
    """
    meant = reach.of(store, scope, target, principal, account=account)
    said: list[str] = []
    if principal.role.covers(Role.OPERATOR):
        needles = Needles(scan.looked_for(store, words.gather(store, meant.exchanges, meant.conversations)))
        said = places_elsewhere(store, needles, {*meant.exchanges, *meant.conversations}, ELSEWHERE_SHOWN)
    return {
        "scope": scope,
        "target": target,
        "account": bool(meant.account),
        "conversations": list(meant.conversations),
        "exchanges": list(meant.exchanges),
        "removes": erased.counts(store, meant),
        "versions": [asdict(one) for one in affected.by(store, meant.exchanges)],
        "said_elsewhere": said,
    }


def take(store: Store, home: Path, job: Job, principal: Principal | None = None) -> Job:
    """Take the words out of the store; durable, and sure to be finished, when this returns.

    Without a `principal` the job is one that was allowed before.

    Raises:
        NotFound, NotAllowed, Conflict: As `reach.of` says; nothing has changed.
    """

    with _ONE:
        return _taken(store, home, job, principal)


def _taken(store: Store, home: Path, job: Job, principal: Principal | None = None) -> Job:
    def decide(transaction: Transaction) -> Job:
        meant = _meant(transaction, job, principal)
        whole = _filled(transaction, job, meant)
        erasure_jobs.keep(home, whole)
        erased.record(transaction, whole)
        if whole.account:
            accounts.end(transaction, whole.account, whole.asked_by)
        words.empty(
            transaction, whole.exchanges, whole.conversations
        )  # last: from here on nothing is refused
        return whole

    try:
        whole = store.decide(decide)
    except BaseException:
        if principal is not None:  # nothing was taken, so nothing is to be finished later
            erasure_jobs.drop(home, job)
        raise
    erasure_jobs.enlist(home, whole)
    return whole


def settle(store: Store, job: Job) -> None:
    """Record which versions learnt from the words, and withdraw those that the policy says."""
    affected.fail_runs(store)
    affected.settle(store, job.id, job.exchanges, job.policy)


def finish(store: Store, home: Path, job: Job, **where: Any) -> dict[str, Any]:
    """Clean the files, prove that nothing is left, and write the receipt; the rest as `finish_all` says."""
    return finish_all(store, home, [job], **where)[0]


def finish_all(
    store: Store, home: Path, jobs: Sequence[Job], *, engine: str = NOTHING_KEPT, files: Path | None = None
) -> list[dict[str, Any]]:
    """Finish erasures that were settled, with one look and one rewriting of the store's file for all.

    `engine` says in a sentence what the engine still keeps; `files` is where runs and versions lie, if
    that is not the home. Where something is left, each is looked for alone, so that each receipt is its own.
    """
    files = files or home
    with _ONE:
        each = [Needles(scan.looked_for(store, job.texts)) for job in jobs]
        everything = each[0] if len(jobs) == 1 else Needles.together(each)
        exchanges = {name for job in jobs for name in job.exchanges}
        conversations = {name for job in jobs for name in job.conversations}
        found = purge.take_out(store, files, everything, exchanges, conversations)
        if len(jobs) == 1 or not found.where:
            ends = zip(jobs, each, strict=True)
            return [_ended(store, home, files, job, sought, found, engine) for job, sought in ends]
    return [finish(store, home, job, engine=engine, files=files) for job in jobs]


def _ended(
    store: Store, home: Path, files: Path, job: Job, everything: Needles, looked: Found, engine: str
) -> dict[str, Any]:
    """The receipt of one that was looked for, with which the job is done."""
    found = Found(looked.files, looked.bytes, dict(looked.where))
    for folder in purge.asides(home):
        found.add(folder.name, _aside(folder, job, everything))
    left = words.left(store, job.exchanges, job.conversations)
    proof = {
        "clean": not found.where and not left,
        "rows_with_words": left,
        "fragments": len(everything.fragments),  # how many others said too is theirs, not the author's
        "too_short": scan.too_short(job.texts),
        "files": found.files,
        "bytes": found.bytes,
        "found": found.where,
    }
    told = {**erased.told(store, job), "engine": engine, "proof": proof}
    kept = erased.end(store, job, receipt.sign(told, receipt.key(home)))
    receipt.save(home, kept)
    erasure_jobs.drop(files, job)
    return kept


def take_up(store: Store, home: Path) -> Iterator[Job]:
    """The erasures that were left before their end, the oldest first, each to be settled and finished."""
    for job in erasure_jobs.unfinished(home):
        kept = erased.receipt_of(store, job.id)
        if kept and not job.again:
            receipt.save(home, kept)
            erasure_jobs.drop(home, job)
            continue
        taken = job.texts and erased.known(store, job.id)
        ready = job if taken else take(store, home, job)
        erasure_jobs.enlist(home, ready)
        yield ready


def resume(
    store: Store,
    home: Path,
    *,
    engine: str = NOTHING_KEPT,
    forget: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """End what a killed process left behind, before anything else happens in the home.

    `forget` takes the words out of what was made of the store beside it.
    """
    done = []
    for ready in take_up(store, home):
        settle(store, ready)
        forget()
        done.append(finish(store, home, ready, engine=engine))
    if affected.fail_runs(store):
        purge.sweep(store, home)
    scrub.withdrawn_versions(store, home)
    return done


def reapply(store: Store, home: Path, files: Path | None = None) -> list[dict[str, Any]]:
    """Erase again, in a store and files that were restored, whatever the home's list says was erased.

    Takes the records of `erasures.jsonl` in the home, and of the one among the restored `files` where they
    lie apart, which is then both lists in one. Returns the receipts.
    """
    files = files or home
    erasure_jobs.merge(home, files)
    done = []
    for record in erasure_jobs.records(files):
        job = erasure_jobs.restored(record)
        held = _there(store, job)
        if not erased.known(store, job.id) or words.left(store, held.exchanges, held.conversations):
            ready = take(store, files, job)
            settle(store, ready)
            done.append(finish(store, home, ready, files=files))
    return done


def _aside(folder: Path, job: Job, everything: Needles) -> Found:
    """Erase in what a restore moved aside too; a store that cannot be opened counts as a find."""
    try:
        with closing(Store(folder / "hone.duckdb")) as old:
            again = _taken(old, folder, replace(job, again=True))
            settle(old, again)
            found = purge.take_out(old, folder, everything, set(again.exchanges), set(again.conversations))
    except HoneError as broken:
        log.warning("%s could not be erased from: %s", folder, broken)
        return Found(where={"hone.duckdb": 1})
    erasure_jobs.drop(folder, job)
    return found


def _meant(transaction: Transaction, job: Job, principal: Principal | None) -> Reach:
    """What to take: as asked; or, of a job that was allowed before, its rows and what is the user's since."""
    if principal is not None:
        return reach.of(transaction, job.scope, job.target, principal, account=bool(job.account))
    meant = _there(transaction, job)
    if job.scope != "user":
        return meant
    exchanges, conversations = reach.owned(transaction, job.target)
    if not job.account:
        exchanges = reach.before(transaction, "exchanges", exchanges, job.asked_at)
        conversations = reach.before(transaction, "conversations", conversations, job.asked_at)
    return replace(
        meant,
        exchanges=tuple(dict.fromkeys([*meant.exchanges, *exchanges])),
        conversations=tuple(dict.fromkeys([*meant.conversations, *conversations])),
    )


def _there(store: Store | Transaction, job: Job) -> Reach:
    """What of a job's rows this store has; of a conversation that went whole, whatever it has.

    An older store may hold an exchange of it that had been let go by the time of the erasure.
    """
    whole = () if job.scope == "user" else job.conversations  # a user's may hold what is the house's
    asked = """SELECT id FROM exchanges WHERE id IN (SELECT unnest($1::UUID[]))
        OR conversation_id IN (SELECT unnest($2::UUID[])) ORDER BY seq"""
    exchanges = tuple(row["id"] for row in store.rows(asked, [list(job.exchanges), list(whole)]))
    account = store.row("SELECT 1 FROM accounts WHERE name = $1 LIMIT 1", [job.account])
    return Reach(exchanges, job.conversations, job.owners, job.account if account else "")


def _filled(transaction: Transaction, job: Job, meant: Reach) -> Job:
    """The job with all that it takes; what an earlier try of it took stays counted and looked for."""
    texts = words.gather(transaction, meant.exchanges, meant.conversations)
    counted = Counter(job.removed) | Counter(erased.counts(transaction, meant))
    return replace(
        job,
        account=meant.account,
        owners=meant.owners,
        conversations=meant.conversations,
        exchanges=meant.exchanges,
        removed=dict(sorted(counted.items())),
        texts=tuple(dict.fromkeys([*job.texts, *texts])),
    )
