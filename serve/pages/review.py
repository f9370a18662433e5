"""The review page: a queue on the left, one exchange with its editor on the right.

Elements by id: `review-state`, `review-assistant`, `queue`, `queue-more`, `detail`, `claim`, `table`,
`editor`, `review-reason`, `approve`, `reject`, `skip`, `reopen`, `header`. In the queue every item is
`[data-exchange]`. Keys (queue.js): J, K, A, E, R, S; none of them while something is typed.

Trail: a browser -> here -> serve/pages/desk.py
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import gradio as gr

from serve.pages.desk import PAGE, Desk
from serve.pages.handlers import QUIET, Guard, Visit
from serve.pages.words import label
from serve.parts import Parts

BEAT = 45
"""Seconds between two signs of life of an open page."""


def build(parts: Parts, guard: Guard, header: Callable[[Visit], str]) -> gr.Blocks:
    """The page; `header` is the handler that draws what stands above every page."""
    desk = Desk(parts)
    with gr.Blocks(title="Hone · Review", analytics_enabled=False) as page:
        top = gr.HTML(elem_id="header", js_on_load=None)
        with gr.Row(elem_id="review-filters"):
            state = gr.Radio([], label=label("state"), show_label=False, elem_id="review-state", scale=3)
            assistant = gr.Dropdown(
                [], show_label=False, elem_id="review-assistant", scale=1, container=False
            )
        with gr.Row(elem_id="review-desk"):
            with gr.Column(scale=2, min_width=280):
                source = files("serve.pages").joinpath("queue.js").read_text("utf-8")
                items = gr.HTML(elem_id="queue", js_on_load=source)
                more = gr.Button(label("queue_more"), elem_id="queue-more", size="sm", visible=False)
            with gr.Column(scale=5, min_width=300):
                shown = gr.HTML(elem_id="detail", js_on_load=None)
                note = gr.HTML(elem_id="claim", js_on_load=None)
                table = gr.Radio([], label=label("table"), elem_id="table", visible=False)
                editor = gr.Textbox(
                    label=label("editor"), info=label("editor_info"), lines=6, max_lines=24, elem_id="editor"
                )
                reason = gr.Textbox(
                    label=label("review_reason"),
                    placeholder=label("review_reason_hint"),
                    max_lines=4,
                    elem_id="review-reason",
                )
                with gr.Row(elem_id="verdicts"):
                    approve = gr.Button(label("approve"), elem_id="approve", variant="primary", min_width=120)
                    reject = gr.Button(label("reject"), elem_id="reject", variant="stop", min_width=120)
                    skip = gr.Button(label("skip"), elem_id="skip", min_width=90)
                    reopen = gr.Button(label("reopen"), elem_id="reopen", min_width=90, visible=False)
                gr.Markdown(label("keys"), elem_id="keys")
        chosen = gr.Textbox(visible="hidden", elem_id="review-exchange")
        proposed = gr.Textbox(visible="hidden", elem_id="review-proposed")
        claim = gr.Textbox(visible="hidden", elem_id="review-claim")
        limit = gr.Number(PAGE, visible="hidden", precision=0)
        view = [state, assistant, items, more, shown, editor, reason, chosen, proposed]
        view += [approve, reject, skip, reopen, claim, note, table]
        filters = [state, assistant, limit]
        page.load(guard(header), None, top, **QUIET)
        page.load(guard(desk.load), [claim, *filters], view, **QUIET)
        gr.on([state.input, assistant.input], guard(desk.load), [claim, *filters], view, **QUIET)
        more.click(guard(desk.longer), [chosen, claim, *filters], [*view, limit], **QUIET)
        items.select(guard(desk.pick), [claim, *filters], view, **QUIET)
        table.input(None, table, editor, js="(words) => words")
        once: dict[str, Any] = {"trigger_mode": "once", **QUIET}
        judged = [chosen, reason, claim, *filters]
        approve.click(guard(desk.approve), [editor, proposed, *judged], view, **once)
        reject.click(guard(desk.reject), judged, view, **once)
        skip.click(guard(desk.skip), judged, view, **once)
        reopen.click(guard(desk.reopen), judged, view, **once)
        editor.blur(guard(desk.keep), [chosen, claim, editor, proposed], None, **QUIET)
        kept = [chosen, claim, editor, proposed]
        gr.Timer(BEAT).tick(guard(desk.beat), kept, [claim, note], trigger_mode="once", **QUIET)
    return page
