"""Greedy answers of versions to questions: asked for once, kept as they arrive, found again in later runs.

A version is immutable and greedy, so what the base or the live version said in an earlier run it would
say again. Answers lie in the runs' own folders and nowhere else, so that erasing those erases all.

Trail: tuner/evaluate.py -> here -> tuner/server.py
"""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feedback.errors import PromptTooLong
from feedback.records import Message
from tuner.plan import append_line, read_lines
from tuner.server import Server

AT_ONCE = 8
"""Answers asked for at the same time: the share that our engine gives to background work."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one version is asked, and how long its answer may get, in tokens."""

    version: str
    messages: tuple[Message, ...]
    room: int

    @property
    def key(self) -> str:
        return key(self.messages)


def key(messages: Iterable[Message]) -> str:
    """Digest of what is asked, the system prompt included."""
    told = json.dumps([message.as_dict() for message in messages], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class Answers:
    """The answers of one run, backed by its file and by those of earlier runs."""

    def __init__(self, server: Server, kept: Path, *, model: str = "", earlier: Sequence[Path] = ()) -> None:
        """`kept` is this run's file; `model` tells the base (and whatever else shapes answers) apart, so
        that version 0 of another base is not taken for this one's."""
        self._server, self._kept, self._model = server, kept, model
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        for path in (*earlier, kept):
            for told in read_lines(path):
                if told.get("model") == model:
                    self._found[told["version"], told["key"]] = told

    async def all(self, asks: Iterable[Ask]) -> Mapping[tuple[str, str], dict[str, Any]]:
        """Every answer by version and key: as it was given before, else by asking now.

        What the engine has no room for is not among them.

        Raises:
            EngineError: The engine failed; what had arrived is kept, and asking again asks for the rest.
        """
        wanted = {(ask.version, ask.key): ask for ask in asks}
        missing = [ask for ask in wanted.values() if not self._fits(ask)]
        try:
            async with asyncio.TaskGroup() as group:
                for ask in missing:
                    group.create_task(self._ask(ask))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return {name: self._found[name] for name in wanted if name in self._found}

    def _fits(self, ask: Ask) -> bool:
        """Whether a known answer is what this room would have given: the same room, or it ended within."""
        told = self._found.get((ask.version, ask.key))
        if told is None:
            return False
        ended = told["finish_reason"] == "stop" and told["completion_tokens"] <= ask.room
        return ended or told["room"] == ask.room

    async def _ask(self, ask: Ask) -> None:
        async with self._turn:
            try:
                answer = await self._server.answer(ask.version, ask.messages, max_tokens=ask.room)
            except PromptTooLong:
                self._found.pop((ask.version, ask.key), None)
                return
        told = {"version": ask.version, "key": ask.key, "model": self._model, "room": ask.room}
        told |= asdict(answer)
        append_line(self._kept, told)
        self._found[ask.version, ask.key] = told
