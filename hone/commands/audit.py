"""`hone audit`: who did what, the newest first."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hone.commands.line import DEFAULT_HOME, HomeOption, call, screen

app = typer.Typer()


@app.command("audit")
def audit(
    by: Annotated[str, typer.Option(help="Only what this one did.")] = "",
    kind: Annotated[str, typer.Option(help="A kind or its beginning: account, version, data.exported.")] = "",
    since: Annotated[str, typer.Option(help="A time such as 2026-12-01 or 2026-12-01T08:00Z.")] = "",
    until: Annotated[str, typer.Option(help="A time; without a zone it is UTC.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    before: Annotated[int, typer.Option(help="Go on below this number.")] = 0,
    lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Who did what, when and to what; nobody's words are in it."""
    given = {"by": by, "kind": kind, "since": since, "until": until, "limit": limit, "before": before}
    told = call(home, "GET", "/v1/audit", params={name: value for name, value in given.items() if value})
    if lines:
        for entry in told["data"]:
            screen.print(json.dumps(entry, ensure_ascii=False), markup=False, soft_wrap=True)
        return
    table = Table("number", "at (UTC)", "who", "what", "to what", "besides")
    for entry in told["data"]:
        at = entry["at"][:19].replace("T", " ")
        said = entry["principal"], entry["kind"], entry["subject"], _besides(entry)
        table.add_row(str(entry["seq"]), at, *map(escape, said))
    screen.print(table)


def _besides(entry: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in entry["detail"].items())
