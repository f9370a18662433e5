"""`user add`, `invite`, `reset`, `links`, `withdraw`, `list`, `role` and `suspend`."""

from typing import Annotated, Any

import typer
from rich.table import Table

from hone.commands.line import DEFAULT_HOME, HomeOption, call, screen

app = typer.Typer(help="Accounts and roles.", no_args_is_help=True)


@app.command("add")
def add_user(
    name: str,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="HONE_USER_PASSWORD")
    ],
    role: Annotated[str, typer.Option(help="user, reviewer, operator or admin.")] = "user",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make an account; asks for the password."""
    body = {"name": name, "role": role, "password": password}
    made = call(home, "POST", "/v1/users", make=True, json=body)
    screen.print(f"account {made['name']} made, role {made['role']}")


@app.command("invite")
def invite(
    role: Annotated[str, typer.Option(help="user, reviewer, operator or admin.")] = "user",
    name: Annotated[str, typer.Option(help="The account's name; without one they choose it.")] = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print a link, good once and for a week, by which somebody makes an account."""
    body = {"role": role} | ({"name": name} if name else {})
    _offer(call(home, "POST", "/v1/invitations", make=True, json=body))


@app.command("reset")
def reset(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Print a link, good once and for a week, by which the account's holder sets a new password."""
    _offer(call(home, "POST", f"/v1/users/{name}/reset"))


def _offer(made: dict[str, Any]) -> None:
    screen.print(made["link"], soft_wrap=True)
    screen.print("Put the address that they reach Hone at in place of the one above, if that is another.")


@app.command("links")
def list_links(home: HomeOption = DEFAULT_HOME) -> None:
    """The links that were made and are neither used, withdrawn nor out of date."""
    table = Table("id", "what for", "account", "made by", "good until")
    for link in call(home, "GET", "/v1/invitations")["data"]:
        purpose = f"an account, role {link['role']}" if link["role"] else "a new password"
        until = link["expires_at"][:16].replace("T", " ")
        table.add_row(link["id"], purpose, link["account"] or "", link["made_by"], until)
    screen.print(table)


@app.command("withdraw")
def withdraw(
    link: Annotated[str, typer.Argument(help="Its id, as `hone user links` has it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """End a link before it is used."""
    call(home, "DELETE", f"/v1/invitations/{link}")
    screen.print("That link opens nothing any more.")


@app.command("list")
def list_users(home: HomeOption = DEFAULT_HOME) -> None:
    """Every account with its role."""
    table = Table("name", "role", "suspended")
    for user in call(home, "GET", "/v1/users")["data"]:
        table.add_row(user["name"], user["role"], "yes" if user["suspended"] else "")
    screen.print(table)


@app.command("role")
def set_role(name: str, role: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Give an account another role."""
    call(home, "PATCH", f"/v1/users/{name}", json={"role": role})
    screen.print(f"{name} is {role} now")


@app.command("suspend")
def suspend(
    name: str,
    restore: Annotated[bool, typer.Option("--restore", help="Let it in again.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Keep an account out and end its sessions, or let it in again."""
    call(home, "PATCH", f"/v1/users/{name}", json={"suspended": not restore})
    screen.print(f"{name} is {'let in again' if restore else 'suspended'}")
