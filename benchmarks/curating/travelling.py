"""All rows in, curated with counts, out in every form and kind, in again, and equal; by file."""

import io
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.curating.cases import QUESTIONS
from benchmarks.curating.rows import lines
from feedback import imports, pairs, preferences
from feedback.assistants import Assistants
from feedback.curate import curate
from feedback.exports import FORMS, export
from feedback.files import KINDS
from feedback.imports import Report
from feedback.records import Assistant, Principal, Role
from feedback.store import Store

OPERATOR = Principal("operator", Role.OPERATOR)
RANKED = "pref_en_oasst100_ranked"
MAPPED = {"pref_en_kto_thumbs_ai", "pref_en_dpo_demo_ai", RANKED}
"""Files whose rows say more than a known form does; they are told in known forms first."""
ALL_KINDS = {"en_alpaca_5000", "ko_songys_chatbot", "multiturn_en_oasst100_paths", RANKED, "own"}
"""Files that go through every kind of file; the others through JSON lines."""


@dataclass
class Journey:
    """One file: its import, what curation says of it, and whether each export came back equal."""

    rows: int
    report: Report
    import_seconds: float
    account: dict[str, Any]
    groups: int
    largest_group: int
    curate_seconds: float
    equal: dict[str, bool] = field(default_factory=dict)
    again: int = 0
    """What importing the same file again added."""


def own(folder: Path) -> list[Path]:
    """The own-written rows as a file of each of two forms."""
    told = folder / "own.jsonl"
    told.write_text("\n".join(json.dumps({"prompt": q, "completion": a}) for q, a in QUESTIONS), "utf-8")
    return [told]


def files(data: Path) -> list[Path]:
    return sorted(data.glob("*.jsonl"))


def journey(store: Store, path: Path) -> Journey:
    """Import under a name of its own, curate, and take every export in again elsewhere."""
    name = path.stem.replace("_", "-")[:24]
    Assistants(store).add(Assistant(name), "operator")
    told = list(_told(path))
    began = time.perf_counter()
    report = _import(store, name, told, path.name)
    seconds = time.perf_counter() - began
    approved = pairs.approved(store, name)
    began = time.perf_counter()
    curated = curate(approved, max_tokens=2048, count_tokens=lambda pair: len(pair.response) // 4)
    found = Journey(
        rows=len(told),
        report=report,
        import_seconds=seconds,
        account=curated.account,
        groups=len(curated.groups),
        largest_group=max((len(group.pairs) for group in curated.groups), default=0),
        curate_seconds=time.perf_counter() - began,
        again=_import(store, name, told, path.name).imported,
    )
    for form in FORMS:
        for kind in KINDS if path.stem in ALL_KINDS else ("jsonl",):
            found.equal[f"{form}.{kind}"] = _comes_back(store, name, form, kind)
    return found


def comparisons(store: Store, path: Path) -> dict[str, int]:
    """What the ranked replies became: ratings by thumb, and comparisons."""
    name = path.stem.replace("_", "-")[:24]
    thumbs = [row.rating for row in preferences.thumbs(store, name)]
    compared = sum(1 for _ in preferences.compared(store, name))
    return {"up": thumbs.count("up"), "down": thumbs.count("down"), "comparisons": compared}


def _import(store: Store, assistant: str, told: list[bytes], source: str) -> Report:
    """Lines of one form after another's, since a file has one form."""
    whole = Report()
    for form, lines_ in _by_form(told):
        rows = imports.read(io.BytesIO(b"\n".join(lines_)), name=source)
        report = imports.save(store, OPERATOR, assistant, rows, approve=True, source=f"{form}-{source}")
        for name in ("imported", "known", "approved", "ratings", "comparisons", "refusals"):
            setattr(whole, name, getattr(whole, name) + getattr(report, name))
        whole.refused += report.refused
    return whole


def _by_form(told: list[bytes]) -> Iterable[tuple[str, list[bytes]]]:
    kinds: dict[str, list[bytes]] = {}
    for line in told:
        keys = json.loads(line).keys()
        kinds.setdefault("kto" if "label" in keys else "pref" if "rejected" in keys else "pairs", []).append(
            line
        )
    return kinds.items()


def _told(path: Path) -> Iterator[bytes]:
    """The file's lines, or what they say in a known form."""
    if path.stem not in MAPPED:
        yield from (line for line in path.read_bytes().split(b"\n") if line.strip())
        return
    for row in lines(path):
        yield from (json.dumps(record, ensure_ascii=False).encode() for record in _mapped(path.stem, row))


def _mapped(name: str, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if name == RANKED:
        yield from _ranked(row)
    elif "thumb" in row:
        asked = row["messages"] if row["messages"][-1]["role"] == "user" else row["messages"][:-1]
        yield {"prompt": asked, "completion": row["output"], "label": row["thumb"]}
    else:
        asked = [*row["history"], {"from": "human", "value": row["instruction"]}]
        yield {"prompt": asked, "chosen": row["output"], "rejected": row["rejected"]}


def _ranked(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each reply is better than the next in rank; more thumbs one way than the other are a thumb."""
    prompt = [*row["history"], {"role": "user", "content": row["instruction"]}]
    ranked = sorted((reply for reply in row["replies"] if reply["rank"] is not None), key=lambda r: r["rank"])
    for better, worse in pairwise(ranked):
        yield {"prompt": prompt, "chosen": better["text"], "rejected": worse["text"]}
    for reply in row["replies"]:
        up, down = (reply["emojis"].get(thumb, 0) for thumb in ("+1", "-1"))
        if up != down:
            yield {"prompt": prompt, "completion": reply["text"], "label": up > down}


def _comes_back(store: Store, assistant: str, form: str, kind: str) -> bool:
    """Whether an export, imported elsewhere, is exported again as it was."""
    copy = f"c{len(Assistants(store).list())}"
    Assistants(store).add(Assistant(copy), "operator")
    out = b"".join(export(store, assistant, form, kind))
    kept = (
        {tuple(_words(row)) for row in imports.read(io.BytesIO(out), name=f"x.{kind}")}
        if _any(out, kind)
        else set()
    )
    if kept:
        imports.save(
            store, OPERATOR, copy, imports.read(io.BytesIO(out), name=f"x.{kind}"), approve=True, source=kind
        )
    back = b"".join(export(store, copy, form, kind))
    again = (
        {tuple(_words(row)) for row in imports.read(io.BytesIO(back), name=f"x.{kind}")} if kept else set()
    )
    return kept == again


def _any(out: bytes, kind: str) -> bool:
    if kind == "parquet":
        import pyarrow.parquet as pq

        return pq.ParquetFile(io.BytesIO(out)).metadata.num_rows > 0
    return len(out.splitlines()) > 1 or (kind == "jsonl" and bool(out))


def _words(row: Any) -> Iterator[Any]:
    yield from (row.messages, row.response, row.rejected, row.rating)
