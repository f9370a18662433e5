"""`import`, `export`, `curation`, `demo` and `rebuild`: what goes into the record and comes out of it."""

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.table import Table

from feedback.errors import BadImport, BadRequest
from hone.client import Client
from hone.commands.line import DEFAULT_HOME, AssistantOption, HomeOption, ask, call, screen

app = typer.Typer()
PIECE = 2**20


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    assistant: AssistantOption = "general",
    approve: Annotated[bool, typer.Option("--approve", help="Approve every row at once.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Take in JSON lines, JSON, CSV or Parquet of any known form; bad rows are told and left out."""
    params = {"assistant": assistant, "approve": str(approve).lower(), "source": file.name}
    done = call(home, "POST", "/v1/imports", make=True, params=params, content=_pieces(file))
    kept = "approved" if approve else "waiting for review"
    screen.print(f"{done['imported']} imported for {assistant}, {kept}; {done['known']} were there already")
    _tell_refused(done)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            yield piece


def _tell_refused(done: dict[str, Any]) -> None:
    """Each refused row with its place; an error where nothing else was in the file.

    Raises:
        BadImport: Every row was refused.
    """
    told = Console(stderr=True, highlight=False)
    for refusal in done["refused"]:
        told.print(f"{refusal['where']} {refusal['why']}", markup=False, soft_wrap=True)
    if done["refusals"] and not done["imported"] and not done["known"]:
        raise BadImport(f"All {done['refusals']} rows were refused.", "Mend the file and import it again.")
    if done["refusals"]:
        told.print(f"{done['refusals']} rows were refused; mend them and import the file again")


@app.command()
def export(
    assistant: AssistantOption = "general",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; otherwise the screen.")] = None,
    form: Annotated[
        str, typer.Option("--form", help="messages, alpaca, completion, preference or kto.")
    ] = "messages",
    kind: Annotated[
        str, typer.Option("--kind", help="jsonl, json, csv or parquet; else by the file's name.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """An assistant's approved pairs, comparisons (preference) or thumbs (kto) as a file."""
    params = {"assistant": assistant, "form": form, "kind": kind or _kind(out)}

    async def work(client: Client) -> int:
        written = 0
        with _target(out) as file:
            async for piece in client.pieces("/v1/exports", params=params):
                written += file.write(piece)
        return written

    Console(stderr=True).print(f"{ask(home, work):,} bytes exported")


def _kind(out: Path | None) -> str:
    named = out.suffix.lstrip(".").lower() if out else ""
    return named if named in ("json", "csv", "parquet") else "jsonl"


@contextmanager
def _target(out: Path | None) -> Iterator[BinaryIO]:
    """The screen, or a file that is replaced when all is written and else left as it was."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(out)
    except (OSError, ValueError) as fault:
        raise BadRequest(f"{out} cannot be written: {fault}.", "Give --out a file you may write.") from None
    finally:
        partial.unlink(missing_ok=True)


@app.command()
def curation(
    assistant: AssistantOption = "general",
    each: Annotated[bool, typer.Option("--each", help="Name each pair that is left out.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """What a run would learn from now, and how many pairs would be left out for which reason."""
    told = call(home, "GET", "/v1/curation", params={"assistant": assistant})
    for heading, counts in (("left out because", told["left_out"]), ("flagged, kept", told["flags"])):
        screen.print(_table(heading, sorted(counts.items())))
    screen.print(
        f"{told['kept']} of {told['approved']} approved pairs would be learnt, in {told['groups']} groups; "
        f"{told['imported']} of them imported, the others by {told['contributors']} contributors "
        f"and {told['reviewers']} reviewers"
    )
    if not told["lengths_checked"]:
        screen.print("No engine answers, so nobody measured how long the pairs are")
    for pair in told["pairs_left_out"] if each else ():
        said = f"{pair['exchange_id']} {pair['reason']} {pair['detail']}".rstrip()
        screen.print(said, markup=False, soft_wrap=True)


def _table(heading: str, counts: Iterable[tuple[str, int]]) -> Table:
    table = Table(heading, "pairs")
    for name, count in counts:
        table.add_row(name, str(count))
    return table


@app.command()
def demo(home: HomeOption = DEFAULT_HOME) -> None:
    """Fill a home with own-written data: two assistants, pairs, and exchanges in every state."""
    screen.print(call(home, "POST", "/v1/demo", make=True)["said"], markup=False, soft_wrap=True)


@app.command()
def rebuild(home: HomeOption = DEFAULT_HOME) -> None:
    """Make what the pages read anew from the events."""
    call(home, "POST", "/v1/rebuild")
    screen.print("The projections were rebuilt from the events")
