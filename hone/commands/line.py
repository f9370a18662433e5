"""What all commands share: their options, the screen, and the way to the home's Hone."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from feedback.errors import NotFound
from hone.client import connect
from hone.home import Home

screen = Console(highlight=False)
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="HONE_HOME", help="Folder in which all of Hone's files live.")
]
AssistantOption = Annotated[str, typer.Option("--assistant", help="Which assistant.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept for ever.")]
DEFAULT_HOME = Path("~/.hone")


def place(home: Path) -> Home:
    return Home(home.expanduser().resolve())


def ask(home: Path, work: Any, *, make: bool = False) -> Any:
    """Run `work(client)` against the home's Hone; only commands that put something in `make` a home.

    Raises:
        NotFound: There is no home there, which is most often a mistyped --home.
    """
    found = place(home)
    if make:
        found.prepare()
    elif not found.store.exists():
        raise NotFound(f"There is no Hone home at {found.folder}.", "Check --home, or start one: hone up.")

    async def reach() -> Any:
        async with connect(found) as client:
            result: Coroutine[Any, Any, Any] = work(client)
            return await result

    return asyncio.run(reach())


def call(home: Path, method: str, path: str, *, make: bool = False, **given: Any) -> Any:
    """One call of the API; its JSON."""
    return ask(home, lambda client: client.call(method, path, **given), make=make)
