"""The chat page: which handler answers which click.

Elements by id: `header`, `assistant`, `find`, `conversations`, `new-chat`, `chatbot`, `message`, `send`,
`stop`, `training`, `share`, `edit-last`, `cancel-edit`, `rename`, `download`, `rate-panel`, `rate-fate`,
`rate-reasons`, `rate-comment`, `rate-correction`, `rate-save`, `rate-close`, `rate-more`, `erase-open`,
`erase-panel`, `erase-scope`, `erase-told`, `erase-name`, `erase-confirm`, `erase-keep`, `compare-panel`,
`compared-a`, `compared-b`, `compare-told`, `assistant-notice`, `catch-up`, and `choose-...` for each choice.

Trail: a browser -> here -> serve/pages/turns.py, serve/pages/rating.py, serve/pages/erasing.py
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from serve.pages import heading
from serve.pages.chat_layout import View
from serve.pages.choosing import Choosing
from serve.pages.conversations import Lines
from serve.pages.erasing import Erase
from serve.pages.handlers import QUIET, Guard, Visit
from serve.pages.rating import Rating
from serve.pages.thrift import Page
from serve.pages.turns import Turns
from serve.pages.words import scripted
from serve.parts import Parts

KEEP_IN_URL = "(id) => { history.replaceState(null, '', id ? '?c=' + id : location.pathname); }"
FOCUS = "() => { document.querySelector('#message textarea')?.focus(); honeChoose(); }"
# What is being written stays in its tab, under the writer's name, until it is sent. Not what is being edited.
KEEP_DRAFT = "(who, text, editing) => { if (who && !editing) sessionStorage.setItem(`draft ${who}`, text); }"
DRAFT = "(who, text) => [text || sessionStorage.getItem(`draft ${who}`) || '']"
INTO_RATING = "() => { honeInto('#rate-panel'); }"
INTO_ERASING = "() => { honeInto('#erase-panel'); }"
BACK = "() => { honeBack(); }"
LOST = "() => { honeLost(); honeChoose(); }"
CHOSEN = "() => { honeChosen(); }"
RATED = "(shown) => [shown, honeRated()]"
LEAVE = "(where) => { if (where) location.href = where; }"
# Not by going there, which would leave the page where it is refused.
DOWNLOAD = """(id) => {
  const file = { href: `/v1/conversations/${id}/file`, download: "" };
  if (id) Object.assign(document.createElement("a"), file).click();
}"""
FROM_URL = "() => [new URLSearchParams(location.search).get('c') || '']"


def build(parts: Parts, guard: Guard, header: Callable[[Visit], str]) -> Page:
    """The page; `header` is the handler that draws what stands above every page."""
    with Page(title="Hone · Chat", analytics_enabled=False) as page:
        view = View()
        heading.draw(page, guard, header, view.header)
        answering = _wire_turns(view, guard, Turns(parts))
        _wire_choosing(view, guard, Choosing(parts))
        lines, rating = Lines(parts), Rating(parts)
        _wire_lines(page, view, guard, lines, answering)
        _wire_rating(view, guard, rating)
        # A thumb that was drawn and not kept goes: the browser forgets its mark only when it is told another.
        resumed = view.resume.click(guard(lines.resume), view.written(), view.resumed(), **QUIET)
        resumed.then(guard(rating.marks), view.conversation, view.chatbot, **QUIET)
        _wire_erasing(view, guard, Erase(parts), answering)
    return page


def _wire_turns(view: View, guard: Guard, turns: Turns) -> list[Any]:
    """Wire what makes an answer, and return those events, for what must end them."""
    # Answers wait in the engine's queue, which refuses in words when it is full; not in Gradio's.
    many: dict[str, Any] = {"concurrency_limit": None, "concurrency_id": "answers", **QUIET}
    sent = gr.on(
        [view.message.submit, view.send.click],
        guard(turns.send),
        [view.message, view.assistant, view.conversation, view.editing, view.training, view.share],
        view.answered(),
        trigger_mode="once",
        **many,
    )
    sent.then(None, None, None, js=LOST)
    _ends(view.chatbot.retry, [sent])
    again = view.chatbot.retry(
        guard(turns.retry), view.chatbot, view.answered(), trigger_mode="multiple", **many
    )
    _ends(view.stop.click, [sent, again])
    now_shown = [view.chatbot, view.send, view.stop, *view.compared()]
    view.stop.click(guard(turns.stopped), view.conversation, now_shown, **QUIET)
    return [sent, again]


def _ends(trigger: Callable[..., Any], answering: list[Any]) -> None:
    """Let a trigger end answers being given; to be wired first, as a browser takes events in this order."""
    trigger(None, None, None, cancels=answering)


def _wire_choosing(view: View, guard: Guard, choosing: Choosing) -> None:
    given = [view.comparison, view.conversation]
    shown = [view.chatbot, *view.compared()]
    for choice, button in view.choosing.items():
        chosen = button.click(guard(choosing.handlers[choice]), given, shown, trigger_mode="once", **QUIET)
        chosen.success(None, None, None, js=CHOSEN)


def _wire_lines(page: gr.Blocks, view: View, guard: Guard, lines: Lines, answering: list[Any]) -> None:
    opened = view.opened()
    restored = page.load(
        guard(lines.restore), view.conversation, view.restored(), js=FROM_URL, trigger_mode="once", **QUIET
    )
    drafted = restored.then(None, [view.who, view.message], view.message, js=DRAFT)
    drafted.then(None, None, None, js=FOCUS).then(None, None, None, js=heading.RETURN)
    view.message.change(None, [view.who, view.message, view.editing], None, js=KEEP_DRAFT)
    view.conversation.change(None, view.conversation, None, js=KEEP_IN_URL)
    # Leaving a conversation ends the answer that is being given, which would land in the next one.
    for leave in (view.conversations.input, view.new.click, view.assistant.input):
        _ends(leave, answering)
    view.conversations.input(guard(lines.pick), view.conversations, [view.assistant, *opened], **QUIET)
    view.new.click(guard(lines.fresh), view.assistant, opened, **QUIET)
    view.assistant.input(guard(lines.fresh), view.assistant, opened, **QUIET)
    view.training.input(guard(lines.consent), [view.conversation, view.training], None, **QUIET)
    view.share.input(guard(lines.share), [view.conversation, view.share, view.training], None, **QUIET)
    found = [view.find, view.conversation]
    # Not `input`, which a Textbox tells of keys alone: neither a paste nor a backspace.
    view.find.change(guard(lines.find), found, view.conversations, trigger_mode="always_last", **QUIET)
    named = [view.conversation, view.title]
    view.rename.click(guard(lines.rename), named, [view.find, view.conversations], js=_rename(), **QUIET)
    view.download.click(None, view.conversation, None, js=DOWNLOAD)
    editing = [view.message, view.editing, view.edit_row]
    view.edit.click(guard(lines.edit), view.conversation, editing, **QUIET)
    view.cancel_edit.click(guard(lines.cancel_edit), None, editing, **QUIET)
    view.chatbot.example_select(guard(lines.example), None, view.message, **QUIET)


def _rename() -> str:
    """A browser script that asks for a title, beginning with the one that there is."""
    words = {"question": "rename_question", "reason": "rename_title", "yes": "rename_yes", "no": "ask_no"}
    told = ", ".join(f"{place}: {scripted(key)}" for place, key in words.items())
    is_now = "document.querySelector('#conversations label.selected span')?.textContent || ''"
    return f"async (id) => [id, id ? await honeAsk({{ {told} }}, {is_now}) : '']"


def _wire_rating(view: View, guard: Guard, rating: Rating) -> None:
    panel = view.panel()
    told = [view.rated, view.reasons, view.comment, view.correction]
    marked = [view.chatbot, view.conversation]
    rated = view.chatbot.like(guard(rating.thumb), marked, [*panel, view.chatbot], **QUIET)
    rated.then(guard(rating.marks), view.conversation, view.chatbot, **QUIET)
    more = view.more.click(guard(rating.more), [view.conversation, view.rated], panel, js=RATED, **QUIET)
    opened = [rated, more]
    saved = view.save.click(guard(rating.save), told, panel, **QUIET)
    shut = view.close.click(guard(rating.close), None, panel, **QUIET)
    for event in opened:
        event.success(None, None, None, js=INTO_RATING)
    for event in (saved, shut):
        event.success(None, None, None, js=BACK)
    view.conversation.change(guard(rating.close), None, panel, **QUIET)


def _wire_erasing(view: View, guard: Guard, erase: Erase, answering: list[Any]) -> None:
    panel = view.erasure()
    told = view.erase_open.click(guard(erase.open), view.conversation, panel, **QUIET)
    told.success(None, None, None, js=INTO_ERASING)
    view.scope.input(guard(erase.choose), [view.scope, view.conversation], panel, **QUIET)
    leaving = [view.keep.click, view.conversations.input, view.new.click, view.assistant.input]
    gr.on(leaving, guard(erase.close), None, panel, **QUIET)
    view.keep.click(None, None, None, js=BACK)
    # An answer that is being given to what is erased ends with it.
    _ends(view.erase.click, answering)
    asked = [view.scope, view.erase_name, view.target, view.assistant]
    shown = [*panel, view.left, *view.opened()]
    erased = view.erase.click(guard(erase.erase), asked, shown, trigger_mode="once", **QUIET)
    erased.then(None, view.left, None, js=LEAVE)
