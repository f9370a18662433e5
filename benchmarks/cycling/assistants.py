"""One assistant's cycle with people chatting beside it; two assistants over one base; spoiled pairs.

Each takes the real steps on the real base and shows the real gate's verdict.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.cycling import chatting, reading, rows
from benchmarks.cycling.chatting import Beside
from benchmarks.cycling.house import House, Run
from benchmarks.gating.parts import Found
from benchmarks.serving.verdict import Bar, show

MOST_SECONDS = 600.0
ASKED_AGAIN = 8
"""Instructions that an assistant is asked again once another one is live beside it."""
DECIDED = ("passed", "abstained", "refused")


async def one(house: House, given: argparse.Namespace) -> Found:
    """A whole cycle, from pairs to verdict, and how smoothly a chat runs meanwhile."""
    idle = await chatting.gaps(house, given.chat_seconds, seed=1)
    await house.teach("general", rows.taken(given.data, "general", given.pairs))
    beside = Beside(house, {"train": given.chat_seconds, "evaluate": given.chat_seconds})
    run = await house.tune("general", beside.watch)
    states = {"idle": idle, **beside.gaps}
    seconds = float(run.account.get("seconds", 0.0))
    bars = {
        "cycle_decided": Bar(float(run.state in DECIDED), 1.0, run.state in DECIDED),
        "cycle_seconds": Bar(round(seconds, 1), MOST_SECONDS, 0 < seconds <= MOST_SECONDS),
        **chatting.bars(idle, beside.gaps),
    }
    tables = (*_shown(run, f"{given.pairs} pairs"), chatting.table(states))
    told = {step: {str(n): chatting.p95(gaps) for n, gaps in each.items()} for step, each in states.items()}
    return Found(bars, tables, {"run": reading.told(run), "chat_gap_p95_ms": told})


async def fields(house: House, given: argparse.Namespace) -> Found:
    """A medical assistant, then one of Korean law beside it; neither may hurt the other."""
    ended: dict[str, Run] = {}
    before: dict[str, list[str]] = {}
    asked: dict[str, list[str]] = {}
    alone = 0
    for name, count in (("medical", given.medical), ("korean-law", given.korean)):
        await house.teach(name, rows.taken(given.data, name, count))
        ended[name] = await house.tune(name)
        show(*_shown(ended[name], name))
        if not ended[name].version:
            raise RuntimeError(f"{name} has no version: {' '.join(ended[name].reasons)}")
        await _go_live(house, ended[name])
        asked[name] = [item["instruction"] for item in ended[name].card["items"][:ASKED_AGAIN]]
        # Twice, since the first leaves its prompt with the engine, and numbers made otherwise may tip a word.
        fresh, before[name] = await _said(house, name, asked[name]), await _said(house, name, asked[name])
        alone += _others(fresh, before[name])
    moved = sum([_others(before[name], await _said(house, name, asked[name])) for name in asked])
    changes = reading.changes(ended["medical"])
    bars = {
        "medical_loss_high": _below(changes["loss, nats a token"].high, 0.0),
        "medical_nearness_low": _above(changes["nearness of meaning"].low, 0.0),
        **{f"{name}_general_sure": _general(run) for name, run in ended.items()},
        "answers_moved_by_the_other": Bar.none_of(moved),
    }
    told: dict[str, Any] = {name: reading.told(run) for name, run in ended.items()}
    return Found(bars, (), told | {"answers_moved_when_asked_twice": alone})


async def spoiled(house: House, given: argparse.Namespace) -> Found:
    """Each way of spoiling the same pairs, as an assistant of its own; none may pass, and each says why."""
    good = rows.taken(given.data, "general", given.spoiled_pairs)
    table = Table("spoiled", "imported", "end", "why", title="Spoiled pairs")
    figures: dict[str, Any] = {}
    for name, spoil in rows.SPOILED.items():
        taken_in = await house.teach(name, spoil(good, given.data))
        run = await house.tune(name)
        table.add_row(name, f"{taken_in['approved']} of {len(good)}", run.state, "\n".join(run.reasons))
        figures[name] = reading.told(run) | {"imported": taken_in["approved"]}
        print(f"{name}: {run.state}: {' '.join(run.reasons)}", flush=True)
    passed = sum(told["state"] == "passed" for told in figures.values())
    silent = sum(not "".join(told["reasons"]).strip() for told in figures.values())
    failed = sum(told["state"] == "failed" for told in figures.values())
    bars = {
        "spoiled_passed": Bar.none_of(passed),
        "spoiled_without_a_reason": Bar.none_of(silent),
        "spoiled_failed": Bar.none_of(failed),
    }
    return Found(bars, (table,), figures)


def _shown(run: Run, title: str) -> Sequence[Table]:
    if "steps" not in run.account:
        return (reading.verdict(run, title),)
    return reading.stages(run, f"{title}: what it cost"), reading.verdict(run, f"{title}: verdict")


async def _go_live(house: House, run: Run) -> None:
    """A version that did not pass is promoted by hand: here only to look at it beside another's."""
    if run.state != "passed":
        body = {"reason": "To look at it beside another assistant."}
        await house.call("POST", f"/v1/versions/{run.version}/promote", json=body)


async def _said(house: House, name: str, asked: Sequence[str]) -> list[str]:
    return [await house.said(name, text) for text in asked]


def _others(before: Sequence[str], after: Sequence[str]) -> int:
    """How many answers are not what they were."""
    return sum(was != said for was, said in zip(before, after, strict=True))


def _general(run: Run) -> Bar:
    """How sure it is that it is not worse than the base outside its field; a base may pass no item at all."""
    claim: Mapping[str, Any] | None = run.numbers["claims"].get("general_not_worse")
    return Bar(round(claim["sure"], 4), claim["asked"], claim["met"]) if claim else Bar(None, None, None)


def _below(value: float, goal: float) -> Bar:
    return Bar(round(value, 4), goal, value < goal)


def _above(value: float, goal: float) -> Bar:
    return Bar(round(value, 4), goal, value > goal)
