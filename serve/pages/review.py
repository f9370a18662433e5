"""The review page: a queue on the left, one exchange with its editor on the right.

Elements by id: `review-state`, `review-assistant`, `queue`, `queue-more`, `detail`, `claim`, `table`,
`editor`, `taught`, `review-reason`, `approve`, `reject`, `skip`, `reopen`, `header`; `bulk` with
`bulk-reason`, `bulk-approve`, `bulk-reject`, `bulk-skip`; `bulk-result`, `catch-up`. In the queue an item is
`[data-exchange]`, its box `[data-tick]`. Keys (queue.js): J, K, A, E, R, S, X; none while something is typed.
The second tab is `quality`, with `agreement`, `golds`, `gold-...` of the form, `gold-retire`.

Trail: a browser -> here -> serve/pages/desk.py, serve/pages/quality.py
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from serve.pages import heading
from serve.pages.desk import Desk
from serve.pages.handlers import QUIET, Guard, Visit
from serve.pages.quality import Quality
from serve.pages.review_layout import View
from serve.pages.thrift import Page
from serve.pages.words import scripted
from serve.parts import Parts

BEAT = 45
"""Seconds between two signs of life of an open page."""
WANTED = "(_, ...given) => [document.querySelector('[data-wanted]')?.dataset.wanted ?? '', ...given]"


def build(parts: Parts, guard: Guard, header: Callable[[Visit], str]) -> Page:
    """The page; `header` is the handler that draws what stands above every page."""
    with Page(title="Hone · Review", analytics_enabled=False) as page:
        top = gr.HTML(elem_id="header", js_on_load=None)
        view = View()
        heading.draw(page, guard, header, top)
        _wire_desk(page, view, guard, Desk(parts))
        _wire_quality(view, guard, Quality(parts))
    return page


def _wire_desk(page: gr.Blocks, view: View, guard: Guard, desk: Desk) -> None:
    shown, filters, judged = view.shown(), view.filters(), view.judged()
    loaded = page.load(guard(desk.load), [view.claim, *filters], shown, **QUIET)
    loaded.then(None, None, None, js=heading.RETURN)
    kept = [view.chosen, view.claim, view.editor, view.proposed]
    view.resume.click(guard(desk.resume), [*kept, *filters], shown, **QUIET)
    chosen_otherwise = [view.state.input, view.assistant.input]
    gr.on(chosen_otherwise, guard(desk.load), [view.claim, *filters], shown, **QUIET)
    view.more.click(guard(desk.longer), [view.chosen, view.claim, *filters], [*shown, view.limit], **QUIET)
    # What is chosen while another choice is under way comes next. Gradio would send the older one again,
    # so the page is asked.
    asked = [view.scripted, view.claim, *filters]
    view.items.select(guard(desk.pick), asked, shown, js=WANTED, trigger_mode="always_last", **QUIET)
    # What came of many is read once.
    gr.on([view.items.select, *chosen_otherwise], None, None, view.result, js="() => ''")
    once: dict[str, Any] = {"trigger_mode": "once", **QUIET}
    view.approve.click(guard(desk.approve), [view.editor, view.proposed, *judged], shown, **once)
    view.reject.click(guard(desk.reject), judged, shown, **once)
    view.skip.click(guard(desk.skip), judged, shown, **once)
    view.reopen.click(guard(desk.reopen), judged, shown, **once)
    several = [view.scripted, view.why, view.chosen, *filters]
    for verdict, button in view.bulk.items():
        ticks = _ticks("sure_bulk" if verdict == "approve" else "")
        button.click(guard(desk.bulk[verdict]), several, [*shown, view.why, view.result], js=ticks, **once)
    _wire_editor(view, guard, desk)


def _wire_editor(view: View, guard: Guard, desk: Desk) -> None:
    # Not `input`, which Gradio tells of key presses alone: not of pasting, deleting, or composing Hangul.
    looked: dict[str, Any] = {"trigger_mode": "always_last", **QUIET}
    view.editor.change(guard(desk.look_through), view.editor, view.taught, **looked)
    view.table.input(None, view.table, view.editor, js="(words) => words")
    kept = [view.chosen, view.claim, view.editor, view.proposed]
    view.editor.blur(guard(desk.keep), kept, None, **QUIET)
    gr.Timer(BEAT).tick(guard(desk.beat), kept, [view.claim, view.note], trigger_mode="once", **QUIET)


def _wire_quality(view: View, guard: Guard, quality: Quality) -> None:
    relied, once = view.relied(), {"trigger_mode": "once", **QUIET}
    gr.on([view.quality.select, view.of.input], guard(quality.load), view.of, relied, **QUIET)
    view.rating.input(guard(quality.reasons), view.rating, view.reasons, **QUIET)
    view.set_gold.click(guard(quality.add), [view.of, *view.form()], [*relied, *view.emptied()], **once)
    view.retire.click(guard(quality.retire), [view.of, view.gold], relied, **once)


def _ticks(question: str) -> str:
    """A browser script that gives what is ticked as the first input, after a question if there is one."""
    text = scripted(question) if question else "''"
    return (
        "(_, ...given) => {"
        "const boxes = [...document.querySelectorAll('#queue [data-tick]:checked')];"
        f"const text = {text};"
        "if (text && boxes.length && !confirm(text.replace('{count}', boxes.length)))"
        " throw new Error('not confirmed');"
        "return [JSON.stringify(boxes.map((box) => [box.value, box.dataset.words])), ...given]; }"
    )
