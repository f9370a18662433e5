"""TGI takes versions by a restart only and answers as its base for unknown ones; the driver is not fooled."""

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conformance import BAD, KEY, ONE, TWO, TgiServed, said
from conftest import RunningHone

from feedback.errors import BadAdapter, CannotSwap, UnknownVersion
from serve.engines.base import BASE, Piece
from serve.engines.restart import Restart
from serve.engines.tgi import TgiEngine, _without

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[TgiServed]:
    started = TgiServed(tiny_model, tmp_path_factory.mktemp("tgi"))
    started.make_adapters(size=0.3)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def tgi(launched: TgiServed) -> TgiServed:
    launched.begin_again()
    return launched


async def test_tgi_without_a_restart_command_refuses_to_publish_and_says_what_to_list(tgi: TgiServed) -> None:
    driver = tgi.driver(restart=False)
    with pytest.raises(CannotSwap, match=r"restart_command.*general\.1-"):
        await driver.load(ONE, tgi.adapter(ONE))
    assert await said(driver)
    assert tgi.served() == ""
    assert any("restart" in limit for limit in driver.limits())
    await driver.close()


async def test_a_version_that_the_operator_listed_is_found_without_a_restart(tgi: TgiServed) -> None:
    publishing = tgi.driver()
    await publishing.load(ONE, tgi.adapter(ONE))
    answer = await said(publishing, ONE)
    later = tgi.driver(restart=False)  # as after a restart of Hone
    with pytest.raises(UnknownVersion):
        await said(later, ONE)
    await later.load(ONE, tgi.adapter(ONE))
    assert await said(later, ONE) == answer
    await publishing.close()
    await later.close()


async def test_tgi_that_lost_a_version_behind_our_back_is_not_asked_for_it(tgi: TgiServed) -> None:
    driver = tgi.driver()
    await driver.load(ONE, tgi.adapter(ONE))
    (tgi.folder / "adapters").write_text("")
    tgi.stop()
    tgi.start()
    await driver.health()
    with pytest.raises(UnknownVersion):
        await said(driver, ONE)
    await driver.close()


async def test_a_name_or_path_that_tgi_would_split_is_never_listed(tgi: TgiServed) -> None:
    driver = tgi.driver()
    await driver.load(ONE, tgi.adapter(ONE))
    await driver.load(TWO, tgi.adapter(TWO))
    entries = tgi.served().split(",")
    assert [entry.partition("=")[0] for entry in entries] == ["general.1-one", "general.2-two"]
    assert "@" not in tgi.served()
    assert [os.readlink(entry.partition("=")[2]) for entry in entries] == [
        str(tgi.adapter(ONE)),
        str(tgi.adapter(TWO)),
    ]
    await driver.unload(ONE)
    assert tgi.served() == entries[1]
    await driver.close()


async def test_a_version_that_answers_as_the_base_is_refused_and_the_old_list_is_back(tgi: TgiServed) -> None:
    """An adapter whose weights are zero stands for one whose modules TGI does not load."""
    from tiny_engine import make_adapter

    idle = make_adapter(tgi.model, tgi.adapter("general@5-idle"), size=0.0)
    driver = tgi.driver()
    await driver.load(ONE, tgi.adapter(ONE))
    answer, listed = await said(driver, ONE), tgi.served()
    with pytest.raises(BadAdapter, match="answers as the base"):
        await driver.load("general@5-idle", idle)
    assert tgi.served() == listed
    assert await said(driver, ONE) == answer
    await driver.close()


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("import sys; print('no such unit'); sys.exit(3)", "ended with 3: no such unit"),
        ("import time; time.sleep(60)", "did not end within 1 seconds"),
    ],
)
async def test_a_restart_command_that_fails_publishes_nothing(
    tgi: TgiServed, script: str, trouble: str
) -> None:
    driver = TgiEngine(
        KEY,
        url=tgi.url,
        links=tgi.folder / "links",
        restart=Restart([sys.executable, "-c", script, "{adapters}"], timeout=1),
    )
    with pytest.raises(CannotSwap, match=trouble):
        await driver.load(ONE, tgi.adapter(ONE))
    with pytest.raises(UnknownVersion):
        await said(driver, ONE)
    assert await said(driver, BASE)
    await driver.close()


async def test_a_damaged_adapter_is_seen_before_anything_is_restarted(tgi: TgiServed) -> None:
    driver = tgi.driver()
    server = (tgi.folder / "server").read_text()
    with pytest.raises(BadAdapter, match="cut short"):
        await driver.load(BAD, tgi.adapter(BAD))
    assert (tgi.folder / "server").read_text() == server
    await driver.close()


@pytest.mark.parametrize(
    ("stops", "text", "reason"),
    [
        (("END",), "one two ", "stop"),
        (("two", "one"), "", "stop"),
        (("never",), "one two END three", "length"),
        ((), "one two END three", "length"),
    ],
)
async def test_a_stop_string_is_found_however_it_is_cut(
    stops: tuple[str, ...], text: str, reason: str
) -> None:
    async def spoken() -> AsyncIterator[Piece]:
        for part in ("one", " tw", "o E", "N", "D th", "ree"):
            yield Piece(part)
        yield Piece("", "stop_sequence" if reason == "stop" else "length", 3, 6)

    pieces = [piece async for piece in _without(spoken(), stops)]
    assert "".join(piece.text for piece in pieces) == text
    assert pieces[-1] == Piece("", reason, 3, 6)


def test_hone_answers_from_an_outside_engine_and_says_when_it_is_away(
    tgi: TgiServed, tiny_hone: RunningHone, model_cache: Path
) -> None:
    tiny_hone.home.mkdir()
    (tiny_hone.home / "models").symlink_to(model_cache)  # for the engine of ours that embeds beside
    tiny_hone.environment |= {
        "HONE_ENGINE__KIND": "tgi",
        "HONE_ENGINE__URLS": json.dumps([tgi.url]),
        "HONE_ENGINE__API_KEY": KEY,
    }
    tiny_hone.start()
    told = tiny_hone.chat("Tell me", max_tokens=8)
    assert told["choices"][0]["message"]["content"]
    status = tiny_hone.get("/v1/status").json()
    assert status["engine"]["device"] == f"TGI at {tgi.url}"
    assert status["engine"]["replicas"][0]["in"]
    assert any("only by a restart" in limit for limit in status["router"]["limits"])
    assert KEY not in tiny_hone.get("/v1/status").text
    tgi.stop()
    tiny_hone.wait(lambda: tiny_hone.get("/readyz").status_code == 503, 30)
    assert tiny_hone.post("/v1/chat/completions", {"model": "general", "messages": HI}).status_code == 503
    tgi.start()
    tiny_hone.wait(lambda: tiny_hone.get("/readyz").status_code == 200, 60)
    assert tiny_hone.chat("Tell me", max_tokens=8)["choices"]
