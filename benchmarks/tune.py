"""Training speed against TRL: the same pairs, the same LoRA, processes of their own in turns.

    make bench-tune DATA=FOLDER                 96 pairs of en_alpaca_5000.jsonl in FOLDER, two rounds
    python -m benchmarks.tune --quick           a tiny model and own-written pairs: that it runs

First every setting of TRL's learns a few pairs: its best is whichever was fastest. Then Hone, TRL as it comes
and TRL's best take turns on all pairs. Prints useful tokens a second (contender.py says what counts), peak
memory and the loss each adapter reaches on the pairs; writes results/tune.json.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.table import Table

from benchmarks.serving import machine, materials, verdict
from benchmarks.serving.spread import Spread, ratio
from benchmarks.tuning.contender import BATCHES, Job

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "tune.json"
OVER_DEFAULT, OVER_BEST = 5.0, 4.0
CLOSE = 0.1
"""Nats a token that the losses after training may differ by: the order of the pairs is each one's own."""


def pairs(data: Path | None, count: int) -> list[dict[str, str]]:
    """Instruction and response of the first rows that have both."""
    if data is None:
        return [
            {"instruction": f"Say {'so ' * (i % 7)}{i}.", "response": "Yes. " * (i % 5 + 1)}
            for i in range(count)
        ]
    found = []
    with (data / "en_alpaca_5000.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["output"].strip():
                asked = "\n\n".join(filter(None, (row["instruction"], row["input"])))
                found.append({"instruction": asked, "response": row["output"]})
            if len(found) == count:
                break
    return found


def train(who: str, job: Job) -> dict[str, Any]:
    """One contender's figures; its whole output is shown where it fails."""
    folder = Path(job.folder)
    folder.mkdir(parents=True)
    path = folder / "job.json"
    path.write_text(json.dumps(asdict(job)), "utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.tuning.contender", who, str(path)],
        cwd=ROOT,
        env=os.environ
        | {"OMP_NUM_THREADS": str(job.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in ended.stdout.splitlines() if line.startswith("FIGURES ")]
    if ended.returncode or not told:
        raise RuntimeError(f"{who} failed: {ended.stdout[-2000:]}\n{ended.stderr[-4000:]}")
    return dict(json.loads(told[-1].removeprefix("FIGURES ")))


def reached(model: Path, rows: list[dict[str, str]], adapters: Sequence[Path]) -> list[float]:
    """Loss, in nats a taught token, of the pairs under each adapter; judged by one and the same pass."""
    from feedback.records import Message
    from feedback.snapshot import Row
    from tuner.plan import design
    from tuner.student import Student

    student = Student(design(model, len(rows), threads=machine.cores()))
    made = [Row("", "", "", (Message("user", row["instruction"]),), row["response"], "") for row in rows]
    taught, _ = student.lessons(made)
    student.settle(taught)
    weights = [lesson.taught for lesson in taught]
    found = []
    for i, adapter in enumerate(adapters):
        student.model.load_adapter(str(adapter), adapter_name=f"a{i}")
        student.model.set_adapter(f"a{i}")
        means = student.means(taught)
        found.append(sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights))
        student.model.delete_adapter(f"a{i}")
    return found


def benchmark(given: argparse.Namespace, folder: Path) -> bool:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    facts = machine.describe()
    model = materials.tiny_model(folder / "model") if given.quick else _default_model(folder)
    rows = pairs(None if given.quick else given.data, 32 if given.quick else given.pairs)
    tried = _tried(given, folder, model, rows)
    best = max(tried, key=lambda who: _speed(tried[who]))
    seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    names = ["hone", "trl", best]
    for round_ in range(given.rounds):
        turn = round_ % len(names)
        for who in names[turn:] + names[:turn]:
            seen[who].append(_told(who, _job(given, folder / f"{who}-{round_}", model, rows, round_)))
    adapters = {who: [Path(one["folder"]) / "adapter" for one in told] for who, told in seen.items()}
    found = iter(reached(model, rows, [adapter for each in adapters.values() for adapter in each]))
    losses = {who: [next(found) for _ in each] for who, each in adapters.items()}
    return report(given.output, facts, when, dict(seen), losses, {"best": best, "tried": tried})


def _tried(
    given: argparse.Namespace, folder: Path, model: Path, rows: list[dict[str, str]]
) -> dict[str, dict[str, Any]]:
    """Each of TRL's settings but the one it comes with, on a few pairs."""
    names = ["trl_bfloat16_8"] if given.quick else [who for who in BATCHES if who != "trl"]
    return {
        who: _told(who, _job(given, folder / f"{who}-tried", model, rows[: given.tried], 0)) for who in names
    }


def _job(given: argparse.Namespace, folder: Path, model: Path, rows: list[dict[str, str]], seed: int) -> Job:
    return Job(str(model), str(folder), rows, given.epochs, given.rate, 16, 32, machine.cores(), seed)


def _told(who: str, job: Job) -> dict[str, Any]:
    told = {**train(who, job), "folder": job.folder}
    print(f"{Path(job.folder).name}: {_speed(told):.1f} tokens/s, {told}", flush=True)
    return told


def _speed(told: Mapping[str, Any]) -> float:
    return float(told["tokens"] / told["seconds"])


def report(
    path: Path,
    facts: dict[str, object],
    when: str,
    seen: dict[str, list[dict[str, Any]]],
    losses: dict[str, list[float]],
    chosen: dict[str, Any],
) -> bool:
    speeds = {who: [_speed(one) for one in told] for who, told in seen.items()}
    best = chosen["best"]
    table = Table("contender", title="Training, useful tokens a second (median, least to greatest)")
    for column in ("tokens/s", "Hone over it", "peak MiB", "other seconds", "loss after"):
        table.add_column(column, justify="right")
    for who, found in speeds.items():
        told = seen[who]
        table.add_row(
            *(who + (" (its best)" if who == best else ""), Spread.of(found).words(1)),
            "" if who == "hone" else ratio(speeds["hone"], found).words(),
            *(
                f"{max(one['peak_mib'] for one in told):.0f}",
                Spread.of([one["before"] for one in told]).words(1),
            ),
            Spread.of(losses[who]).words(3),
        )
    means = {who: fmean(each) for who, each in losses.items()}
    apart = max(abs(means["hone"] - means[who]) for who in ("trl", best))
    bars = {
        "over_trl_default": verdict.Bar.at_least(ratio(speeds["hone"], speeds["trl"]), OVER_DEFAULT),
        "over_trl_best": verdict.Bar.at_least(ratio(speeds["hone"], speeds[best]), OVER_BEST),
        "loss_apart_from_trl": verdict.Bar(round(apart, 3), CLOSE, math.isfinite(apart) and apart <= CLOSE),
    }
    verdict.show(table, verdict.bar_table(bars))
    verdict.write(path, facts, when, bars, {"contenders": seen, "losses": losses, **chosen})
    print(f"written to {path}")
    return all(bar.ok for bar in bars.values())


def _default_model(folder: Path) -> Path:
    from serve.engine.model import prepare

    return prepare("smollm2-135m", folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model and two contenders, under a minute"
    )
    parser.add_argument("--data", type=Path, help="the folder that has en_alpaca_5000.jsonl")
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--tried", type=int, default=32, help="pairs on which TRL's best is looked for")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=0, help="how often each trains; 0: two, or one with --quick"
    )
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if not given.quick and given.data is None:
        parser.error("--data names the folder that has en_alpaca_5000.jsonl; --quick needs none")
    given.rounds = given.rounds or (1 if given.quick else 2)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        given.output = given.output or (Path(temporary) / "tune.json" if given.quick else RESULTS)
        fine = benchmark(given, Path(temporary))
    return 0 if fine or given.quick else 1


if __name__ == "__main__":
    raise SystemExit(main())
