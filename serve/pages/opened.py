"""The exchange that is open on the review page: how it is shown, and what can be done with it.

Trail: serve/pages/desk.py -> here
"""

import gradio as gr

from feedback.queue import Item
from serve.pages import cards
from serve.pages.finds import Finds
from serve.pages.words import Language

TABLE_EXCERPT = 300


def whole(item: Item | None, finds: Finds, language: Language) -> str:
    """The exchange and how it stands, with what is private in it marked."""
    if item is None:
        return cards.detail(None, language)
    return (
        cards.detail(item.exchange, language, finds.marked)
        + finds.asked(item.exchange.messages)
        + cards.standing(item, language, finds.marked)
    )


def buttons(item: Item | None) -> tuple[gr.Button, ...]:
    """Approve, reject, skip and reopen, as far as they make sense for this item."""
    state = item.exchange.state if item else ""
    judged = state in ("approved", "rejected")
    able = item is not None and not item.held
    return (
        gr.Button(interactive=able),
        gr.Button(interactive=able),
        gr.Button(interactive=able, visible=not judged and state not in ("waiting", "disputed")),
        gr.Button(visible=judged),
    )


def table(item: Item | None) -> gr.Radio:
    """The words that reviewers disagree on, each once; choosing one puts it into the editor."""
    said = [opinion.response for opinion in item.opinions if opinion.response] if item else []
    choices = [(words[:TABLE_EXCERPT], words) for words in dict.fromkeys(said)]
    return gr.Radio(choices=choices, value=None, visible=bool(choices))
