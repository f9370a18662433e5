"""`propose` and `rows`: answers for reviewers to tick, and what a version was made of."""

from typing import Annotated, Any

import typer
from rich.table import Table

from hone.client import Client
from hone.commands.line import DEFAULT_HOME, AssistantOption, HomeOption, ask, call, screen

app = typer.Typer()


@app.command()
def propose(
    assistant: AssistantOption = "general",
    limit: Annotated[int, typer.Option(min=1, max=100, help="Questions to answer.")] = 10,
    samples: Annotated[int, typer.Option(min=1, max=8, help="Answers drawn for each.")] = 4,
    teacher: Annotated[bool, typer.Option("--teacher", help="Ask the teacher that is set.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Propose answers to disliked and rare questions; reviewers tick every one that is right."""
    body = {"assistant": assistant, "limit": limit, "samples": samples, "teacher": teacher}

    async def work(client: Client) -> Any:
        client.need_running()
        return await client.call("POST", "/v1/proposals", json=body)

    done = ask(home, work)
    screen.print(f"{done['proposed']} proposals for {done['questions']} questions wait for review")
    for why, count in done["left_out"].items():
        screen.print(f"  {count} not sent: {why}", markup=False)


@app.command()
def rows(
    version: Annotated[str, typer.Argument(help="Such as general@7-3fa9c1d2.")],
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1000,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """The exact rows that a version learnt from and was judged by, with who said what and when."""
    found = call(home, "GET", f"/v1/versions/{version}/rows", params={"limit": limit})["data"]
    table = Table("exchange", "side", "asked by", "rated", "approved by", "words by", "approved at")
    for row in found:
        thumbs = ", ".join(str(rating["rating"]) for rating in row["ratings"])
        by = "erased" if row["erased"] else row["owner"]
        when = row["reviewed_at"][:16].replace("T", " ")
        table.add_row(row["exchange_id"], row["side"], by, thumbs, row["reviewer"], row["author"], when)
    screen.print(table)
