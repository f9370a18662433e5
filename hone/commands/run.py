"""`up`, `web`, `engine`, `doctor` and `status`: start Hone whole or in parts, and see how it is."""

from typing import Annotated

import typer

from hone.commands.line import DEFAULT_HOME, HomeOption, call, place, screen

app = typer.Typer()


@app.command()
def up(
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
) -> None:
    """Start Hone: pages, API, engine and tuner, until Ctrl-C."""
    from hone.up import run

    run(place(home), host=host, port=port)


@app.command()
def web(
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
) -> None:
    """Start all but the engine, which runs at engine.urls: pages, API and tuner."""
    from hone.up import run

    run(place(home), host=host, port=port, engine_apart=True)


@app.command()
def engine(
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 7861,
    certificate: Annotated[str, typer.Option(help="PEM file; with it the engine speaks TLS.")] = "",
    certificate_key: Annotated[str, typer.Option(help="PEM file of its key, if it is not in there.")] = "",
) -> None:
    """Start the embedded engine alone, for a `hone web` whose engine.urls names it."""
    from hone.engine_alone import run

    run(place(home), host=host, port=port, certificate=certificate, certificate_key=certificate_key)


@app.command()
def doctor(home: HomeOption = DEFAULT_HOME) -> None:
    """Look at the machine and the home, and say what to do about each problem."""
    from hone.doctor import examine

    findings = examine(place(home))
    marks = {"good": "[green]good[/]", "note": "[yellow]note[/]", "bad": "[red]bad [/]"}
    for finding in findings:
        screen.print(f"{marks[finding.grade]}  [bold]{finding.subject}[/]: ", end="")
        screen.print(finding.said, markup=False, soft_wrap=True)
        if finding.todo:
            screen.print(f"      {finding.todo}", markup=False, soft_wrap=True)
    if any(finding.grade == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command()
def status(home: HomeOption = DEFAULT_HOME) -> None:
    """What runs, what is live, and what waits."""
    said = call(home, "GET", "/v1/status")
    engine, router = said["engine"], said["router"]
    running = place(home).running()
    screen.print(f"address   {running['url'] if running else 'not running; start it with `hone up`'}")
    screen.print(
        f"engine    {engine['state']} {engine.get('dtype', '')} {engine.get('trouble', '')}".rstrip()
    )
    if engine.get("skew"):
        screen.print(f"[yellow]skew[/]      {engine['skew']}", soft_wrap=True)
    for replica in engine.get("replicas", ()):
        where = "in" if replica["in"] else "out"
        line = f"replica   {replica['url']} {where}, {replica['in_flight']} in flight {replica['trouble']}"
        screen.print(line.rstrip(), markup=False)
    for limit in router["limits"]:
        screen.print(f"limit     {limit}", markup=False)
    for version in call(home, "GET", "/v1/versions")["data"]:
        if version["state"] == "live":
            screen.print(f"live      {version['assistant']}: {version['version']}")
    for version, why in router["refused"].items():
        screen.print(f"refused   {version}: {why}", markup=False)
    for run in call(home, "GET", "/v1/runs")["data"]:
        if run["state"] == "running":
            screen.print(f"run       {run['number']} of {run['assistant']}: {run['step']}")
    for assistant in call(home, "GET", "/v1/assistants")["data"]:
        decided = call(home, "GET", f"/v1/assistants/{assistant['name']}/decisions")["data"]
        if decided:
            screen.print(
                f"tuner     {assistant['name']}: {decided[0]['reason']}", markup=False, soft_wrap=True
            )
    for told_at in said["notices"]["places"]:
        told = (
            f"fails: {told_at['fault']}" if told_at["fault"] else f"last {told_at['delivered_at'] or 'never'}"
        )
        line = f"notices   {told_at['channel']} {told_at['name']}: {told}, {told_at['waiting']} waiting"
        screen.print(line, markup=False, soft_wrap=True)
    for state, count in said["exchanges"].items():
        screen.print(f"exchanges {state}: {count}")
