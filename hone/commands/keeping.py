"""`backup`, `restore` and `compact`: keep what people said, bring it back, and rewrite the file."""

from pathlib import Path
from typing import Annotated

import typer

from hone.commands.line import DEFAULT_HOME, HomeOption, call, place, screen

app = typer.Typer()

OLDER = (
    "The backup is older than the keeping of review-salt, so this home's own stays. If the store was made in "
    "another home, the rest of a file that was imported there begins new conversations, and reviewers see "
    "contributors under other pseudonyms: put that home's review-salt in its place before you start."
)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder outside of the home.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Copy the home to a new folder, with a manifest of digests; a running Hone goes on."""
    target = folder.expanduser().resolve()
    made = call(home, "POST", "/v1/backups", json={"folder": str(target)})
    screen.print(f"{made['files']} files, {made['bytes'] / 2**20:.1f} MiB, in {target}", soft_wrap=True)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `hone backup` made.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make the home what a backup says; what was there is moved aside. Hone must not be running."""
    from hone.backups import knows_imports, restore

    source = folder.expanduser().resolve()
    known = knows_imports(source)
    aside = restore(place(home), source)
    screen.print(f"{place(home).folder} is as the backup {folder} has it", soft_wrap=True)
    if not known:
        screen.print(OLDER, soft_wrap=True)
    if aside:
        screen.print(f"What was there before is in {aside}; delete it when all is well", soft_wrap=True)


@app.command()
def compact(home: HomeOption = DEFAULT_HOME) -> None:
    """Rewrite the store's file without what was deleted; a running Hone waits meanwhile."""
    done = call(home, "POST", "/v1/compact")
    screen.print(f"{done['before'] / 2**20:.1f} MiB became {done['after'] / 2**20:.1f} MiB")
