"""Bars: what a figure must reach, whether it did, and both as tables and as JSON. Measures nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.serving.spread import Spread
from benchmarks.serving.swaps import Stall
from benchmarks.serving.throughput import Figures
from benchmarks.serving.turns import Turns

AGAINST_VLLM = {"base": 1.4, "one_lora": 3.5, "two_loras": 2.5}
"""How many times the tokens a second of vLLM as it comes, at 1, 4 and 16 streams."""
AGAINST_LLAMA_CPP = {1: 0.3, 16: None}
"""Its quantised weights are a quarter of ours, so that one stream of it is faster; 16 are only reported."""
SWAP_GAP_RATIO = 1.5
SECOND_TURN_RATIO = 0.2
FLAT = 0.05
"""Growth, as a share of what was held before, that still counts as flat."""


@dataclass(frozen=True)
class Bar:
    """A figure and its goal; `ok` is None where it was not measured or has no goal."""

    value: float | None
    goal: float | None
    ok: bool | None
    spread: dict[str, float] | None = None

    @classmethod
    def at_least(cls, found: Spread | None, goal: float | None) -> "Bar":
        if found is None:
            return cls(None, goal, None)
        return cls(round(found.median, 3), goal, None if goal is None else found.median >= goal, found.body())

    @classmethod
    def at_most(cls, found: Spread, goal: float) -> "Bar":
        return cls(round(found.median, 3), goal, found.median <= goal, found.body())

    @classmethod
    def none_of(cls, count: int) -> "Bar":
        return cls(count, 0, count == 0)


def speed_bars(figures: Figures) -> dict[str, Bar]:
    cells = [(load, streams) for load in AGAINST_VLLM for streams in (1, 4, 16)]
    bars = {
        f"{load}_vs_vllm_{streams}": Bar.at_least(
            figures.compared((load, streams), "vllm"), AGAINST_VLLM[load]
        )
        for load, streams in cells
    }
    # On all cores it is another server than the one that the goals were set against: reported beside.
    bars |= {
        f"base_vs_vllm_tuned_{streams}": Bar.at_least(figures.compared(("base", streams), "vllm_tuned"), None)
        for streams in (1, 4, 16)
    }
    for streams, goal in AGAINST_LLAMA_CPP.items():
        found = figures.compared(("base", streams), "llama_cpp")
        bars[f"llama_cpp_{streams}"] = Bar.at_least(found, goal)
    return bars


def swap_bars(stall: Stall, pinned: Mapping[str, int]) -> dict[str, Bar]:
    growth = round(stall.memory_after - stall.memory_before, 1)
    allowed = round(FLAT * stall.memory_before, 1)
    return {
        "swap_failed": Bar.none_of(stall.failed + pinned["failed"]),
        "swap_altered": Bar.none_of(pinned["altered"]),
        "swap_gap_p999_ratio": Bar.at_most(stall.ratio, SWAP_GAP_RATIO),
        "swap_memory_growth": Bar(growth, allowed, growth <= allowed),
    }


def turn_bars(turns: Mapping[str, Turns]) -> dict[str, Bar]:
    return {"second_turn_ttft_ratio": Bar.at_most(turns["hone"].ratio, SECOND_TURN_RATIO)}


def speed_table(figures: Figures) -> Table:
    table = Table("load", "streams", "contender", title="Tokens a second (median, least to greatest)")
    for column in ("tokens/s", "Hone over it", "first words, s"):
        table.add_column(column, justify="right")
    for cell, names in figures.bursts.items():
        for name in sorted(names, key=lambda name: (name != "hone", name)):
            compared = figures.compared(cell, name)
            table.add_row(
                *(cell[0], str(cell[1]), name),
                Spread.of(figures.speeds(cell, name)).words(1),
                compared.words() if compared and name != "hone" else "",
                Spread.of(figures.first(cell, name)).words(),
            )
        table.add_section()
    return table


def swap_table(stalls: Mapping[str, Stall]) -> Table:
    table = Table("server", "gap", title="Milliseconds between pieces while versions are swapped")
    for column in ("with swaps", "without", "ratio"):
        table.add_column(column, justify="right")
    for name, stall in stalls.items():
        with_swaps, without = stall.gaps("with_swaps"), stall.gaps("without")
        for key, spread in with_swaps.items():
            over = stall.ratio.words() if key == "p999" else f"{spread.median / without[key].median:.2f}"
            table.add_row(name, key, spread.words(1), without[key].words(1), over)
        table.add_section()
    return table


def turn_table(turns: Mapping[str, Turns]) -> Table:
    table = Table("server", title="A long conversation: seconds to the first words")
    for column in ("first turn", "second turn", "second over first", "tokens kept"):
        table.add_column(column, justify="right")
    for name, found in turns.items():
        seconds = Spread.of(found.first).words(), Spread.of(found.second).words()
        kept = f"{found.cached_tokens[-1]} of {found.prompt_tokens[-1]}"
        table.add_row(name, *seconds, found.ratio.words(3), kept)
    return table


def memory_table(held: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table("contender", title="Memory, MiB")
    moments = list(dict.fromkeys(moment for moments in held.values() for moment in moments))
    for moment in moments:
        table.add_column(moment, justify="right")
    for name, found in held.items():
        table.add_row(name, *(f"{found[moment]:.0f}" if moment in found else "" for moment in moments))
    return table


def bar_table(bars: Mapping[str, Bar]) -> Table:
    table = Table("bar", title="Bars")
    for column in ("value", "goal", "verdict"):
        table.add_column(column, justify="right")
    for name, bar in bars.items():
        value = "not measured" if bar.value is None else f"{bar.value:g}"
        verdict = {True: "[green]reached", False: "[red]missed", None: "–"}[bar.ok]
        table.add_row(name, value, "–" if bar.goal is None else f"{bar.goal:g}", verdict)
    return table


def show(*tables: Table) -> None:
    console = Console(width=120)
    for table in tables:
        console.print(table)


def write(
    path: Path, machine: Mapping[str, object], when: str, bars: Mapping[str, Bar], figures: object
) -> None:
    """One JSON file, whole or not at all."""
    body = {
        "machine": machine,
        "when": when,
        "bars": {name: asdict(bar) for name, bar in bars.items()},
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", "utf-8")
    partial.replace(path)
