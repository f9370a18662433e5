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
                said=_said(progress),
            )
            if run["state"] in ENDED:
                break
            await asyncio.sleep(every)
    return _end(run, screen)


def _said(progress: dict[str, Any]) -> str:
    if progress.get("loss") is None:
        return ""
    return f"step {progress['step']}/{progress['steps']}  loss {progress['loss']:.3f}"


def _end(run: dict[str, Any], screen: Console) -> int:
    reasons = (run.get("gate") or {}).get("reasons") or [run["reason"]]
    screen.print(f"{run['version'] or 'no version'}: {run['state']}", markup=False, soft_wrap=True)
    for reason in reasons:
        if reason:
            screen.print(f"  {reason}", markup=False, soft_wrap=True)
    return EXIT_CODES.get(run["state"], 1)
