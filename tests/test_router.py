"""Routes are pinned, remembered and reconciled; nothing is unloaded under a running answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from feedback.errors import BadAdapter, Conflict, UnknownVersion
from feedback.records import Message, Sampling
from serve.engines.base import HttpEngine, Piece
from serve.router import Router

ONE, TWO = "general@1-aaaaaaaa", "general@2-bbbbbbbb"


class ListEngine(HttpEngine):
    """An engine of the same verbs whose versions are a dictionary; it answers with the version's name."""

    loads_at_run_time = True

    def __init__(self) -> None:
        super().__init__("secret", url="http://engine")
        self.held: dict[str, str] = {}
        self.bad: set[str] = set()
        self.owners: list[str] = []

    async def models(self) -> list[dict[str, Any]]:
        base = {"id": "base", "root": "/models/base", "parent": None}
        return [base, *({"id": name} for name in self.held)]

    async def load(self, version: str, folder: Path) -> None:
        if version in self.bad:
            raise BadAdapter("truncated")
        self.held[version] = str(folder)

    async def unload(self, version: str) -> None:
        del self.held[version]

    async def stream(
        self, version: str, messages: Any, sampling: Any, *, priority: int = 0, owner: str = ""
    ) -> AsyncIterator[Piece]:
        self.owners.append(owner)
        if version != "base" and version not in self.held:
            raise UnknownVersion(version)
        yield Piece(version)
        yield Piece("", "stop", 1, 1)


@pytest.fixture
def engine() -> ListEngine:
    return ListEngine()


@pytest.fixture
def router(engine: ListEngine, tmp_path: Path) -> Router:
    return Router(engine, tmp_path / "desired.json", drain_timeout=0.3)


async def said(router: Router, version: str) -> str:
    pieces = router.stream(version, [Message("user", "hi")], Sampling())
    return "".join([piece.text async for piece in pieces])


async def test_version_0_of_every_assistant_is_the_base(router: Router) -> None:
    assert router.live("legal") == "legal@0"
    assert await said(router, "legal@0") == "base"


async def test_an_unknown_version_is_an_error_and_never_the_base(router: Router) -> None:
    with pytest.raises(UnknownVersion, match=ONE), router.admitted("general", ONE):
        pass
    with pytest.raises(UnknownVersion):
        await router.route("general", ONE)


async def test_a_request_keeps_the_version_it_was_admitted_with(router: Router) -> None:
    await router.load(ONE, Path("/one"))
    await router.load(TWO, Path("/two"))
    await router.route("general", ONE)
    with router.admitted("general") as pinned:
        await router.route("general", TWO)
        assert pinned == ONE
        assert await said(router, pinned) == ONE
    assert router.live("general") == TWO


async def test_nothing_is_unloaded_while_it_answers_or_is_live(router: Router, engine: ListEngine) -> None:
    await router.load(ONE, Path("/one"))
    await router.route("general", ONE)
    with pytest.raises(Conflict, match="live"):
        await router.unload(ONE)
    with router.admitted("general"):
        await router.route("general", "general@0")
        with pytest.raises(Conflict, match="did not end"):
            await router.unload(ONE)
        assert ONE in engine.held


async def test_an_unload_waits_for_the_answers_in_flight(engine: ListEngine, tmp_path: Path) -> None:
    router = Router(engine, tmp_path / "desired.json", drain_timeout=5)
    await router.load(ONE, Path("/one"))
    with router.admitted("general", ONE):
        unloading = asyncio.create_task(router.unload(ONE))
        await asyncio.sleep(0.1)
        assert ONE in engine.held
    await unloading
    assert ONE not in engine.held


async def test_routes_survive_a_restart_of_both_sides(
    router: Router, engine: ListEngine, tmp_path: Path
) -> None:
    await router.load(ONE, Path("/one"))
    await router.route("general", ONE)
    engine.held = {"stray@9-cccccccc": "/stray"}
    again = Router(engine, tmp_path / "desired.json")
    await again.reconcile()
    assert engine.held == {ONE: "/one"}
    assert again.live("general") == ONE


async def test_an_engine_that_lost_a_version_is_given_it_back_before_anyone_notices(
    router: Router, engine: ListEngine
) -> None:
    await router.load(ONE, Path("/one"))
    engine.held.clear()
    assert await said(router, ONE) == ONE


async def test_one_bad_folder_does_not_keep_the_others_from_being_loaded(
    router: Router, engine: ListEngine
) -> None:
    await router.load(ONE, Path("/one"))
    await router.load(TWO, Path("/two"))
    engine.held.clear()
    engine.bad.add(ONE)
    await router.reconcile()
    assert set(engine.held) == {TWO}
    assert "truncated" in router.status()["refused"][ONE]
    with pytest.raises(UnknownVersion):
        await said(router, ONE)


async def test_a_version_whose_files_were_changed_is_not_loaded_under_its_name(
    engine: ListEngine, tmp_path: Path
) -> None:
    def verify(version: str, base: Path) -> None:
        if version == ONE:
            raise BadAdapter("The files are not the ones it was made with.")

    router = Router(engine, tmp_path / "desired.json", verify=verify)
    await router.load(ONE, Path("/one"))
    await router.load(TWO, Path("/two"))
    engine.held.clear()
    await router.reconcile()
    assert set(engine.held) == {TWO}
    assert "not the ones" in router.status()["refused"][ONE]


async def test_an_owner_leaves_the_process_only_as_a_hash_that_nobody_can_guess_back(
    engine: ListEngine, router: Router, tmp_path: Path
) -> None:
    other = Router(engine, tmp_path / "other.json")
    for asked, owner in ((router, "mina"), (router, "mina"), (router, "otto"), (other, "mina"), (router, "")):
        pieces = asked.stream("general@0", [Message("user", "hi")], Sampling(), owner=owner)
        assert "".join([piece.text async for piece in pieces]) == "base"
    first, again, otto, elsewhere, nobody = engine.owners
    assert first == again == router.salt("mina")
    assert len({first, otto, elsewhere}) == 3  # another process has another salt
    assert "mina" not in first
    assert nobody == ""


async def test_an_engine_that_restarts_for_a_version_is_not_restarted_by_a_request(
    engine: ListEngine, router: Router
) -> None:
    await router.load(ONE, Path("/one"))
    engine.held.clear()
    engine.loads_at_run_time = False
    with pytest.raises(UnknownVersion):
        await said(router, ONE)
    assert not engine.held
    assert any("restart" in limit for limit in router.status()["limits"])
