"""The command `hone`. What is wrong for a person is shown here, in one place, with what to do next.

Trail: a terminal -> here -> hone/commands/line.py -> hone/client.py -> serve/web.py
"""

import os
import sys

import typer
from rich.console import Console

from feedback.errors import HoneError
from hone.commands import assistant, audit, data, erase, keeping, key, notices, propose, run, tuning, user

app = typer.Typer(
    help="Hone: a chat server that tunes itself on the answers people approve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for part in (run, tuning, data, keeping, propose, erase, audit):
    app.add_typer(part.app)
app.add_typer(assistant.app, name="assistant")
app.add_typer(user.app, name="user")
app.add_typer(key.app, name="key")
app.add_typer(notices.app, name="notices")


def main() -> None:
    """Run the command; anything that is not a HoneError is a bug and keeps its traceback."""
    os.umask(0o077)  # what people said is for this account alone
    try:
        app()
    except HoneError as error:
        screen = Console(stderr=True, highlight=False)
        screen.print("[bold red]hone:[/] ", end="")
        screen.print(error.what, markup=False, soft_wrap=True)
        if error.todo:
            screen.print(error.todo, markup=False, soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
