"""Erasing from the chat page: what it would take is said first, and only one's own goes."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from stories import PASSWORD, ask

from feedback.errors import NotFound
from feedback.ratings import rate
from feedback.records import Exchange, Principal, Role
from hone.app import Hone
from hone.home import Home
from hone.settings import read
from serve.identity import COOKIE
from serve.pages.erasing import OPENED, PANEL, Erase
from serve.pages.handlers import Guard

UMA, UNA = (Principal(name, Role.USER) for name in ("uma", "una"))


class Page:
    """The panel, as a browser of each of these people calls its handlers."""

    def __init__(self, hone: Hone) -> None:
        parts = hone._parts()
        self.hone = hone
        self.erase = Erase(parts)
        self._guard = Guard(parts.identity)
        self._tokens = {person: hone.accounts.open_session(person, 1) for person in (UMA, UNA)}

    def call(self, handler: Any, who: Principal, *values: Any) -> Any:
        request = SimpleNamespace(headers={}, cookies={COOKIE: self._tokens[who]})
        return self._guard(handler)(request, *values)

    async def erased(self, who: Principal, scope: str, name: str, target: str = "") -> list[Any]:
        return [view async for view in self.call(self.erase.erase, who, scope, name, target, "general")]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    built = Hone(home, read(home.folder, auth={"login": "local"}), pages=False)
    for person in (UMA, UNA):
        built.accounts.add(Principal("admin", Role.ADMIN), person.name, person.role, PASSWORD)
    yield Page(built)
    built.close()


def rated(page: Page, who: Principal, text: str) -> Exchange:
    return rate(page.hone.store, who, ask(page.hone.store, who, text).id, rating="up")


def gone(page: Page, exchange: Exchange) -> bool:
    try:
        page.hone.exchanges.get(exchange.id)
    except NotFound:
        return True
    return False


async def test_a_conversation_goes_once_its_author_was_told_what_goes(page: Page) -> None:
    mine, other = rated(page, UMA, "The first secret of Uma."), rated(page, UMA, "Another one of hers.")
    opened = await page.call(page.erase.open, UMA, mine.conversation_id)
    assert [value for _, value in opened[1].choices] == ["conversation", "chats", "account"]
    assert "questions with their answers: 1, whole conversations: 1, ratings: 1," in opened[2]
    assert "Nobody can undo it." in opened[2]
    assert (opened[3].visible, opened[6]) == (False, mine.conversation_id)
    views = await page.erased(UMA, "conversation", "", mine.conversation_id)
    assert "this takes a moment" in views[0][2]
    assert "Deleted: questions with their answers: 1" in views[-1][2]
    assert "nothing of it is left" in views[-1][2]
    assert [len(view) for view in views] == [PANEL + 1 + OPENED] * 2
    assert views[-1][PANEL + 3] == "", "a new conversation is open"
    assert (gone(page, mine), gone(page, other)) == (True, False)


async def test_somebody_elses_conversation_is_neither_told_of_nor_erased(page: Page) -> None:
    theirs = rated(page, UNA, "Una's own.")
    with pytest.raises(gr.Error, match="somebody else"):
        await page.call(page.erase.open, UMA, theirs.conversation_id)
    views = await page.erased(UMA, "conversation", "", theirs.conversation_id)
    assert views[-1][0].visible is False, "refused, and the panel is shut"
    assert not gone(page, theirs)


async def test_everything_goes_only_where_the_name_is_typed(page: Page) -> None:
    mine, theirs = rated(page, UMA, "All of Uma's."), rated(page, UNA, "All of Una's.")
    for name in ("", "una"):
        with pytest.raises(gr.Error, match="Type your name, uma"):
            await page.erased(UMA, "account", name)
    told = await page.call(page.erase.choose, UMA, "account", "")
    assert "the name uma is never given out again" in told[2]
    assert told[3].visible is True
    views = await page.erased(UMA, "account", "uma")
    assert views[-1][PANEL] == "/login"
    assert (gone(page, mine), gone(page, theirs)) == (True, False)
    with pytest.raises(gr.Error, match="not signed in"):
        await page.call(page.erase.open, UMA, "")


async def test_all_chats_go_and_the_account_stays(page: Page) -> None:
    mine = rated(page, UMA, "One of Uma's chats.")
    views = await page.erased(UMA, "chats", "uma")
    assert "Deleted: questions with their answers: 1" in views[-1][2]
    assert gone(page, mine)
    assert (await page.call(page.erase.open, UMA, ""))[0].visible is True
