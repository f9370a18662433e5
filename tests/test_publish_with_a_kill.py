"""A version is published over two real engines in traffic while one of them is killed and comes back empty.

At a random moment, again and again until there were `REQUESTS` answers (300, or what the variable says).
Every answer must be, word for word, what the version that its request was pinned to answers alone.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from conformance import GREEDY, KINDS, ONE, TWO, VLLM_PYTHON, HoneServed, Served, said

from feedback.errors import EngineUnavailable
from feedback.records import Message
from serve.engines.base import BASE, HttpEngine
from serve.engines.proofs import SAME
from serve.engines.replicas import Replicas
from serve.router import Router
from serve.supervisor import Watch

pytestmark = pytest.mark.long

REQUESTS = int(os.environ.get("REQUESTS", "300"))
TALKING = 6
ASKED = [f"Tell me {what}" for what in ("one", "two", "three", "more", "less", "why", "how", "a story")]
PROVED = [([Message("user", "Tell me")], "The capital of France is Paris.")]
BOTH = (ONE, TWO)


@pytest.fixture(params=["hone hone", "vllm hone"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> Iterator[list[Served]]:
    kinds = request.param.split()
    model = tiny_model
    if "vllm" in kinds:
        if not VLLM_PYTHON:
            pytest.skip("NO VLLM: set HONE_VLLM_PYTHON to a Python that has it, or run `make test-vllm`")
        model = next(request.getfixturevalue("model_cache").glob("smollm2*"))
    engines = [KINDS[kind](model, tmp_path_factory.mktemp(kind)) for kind in kinds]
    engines[0].make_adapters(size=0.2 if "vllm" in kinds else 0.3)
    try:
        yield [engine.start() for engine in engines]
    finally:
        for engine in engines:
            engine.stop()


@pytest.fixture
async def drivers(served: list[Served]) -> AsyncIterator[list[HttpEngine]]:
    made = [engine.driver() for engine in served]
    yield made
    for driver in made:
        await driver.close()


class Alone:
    """What each version answers and scores on each engine while nobody else asks."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], set[str]] = {}
        self.scores: dict[str, list[float]] = {}

    async def learn(self, drivers: Sequence[HttpEngine], folders: dict[str, Path]) -> None:
        for driver in drivers:
            for version in BOTH:
                await driver.load(version, folders[version])
                for text in ASKED:
                    answer = await said(driver, version, text=text)
                    self.answers.setdefault((version, text), set()).add(answer)
                self.scores[version] = (await driver.probe(version, PROVED))[0]
                await driver.unload(version)
        for text in ASKED:
            assert not self.answers[ONE, text] & self.answers[TWO, text], "they must be told apart"


class Traffic:
    """Several who ask without a pause, and what came of it."""

    def __init__(self, router: Router, alone: Alone) -> None:
        self._router, self._alone = router, alone
        self.right: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.cut = 0
        self.over = False

    async def talk(self) -> None:
        while not self.over:
            text, heard = random.choice(ASKED), ""
            with self._router.admitted("general") as pinned:
                expected = self._alone.answers[pinned, text]
                try:
                    async for piece in self._router.stream(pinned, [Message("user", text)], GREEDY):
                        heard += piece.text
                except EngineUnavailable:
                    # What was said cannot be said again by another; it must not have been silent or wrong.
                    begun = heard and any(whole.startswith(heard) for whole in expected)
                    self.cut += bool(begun)
                    self.wrong += [] if begun else [f"{pinned} broke off with {heard!r}"]
                    await asyncio.sleep(0.01)  # where nobody is there, that is told without a wait
                    continue
            if heard in expected:
                self.right[pinned] += 1
            else:
                self.wrong.append(f"{pinned} answered {heard!r} to {text!r}, alone {expected}")


async def publish(router: Router, replicas: Replicas, version: str, folder: Path, alone: Alone) -> None:
    """As a promotion does: load beside, prove, route; then unload what was live."""
    before = router.live("general")
    await router.load(version, folder)
    for found, scored in zip((await replicas.probe(version, PROVED))[0], alone.scores[version], strict=True):
        assert found == pytest.approx(scored, abs=SAME)
    await router.route("general", version)
    if before in BOTH:
        await router.unload(before)


async def until_in(replicas: Replicas) -> None:
    async with asyncio.timeout(300):
        while not all(replica.is_in for replica in replicas.replicas):
            await asyncio.sleep(0.02)


async def test_a_publish_outlives_a_replica_that_is_killed_within_it(
    served: list[Served],
    drivers: list[HttpEngine],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    folders = {version: served[0].adapter(version) for version in BOTH}
    alone = Alone()
    await alone.learn(drivers, folders)
    replicas = Replicas(drivers)
    router = Router(replicas, tmp_path / "desired.json")
    watch = Watch(replicas, on_ready=router.reconcile, every=0.05)
    await watch.start()
    await until_in(replicas)
    await publish(router, replicas, ONE, folders[ONE], alone)
    traffic = Traffic(router, alone)
    talking = [asyncio.create_task(traffic.talk()) for _ in range(TALKING)]
    try:
        took, rounds = 0.0, 0
        for version in (TWO, ONE):  # unharmed, to learn how long one takes
            begun = time.monotonic()
            await publish(router, replicas, version, folders[version], alone)
            took = time.monotonic() - begun
        while traffic.right.total() < REQUESTS or not rounds:
            version = TWO if router.live("general") == ONE else ONE
            struck = random.randrange(2)
            moment = random.uniform(0, took)
            what = f"round {rounds}: {version}, engine {struck} killed after {moment:.4f} s of {took:.4f}"

            async def strike(engine: Served = served[struck], moment: float = moment) -> None:
                await asyncio.sleep(moment)
                engine.kill()
                await asyncio.to_thread(engine.start)

            striking = asyncio.create_task(strike())
            await publish(router, replicas, version, folders[version], alone)
            routed = traffic.right[version]
            await striking
            await until_in(replicas)
            assert traffic.right[version] > routed, what
            assert not traffic.wrong, f"{what}: {traffic.wrong[:3]}"
            assert version in {model["id"] for model in await drivers[struck].models()}, what
            for text in ASKED:
                assert await said(drivers[struck], version, text=text) in alone.answers[version, text], what
            if isinstance(served[struck], HoneServed):
                # Nobody asked it for a version before it had that: it would have counted a refusal.
                assert 'errors_total{code="unknown_version"}' not in await drivers[struck].metrics(), what
            rounds += 1
    finally:
        traffic.over = True
        await asyncio.gather(*talking)
        await watch.stop()
    record_property("publishes", f"{traffic.right.total()} right, {traffic.cut} cut, {rounds} kills")
    assert not traffic.wrong
    assert traffic.cut <= TALKING * rounds  # at most the streams that were in mid-word on the killed one
    assert {model["id"] for model in await replicas.models()} == {BASE, router.live("general")}
    with suppress(EngineUnavailable):
        await replicas.close()
