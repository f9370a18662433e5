"""`python -m serve.engine`: the embedded engine as a process of its own, on a loopback port.

Prints one JSON line with its port as soon as it listens, then loads the model beside; logs go to the
error stream. Ends with its parent, unless it runs alone. Everything it holds is memory, so it may die at
any moment.

Trail: serve/supervisor.py -> here -> serve/engine/server.py
"""

import argparse
import ctypes
import gc
import json
import logging
import os
import socket
import sys
import threading
from pathlib import Path

import uvicorn

from feedback.errors import HoneError, SettingsError
from feedback.lifeline import end_with_parent
from serve.engine.server import Readiness, create_app

log = logging.getLogger("serve.engine")

KERNELS = "256"
M_ARENA_MAX = -8  # malloc.h

UNREAD_MS = 60_000
"""How long a peer may leave unread what it was sent."""

SECRET = "HONE_ENGINE_SECRET"  # noqa: S105  # the variable's name


def main() -> int:
    options = _options(sys.argv[1:])
    if not options.alone:
        end_with_parent()
    _bound_memory()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    # The last line of the log is what the parent shows when the engine gives up.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        secret = _secret()
        listener = _listen(options)
    except HoneError as error:
        log.error("%s", error)
        return error.exit_code
    readiness = Readiness()
    config = uvicorn.Config(
        create_app(readiness, secret),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=options.drain,
    )
    server = uvicorn.Server(config)
    loading = _Loading(options, readiness, server)
    with listener:
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            # Connections inherit it: one whose peer never reads what it was sent is let go.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201  # for the parent
        loading.start()
        server.run(sockets=[listener])
    return loading.exit_code


def _listen(options: argparse.Namespace) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=128)
    except OSError as fault:
        raise SettingsError(
            f"The engine cannot listen on {options.host} port {options.port}: {fault.strerror}.",
            "Stop what uses the port, or choose another with --port.",
        ) from None


class _Loading(threading.Thread):
    """Makes the engine while the server already answers `loading`, and then is the thread that it runs on.

    A failure ends the server.
    """

    def __init__(self, options: argparse.Namespace, readiness: Readiness, server: uvicorn.Server) -> None:
        super().__init__(name="loading", daemon=True)
        self.exit_code = 0
        self._options = options
        self._readiness = readiness
        self._server = server

    def run(self) -> None:
        try:
            # Imported here, since torch and transformers take seconds and the port is promised at once.
            from serve.engine.engine import Engine, Limits
            from serve.engine.model import load, prepare, quieten

            quieten()
            asked = self._options
            folder = prepare(asked.model, asked.cache)
            model = load(
                asked.model,
                folder,
                cache=asked.cache,
                dtype=asked.dtype,
                device=asked.device,
                threads=asked.threads,
                longest=asked.max_context,
                rows=asked.max_active,
            )
            engine = Engine(
                model,
                Limits(
                    slots=asked.slots,
                    queue=asked.max_queue,
                    prefix_bytes=asked.prefix_mib * 2**20,
                    seconds=asked.max_seconds,
                ),
            )
            self._readiness.loaded = engine
            _set_aside()
            at_once = model.network.rows
            log.info("ready: %s in %s on %s, %d at once", model.name, model.dtype_name, model.device, at_once)
            engine.run()
        except HoneError as error:
            self._give_up(error.exit_code, str(error))
        except Exception:
            log.exception("loading failed")
            self._give_up(1, f"The model {self._options.model} could not be loaded; see above.")

    def _give_up(self, exit_code: int, why: str) -> None:
        log.error("%s", why)
        self.exit_code = exit_code
        self._server.should_exit = True


def _bound_memory() -> None:
    """Keep what the libraries hold on to from growing: one heap for all threads, fewer compiled kernels.

    By default each thread that loads an adapter may leave a heap behind, and oneDNN keeps a kernel for
    each of the last 1024 shapes, of which every number of tokens makes a dozen (docs/log.md).
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KERNELS)
    os.environ.setdefault("LRU_CACHE_CAPACITY", KERNELS)  # PyTorch's own cache of the same
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; others have one heap anyway
        if mallopt is not None:
            mallopt(M_ARENA_MAX, 1)


def _set_aside() -> None:
    """Have the garbage collector never look again at what loading made: a third of a second each time."""
    gc.collect()
    gc.freeze()


def _secret() -> str:
    secret = os.environ.pop(SECRET, "")
    if not secret:
        raise SettingsError(
            f"{SECRET} is not set.", "`hone up` starts the engine; by hand, set it to a secret."
        )
    return secret


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serve.engine")
    parser.add_argument("--model", required=True, help="smollm2-135m, a folder, or a Hugging Face id")
    parser.add_argument("--cache", required=True, type=Path, help="where prepared models are kept")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0: all the processors it may use")
    parser.add_argument("--max-context", type=int, default=4096, help="tokens; 0: the model's own")
    parser.add_argument("--max-active", type=int, default=16, help="requests answered at once")
    parser.add_argument("--max-queue", type=int, default=64, help="requests that may wait beyond those")
    parser.add_argument("--slots", type=int, default=8, help="versions that may be loaded at once")
    parser.add_argument("--prefix-mib", type=int, default=256, help="kept of finished answers; 0: nothing")
    parser.add_argument("--max-seconds", type=float, default=600, help="the longest one answer may take")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--alone", action="store_true", help="goes on when its standard input ends")
    parser.add_argument("--drain", type=int, default=1, help="seconds for answers to end when stopped")
    options = parser.parse_args(arguments)
    options.threads = options.threads or _processors()
    return options


def _processors() -> int:
    # Only Linux tells which ones this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    # Exits without unwinding: the worker's thread may be inside the model, where no Python can end it.
    code = main()
    logging.shutdown()
    os._exit(code)
