"""The operator's own command that restarts an engine with a list of adapters.

Hone does not know how an engine is run (a unit, a container, a pod), so the operator says it, once, as
a list of words with places to fill in. The command must end when the new process has been started, or
fail and leave the old one. Knows nothing of HTTP.

Trail: serve/engines/tgi.py -> here
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from feedback.errors import CannotSwap

PLACES = ("version", "folder", "adapters", "url")
"""What a word of the command may hold in braces; `adapters` is the value of TGI's LORA_ADAPTERS."""


class Restart:
    """A command template, and how long it may take."""

    def __init__(self, command: Sequence[str], *, timeout: float) -> None:
        self._command = tuple(command)
        self.timeout = timeout

    async def run(self, **places: str) -> None:
        """Run it to its end.

        Raises:
            CannotSwap: It failed or took too long; with its last line.
        """
        words = [_filled(word, places) for word in self._command]
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as fault:
            raise _failed(words[0], f"cannot be run ({fault.strerror})") from None
        try:
            said = await asyncio.wait_for(_last_words(process), self.timeout)
        except TimeoutError:
            raise _failed(words[0], f"did not end within {self.timeout:.0f} seconds") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # the whole group: a shell's children too
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise _failed(words[0], f"ended with {process.returncode}: {said or 'it said nothing'}")


def _filled(word: str, places: Mapping[str, str]) -> str:
    # No format strings: braces of a shell or of JSON are the operator's.
    for place in PLACES:
        word = word.replace(f"{{{place}}}", places[place])
    return word


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """The last line it says; read to the end of the process, not of the pipe, which its children may hold."""
    assert process.stdout
    lines: list[str] = []
    reading = asyncio.create_task(_read_lines(process.stdout, lines))
    await process.wait()
    with suppress(TimeoutError):
        await asyncio.wait_for(reading, 0.2)
    return lines[-1] if lines else ""


async def _read_lines(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while chunk := await stream.read(65536):
        lines += [line for line in chunk.decode("utf-8", "replace").splitlines() if line.strip()]
        del lines[:-5]


def _failed(program: str, how: str) -> CannotSwap:
    return CannotSwap(
        f"The restart command {program} {how}.", "Mend engine.restart_command, then publish again."
    )
