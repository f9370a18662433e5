"""`hone engine`: the embedded engine alone, with the home's settings, for a web process elsewhere.

Becomes the engine's process instead of starting it, so that signals and exit codes are the engine's own.

Trail: hone/commands/run.py -> here -> serve/engine/__main__.py
"""

import os
import sys

from feedback.errors import SettingsError
from hone.engines import arguments, key
from hone.home import Home
from hone.settings import read

DRAIN = 30
"""Seconds that answers may take to end once the engine is asked to stop."""


def run(home: Home, *, host: str, port: int) -> None:
    """Never returns: the engine runs until a signal says stop.

    Raises:
        SettingsError: The settings are wrong, or speak of an engine of another kind.
    """
    settings = read(home.folder)
    if settings.engine.kind != "hone":
        raise SettingsError(
            f"engine.kind is {settings.engine.kind}, and `hone engine` starts Hone's own.",
            'Set engine.kind = "hone", or start that engine by its own command.',
        )
    home.prepare()
    command = [sys.executable, "-m", "serve.engine", *arguments(home, settings.engine, settings.model.name)]
    alone = ["--alone", "--host", host, "--port", str(port), "--drain", str(DRAIN)]
    os.execve(  # noqa: S606
        sys.executable, [*command, *alone], os.environ | {"HONE_ENGINE_SECRET": key(home, settings.engine)}
    )
