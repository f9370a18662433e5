"""`key add`, `list` and `revoke`: what programs sign in with."""

from typing import Annotated

import typer
from rich.markup import escape

from hone.commands.line import DEFAULT_HOME, HomeOption, call, screen

app = typer.Typer(help="API keys.", no_args_is_help=True)


@app.command("add")
def add_key(
    account: str,
    scope: Annotated[
        list[str], typer.Option(help="chat, feedback, review, operate, data or metrics; again for more.")
    ],
    role: Annotated[
        str,
        typer.Option(
            help="At most the account's; review needs reviewer, operate, data and metrics need operator."
        ),
    ] = "user",
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
    """Every key that opens something, a line each, whole on any screen: `revoke` takes the id from here."""
    for key in call(home, "GET", "/v1/keys", params={"everyone": True})["data"]:
        until = f"until {key['expires_at'][:10]}" if key["expires_at"] else "no end"
        named = f"  {escape(key['label'])}" if key["label"] else ""
        what = f"{key['account']} as {key['role']}: {', '.join(key['scopes'])}"
        screen.print(f"{key['id']}  {what}; {until}; made by {key['made_by']}{named}", soft_wrap=True)


@app.command("revoke")
def revoke(key_id: str, home: HomeOption = DEFAULT_HOME) -> None:
    """End a key; programs that use it are refused from then on."""
    call(home, "DELETE", f"/v1/keys/{key_id}")
    screen.print("revoked")
