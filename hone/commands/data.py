"""`import`, `export`, `demo` and `rebuild`: what goes into the record and comes out of it."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from feedback.errors import BadRequest
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
    params = {"assistant": assistant, "approve": str(approve).lower(), "source": file.name}
    done = call(home, "POST", "/v1/imports", make=True, params=params, content=file.read_bytes())
    kept = "approved" if approve else "waiting for review"
    screen.print(f"{done['imported']} imported for {assistant}, {kept}")


@app.command()
def export(
    assistant: AssistantOption = "general",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; otherwise the screen.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """An assistant's approved pairs as chat-message JSON lines."""

    async def work(client: Client) -> list[str]:
        return [line async for line in client.lines("/v1/exports", params={"assistant": assistant})]

    lines = ask(home, work)
    text = "".join(f"{line}\n" for line in lines)
    if out:
        _write_whole(out, text)
    else:
        sys.stdout.write(text)
    Console(stderr=True).print(f"{len(lines)} pairs exported")


def _write_whole(path: Path, text: str) -> None:
    """Replace the file, or leave what was there."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, "utf-8")
        partial.replace(path)
    except (OSError, ValueError) as fault:
        raise BadRequest(f"{path} cannot be written: {fault}.", "Give --out a file you may write.") from None


@app.command()
def demo(home: HomeOption = DEFAULT_HOME) -> None:
    """Fill a home with own-written data: two assistants, pairs, and exchanges in every state."""
    screen.print(call(home, "POST", "/v1/demo", make=True)["said"], markup=False, soft_wrap=True)


@app.command()
def rebuild(home: HomeOption = DEFAULT_HOME) -> None:
    """Make what the pages read anew from the events."""
    call(home, "POST", "/v1/rebuild")
    screen.print("The projections were rebuilt from the events")
