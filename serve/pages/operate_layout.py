"""The operate page's components and where they stand. What they do is wired in operate.py.

Elements by id: `operate-assistant`, `versions`, `run`, `gate`, `runs`, `decisions`, `engine`, `tune`,
`promote-version`, `operate-reason`, `promote`, `rollback`, `header`, `rollout`, `notices`, `upkeep`,
`assistants` and the fields of its form, a button each for the orders `hold`, `pin`, `unpin`, `pause`, and
`resume`, `catch-up`, `audit` with its `audit-kind`, `audit-list` and `audit-more`.

Trail: serve/pages/operate.py -> here -> serve/pages/assistants.py, serve/pages/audit.py
"""

from typing import Any, get_args

import gradio as gr

from feedback.orders import Order
from serve.pages import assistants, audit
from serve.pages.heading import resume
from serve.pages.words import label

QUICK, SLOW = 2.0, 15.0
"""Seconds between two looks: while a run or a start of the engine goes on, and otherwise."""
SHOWN = 12
"""How many things a look sets."""
BUTTONS = 3 + len(get_args(Order))
"""Run, promote, roll back, and one for each order."""


class View:
    """The components, by what they are for; made inside the page's Blocks."""

    def __init__(self) -> None:
        self.header = gr.HTML(elem_id="header", js_on_load=None)
        self.engine = _section("engine")
        with gr.Row(elem_id="operate-bar", equal_height=True):
            self.assistant = gr.Dropdown([], label=label("assistant"), elem_id="operate-assistant", scale=3)
            self.tune = _button("tune", variant="primary", scale=1, min_width=140)
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                self.run = _section("run")
            with gr.Column(scale=1, min_width=320):
                self.gate = _section("gate")
        self.rollout, self.versions = _section("rollout"), _section("versions")
        self._actions()
        self.decisions, self.runs = _section("decisions"), _section("runs")
        self.told, self.kept = _section("notices"), _section("upkeep")
        self.form = assistants.Form(self.assistant)
        self.log = audit.Log()
        self.offered = gr.Textbox(visible="hidden", elem_id="offered")
        self.resume = resume()
        self.beat = gr.Timer(QUICK)

    def shown(self) -> list[Any]:
        """What a look sets, in the order of `Desk`'s views."""
        return [
            *(self.engine, self.run, self.gate, self.versions, self.decisions, self.runs, self.chosen),
            *(self.offered, self.rollout, self.told, self.kept, self.beat),
        ]

    def buttons(self) -> list[gr.Button]:
        return [self.tune, self.promote, self.roll_back, *self.orders.values()]

    def _actions(self) -> None:
        """Which version is meant and why, and what can be done with it."""
        reason = {"label": label("operate_reason"), "placeholder": label("operate_reason_hint")}
        with gr.Column(elem_id="operate-actions"):
            with gr.Row():
                self.chosen = gr.Dropdown([], label=label("promote_version"), elem_id="promote-version")
                self.reason = gr.Textbox(**reason, elem_id="operate-reason", max_lines=3)
            with gr.Row():
                self.promote = _button("promote", variant="primary")
                self.roll_back = _button("roll_back", "rollback", variant="stop")
            with gr.Row():
                self.orders = {o: _button(o, size="sm", min_width=80) for o in get_args(Order)}


def _button(name: str, id: str = "", **looks: Any) -> gr.Button:
    """A button that cannot be pressed yet."""
    return gr.Button(label(name), elem_id=id or name, interactive=False, **looks)


def _section(name: str) -> gr.HTML:
    gr.Markdown(label(name), elem_classes="section")
    return gr.HTML(elem_id=name, js_on_load=None, elem_classes="card")
