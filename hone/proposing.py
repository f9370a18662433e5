"""Gathers proposed answers for review, from the live version itself and from a teacher where one is set.

Chosen are questions with a thumb down and no correction, then rare ones. The live version draws several
answers at low priority, and those that mean the same are one proposal; the teacher is asked only what may
leave the house. Nothing here is approved: that is a reviewer's.

Trail: serve/api/proposals.py -> here -> feedback/proposals.py
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from feedback import personal, proposals
from feedback.errors import BadRequest, Conflict, EngineError, EngineUnavailable, HoneError, TryLater
from feedback.proposals import Candidate
from feedback.records import Exchange, Message, Principal
from feedback.store import Store
from hone.teacher import Teacher
from tuner import meaning
from tuner.server import Answer

TEMPERATURES = (0.7, 1.0, 1.3)
"""Taken in turn, so that the samples differ."""
SAME = 0.90
"""Cosine from which two samples may mean the same, if numbers and negations agree too."""
LOOKED_AT = 200
"""The newest questions among which rare ones are looked for."""
READ = 1_000
"""Characters of a question by which it is found rare: all of them go to the embedder together."""
MAX_TOKENS = 512


Asking = Callable[[Exchange], Awaitable[Sequence[Candidate] | None]]


class Server(Protocol):
    """What is asked of the running server."""

    async def answer(
        self,
        version: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Answer: ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]: ...


class Proposing:
    """Proposals of one home, gathered one batch at a time."""

    def __init__(
        self, store: Store, server: Server, *, live: Callable[[str], str], teacher: Teacher | None
    ) -> None:
        """`live` tells an assistant's live version."""
        self._store, self._server, self._live, self._teacher = store, server, live, teacher
        self._turn = asyncio.Lock()

    async def propose(
        self, principal: Principal, assistant: str, *, limit: int, samples: int, ask_teacher: bool
    ) -> dict[str, Any]:
        """Propose answers to at most `limit` questions: how many were asked, proposed, and left out why.

        Raises:
            Conflict: Another batch is being gathered.
            BadRequest: A teacher is wanted and none is set.
            EngineError: Nobody answers, or every question was refused.
        """
        if ask_teacher and self._teacher is None:
            raise BadRequest("No teacher is set.", "Set teacher.url and teacher.model, then restart.")
        if self._turn.locked():
            raise Conflict("Proposals are being gathered.", "Wait until that has ended.")
        async with self._turn:
            counted: Counter[str] = Counter()
            left_out: Counter[str] = Counter()
            if ask_teacher:
                told = proposals.TEACHER, f"{proposals.TEACHER}{self._teacher.model}"  # type: ignore[union-attr]
                ask: Asking = partial(self._by_teacher, left_out)
            else:
                version = self._live(assistant)
                told = proposals.SELF, f"{proposals.SELF}{version}"
                ask = partial(self._by_itself, version, samples)
            origins = await self._chosen(assistant, told[0], limit)
            await self._ask_each(principal, origins, told[1], ask, counted, left_out)
            names = ("questions", "proposed")
            return {**{name: counted[name] for name in names}, "left_out": dict(left_out)}

    async def _ask_each(
        self,
        principal: Principal,
        origins: Sequence[Exchange],
        proposer: str,
        ask: Asking,
        counted: Counter[str],
        left_out: Counter[str],
    ) -> None:
        """One question after the other: one that is refused, too long perhaps, does not end the batch."""
        trouble: HoneError | None = None
        for origin in origins:
            try:
                found = await ask(origin)
                if found is not None:
                    await self._record(principal, origin, proposer, found, counted)
            except (EngineUnavailable, TryLater):
                raise
            except (BadRequest, EngineError) as refused:
                trouble = refused
                left_out[f"refused: {refused.code}"] += 1
        if trouble and not counted["questions"]:
            raise trouble

    async def _by_itself(self, version: str, samples: int, origin: Exchange) -> list[Candidate]:
        drawn = [await self._draw(version, origin, n) for n in range(samples)]
        return await self._by_meaning([one for one in drawn if one.response.strip()])

    async def _by_teacher(self, left_out: Counter[str], origin: Exchange) -> list[Candidate] | None:
        """The teacher's answer, or None where the question stays in the house."""
        assert self._teacher is not None
        # Asked again just before the words go, since consent may have been taken back meanwhile.
        if not await asyncio.to_thread(proposals.may_be_learnt_from, self._store, origin.id):
            left_out["kept from training"] += 1
            return None
        kinds = [kind for message in origin.messages for kind in personal.finds(message.content)]
        if kinds:
            left_out[f"holds what may be personal: {kinds[0]}"] += 1
            return None
        return [await self._teacher.answer(origin.messages, TEMPERATURES[0])]

    async def _record(
        self,
        principal: Principal,
        origin: Exchange,
        proposer: str,
        found: Sequence[Candidate],
        counted: Counter[str],
    ) -> None:
        kept = await asyncio.to_thread(proposals.record, self._store, principal, origin, proposer, found)
        counted["questions"] += 1
        counted["proposed"] += len(kept)

    async def _draw(self, version: str, origin: Exchange, number: int) -> Candidate:
        temperature = TEMPERATURES[number % len(TEMPERATURES)]
        said = await self._server.answer(
            version, origin.messages, max_tokens=MAX_TOKENS, temperature=temperature, seed=number
        )
        return Candidate(said.text, finish_reason=said.finish_reason)

    async def _by_meaning(self, drawn: Sequence[Candidate]) -> list[Candidate]:
        """One of each meaning, the one that most samples agree with first."""
        vectors = await self._server.embed([one.response for one in drawn])
        groups: list[list[int]] = []
        for i in range(len(drawn)):
            same = (group for group in groups if self._same(drawn, vectors, group[0], i))
            group = next(same, None)
            if group is None:
                groups.append([i])
            else:
                group.append(i)
        found = [
            Candidate(drawn[group[0]].response, len(group), drawn[group[0]].finish_reason) for group in groups
        ]
        return sorted(found, key=lambda one: -one.agree)

    @staticmethod
    def _same(drawn: Sequence[Candidate], vectors: Sequence[Sequence[float]], one: int, other: int) -> bool:
        nearness = sum(a * b for a, b in zip(vectors[one], vectors[other], strict=True))
        return meaning.means(drawn[other].response, drawn[one].response, nearness, SAME)[0]

    async def _chosen(self, assistant: str, proposer: str, limit: int) -> list[Exchange]:
        """What was disliked first, then the questions least like any other."""
        bad = await asyncio.to_thread(proposals.disliked, self._store, assistant, proposer, limit)
        if len(bad) == limit:
            return bad
        others = await asyncio.to_thread(proposals.rated, self._store, assistant, proposer, LOOKED_AT)
        return [*bad, *await self._rarest(others, limit - len(bad))]

    async def _rarest(self, among: Sequence[Exchange], limit: int) -> list[Exchange]:
        if len(among) < 3:  # nothing to be rare among
            return []
        vectors = await self._server.embed([one.instruction[:READ] for one in among])
        nearest = [
            max(
                sum(a * b for a, b in zip(mine, theirs, strict=True))
                for j, theirs in enumerate(vectors)
                if j != i
            )
            for i, mine in enumerate(vectors)
        ]
        order = sorted(range(len(among)), key=lambda i: nearest[i])
        return [among[i] for i in order[:limit] if nearest[i] < SAME]
