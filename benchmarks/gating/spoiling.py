"""None of the versions that learnt from spoiled data may pass, and the scorecard must say why."""

import asyncio
from collections import Counter
from multiprocessing.pool import Pool
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.gating import spoiled
from benchmarks.gating.parts import Found, Size, at_least, at_most
from tuner.gate import gate
from tuner.languages import Languages

FIELDS = ("helpdesk", "leases")


def run(size: Size, pool: Pool) -> Found:
    jobs = [(field, size.spoilt, size.real_embedder, size.seed) for field in FIELDS]
    told = [verdict for part in pool.map(judge, jobs, chunksize=1) for verdict in part]
    passed = sum(verdict["decision"] == "pass" for verdict in told)
    table = Table(
        "spoiled", "pass", "abstain", "refuse", "the first reason given most often", title="Spoiled data"
    )
    for name in spoiled.SPOILED:
        mine = [verdict for verdict in told if verdict["spoiled"] == name]
        counts = Counter(verdict["decision"] for verdict in mine)
        shares = [f"{100 * counts[decision] / len(mine):.0f}%" for decision in ("pass", "abstain", "refuse")]
        reason = Counter(verdict["reasons"][0] for verdict in mine).most_common(1)[0][0]
        table.add_row(name, *shares, reason)
    bars = {
        "bad_data_pass": at_most(passed / len(told), 0.0),
        "bad_data_refused": at_least(sum(v["decision"] == "refuse" for v in told) / len(told), 0.9),
    }
    return Found(bars, (table,), {"scorecards": len(told), "verdicts": _counted(told)})


def _counted(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many of each verdict, and one's reasons, by field, way of spoiling and what the live one knows."""
    cells: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for verdict in told:
        cells.setdefault((verdict["field"], verdict["spoiled"], verdict["known"]), []).append(verdict)
    return [
        {
            **{"field": field, "spoiled": spoiled, "known": known, "reasons": found[0]["reasons"]},
            **Counter(verdict["decision"] for verdict in found),
        }
        for (field, spoiled, known), found in cells.items()
    ]


def judge(job: tuple[str, int, bool, int]) -> list[dict[str, Any]]:
    """Every way of spoiling in one field, beside live versions that know nothing, little, half and most."""
    name, times, real, seed = job
    field = spoiled.Field(name, spoiled.minilm() if real else spoiled.letters, Languages())
    chance = np.random.default_rng((seed, FIELDS.index(name)))
    found = []
    for what, spoil in spoiled.SPOILED.items():
        for known in spoiled.KNOWN:
            for _ in range(times):
                verdict = gate(asyncio.run(field.scorecard(spoil, known, chance)))
                told = {"field": name, "spoiled": what, "known": known}
                found.append(told | {"decision": str(verdict.decision), "reasons": verdict.reasons})
    return found
