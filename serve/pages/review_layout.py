"""The review page's components and where they stand. What they do is wired in review.py."""

from importlib.resources import files
from typing import Any

import gradio as gr

from feedback.review import Verdict
from serve.pages.desk import PAGE
from serve.pages.heading import resume
from serve.pages.words import label


class View:
    """The components, by what they are for; made inside the page's Blocks."""

    def __init__(self) -> None:
        with gr.Tabs(elem_id="review-tabs"):
            with gr.Tab(label("tab_queue")):
                self._filters()
                with gr.Row(elem_id="review-desk"):
                    with gr.Column(scale=2, min_width=280):
                        self._queue()
                    with gr.Column(scale=5, min_width=300):
                        self._exchange()
            with gr.Tab(label("tab_quality"), elem_id="quality") as self.quality:
                self._reliance()
        self.chosen = gr.Textbox(visible="hidden", elem_id="review-exchange")
        self.proposed = gr.Textbox(visible="hidden", elem_id="review-proposed")
        self.claim = gr.Textbox(visible="hidden", elem_id="review-claim")
        self.limit = gr.Number(PAGE, visible="hidden", precision=0)
        self.resume = resume()
        self.scripted = gr.Textbox(visible="hidden")
        """In whose place a script of the page puts what it knows: what is chosen, or ticked."""

    def shown(self) -> list[Any]:
        """What every handler sets, in the order of `Desk`'s answers."""
        return [
            self.state,
            self.assistant,
            self.items,
            self.more,
            self.detail,
            self.editor,
            self.reason,
            self.chosen,
            self.proposed,
            self.approve,
            self.reject,
            self.skip,
            self.reopen,
            self.claim,
            self.note,
            self.table,
            self.taught,
        ]

    def filters(self) -> list[Any]:
        """What of the queue is shown, in the order of `desk.Where`."""
        return [self.state, self.assistant, self.limit]

    def judged(self) -> list[Any]:
        """What a verdict is given with."""
        return [self.chosen, self.reason, self.claim, *self.filters()]

    def relied(self) -> list[Any]:
        """The second tab, in the order of `Quality`'s answers."""
        return [self.of, self.agreement, self.operators, self.golds, self.gold, self.gold_assistant]

    def form(self) -> list[Any]:
        """A gold item as it is filled in, in the order that `Quality.add` reads."""
        return [self.gold_assistant, self.asked, self.answered, self.rating, self.reasons, *self._words()]

    def emptied(self) -> list[Any]:
        """What of the form is empty again once it is taken."""
        return [self.asked, self.answered, self.reasons, self.comment, self.correction, self.gold_note]

    def _words(self) -> list[Any]:
        return [self.comment, self.correction, self.expected, self.gold_note]

    def _reliance(self) -> None:
        self.of = gr.Dropdown([], label=label("assistant"), elem_id="quality-assistant")
        self.agreement = gr.HTML(elem_id="agreement", js_on_load=None, elem_classes="card")
        with gr.Column(visible=False) as self.operators:
            gr.Markdown(label("golds"), elem_classes="section")
            gr.Markdown(label("golds_about"), elem_classes="hint")
            self.golds = gr.HTML(elem_id="golds", js_on_load=None, elem_classes="card")
            with gr.Row(equal_height=True):
                self.gold = gr.Dropdown([], label=label("gold_to_retire"), elem_id="gold-to-retire", scale=3)
                self.retire = gr.Button(
                    label("gold_retire"), elem_id="gold-retire", variant="stop", scale=1, min_width=120
                )
            with gr.Accordion(label("gold_new"), open=False, elem_id="gold-new"):
                self._gold()

    def _gold(self) -> None:
        self.gold_assistant = gr.Dropdown([], label=label("assistant"), elem_id="gold-assistant")
        self.asked = gr.Textbox(label=label("instruction"), lines=2, max_lines=8, elem_id="gold-instruction")
        self.answered = gr.Textbox(label=label("original"), lines=2, max_lines=8, elem_id="gold-response")
        with gr.Row():
            self.rating = gr.Radio(
                [(label("up"), "up"), (label("down"), "down")], label=label("said"), elem_id="gold-rating"
            )
            self.reasons = gr.CheckboxGroup([], label=label("rate_reasons"), elem_id="gold-reasons")
        self.comment = gr.Textbox(label=label("rate_comment"), max_lines=4, elem_id="gold-comment")
        self.correction = gr.Textbox(
            label=label("correction"),
            info=label("gold_correction_info"),
            max_lines=8,
            elem_id="gold-correction",
        )
        verdicts = [(label(verdict), verdict) for verdict in ("approve", "edit", "reject")]
        self.expected = gr.Radio(
            verdicts, label=label("gold_expected"), info=label("gold_expected_info"), elem_id="gold-expected"
        )
        self.gold_note = gr.Textbox(label=label("gold_note"), max_lines=4, elem_id="gold-note")
        self.set_gold = gr.Button(label("gold_add"), elem_id="gold-add", variant="primary")

    def _filters(self) -> None:
        with gr.Row(elem_id="review-filters"):
            self.state = gr.Radio([], label=label("state"), show_label=False, elem_id="review-state", scale=3)
            narrow: dict[str, Any] = {"scale": 0, "min_width": 200}
            self.assistant = gr.Dropdown(
                [], label=label("assistant"), show_label=False, elem_id="review-assistant", **narrow
            )

    def _queue(self) -> None:
        source = files("serve.pages").joinpath("queue.js").read_text("utf-8")
        self.items = gr.HTML(elem_id="queue", js_on_load=source)
        self.more = gr.Button(label("queue_more"), elem_id="queue-more", size="sm", visible=False)
        # Below the list, which stays where it is when these appear.
        self.result = gr.HTML(elem_id="bulk-result", js_on_load=None)
        with gr.Column(elem_id="bulk", min_width=200):
            self._bulk()

    def _bulk(self) -> None:
        self.why = gr.Textbox(
            label=label("bulk_reason"),
            placeholder=label("bulk_reason"),
            show_label=False,
            container=False,
            max_lines=3,
            elem_id="bulk-reason",
        )
        small: dict[str, Any] = {"size": "sm", "min_width": 80}
        looks: dict[Verdict, str] = {"approve": "primary", "reject": "stop", "skip": "secondary"}
        with gr.Row():
            self.bulk: dict[Verdict, gr.Button] = {
                verdict: gr.Button(label(verdict), elem_id=f"bulk-{verdict}", variant=look, **small)
                for verdict, look in looks.items()
            }

    def _exchange(self) -> None:
        self.detail = gr.HTML(elem_id="detail", js_on_load=None)
        self.note = gr.HTML(elem_id="claim", js_on_load=None)
        self.table = gr.Radio([], label=label("table"), elem_id="table", visible=False)
        self.editor = gr.Textbox(
            label=label("editor"), info=label("editor_info"), lines=6, max_lines=24, elem_id="editor"
        )
        self.taught = gr.HTML(elem_id="taught", js_on_load=None)
        self.reason = gr.Textbox(
            label=label("review_reason"),
            placeholder=label("review_reason_hint"),
            max_lines=4,
            elem_id="review-reason",
        )
        with gr.Row(elem_id="verdicts"):
            self.approve = gr.Button(label("approve"), elem_id="approve", variant="primary", min_width=90)
            self.reject = gr.Button(label("reject"), elem_id="reject", variant="stop", min_width=90)
            self.skip = gr.Button(label("skip"), elem_id="skip", min_width=80)
            self.reopen = gr.Button(label("reopen"), elem_id="reopen", min_width=90, visible=False)
        gr.Markdown(label("keys"), elem_id="keys")
