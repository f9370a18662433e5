"""The review page: a queue on the left, one exchange with its editor on the right.

Elements by id: `review-state`, `review-assistant`, `queue`, `queue-more`, `detail`, `editor`,
`review-reason`, `approve`, `reject`, `header`. In the queue every item is `[data-exchange]`.
Keys (queue.js): J, K, A, E, R; none of them while something is typed.

Trail: a browser -> here -> feedback/review.py
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

import gradio as gr

from feedback import review
from feedback.errors import BadRequest
from feedback.records import Exchange, Role
from feedback.review import Verdict
from feedback.store import Store
from serve.pages.cards import detail, queue
from serve.pages.handlers import QUIET, Guard, Visit, needs
from serve.pages.words import label
from serve.parts import Parts

STATES = ("pending", "approved", "rejected")
ANY = ""
PAGE = 50
"""Exchanges in the queue at once, and how many more each "Show more" brings."""
MOST = 1000


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
                gr.Markdown(label("keys"), elem_id="keys")
        chosen = gr.Textbox(visible="hidden", elem_id="review-exchange")
        proposed = gr.Textbox(visible="hidden", elem_id="review-proposed")
        limit = gr.Number(PAGE, visible="hidden", precision=0)
        view = [state, assistant, items, more, shown, editor, reason, chosen, proposed, approve, reject]
        filters = [state, assistant, limit]
        page.load(guard(header), None, top, **QUIET)
        page.load(guard(desk.load), filters, view, **QUIET)
        gr.on([state.input, assistant.input], guard(desk.load), filters, view, **QUIET)
        more.click(guard(desk.longer), [chosen, *filters], [*view, limit], **QUIET)
        items.select(guard(desk.pick), filters, view, **QUIET)
        once: dict[str, Any] = {"trigger_mode": "once", **QUIET}
        judged = [chosen, reason, *filters]
        approve.click(guard(desk.approve), [editor, proposed, *judged], view, **once)
        reject.click(guard(desk.reject), judged, view, **once)
    return page


class Where(NamedTuple):
    """What of the queue is shown."""

    state: str | None
    assistant: str | None
    limit: float | None

    def queue(self, store: Store) -> list[Exchange]:
        state = self.state if self.state in STATES else STATES[0]
        return review.pending(store, state=state, assistant=self.assistant or None, limit=self.shown)

    @property
    def shown(self) -> int:
        return max(PAGE, min(int(self.limit or PAGE), MOST))


class Desk:
    """Handlers of the page; each answers with the whole view of it, in the order of `view` above."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._assistants = parts.assistants

    @needs(Role.REVIEWER)
    def load(self, visit: Visit, *where: Any) -> tuple[Any, ...]:
        """The queue as it stands, its first exchange chosen."""
        return self._view(visit, Where(*where))

    @needs(Role.REVIEWER)
    def longer(self, visit: Visit, chosen: str, *where: Any) -> tuple[Any, ...]:
        longer = Where(*where)._replace(limit=Where(*where).shown + PAGE)
        return *self._view(visit, longer, chosen), longer.shown

    @needs(Role.REVIEWER)
    def pick(
        self, visit: Visit, state: str | None, assistant: str | None, limit: float, event: gr.EventData
    ) -> tuple[Any, ...]:
        return self._view(visit, Where(state, assistant, limit), str(event.exchange))

    @needs(Role.REVIEWER)
    def approve(
        self, visit: Visit, text: str, proposed: str, chosen: str, reason: str, *where: Any
    ) -> tuple[Any, ...]:
        """Approve what is in the editor: as an edit, if it is not what was proposed when it was shown."""
        edited = text.strip() != proposed.strip()
        verdict: Verdict = "edit" if edited else "approve"
        return self._judge(visit, Where(*where), chosen, verdict, text if edited else proposed, reason)

    @needs(Role.REVIEWER)
    def reject(self, visit: Visit, chosen: str, reason: str, *where: Any) -> tuple[Any, ...]:
        return self._judge(visit, Where(*where), chosen, "reject", None, reason)

    def _judge(
        self, visit: Visit, where: Where, chosen: str, verdict: Verdict, response: str | None, reason: str
    ) -> tuple[Any, ...]:
        """Record the verdict, then choose what stood after the exchange in the queue."""
        if not chosen:
            raise BadRequest(visit.say("pick_one"))
        before = [exchange.id for exchange in where.queue(self._store)]
        review.review(self._store, visit.principal, chosen, verdict, response=response, reason=reason)
        visit.toast(f"judged_{verdict}")
        following = before[before.index(chosen) + 1 :] if chosen in before else []
        return self._view(visit, where, following[0] if following else None)

    def _view(self, visit: Visit, where: Where, chosen: str | None = None) -> tuple[Any, ...]:
        found = where.queue(self._store)
        exchange = next((e for e in found if e.id == chosen), found[0] if found else None)
        decide = gr.Button(interactive=exchange is not None)
        return (
            self._state_choice(visit, where),
            self._assistant_choice(visit, where.assistant),
            queue(found, exchange, visit.language),
            gr.Button(visible=len(found) == where.shown < MOST),
            detail(exchange, visit.language),
            (exchange.approved_response or exchange.proposed) if exchange else "",
            "",
            exchange.id if exchange else "",
            exchange.proposed if exchange else "",
            decide,
            decide,
        )

    def _state_choice(self, visit: Visit, where: Where) -> gr.Radio:
        counts = review.counts(self._store, where.assistant or None)
        choices = [(f"{visit.say(name)} ({counts.get(name, 0):,})", name) for name in STATES]
        return gr.Radio(choices=choices, value=where.state if where.state in STATES else STATES[0])

    def _assistant_choice(self, visit: Visit, assistant: str | None) -> gr.Dropdown:
        choices = [(visit.say("all_assistants"), ANY)]
        choices += [(known.title or known.name, known.name) for known in self._assistants.list()]
        return gr.Dropdown(choices=choices, value=assistant or ANY)
