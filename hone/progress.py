"""A run on the command line: a progress bar while it works, its verdict in words, its exit code."""

import asyncio
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hone.client import Client

EXIT_CODES = {"passed": 0, "abstained": 3, "refused": 4}
"""By the run's last state; anything else is 1."""

ENDED = {"passed", "abstained", "refused", "failed", "skipped"}


async def watch(client: Client, run_id: str, screen: Console, *, every: float = 1.0) -> int:
    """Show the run until it ends, asking `every` so many seconds; the exit code."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, TimeElapsedColumn(), console=screen) as bar:
        task = bar.add_task("waiting", total=None, said="")
        while True:
            run = await client.call("GET", f"/v1/runs/{run_id}")
            progress = run.get("progress") or {}
            bar.update(
                task,
                description=f"{run['step'] or run['state']:<10}",
                total=progress.get("steps"),
                completed=progress.get("step") or 0,
                said=_said(progress, run),
            )
            if run["state"] in ENDED:
                break
            await asyncio.sleep(every)
    return _end(run, screen)


def _said(progress: dict[str, Any], run: dict[str, Any]) -> str:
    parts = []
    if progress.get("loss") is not None:
        parts.append(f"step {progress['step']}/{progress['steps']}  loss {progress['loss']:.3f}")
    if run.get("left_seconds") is not None:
        of = " of training" if run["left_of"] == "training" else ""
        parts.append(f"about {_clock(run['left_seconds'])} left{of}")
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _cost(account: dict[str, Any]) -> str:
    """What a run cost, in one line; nothing where it left no account."""
    if "steps" not in account:
        return ""
    slow = sorted(account["steps"].items(), key=lambda item: -item[1])
    steps = ", ".join(f"{step} {_clock(seconds)}" for step, seconds in slow if seconds >= 1)
    training = account["training"]
    told = [
        f"{_clock(account['seconds'])} ({steps})",
        f"{account['cpu_seconds']:.0f} processor seconds",
        f"{account['peak_bytes'] / 2**30:.1f} GiB at most",
        f"{training['tokens']} tokens learnt, {account['answered_tokens']} answered",
    ]
    if account["joules"] is not None:
        told.append(f"{account['joules'] / 3600:.1f} Wh")
    return "; ".join(told)


def _end(run: dict[str, Any], screen: Console) -> int:
    reasons = (run.get("gate") or {}).get("reasons") or [run["reason"]]
    screen.print(f"{run['version'] or 'no version'}: {run['state']}", markup=False, soft_wrap=True)
    for reason in reasons:
        if reason:
            screen.print(f"  {reason}", markup=False, soft_wrap=True)
    if cost := _cost(run["detail"]):
        screen.print(f"  It took {cost}.", markup=False, soft_wrap=True)
    return EXIT_CODES.get(run["state"], 1)
