"""`hone up` and `hone web`: start everything or all but the engine, print the address, and stop cleanly.

Trail: hone/commands/run.py -> here -> hone/app.py
"""

import asyncio
import gc
import socket
import sys

import uvicorn
from rich.console import Console

from feedback.errors import SettingsError
from hone import logs
from hone.app import Hone
from hone.home import Home, HomeLock
from hone.settings import Settings, read
from serve import tracing


def run(home: Home, *, host: str | None, port: int | None, engine_apart: bool = False) -> None:
    """Serve until a signal says stop; commands given win over the settings.

    Raises:
        SettingsError: The settings are wrong, the home cannot be written, or the port is taken;
            or the engine is to run apart, and nobody says where.
    """
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = read(home.folder, **({"web": given} if given else {}))
    if engine_apart and not settings.engine.urls:
        raise SettingsError(
            "`hone web` starts no engine, and engine.urls names none.",
            'Start one with `hone engine` and set engine.urls = ["http://127.0.0.1:7861"], or use `hone up`.',
        )
    home.prepare()
    lock = HomeLock(home)
    try:
        listening = _listen(settings)
    except SettingsError:
        lock.release()
        raise
    logs.begin(settings.observe.log)
    flush = tracing.begin(settings.observe.traces, "hone-web", settings.observe.traces_share)
    hone = Hone(home, settings, lock=lock, at_end=flush)
    gc.collect()
    gc.freeze()  # what stays for good is not gone through again: .15 s in which nobody would be answered
    try:
        asyncio.run(_serve(hone, listening))
    finally:
        hone.close()


async def _serve(hone: Hone, listening: socket.socket) -> None:
    config = uvicorn.Config(
        hone.web,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)
    url = _url(hone.settings)
    greeting = asyncio.create_task(_greet(hone, server, url))
    try:
        await server.serve(sockets=[listening])
    finally:
        greeting.cancel()


async def _greet(hone: Hone, server: uvicorn.Server, url: str) -> None:
    screen = Console(highlight=False)
    while not server.started:
        await asyncio.sleep(0.05)
    hone.lock.say(url)
    screen.print(f"Hone is at [bold]{url}[/]")
    screen.print(f"Its files are in {hone.home.folder}", soft_wrap=True)
    if hone.settings.auth.login == "none":
        screen.print("No login: whoever reaches this address on this machine is the admin.")
    elif hone.new_password:
        screen.print(f"Sign in as admin; the password is in {hone.home.password_file}", soft_wrap=True)
    screen.print("Getting the model ready ...")
    while hone.supervisor.state != "ready":
        if hone.supervisor.state == "restarting" and hone.supervisor.trouble:
            screen.print(f"[yellow]The engine is not up yet:[/] {hone.supervisor.trouble}", soft_wrap=True)
            await asyncio.sleep(5)
        await asyncio.sleep(0.1)
    screen.print("Ready. Press Ctrl-C to stop.")
    sys.stdout.flush()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.web.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.web.host, settings.web.port))
    except OSError as fault:
        listening.close()
        raise SettingsError(
            f"Hone cannot listen on {settings.web.host} port {settings.web.port}: {fault.strerror}.",
            "Stop what uses the port, or choose another with --port or web.port.",
        ) from None
    return listening


def _url(settings: Settings) -> str:
    host = f"[{settings.web.host}]" if ":" in settings.web.host else settings.web.host
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{settings.web.port}"  # noqa: S104
