"""`tune`, `versions`, `promote`, `rollback` and standing orders: make versions and choose which answers."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from feedback.errors import TunerBusy
from hone.client import Client, Refused
from hone.commands.line import DEFAULT_HOME, AssistantOption, HomeOption, ReasonOption, ask, call, screen

app = typer.Typer()


@app.command()
def tune(
    assistant: AssistantOption = "general",
    wait: Annotated[bool, typer.Option("--wait", help="Show progress; exit 0, 3, 4 or 1.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Tune an assistant now.

    With --wait another run may end first, and the exit code tells: 0 passed and rolling out, 3 abstained,
    4 refused, 1 failed or skipped.
    """
    from hone.progress import watch

    async def start(client: Client) -> int:
        client.need_running()
        run = await begun(client, assistant, patient=wait)
        screen.print(f"run {run['number']} of {assistant} began ({run['id']})")
        return await watch(client, run["id"], screen) if wait else 0

    raise typer.Exit(ask(home, start))


async def begun(client: Client, assistant: str, *, patient: bool, every: float = 2.0) -> dict[str, Any]:
    """The run that begins now; with patience, once the tuner has ended another."""
    told = False
    while True:
        try:
            return dict(await client.call("POST", "/v1/runs", json={"assistant": assistant}))
        except Refused as refused:
            if not patient or refused.why != TunerBusy.code:
                raise
            if not told:
                screen.print(
                    f"{refused.what} This run begins when it has ended.", markup=False, soft_wrap=True
                )
            told = True
            await asyncio.sleep(every)


@app.command()
def versions(
    assistant: Annotated[str | None, typer.Option("--assistant", help="Only this one's.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Every version, newest first, with its state and why."""
    found = call(home, "GET", "/v1/versions", params={"assistant": assistant} if assistant else {})
    table = Table("version", "state", "made", "by", "reason")
    for version in found["data"]:
        when = version["created_at"][:16].replace("T", " ")
        table.add_row(version["version"], version["state"], when, version["changed_by"], version["reason"])
    screen.print(table)


@app.command()
def promote(version: str, reason: ReasonOption = "", home: HomeOption = DEFAULT_HOME) -> None:
    """Let a version take its assistant's traffic; it needs a reason, kept for ever."""

    async def work(client: Client) -> Any:
        client.need_running()
        return await client.call("POST", f"/v1/versions/{version}/promote", json={"reason": reason})

    screen.print(f"{ask(home, work)['version']} is live")


@app.command()
def rollback(
    assistant: AssistantOption = "general", reason: ReasonOption = "", home: HomeOption = DEFAULT_HOME
) -> None:
    """End the canary; without one, give the assistant's traffic back to the version before."""

    async def work(client: Client) -> Any:
        client.need_running()
        return await client.call("POST", f"/v1/assistants/{assistant}/rollback", json={"reason": reason})

    screen.print(f"{ask(home, work)['version']} is live")


@app.command()
def rollout(assistant: AssistantOption = "general", home: HomeOption = DEFAULT_HOME) -> None:
    """What is live, what is canary with its evidence, and the orders that stand."""
    _show(call(home, "GET", f"/v1/assistants/{assistant}/rollout"))


@app.command()
def hold(
    assistant: AssistantOption = "general", reason: ReasonOption = "", home: HomeOption = DEFAULT_HOME
) -> None:
    """Keep the canary at its stage until `resume`; thumbs can still roll it back."""
    _order(home, assistant, "hold", reason)


@app.command()
def pin(
    assistant: AssistantOption = "general", reason: ReasonOption = "", home: HomeOption = DEFAULT_HOME
) -> None:
    """Keep the live version: one that passes waits until `unpin`."""
    _order(home, assistant, "pin", reason)


@app.command()
def unpin(
    assistant: AssistantOption = "general", reason: ReasonOption = "", home: HomeOption = DEFAULT_HOME
) -> None:
    """Let versions that pass take the live one's place again."""
    _order(home, assistant, "unpin", reason)


@app.command()
def pause(
    assistant: AssistantOption = "general", reason: ReasonOption = "", home: HomeOption = DEFAULT_HOME
) -> None:
    """Start no runs of this assistant by itself; `tune` still does."""
    _order(home, assistant, "pause", reason)


@app.command()
def resume(
    assistant: AssistantOption = "general", reason: ReasonOption = "", home: HomeOption = DEFAULT_HOME
) -> None:
    """End a hold and a pause."""
    _order(home, assistant, "resume", reason)


def _order(home: Path, assistant: str, order: str, reason: str) -> None:
    _show(call(home, "POST", f"/v1/assistants/{assistant}/{order}", json={"reason": reason}))


def _show(told: dict[str, Any]) -> None:
    screen.print(f"{told['live']} is live")
    canary = told["canary"]
    if canary:
        screen.print(f"{canary['version']} is canary at {canary['share']:.0%}: {canary['told']}")
    if told["drift"]:
        screen.print(told["drift"]["told"])
    for kind, order in told["orders"].items():
        screen.print(
            f"{kind} {order['version']} by {order['principal']}: {order['reason']}".replace("  ", " ")
        )
