"""The operate page's audit log: read when it is opened, and further back when asked. Text is escaped.

Trail: serve/pages/operate.py -> here -> feedback/audit.py
"""

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from feedback import audit
from feedback.records import Role
from feedback.store import Store
from serve.pages.cards import when
from serve.pages.handlers import QUIET, Guard, Visit, needs
from serve.pages.reasons import Word, wording
from serve.pages.tables import as_recorded, table
from serve.pages.words import Language, label, say, say_known
from serve.parts import Parts

PAGE, MOST = 50, 1000
ALL = ""
KINDS = (
    *("account", "link", "key", "sign_in", "assistant", "version", "order", "run"),
    *("data", "home", "erasure", "retention", "review"),
)


class Log:
    """The components, under a head that opens them."""

    def __init__(self) -> None:
        with gr.Accordion(label("audit"), open=False, elem_id="audit") as self._head:
            self._kind = gr.Dropdown([], label=label("audit_kind"), elem_id="audit-kind")
            self._list = gr.HTML(elem_id="audit-list", js_on_load=None, elem_classes="card")
            self._more = gr.Button(label("audit_more"), elem_id="audit-more", size="sm", visible=False)
        self._count = gr.Number(PAGE, visible="hidden", precision=0)

    def wire(self, guard: Guard, desk: "Desk") -> None:
        shown = [self._kind, self._list, self._more, self._count]
        once: dict[str, Any] = {"trigger_mode": "once", **QUIET}
        gr.on([self._head.expand, self._kind.input], guard(desk.read), self._kind, shown, **once)
        self._more.click(guard(desk.more), [self._kind, self._count], shown, **once)


class Desk:
    """Handlers of the log; each answers with the kinds, the list, whether there is more, and its length."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._operations = parts.operations

    @needs(Role.OPERATOR)
    async def read(self, visit: Visit, kind: str | None) -> tuple[Any, ...]:
        return await self._shown(visit, kind or ALL, PAGE)

    @needs(Role.OPERATOR)
    async def more(self, visit: Visit, kind: str | None, count: float | None) -> tuple[Any, ...]:
        return await self._shown(visit, kind or ALL, min(MOST, int(count or PAGE) + PAGE))

    async def _shown(self, visit: Visit, kind: str, count: int) -> tuple[Any, ...]:
        # English is what was recorded, so only others need the codes.
        coded = {} if visit.language == "en" else await self._operations.verdicts()
        word = wording(coded, visit.language)
        return await asyncio.to_thread(_shown, self._store, visit, kind, count, word)


def _shown(store: Store, visit: Visit, kind: str, count: int, word: Word) -> tuple[Any, ...]:
    hidden = audit.hidden(visit.principal)
    kind = ALL if kind in hidden else kind
    found = audit.listed(store, kind=f"{kind}." if kind else None, without=hidden, limit=count + 1)
    kinds = [(visit.say(f"audit_{name}"), name) for name in KINDS if name not in hidden]
    choices = gr.Dropdown(choices=[(visit.say("audit_all"), ALL), *kinds], value=kind)
    more = gr.Button(visible=count < min(len(found), MOST))
    return choices, entries(found[:count], visit.language, word), more, count


def entries(found: Sequence[audit.Entry], language: Language, word: Word = as_recorded) -> str:
    """Entries as a table, the newest first."""
    if not found:
        return f'<p class="empty">{say(language, "audit_none")}</p>'
    heads = [say(language, key) for key in ("since", "by", "audit_what", "audit_subject", "audit_besides")]
    return table(heads, [_row(entry, language, word) for entry in found])


def _row(entry: audit.Entry, language: Language, word: Word) -> tuple[str, ...]:
    kind, _, act = entry.kind.partition(".")
    what = f"{say_known(language, f'audit_{kind}', kind)}: {say_known(language, f'act_{act}', act)}"
    subject = f"<code>{escape(entry.subject)}</code>" if entry.subject else ""
    besides = []
    for name, value in entry.detail.items():
        told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        said = told if name != "reason" else word(entry.subject, told)
        besides.append(f"{escape(say_known(language, f'detail_{name}', name))}: {escape(said)}")
    return when(entry.at), escape(entry.principal), what, subject, "; ".join(besides)
