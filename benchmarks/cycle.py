"""The whole cycle, from pairs in a file to the verdict, on the default model with its server running.

    make bench-cycle DATA=FOLDER                       everything, about an hour; results/cycle.json
    make bench-cycle BENCH=--quick                     a tiny model, own-written pairs, a minute: that it runs
    python -m benchmarks.cycle --data FOLDER --only one --pairs 60     a part, to a temporary folder

Prints what each step took, the verdict with its reasons, what the scorecard measured, and how smoothly a chat
ran meanwhile. Everything is done by Hone's own import, review, cycle and gate.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cycling import assistants, kills
from benchmarks.cycling.house import House
from benchmarks.gating.parts import Found
from benchmarks.serving import machine, materials
from benchmarks.serving.verdict import bar_table, show, write

RESULTS = Path(__file__).parent / "results" / "cycle.json"
QUICK: dict[str, Any] = {
    **{"pairs": 24, "medical": 20, "korean": 20, "spoiled_pairs": 16, "kills": 2, "chat_seconds": 1.0}
}
QUICK_SETTINGS = 'general_items = 1\nreplay_share = 0\n[engine]\ndtype = "float32"\n'

PARTS: dict[str, Callable[[House, argparse.Namespace], Awaitable[Found]]] = {
    "one": assistants.one,
    "fields": assistants.fields,
    "spoiled": assistants.spoiled,
}
KILLS = "kills"


async def benchmark(given: argparse.Namespace, folder: Path) -> dict[str, Found]:
    found: dict[str, Found] = {}
    tiny = str(materials.tiny_model(folder / "tiny")) if given.quick else ""
    models = None if given.quick else _default_model(folder / "models")
    for name in given.only or [*PARTS, KILLS]:
        if name == KILLS:
            found[name] = await kills.run(folder / name, given.kills)
        else:
            settings = QUICK_SETTINGS if given.quick else ""
            house = House(folder / name / "home", model=tiny, models=models, settings=settings)
            await house.start()
            try:
                found[name] = await PARTS[name](house, given)
            finally:
                await house.stop()
        show(*found[name].tables)
    return found


def _default_model(folder: Path) -> Path:
    """The packaged model made ready once for all homes."""
    from serve.engine.model import prepare

    prepare("smollm2-135m", folder)
    return folder


def main() -> int:
    """Measure, show tables, write results; 1 where a bar is missed in a full run."""
    given = _arguments()
    whole = not given.quick and not given.only
    facts, when = machine.describe(), datetime.now(UTC).isoformat(timespec="seconds")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-cycle-", ignore_cleanup_errors=True) as temporary:
        folder = given.keep or Path(temporary)
        found = asyncio.run(benchmark(given, folder))
    bars = {name: bar for part in found.values() for name, bar in part.bars.items()}
    show(bar_table(bars))
    figures = {name: dict(part.figures) for name, part in found.items()}
    figures["asked"] = {key: getattr(given, key) for key in QUICK}
    figures["seconds"] = round(time.monotonic() - started, 1)
    output = given.output or (RESULTS if whole else Path(tempfile.mkdtemp(prefix="cycle-")) / "cycle.json")
    write(output, facts, when, bars, figures)
    print(f"{figures['seconds']} s; {output}")
    return int(whole and any(bar.ok is False for bar in bars.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model: proves that it runs, measures nothing"
    )
    parser.add_argument(
        "--only", nargs="+", choices=[*PARTS, KILLS], help="some parts, to a temporary folder"
    )
    parser.add_argument("--data", type=Path, help="the folder with other people's JSON lines")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--medical", type=int, default=300)
    parser.add_argument("--korean", type=int, default=100)
    parser.add_argument("--spoiled-pairs", type=int, default=100)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument(
        "--chat-seconds", type=float, default=20.0, help="of one person's chats in each state, then of four's"
    )
    parser.add_argument("--keep", type=Path, help="make the homes here and leave them")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.quick:
        given.data = None
        vars(given).update(QUICK)
    elif given.data is None and given.only != [KILLS]:
        parser.error("--data names the folder with the pairs; --quick needs none")
    return given


if __name__ == "__main__":
    raise SystemExit(main())
