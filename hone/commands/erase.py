"""`erase`: list what would go, take it, and check a receipt."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from feedback import receipt
from feedback.errors import BadRequest
from hone.commands.line import DEFAULT_HOME, HomeOption, call, place, screen

app = typer.Typer()

UNCLEAN = 3
"""Exit code of an erasure after which words were still found somewhere."""


@app.command()
def erase(
    user: Annotated[str | None, typer.Option("--user", help="All chats of this account, and it.")] = None,
    conversation: Annotated[str | None, typer.Option("--conversation", help="This conversation.")] = None,
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="This exchange and what was said after it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; otherwise only list what would go.")] = False,
    keep_account: Annotated[bool, typer.Option("--keep-account", help="The chats alone.")] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="Withdraw versions that learnt from it now, not once rebuilt.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write the receipt.")] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", help="Check this receipt instead.", dir_okay=False)
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Erase somebody's words for ever, and prove it; without --yes, list what would go.

    Exit code 3: something was still found afterwards; the receipt says where.
    """
    if verify:
        raise typer.Exit(_verified(verify, home))
    named = [(s, t) for s, t in (("user", user), ("conversation", conversation), ("exchange", exchange)) if t]
    if len(named) != 1:
        raise BadRequest("Say what to erase.", "Give one of --user, --conversation and --exchange.")
    scope, target = named[0]
    body: dict[str, Any] = {"scope": scope, "target": target, "account": not keep_account, "confirm": yes}
    if stop:
        body["policy"] = "stop"
    told = call(home, "POST", "/v1/erasures", json=body)
    if not yes:
        _list(told)
        return
    if out:
        out.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
    say(told, place(home).folder)
    raise typer.Exit(0 if told["proof"]["clean"] else UNCLEAN)


def _list(told: dict[str, Any]) -> None:
    screen.print(f"Would be erased of {told['scope']} {told['target']}:", markup=False)
    for kind, count in told["removes"].items():
        screen.print(f"  {count} {kind.replace('_', ' ')}")
    if told["account"]:
        screen.print("  the account")
    for version in told["versions"]:
        screen.print(f"  {version['version']} learnt from {version['learnt']} of them", markup=False)
    if told["said_elsewhere"]:
        screen.print("The same words are also in what stays:")
        for where in told["said_elsewhere"]:
            screen.print(f"  {where}", markup=False)
    screen.print("Nothing was erased; add --yes to do it.")


def say(told: dict[str, Any], home: Path) -> None:
    """Print a receipt in words."""
    removed = [f"{count} {kind.replace('_', ' ')}" for kind, count in told["removed"].items()]
    gone = [*removed, *(["the account"] if told["account_ended"] else [])]
    screen.print(f"Erased: {', '.join(gone) or 'nothing was left'}", soft_wrap=True)
    for version in told["versions"]:
        screen.print(f"{version['version']} is {version['state']}", markup=False)
    proof = told["proof"]
    screen.print(
        f"Looked for {proof['fragments']} fragments in {proof['files']} files and the store: "
        + ("none is left" if proof["clean"] else "some are left"),
        soft_wrap=True,
    )
    for where, count in proof["found"].items():
        screen.print(f"  {where}: {count}", markup=False)
    screen.print(told["engine"], markup=False, soft_wrap=True)
    screen.print(f"Receipt: {home / receipt.FOLDER / told['erasure']}.json", markup=False, soft_wrap=True)


def _verified(path: Path, home: Path) -> int:
    """Check a receipt with the home's key; needs no running Hone."""
    folder = place(home).folder
    if not (folder / receipt.KEY).exists():
        raise BadRequest(f"{folder} has signed no receipt.", "Give the --home that the receipt is from.")
    valid = receipt.verify(receipt.read(path), receipt.key(folder))
    screen.print(f"{path}: " + ("signed here, unchanged" if valid else "NOT VALID"), markup=False)
    return 0 if valid else 1
