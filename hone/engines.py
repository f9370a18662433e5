"""The engine that answers and what keeps it, as the `[engine]` settings ask for it.

Ours is a child of this process, unless `engine.urls` says where it runs. What runs elsewhere is only kept
in sight. Engines that are not ours embed no texts for the tuner, so ours then runs beside them on the
small packaged model, for that alone.

Trail: hone/app.py -> here -> serve/supervisor.py, serve/engines/
"""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from feedback.errors import SettingsError
from hone.home import Home
from hone.machine import physical_cores
from hone.secret_files import secret
from hone.sections import PACKAGED
from hone.sections import Engine as EngineSettings
from hone.settings import Settings
from serve.engines.base import HttpEngine
from serve.engines.hone import HoneEngine
from serve.engines.replicas import Replicas
from serve.engines.restart import Restart
from serve.engines.tgi import TgiEngine
from serve.engines.vllm import VllmEngine
from serve.engines.wire import trust
from serve.supervisor import Supervisor, Watch
from tuner import registry


class Engines:
    """What answers (`engine`), what keeps it (`supervisor`), and what embeds (`embedder`)."""

    def __init__(self, home: Home, settings: Settings, on_ready: Callable[[], Awaitable[None]]) -> None:
        self._home = home
        self._settings = settings
        self.engine: HttpEngine
        self.embedder: HttpEngine
        self.supervisor: Supervisor
        self._kept: list[Supervisor]
        if settings.engine.kind == "hone" and settings.engine.urls:
            self.engine = self.embedder = _outside(home, settings)
            self.supervisor = Watch(self.engine, on_ready=on_ready)
            self._kept = [self.supervisor]
        elif settings.engine.kind == "hone":
            ours, self.supervisor = self._ours(settings.model.name, on_ready)
            self.engine = self.embedder = ours
            self._kept = [self.supervisor]
        else:
            self.engine = _outside(home, settings)
            self.supervisor = Watch(self.engine, on_ready=on_ready)
            self.embedder, embedding = self._ours(PACKAGED, _nothing)
            self._kept = [self.supervisor, embedding]

    async def start(self) -> None:
        for supervisor in self._kept:
            await supervisor.start()

    async def stop(self) -> None:
        for supervisor in self._kept:
            await supervisor.stop()
        for engine in {self.engine, self.embedder}:
            await engine.close()

    def _ours(self, model: str, on_ready: Callable[[], Awaitable[None]]) -> tuple[HoneEngine, Supervisor]:
        secret = secrets.token_urlsafe(32)
        engine = HoneEngine(secret, silence=self._settings.engine.silence)
        supervisor = Supervisor(
            engine,
            arguments(self._home, self._settings, model),
            secret=secret,
            log=self._home.engine_log,
            start_timeout=self._settings.engine.start_timeout,
            on_ready=on_ready,
        )
        return engine, supervisor


async def _nothing() -> None:
    """An embedder needs nothing loaded."""


def _outside(home: Home, settings: Settings) -> Replicas:
    engine = settings.engine
    secret = key(home, engine)
    if engine.ca_file:
        _trust(engine.ca_file)
    base = "" if settings.model.name == PACKAGED else settings.model.name
    engines: list[HttpEngine] = []
    for url in engine.urls:
        if engine.kind == "hone":
            engines.append(HoneEngine(secret, url=url, silence=engine.silence))
        elif engine.kind == "vllm":
            engines.append(VllmEngine(secret, url=url, silence=engine.silence, base=base, slots=engine.slots))
        else:
            restart = (
                Restart(engine.restart_command, timeout=engine.start_timeout)
                if engine.restart_command
                else None
            )
            links = home.folder / "adapters"
            engines.append(
                TgiEngine(secret, url=url, silence=engine.silence, base=base, restart=restart, links=links)
            )
    return Replicas(engines, verify=lambda version: registry.verify(home.folder, version))


def _trust(file: str) -> None:
    try:
        trust(Path(file).expanduser())
    except OSError as fault:  # ssl.SSLError is one
        raise SettingsError(
            f"engine.ca_file {file} cannot be used: {fault.strerror or fault}.",
            "Make it a readable file of certificates in PEM form.",
        ) from None


def key(home: Home, engine: EngineSettings) -> str:
    """What engines at `engine.urls` ask for; for ours, unless one is set, a secret kept in the home."""
    given = secret(engine, "api_key")
    return home.secret("engine-key") if engine.kind == "hone" and not given else given


def arguments(home: Home, settings: Settings, model: str) -> list[str]:
    """What the settings say of our engine, as it is told at its start."""
    engine, traces = settings.engine, settings.observe.traces
    return [
        *(("--traces", traces) if traces else ()),
        *("--model", model),
        *("--cache", str(home.models)),
        *("--dtype", engine.dtype),
        *("--device", engine.device),
        *("--threads", str(engine.threads or physical_cores())),
        *("--max-context", str(engine.max_context)),
        *("--max-active", str(engine.max_active)),
        *("--max-queue", str(engine.max_queue)),
        *("--max-seconds", str(engine.max_seconds)),
        *("--prefix-mib", str(engine.prefix_mib)),
        *("--slots", str(engine.slots)),
    ]
