"""`key add`, `list` and `revoke`: what programs sign in with."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from hone.commands.line import DEFAULT_HOME, HomeOption, call, screen

app = typer.Typer(help="API keys.", no_args_is_help=True)


@app.command("add")
def add_key(
    account: str,
    scope: Annotated[
        list[str], typer.Option(help="chat, feedback, review, operate, data or metrics; again for more.")
    ],
    role: Annotated[str, typer.Option(help="At most the account's.")] = "user",
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[int, typer.Option(min=0, help="Days until it ends; 0: never.")] = 90,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make a key that acts as an account; it is printed once."""
    body = {"account": account, "scopes": scope, "role": role, "label": label, "days": days or None}
    made = call(home, "POST", "/v1/keys", json=body)
    screen.print(made["secret"], soft_wrap=True)


@app.command("list")
def list_keys(home: HomeOption = DEFAULT_HOME) -> None:
    """Every key that opens something."""
    table = Table("id", "account", "for", "role", "scopes", "made by", "until")
    for key in call(home, "GET", "/v1/keys", params={"everyone": True})["data"]:
        until = (key["expires_at"] or "no end")[:10]
        scopes = ", ".join(key["scopes"])
        named = (key["id"], key["account"], escape(key["label"]))
        table.add_row(*named, key["role"], scopes, key["made_by"], until)
    screen.print(table)


@app.command("revoke")
def revoke(key_id: str, home: HomeOption = DEFAULT_HOME) -> None:
    """End a key; programs that use it are refused from then on."""
    call(home, "DELETE", f"/v1/keys/{key_id}")
    screen.print("revoked")
