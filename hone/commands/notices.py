"""`hone notices test`: whether what Hone would tell its operators arrives."""

import typer

from hone.commands.line import DEFAULT_HOME, HomeOption, call, screen

app = typer.Typer(help="Notices by webhook and e-mail.", no_args_is_help=True)


@app.callback()
def notices() -> None:
    """Notices by webhook and e-mail."""


@app.command("test")
def send_one(home: HomeOption = DEFAULT_HOME) -> None:
    """Send a notice to every place that is set; exits with 1 where one did not arrive."""
    sent = call(home, "POST", "/v1/notices/test")["data"]
    for place in sent:
        told = place["fault"] or "arrived"
        screen.print(f"{place['channel']} {place['name']}: {told}", markup=False, soft_wrap=True)
    if any(place["fault"] for place in sent):
        raise typer.Exit(1)
