"""Several engines as one: a lost replica costs nobody an answer, and comes back only whole."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import BAD, GREEDY, HELLO, ONE, TWO, HoneServed, said
from test_router import ListEngine

from feedback.errors import BadAdapter, CannotSwap, EngineBusy, EngineUnavailable, HoneError, UnknownVersion
from feedback.records import Sampling
from serve.engines.base import BASE, HttpEngine, Piece
from serve.engines.replicas import Replicas
from serve.router import Router
from serve.supervisor import Watch

LONG = Sampling(temperature=0.0, max_tokens=60)


class Named(ListEngine):
    """A list of versions that can be away, busy, or broken off, and counts what it is asked."""

    proves = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self.url = f"http://{name}"
        self.away = self.busy = self.breaks = False
        self.asked = 0
        self.forgot: list[str] = []
        self.scores: dict[str, float] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    def _answering(self) -> None:
        if self.away:
            raise EngineUnavailable("It is away.")

    async def health(self) -> dict[str, Any]:
        self._answering()
        return {"status": "ok"}

    async def models(self) -> list[dict[str, Any]]:
        self._answering()
        base = {"id": BASE, "root": "/models/base", "parent": None}
        return [base, *({"id": name, "parent": BASE} for name in self.held)]

    async def load(self, version: str, folder: Path) -> None:
        self._answering()
        await super().load(version, folder)

    async def unload(self, version: str) -> None:
        self._answering()
        self.held.pop(version, None)

    async def forget(self, owner: str) -> None:
        self._answering()
        self.forgot.append(owner)

    async def probe(self, version: str, items: Any) -> list[list[float]]:
        self._answering()
        return [[self.scores.get(version, -1.0)] * 4]

    async def stream(self, *given: Any, **more: Any) -> AsyncIterator[Piece]:
        self.asked += 1
        self._answering()
        if self.busy:
            raise EngineBusy("Full.")
        async for piece in super().stream(*given, **more):
            await self.gate.wait()
            yield piece
            if self.breaks:
                raise EngineUnavailable("It broke off.")


@pytest.fixture
def two() -> list[Named]:
    return [Named("a"), Named("b")]


@pytest.fixture
async def replicas(two: list[Named]) -> AsyncIterator[Replicas]:
    together = Replicas(two)
    await together.health()
    yield together
    await together.close()


async def rested(replicas: Replicas) -> dict[str, Any]:
    """A look at all, without the rest that a failure earns."""
    for replica in replicas.replicas:
        replica._rests_until = 0.0
    return await replicas.health()


async def test_what_is_out_forgets_an_owner_before_it_is_let_in_again(
    replicas: Replicas, two: list[Named]
) -> None:
    two[1].away = True
    await replicas.forget("ann")
    assert (two[0].forgot, two[1].forgot) == (["ann"], [])
    assert [replica.is_in for replica in replicas.replicas] == [True, False]
    two[1].away = False
    await rested(replicas)
    assert (two[0].forgot, two[1].forgot) == (["ann"], ["ann"])
    assert all(replica.is_in for replica in replicas.replicas)


async def test_a_version_is_loaded_on_all_or_on_none(replicas: Replicas, two: list[Named]) -> None:
    await replicas.load(ONE, Path("/one"))
    assert [set(engine.held) for engine in two] == [{ONE}, {ONE}]
    two[1].bad.add(TWO)
    with pytest.raises(BadAdapter):
        await replicas.load(TWO, Path("/two"))
    assert [set(engine.held) for engine in two] == [{ONE}, {ONE}]
    assert [model["id"] for model in await replicas.models()] == [BASE, ONE]


async def test_the_least_busy_replica_is_asked(replicas: Replicas, two: list[Named]) -> None:
    two[0].gate.clear()
    waiting = asyncio.create_task(said(replicas))
    await asyncio.sleep(0.01)
    assert [await said(replicas) for _ in range(3)] == [BASE] * 3
    assert [engine.asked for engine in two] == [1, 3]
    two[0].gate.set()
    assert await waiting == BASE


async def test_a_stream_that_failed_before_its_first_word_is_asked_of_another(
    replicas: Replicas, two: list[Named]
) -> None:
    two[0].away = True
    assert [await said(replicas) for _ in range(3)] == [BASE] * 3
    assert two[0].asked == 1  # it dropped out at once
    two[1].busy = True
    with pytest.raises(EngineBusy):
        await said(replicas)


async def test_a_stream_that_broke_off_is_not_begun_again(replicas: Replicas, two: list[Named]) -> None:
    for engine in two:
        engine.breaks = True
    heard: list[str] = []

    async def listen() -> None:
        async for piece in replicas.stream(BASE, HELLO, GREEDY):
            heard.append(piece.text)

    with pytest.raises(EngineUnavailable, match="broke off"):
        await listen()
    assert heard == [BASE]
    assert sum(engine.asked for engine in two) == 1


async def test_a_replica_comes_back_only_with_all_that_is_wanted(
    replicas: Replicas, two: list[Named]
) -> None:
    await replicas.load(ONE, Path("/one"))
    await replicas.keep({ONE})
    two[0].away = True
    await replicas.health()
    await replicas.load(TWO, Path("/two"))
    await replicas.unload(ONE)
    two[0].away = False
    assert set(two[0].held) == {ONE}
    await rested(replicas)
    assert [set(engine.held) for engine in two] == [{TWO}, {TWO}]
    assert all(told["in"] for told in (await replicas.health())["replicas"])


async def test_a_replica_that_forgot_a_version_is_given_it_before_it_is_asked_again(
    two: list[Named], replicas: Replicas, tmp_path: Path
) -> None:
    router = Router(replicas, tmp_path / "desired.json")
    await router.load(ONE, Path("/one"))
    for engine in two:
        engine.held.clear()
    pieces = router.stream(ONE, HELLO, GREEDY)
    assert "".join([piece.text async for piece in pieces]) == ONE
    assert [set(engine.held) for engine in two] == [{ONE}, {ONE}]


async def test_a_damaged_version_keeps_a_replica_from_that_version_only(two: list[Named]) -> None:
    def verify(version: str) -> None:
        if version == ONE:
            raise BadAdapter("The files are not the ones it was made with.")

    replicas = Replicas(two, verify=verify)
    await replicas.health()
    await replicas.load(ONE, Path("/one"))
    two[0].held.clear()
    told = await replicas.health()
    assert "not the ones" in told["replicas"][0]["trouble"]
    assert [await said(replicas, ONE) for _ in range(3)] == [ONE] * 3
    assert two[0].asked == 0
    two[1].away = True
    with pytest.raises(HoneError):
        await said(replicas, ONE)
    assert await said(replicas) == BASE
    with pytest.raises(UnknownVersion):
        await said(replicas, ONE)


async def test_replicas_that_score_a_version_differently_prove_nothing(
    replicas: Replicas, two: list[Named]
) -> None:
    assert await replicas.probe(BASE, [(HELLO, "yes")]) == [[-1.0] * 4]
    two[1].scores[BASE] = -1.5
    with pytest.raises(CannotSwap, match="http://b score"):
        await replicas.probe(BASE, [(HELLO, "yes")])


async def test_a_publish_goes_on_with_those_that_are_there(
    replicas: Replicas, two: list[Named], tmp_path: Path
) -> None:
    router = Router(replicas, tmp_path / "desired.json")
    two[0].away = True  # and nobody has noticed yet
    await router.load(ONE, Path("/one"))
    assert await replicas.probe(ONE, [(HELLO, "yes")]) == [[-1.0] * 4]
    assert [set(engine.held) for engine in two] == [set(), {ONE}]
    two[1].away = True
    with pytest.raises(EngineUnavailable):
        await replicas.probe(ONE, [(HELLO, "yes")])


async def test_a_replica_that_came_back_as_another_takes_no_requests(
    replicas: Replicas, two: list[Named]
) -> None:
    await replicas.load(ONE, Path("/one"))
    two[0].away = True
    await replicas.health()
    two[0].away = False
    two[0].scores = {BASE: -2.0}
    told = await rested(replicas)
    assert "http://a scores base otherwise than before" in told["replicas"][0]["trouble"]
    assert [replica.is_in for replica in replicas.replicas] == [False, True]
    two[0].scores = {ONE: -2.0}
    told = await rested(replicas)
    assert "http://b and http://a score general@1-one differently" in told["replicas"][0]["trouble"]
    assert [replica.is_in for replica in replicas.replicas] == [True, True]
    asked = two[0].asked
    assert [await said(replicas, ONE) for _ in range(3)] == [ONE] * 3
    await replicas.health()
    assert [await said(replicas, ONE) for _ in range(3)] == [ONE] * 3
    assert two[0].asked == asked
    assert ONE not in two[0].held


async def test_all_may_come_back_on_another_base(replicas: Replicas, two: list[Named]) -> None:
    await replicas.probe(BASE, [(HELLO, "yes")])
    for engine in two:
        engine.away, engine.scores[BASE] = True, -2.0
    with pytest.raises(EngineUnavailable):
        await replicas.health()
    two[0].away = two[1].away = False
    await rested(replicas)
    assert [replica.is_in for replica in replicas.replicas] == [True, True]


async def test_an_engine_that_restarts_for_a_version_is_emptied_first(two: list[Named]) -> None:
    for engine in two:
        engine.loads_at_run_time = False
    replicas = Replicas(two)
    await replicas.health()
    two[0].gate.clear()
    running = asyncio.create_task(said(replicas))
    await asyncio.sleep(0.01)
    loading = asyncio.create_task(replicas.load(ONE, Path("/one")))
    await asyncio.sleep(0.1)
    assert not two[0].held
    assert await said(replicas) == BASE  # the other takes what comes
    two[0].gate.set()
    assert await running == BASE
    await loading
    assert [set(engine.held) for engine in two] == [{ONE}, {ONE}]


async def test_an_outside_engine_is_kept_in_sight_and_made_right_when_it_is_back(
    replicas: Replicas, two: list[Named]
) -> None:
    ready: list[int] = []

    async def on_ready() -> None:
        ready.append(1)

    watch = Watch(replicas, on_ready=on_ready, every=0.02)
    await watch.start()
    await until(lambda: watch.state == "ready")
    two[0].away = two[1].away = True
    await until(lambda: watch.state == "restarting")
    assert "http://a: It is away." in watch.trouble
    two[0].away = two[1].away = False
    for replica in replicas.replicas:
        replica._rests_until = 0.0
    await until(lambda: watch.state == "ready")
    assert (len(ready), watch.restarts) == (2, 1)
    await watch.stop()
    assert watch.state == "stopped"


async def until(done: Any, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)


@pytest.fixture
def real(tmp_path: Path, tiny_model: Path) -> Iterator[list[HoneServed]]:
    engines = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        engines.append(HoneServed(tiny_model, tmp_path / name))
    engines[0].make_adapters(size=0.3)
    for engine in engines:
        engine.start()
    yield engines
    for engine in engines:
        engine.stop()


async def test_a_killed_replica_costs_no_request_and_returns_whole(
    real: list[HoneServed], tmp_path: Path
) -> None:
    """Two real engines in traffic; one is killed, then started again without any version."""
    drivers: list[HttpEngine] = [engine.driver() for engine in real]
    replicas = Replicas(drivers)
    router = Router(replicas, tmp_path / "desired.json")
    await replicas.health()
    await router.load(ONE, real[0].adapter(ONE))
    whole = await said(replicas, ONE, LONG)
    first: list[str] = []
    cut: list[HoneError] = []

    async def talk(count: int) -> None:
        for _ in range(count):
            text = ""
            try:
                async for piece in router.stream(ONE, HELLO, LONG):
                    text += piece.text
                assert text == whole
                first.append(text)
            except EngineUnavailable as broken:
                # What was said already cannot be said again by another; it must not have been silent.
                assert text
                assert whole.startswith(text)
                cut.append(broken)

    talking = [asyncio.create_task(talk(6)) for _ in range(4)]
    await asyncio.sleep(0.3)
    real[0].kill()
    await asyncio.gather(*talking)
    assert len(first) + len(cut) == 24
    assert len(cut) <= 4  # at most the streams that were in mid-word on the killed one
    assert not replicas.replicas[0].is_in

    await asyncio.to_thread(real[0].start)
    assert [model["id"] for model in await drivers[0].models()] == [BASE]
    assert not replicas.replicas[0].is_in
    await rested(replicas)
    assert [model["id"] for model in await drivers[0].models()] == [BASE, ONE]
    assert [replica.is_in for replica in replicas.replicas] == [True, True]
    assert {await said(engine, ONE, LONG) for engine in drivers} == {whole}
    with pytest.raises(BadAdapter):
        await router.load(BAD, real[0].adapter(BAD))
    await replicas.close()
