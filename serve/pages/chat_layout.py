"""The chat page's components and where they stand. What they do is wired in chat.py."""

from typing import Any

import gradio as gr

from feedback.choices import CHOICES
from serve.pages.heading import resume
from serve.pages.words import label

MATH = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


class View:
    """The components, by what they are for; made inside the page's Blocks."""

    def __init__(self) -> None:
        self.header = gr.HTML(elem_id="header", js_on_load=None)
        with gr.Row(elem_id="chat-row"):
            with gr.Column(scale=0, min_width=250, elem_id="side"):
                self._side()
            with gr.Column(scale=1, min_width=300, elem_id="main"):
                self._talk()
                self._comparing()
                self._rating()
                self._erasing()
                self._compose()
                self._extras()
        # Not gr.State, which holds a connection open for every tab. What they say is a claim.
        self.conversation = gr.Textbox(visible="hidden", elem_id="conversation")
        self.editing = gr.Textbox(visible="hidden", elem_id="editing")
        self.title = gr.Textbox(visible="hidden")
        self.who = gr.Textbox(visible="hidden", elem_id="who")
        self.resume = resume()

    def opened(self) -> list[Any]:
        """What opening a conversation sets, in the order of `Lines`' answers."""
        return [
            self.chatbot,
            self.conversations,
            self.conversation,
            self.training,
            self.share,
            self.editing,
            self.edit_row,
            self.send,
            self.stop,
            self.notice,
            *self.compared(),
        ]

    def restored(self) -> list[Any]:
        """What the first opening sets, in the order of `Lines.restore`'s answer."""
        return [self.new, self.message, self.assistant, *self.opened(), self.who]

    def written(self) -> list[Any]:
        """What is open and being written, in the order that `Lines.resume` reads."""
        return [self.conversation, self.message, self.editing]

    def resumed(self) -> list[Any]:
        """What is made anew after Hone was away, in the order of `Lines.resume`'s answer."""
        return [self.message, *self.opened()]

    def answered(self) -> list[Any]:
        """What a turn sets while it is answered, in the order of `Turns`' views."""
        buttons = [self.send, self.stop]
        return [
            self.chatbot,
            *buttons,
            self.message,
            self.editing,
            self.conversation,
            self.conversations,
            self.edit_row,
            self.training,
            self.share,
            *self.compared(),
        ]

    def compared(self) -> list[Any]:
        """What two answers side by side are shown in, in the order of `choosing`'s views."""
        sides = [self.compare_first, self.compare_second]
        return [self.comparing, *sides, self.choices, self.comparison, self.compare_told]

    def panel(self) -> list[Any]:
        """What opens and closes with the rating panel, in the order of `Rating`'s answers."""
        return [
            self.rating,
            self.rate_head,
            self.reasons,
            self.comment,
            self.correction,
            self.rated,
            self.fate,
        ]

    def erasure(self) -> list[Any]:
        """What opens and closes with the erasing panel, in the order of `Erase`'s answers."""
        told = [self.erase_told, self.erase_name, self.erase, self.keep, self.target]
        return [self.erasing, self.scope, *told]

    def _side(self) -> None:
        # Nothing can be sent before `Lines.restore` has said which conversation and assistant are meant.
        closed: dict[str, Any] = {"interactive": False}
        self.new = gr.Button(label("new_chat"), elem_id="new-chat", variant="primary", size="md", **closed)
        self.assistant = gr.Dropdown([], label=label("assistant"), elem_id="assistant")
        self.find = gr.Textbox(
            label=label("find"),
            placeholder=label("find"),
            show_label=False,
            container=False,
            max_lines=1,
            elem_id="find",
        )
        self.conversations = gr.Radio(
            [], label=label("conversations"), elem_id="conversations", visible=False
        )

    def _talk(self) -> None:
        self.chatbot = gr.Chatbot(
            elem_id="chatbot",
            show_label=False,
            height="auto",
            layout="bubble",
            buttons=["copy"],
            feedback_options=("Like", "Dislike"),
            allow_tags=False,
            latex_delimiters=MATH,
        )

    def _comparing(self) -> None:
        with gr.Column(visible=False, elem_id="compare-panel", min_width=200) as self.comparing:
            gr.Markdown(label("compare_head"), elem_id="compare-head")
            with gr.Row(elem_id="compare-sides"):
                self.compare_first, self.compare_second = (self._side_by_side(name) for name in "AB")
            with gr.Row(visible=False, elem_id="compare-choices") as self.choices:
                small: dict[str, Any] = {"size": "sm", "min_width": 110}
                self.choosing = {
                    choice: gr.Button(label(f"choice_{choice}"), elem_id=f"choose-{choice}", **small)
                    for choice in CHOICES
                }
                gr.Markdown(label("compare_keys"), elem_id="compare-keys")
        self.comparison = gr.Textbox(visible="hidden", elem_id="comparison")
        self.compare_told = gr.HTML(elem_id="compare-told", js_on_load=None)

    def _side_by_side(self, name: str) -> gr.Markdown:
        with gr.Column(scale=1, min_width=280, elem_classes="compared"):
            gr.Markdown(f"**{name}**", elem_classes="compared-name")
            return gr.Markdown(latex_delimiters=MATH, elem_id=f"compared-{name.lower()}")

    def _rating(self) -> None:
        with gr.Column(visible=False, elem_id="rate-panel", min_width=200) as self.rating:
            self.rate_head = gr.Markdown(elem_id="rate-head")
            self.fate = gr.HTML(elem_id="rate-fate", js_on_load=None)
            self.reasons = gr.CheckboxGroup(
                [], label=label("rate_reasons"), show_label=False, elem_id="rate-reasons"
            )
            self.comment = gr.Textbox(
                label=label("rate_comment"),
                placeholder=label("rate_comment_hint"),
                max_lines=6,
                elem_id="rate-comment",
            )
            self.correction = gr.Textbox(
                label=label("rate_correction"), lines=3, max_lines=12, elem_id="rate-correction"
            )
            with gr.Row():
                self.save = gr.Button(label("rate_save"), elem_id="rate-save", variant="primary", size="sm")
                self.close = gr.Button(label("rate_close"), elem_id="rate-close", size="sm")
        self.rated = gr.Textbox(visible="hidden", elem_id="rate-exchange")

    def _erasing(self) -> None:
        with gr.Column(visible=False, elem_id="erase-panel", min_width=200) as self.erasing:
            self.scope = gr.Radio([], label=label("erase_what"), elem_id="erase-scope")
            self.erase_told = gr.HTML(elem_id="erase-told", js_on_load=None)
            self.erase_name = gr.Textbox(
                label=label("erase_name"), max_lines=1, visible=False, elem_id="erase-name"
            )
            with gr.Row():
                self.erase = gr.Button(
                    label("erase_for_ever"), elem_id="erase-confirm", variant="stop", size="sm"
                )
                self.keep = gr.Button(label("erase_keep"), elem_id="erase-keep", size="sm")
        # What was told of, whatever is open when the button is pressed; and where to go afterwards.
        self.target = gr.Textbox(visible="hidden")
        self.left = gr.Textbox(visible="hidden")

    def _compose(self) -> None:
        with gr.Row(visible=False, elem_id="edit-row", equal_height=True) as self.edit_row:
            gr.Markdown(label("editing"))
            self.cancel_edit = gr.Button(
                label("cancel_edit"), elem_id="cancel-edit", size="sm", scale=0, min_width=120
            )
        with gr.Row(elem_id="compose", equal_height=True):
            self.message = gr.Textbox(
                elem_id="message",
                label=label("message"),
                placeholder=label("message"),
                show_label=False,
                container=False,
                max_lines=10,
                interactive=False,
                scale=8,
                min_width=100,
            )
            wide: dict[str, Any] = {"scale": 0, "min_width": 88}
            self.send = gr.Button(label("send"), elem_id="send", variant="primary", interactive=False, **wide)
            self.stop = gr.Button(label("stop"), elem_id="stop", variant="stop", visible=False, **wide)

    def _extras(self) -> None:
        self.notice = gr.HTML(elem_id="assistant-notice", js_on_load=None, visible=False, padding=False)
        with gr.Row(elem_id="extras"):
            self.training = gr.Checkbox(
                True, label=label("training"), elem_id="training", container=False, scale=1, min_width=200
            )
            self.share = gr.Checkbox(
                False, label=label("share"), elem_id="share", container=False, scale=1, min_width=200
            )
            small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 150}
            self.edit = gr.Button(label("edit_last"), elem_id="edit-last", **small)
            self.more = gr.Button(label("rate_more"), elem_id="rate-more", **small)
            short = small | {"min_width": 90}
            self.rename = gr.Button(label("rename"), elem_id="rename", **short)
            self.download = gr.Button(label("download"), elem_id="download", **short)
            self.erase_open = gr.Button(label("erase_open"), elem_id="erase-open", **short)
        gr.Markdown(label("sharing"), elem_id="sharing")
