"""Keeps one attempt at a training on whatever machine it runs: `python -m tuner.keeper URL NAME`.

Fetches the run's files from the storage, trains in a folder of its own, and puts what comes of it back as
it comes. An attempt has a name; it goes on only while the storage says that it is the wanted one and only
while it can tell there that it lives, so whoever sees no sign of it for twice as long may begin another.
All that it writes lies under its name: what an attempt that was given up still writes is read by nobody.

Trail: tuner/launchers/elsewhere.py -> here -> tuner/launchers/local.py, tuner/launchers/storage.py
"""

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from feedback.errors import HoneError
from tuner.launchers import local, words
from tuner.launchers.storage import Storage, Taken
from tuner.plan import RunFolder

WANTED = "wanted.json"
GIVEN = "given"
MADE = "made.json"
CLAIM = "claim"
SIGN = "sign.json"
OVER = "over"
"""The sign that an attempt will give no other."""
SCRATCH = "hone-training-"
RESUMED = ("checkpoint.pt", "room.json", "progress.jsonl")
"""What an attempt takes over from the one before."""
KEPT = (*RESUMED, "training.log")
ENDS = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "scores.json", "probe.json")
LAST = ("error.json", "trained.json")
PATIENCE = 6
"""Beats without a word from the storage after which an attempt gives itself up."""
SILENCE = 2 * PATIENCE
"""Beats without a sign after which an attempt is given up by whoever waits for it."""


class Keeper:
    """One attempt, from its claim to its last file."""

    def __init__(self, storage: Storage, name: str, *, beat: float) -> None:
        self._storage, self._name, self._beat = storage, name, beat
        self._child: subprocess.Popen[bytes] | None = None
        self._sent: dict[str, tuple[tuple[int, int], str]] = {}
        self._over = threading.Event()
        self._moving = threading.Lock()
        """Held while a file goes between the storage and the folder here; and for ever, by the end."""
        self._signs = threading.Thread(target=self._live, name="signs of life", daemon=True)
        self._told = False
        self._place: Path | None = None

    def keep(self, processes: int, options: Sequence[str]) -> int:
        """The training's exit status; 4 where this attempt is not wanted, or was begun by another."""
        wanted = words.wanted(self._storage.read(WANTED))
        if not self._is_wanted(wanted):
            return 4
        try:
            self._storage.claim(f"{self._name}/{CLAIM}")
        except Taken:
            return 4
        self._signs.start()
        try:
            # Again: whoever wants another now sees the claim, or has its wish seen here.
            if not self._is_wanted(words.wanted(self._storage.read(WANTED))):
                return 4
            with scratch() as place:
                self._place = place
                folder = RunFolder(place / "run")
                self._receive(folder, wanted[1] if wanted else ())
                return self._train(folder, processes, options)
        finally:
            self._say_over()

    def _is_wanted(self, wanted: tuple[str, list[str]] | None) -> bool:
        return wanted is not None and wanted[0] == self._name

    def _say_over(self) -> None:
        """Give no sign any more; the last one says so, unless the index says how it ended."""
        self._over.set()
        self._signs.join()
        if not self._told:
            with suppress(HoneError):
                self._storage.write(f"{self._name}/{SIGN}", OVER)

    def _receive(self, folder: RunFolder, before: Sequence[str]) -> None:
        for name, made in words.given(self._storage.read(f"{GIVEN}.json")).items():
            self._fetch(GIVEN, made, folder.path / name)
        for earlier in before:
            files, _ = words.made(self._storage.read(f"{earlier}/{MADE}"))
            if "checkpoint.pt" in files:
                for name in set(RESUMED) & set(files):
                    self._fetch(earlier, files[name], folder.path / name)
                return

    def _fetch(self, attempt: str, made: str, path: Path) -> None:
        with self._moving:
            self._storage.fetch(attempt, made, path)

    def _train(self, folder: RunFolder, processes: int, options: Sequence[str]) -> int:
        threads = folder.read_plan().threads
        with folder.log.open("ab") as log:
            self._child = subprocess.Popen(
                local.command(folder, processes, options),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=local.environment(threads),
                cwd=folder.path,  # the live version's adapter is named from here
                process_group=0,
            )
        try:
            ended = None
            while ended is None:
                with suppress(subprocess.TimeoutExpired):
                    ended = self._child.wait(self._beat)
                if ended is None:
                    self._share_if_reached(folder)
            self._share(folder, ended)
            return ended
        finally:
            self._child.kill()
            self._child.wait()

    def _share_if_reached(self, folder: RunFolder) -> None:
        try:
            self._share(folder)
        except HoneError as away:  # the signs of life decide how long that may last
            print(away, file=sys.stderr)  # noqa: T201

    def _share(self, folder: RunFolder, ended: int | None = None) -> None:
        """Put what is new on the storage, then the index that names it, then drop what none names."""
        names = KEPT if ended is None else (*KEPT, *ENDS, *LAST)
        for name in names:
            self._send(folder.path, name)
        files = {name: made for name, (_, made) in self._sent.items()}
        if ended is not None:  # then whoever waits may delete it all, and nothing must come after
            self._over.set()
            self._signs.join()
            self._told = True
        self._storage.write(f"{self._name}/{MADE}", {"files": files, "ended": ended})
        if ended is None:
            self._storage.keep_only(self._name, set(files.values()))

    def _send(self, folder: Path, name: str) -> None:
        path = folder / name
        with self._moving, suppress(FileNotFoundError):
            found = path.stat()
            seen = (found.st_mtime_ns, found.st_size)
            if name in self._sent and self._sent[name][0] == seen:
                return
            still = folder / ".outgoing"
            shutil.copyfile(path, still)  # its writer goes on meanwhile
            self._sent[name] = seen, self._storage.send(self._name, still)

    def _live(self) -> None:
        """Tell that this attempt lives, and end it where it is not wanted or cannot tell."""
        beats, heard = 0, time.monotonic()
        while not self._over.wait(self._beat):
            beats += 1
            try:
                wanted = words.wanted(self._storage.read(WANTED))
                if not self._is_wanted(wanted):
                    self._end("It is not wanted any more.", wanted)
                self._storage.write(f"{self._name}/{SIGN}", beats)
                heard = time.monotonic()
            except HoneError as away:
                if time.monotonic() - heard > PATIENCE * self._beat:
                    self._end(str(away), OVER)

    def _end(self, why: str, wanted: Any) -> None:
        """End at once; where the run's folder was deleted, so is what came after that."""
        try:
            self._put_an_end(wanted)
            print(why, file=sys.stderr, flush=True)  # noqa: T201
        finally:  # whatever could not be written or told: nobody else ends this process
            os._exit(5)

    def _put_an_end(self, wanted: Any) -> None:
        if self._child:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)  # a team has more processes than the one begun
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(self._beat)
        self._moving.acquire(timeout=self._beat)  # what is deleted now is not put back
        if self._place:
            shutil.rmtree(self._place, ignore_errors=True)
        with suppress(HoneError):
            if wanted:
                self._storage.write(f"{self._name}/{SIGN}", OVER)
            else:
                self._storage.remove(self._name)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one training; what killed ones left on this machine, which may be words, is deleted."""
    for left in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*/lock"):
        with suppress(OSError), left.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, ignore_cleanup_errors=True) as made:
        place = Path(made)
        with (place / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield place


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tuner.keeper")
    parser.add_argument("url")
    parser.add_argument("name")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--beat", type=float, default=5.0)
    parser.add_argument("--option", action="append", default=[], help="a further one of accelerate launch")
    told = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return Keeper(Storage(told.url), told.name, beat=told.beat).keep(told.processes, told.option)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HoneError as refused:
        sys.exit(str(refused))
