"""`import`, `export`, `demo` and `rebuild`: what goes into the record and comes out of it."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hone.client import Client
from hone.commands.line import DEFAULT_HOME, AssistantOption, HomeOption, ask, call, screen

app = typer.Typer()


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    assistant: AssistantOption = "general",
    approve: Annotated[bool, typer.Option("--approve", help="Approve every row at once.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Take in JSON lines (Alpaca, chat messages, prompt/completion): all of them or none."""
    params = {"assistant": assistant, "approve": str(approve).lower(), "source": f"import:{file.name}"}
    done = call(home, "POST", "/v1/imports", params=params, content=file.read_bytes())
    kept = "approved" if approve else "waiting for review"
    screen.print(f"{done['imported']} imported for {assistant}, {kept}")


@app.command()
def export(
    assistant: AssistantOption = "general",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; otherwise the screen.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """An assistant's approved pairs as chat-message JSON lines."""

    async def work(client: Client) -> int:
        count = 0
        with open(out, "w", encoding="utf-8") if out else os.fdopen(os.dup(1), "w") as target:
            async for line in client.lines("/v1/exports", params={"assistant": assistant}):
                target.write(line + "\n")
                count += 1
        return count

    count = ask(home, work)
    Console(stderr=True).print(f"{count} pairs exported")


@app.command()
def demo(home: HomeOption = DEFAULT_HOME) -> None:
    """Fill a home with own-written data: two assistants, pairs, and exchanges in every state."""
    screen.print(call(home, "POST", "/v1/demo")["said"], markup=False, soft_wrap=True)


@app.command()
def rebuild(home: HomeOption = DEFAULT_HOME) -> None:
    """Make what the pages read anew from the events."""
    call(home, "POST", "/v1/rebuild")
    screen.print("The projections were rebuilt from the events")
