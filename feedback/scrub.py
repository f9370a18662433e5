"""Takes erased words out of a home's files: snapshots, run folders, withdrawn versions, logs.

A run whose snapshot held erased exchanges loses those rows, and whatever it kept only to go on after a
kill; its scorecard loses the texts, and logs are overwritten where they quote them. Is told which runs
those are, and opens no file but those of `word_files`.

Trail: feedback/purge.py -> here -> feedback/word_files.py
"""

import json
import mmap
import re
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feedback import scan, whole, word_files
from feedback.ledger import Ledger
from feedback.scan import Needles
from feedback.sides import SIDES
from feedback.snapshot import MANIFEST
from feedback.store import Store

_SAFE = re.compile(r"[a-z][a-z0-9-]*@\d+(-[0-9a-f]+)?")


def run_folder(folder: Path, erased: Collection[str], needles: Needles) -> None:
    """Take the erased exchanges out of a run's folder."""
    for path in list(word_files.in_run(folder)):
        if path.name in word_files.RESUMED_FROM or path.name.endswith(word_files.PARTIAL):
            path.unlink(missing_ok=True)
        elif path.suffix == ".parquet":
            _without_rows(path, erased)
    if (folder / "snapshot" / MANIFEST).exists():
        _recount(folder / "snapshot")
    for path in (folder / name for name in word_files.RUN_JSON):
        if not path.exists():
            continue
        told = json.loads(path.read_text("utf-8"))
        cleaned = redacted(told, erased, needles)
        if cleaned != told:
            whole.write(path, json.dumps(cleaned, ensure_ascii=False, indent=1))


def withdrawn_versions(store: Store, home: Path) -> list[str]:
    """Delete the adapters of erased versions, here and in their runs, and what they answered elsewhere."""
    ledger = Ledger(store)
    folders = {run.id: Path(run.folder) for run in ledger.runs() if run.folder}
    gone = [version for version in ledger.versions() if version.state == "erased"]
    for version in gone:
        assert _SAFE.fullmatch(version.version), version.version  # it names a folder that is deleted
        shutil.rmtree(home / "versions" / version.version, ignore_errors=True)
        for answers in home.glob(f"suite/*/{version.version}.jsonl"):
            answers.unlink(missing_ok=True)
        if version.run_id in folders:
            shutil.rmtree(_within(home, folders[version.run_id]) / "adapter", ignore_errors=True)
    return [version.version for version in gone]


def overwrite(logs: Iterable[Path], needles: Needles) -> None:
    """Overwrite the words in logs; lengths stay, so whoever writes them goes on."""
    for path in logs:
        if path.stat().st_size and scan.in_file(path, needles):
            with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as text:
                for _, start, end in needles.spans(text[:]):
                    text[start:end] = b"*" * (end - start)
                text.flush()


def redacted(told: Any, erased: Collection[str], needles: Needles) -> Any:
    """A JSON value without erased words.

    What names exchanges, all of them erased, loses every string in it; elsewhere each string goes that
    holds any of the words. Names of versions, groups and exchanges are nobody's words, and stay.
    """
    if isinstance(told, list):
        return [redacted(value, erased, needles) for value in told]
    if isinstance(told, str):
        return "" if needles.touches(told) else told
    if not isinstance(told, dict):
        return told
    named = told.get("exchange_ids") or ([told["exchange_id"]] if told.get("exchange_id") else [])
    if named and all(str(name) in erased for name in named):
        return {name: value if name in _IDS else _emptied(value) for name, value in told.items()}
    return {
        name: value if name in _IDS or _names(name, value) else redacted(value, erased, needles)
        for name, value in told.items()
    }


_IDS = frozenset({"exchange_id", "exchange_ids", "review_id", "group", "group_key", "finish_reason"})
_FACTS = frozenset({"candidate", "incumbent", "look", "suite", "id", "general", "rouge_l"})
"""Of a scorecard, what names versions or counts; an item's `candidate` is no name but what that one said."""


def _names(name: str, value: Any) -> bool:
    return name in _FACTS and not isinstance(value, dict)


def _emptied(told: Any) -> Any:
    if isinstance(told, str):
        return ""
    if isinstance(told, list):
        return [_emptied(value) for value in told]
    if isinstance(told, dict):
        return {name: value if name in _IDS else _emptied(value) for name, value in told.items()}
    return told


def _without_rows(path: Path, erased: Collection[str]) -> None:
    table = pq.read_table(path)
    if "exchange_id" not in table.column_names:
        return
    gone = pc.is_in(table["exchange_id"], pa.array(sorted(erased), pa.string()))
    kept = table.filter(pc.invert(gone))
    if kept.num_rows < table.num_rows:
        sink = pa.BufferOutputStream()
        pq.write_table(kept, sink)
        whole.write(path, sink.getvalue().to_pybytes())


def _recount(snapshot: Path) -> None:
    """Make the manifest count the rows that are left; its digest goes on naming what was frozen."""
    manifest = json.loads((snapshot / MANIFEST).read_text("utf-8"))
    counts = dict(manifest["counts"])
    for side in SIDES:
        groups = pq.read_table(snapshot / f"{side}.parquet", columns=["group_key"])["group_key"]
        counts[side], counts[f"{side}_groups"] = len(groups), len(groups.unique())
    if counts != manifest["counts"]:
        whole.write(snapshot / MANIFEST, json.dumps({**manifest, "counts": counts}, indent=2))


def _within(home: Path, folder: Path) -> Path:
    """The run's folder in this home, even where the home was moved since."""
    return home / "runs" / folder.name
