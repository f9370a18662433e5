"""`assistant add`, `edit` and `list`."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from hone.commands.line import DEFAULT_HOME, HomeOption, call, screen

app = typer.Typer(help="Make and edit assistants.", no_args_is_help=True)


FIELDS = ("title", "system_prompt", "domain", "greeting", "notice", "examples")


def _fields(*given: Any) -> dict[str, Any]:
    """What was said, in the order of `FIELDS`; an option that was not given is left out."""
    return {key: value for key, value in zip(FIELDS, given, strict=True) if value not in (None, [])}


TitleOption = Annotated[str | None, typer.Option("--title", help="Name that people see.")]
PromptOption = Annotated[str | None, typer.Option("--system-prompt", help="What it is told first.")]
DomainOption = Annotated[str | None, typer.Option("--domain", help="Its field, such as law.")]
NoticeOption = Annotated[str | None, typer.Option("--notice", help="What stands under its chats.")]
ExampleOption = Annotated[
    list[str] | None,
    typer.Option("--example", help="What an empty chat offers to ask; give it several times."),
]
GreetingOption = Annotated[str | None, typer.Option("--greeting", help="What an empty chat shows.")]


@app.command("add")
def add_assistant(
    name: str,
    title: TitleOption = None,
    system_prompt: PromptOption = None,
    domain: DomainOption = None,
    greeting: GreetingOption = None,
    notice: NoticeOption = None,
    example: ExampleOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make an assistant with its own line of versions."""
    fields = _fields(title, system_prompt, domain, greeting, notice, example)
    made = call(home, "POST", "/v1/assistants", make=True, json={"name": name, **fields})
    screen.print(f"assistant {made['name']} made")


@app.command("edit")
def edit_assistant(
    name: str,
    title: TitleOption = None,
    system_prompt: PromptOption = None,
    domain: DomainOption = None,
    greeting: GreetingOption = None,
    notice: NoticeOption = None,
    example: ExampleOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Change an assistant; what is left out stays."""
    fields = _fields(title, system_prompt, domain, greeting, notice, example)
    changed = call(home, "PATCH", f"/v1/assistants/{name}", json=fields)
    screen.print(json.dumps(changed, ensure_ascii=False, indent=1), markup=False)


@app.command("list")
def list_assistants(home: HomeOption = DEFAULT_HOME) -> None:
    """Every assistant."""
    table = Table("name", "title", "domain", "system prompt")
    for assistant in call(home, "GET", "/v1/assistants")["data"]:
        table.add_row(
            assistant["name"], assistant["title"], assistant["domain"], assistant["system_prompt"][:60]
        )
    screen.print(table)
