"""The form for assistants: what is saved is saved for the assistant whose fields were read."""

from dataclasses import replace

import gradio as gr
import pytest
from stories import ANA, OTTO
from test_pages import World, signed_in, world  # noqa: F401  # the fixtures

from serve.pages.assistants import LINES, Desk
from serve.pages.conversations import Lines


async def test_fields_are_saved_for_whom_they_were_read_and_make_their_chat(world: World) -> None:  # noqa: F811
    form = Desk(world.parts)
    _, dropdown, whose, read, *fields = await world.call(form.make, OTTO, " leases ")
    assert (dropdown.value, whose, fields) == ("leases", "leases", ["", "general", "", "", "", ""])
    said = dict.fromkeys(LINES, "") | {
        "title": "Leases",
        "notice": "No advice.",
        "examples": " One? \n\nTwo?\n",
    }
    _, whose, _, *saved = await world.call(form.save, OTTO, "leases", read, *said.values())
    assert (whose, saved[4]) == ("leases", "One?\nTwo?")
    assert world.parts.assistants.get("leases").examples == ("One?", "Two?")
    assert world.parts.assistants.get("general").notice == ""
    opened = await world.call(Lines(world.parts).fresh, ANA, "leases")
    assert "<p>No advice.</p>" in [part.value for part in opened if isinstance(part, gr.HTML)]
    assert (await world.call(form.read, OTTO, "leases", "general"))[2:] == tuple(saved)
    assert gr.skip() == (await world.call(form.read, OTTO, "leases", "leases"))[0], (
        "what is being written stays"
    )


async def test_only_what_was_changed_since_it_was_read_is_saved(world: World) -> None:  # noqa: F811
    form = Desk(world.parts)
    whose, read, *fields = await world.call(form.read, OTTO, "general", "")
    others = replace(
        world.parts.assistants.get("general"), system_prompt="Be brief.", examples=("One\ntwo?",)
    )
    world.parts.assistants.edit(others, "ada")
    await world.call(form.save, OTTO, whose, read, "Everything", *fields[1:])
    now = world.parts.assistants.get("general")
    assert (now.title, now.system_prompt, now.examples) == ("Everything", "Be brief.", ("One\ntwo?",))
    world.parts.assistants.edit(
        replace(now, title="General", system_prompt="You are a helpful assistant."), "ada"
    )


async def test_what_cannot_be_saved_is_refused_in_words_and_changes_nothing(world: World) -> None:  # noqa: F811
    form = Desk(world.parts)
    with pytest.raises(gr.Error, match="cannot be an assistant"):
        await world.call(form.make, OTTO, "Not A Name")
    with pytest.raises(gr.Error, match="role operator; yours is user"):
        await world.call(form.save, ANA, "general", "", *dict.fromkeys(LINES, "x").values())
    with pytest.raises(gr.Error, match="501 characters"):
        await world.call(
            form.save, OTTO, "general", "", *(dict.fromkeys(LINES, "") | {"notice": "x" * 501}).values()
        )
    assert world.parts.assistants.get("general").system_prompt == "You are a helpful assistant."
