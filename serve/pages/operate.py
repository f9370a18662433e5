"""The operate page: versions and runs of an assistant, and the buttons that change which one answers.

Everything is read from the record again, every two seconds while something is under way, so a reload loses
nothing.

Trail: a browser -> here -> serve/pages/operate_layout.py, serve/operations.py
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, get_args

import gradio as gr

from feedback.errors import BadRequest, NotFound
from feedback.orders import Order
from feedback.records import Role, Version
from serve.pages import assistants, audit, heading, rollouts, tables
from serve.pages.handlers import QUIET, Guard, Visit, needs
from serve.pages.notices import notices
from serve.pages.operate_layout import BUTTONS, QUICK, SHOWN, SLOW, View
from serve.pages.reasons import wording
from serve.pages.thrift import Page
from serve.pages.upkeep import upkeep
from serve.pages.words import assistant_choices, scripted
from serve.parts import Parts

UNDER_WAY = ("queued", "running")
RUNS_SHOWN = 10


def build(parts: Parts, guard: Guard, header: Callable[[Visit], str]) -> Page:
    """The page; `header` is the handler that draws what stands above every page."""
    desk = Desk(parts)
    with Page(title="Hone · Operate", analytics_enabled=False) as page:
        view = View()
        heading.draw(page, guard, header, view.header)
        _wire_looks(page, view, guard, desk)
        _wire_buttons(view, guard, desk)
        view.log.wire(guard, audit.Desk(parts))
        made = view.form.wire(guard, assistants.Desk(parts))
        made.success(guard(desk.look), [view.assistant, view.offered], view.shown(), **QUIET)
    return page


def _wire_looks(page: gr.Blocks, view: View, guard: Guard, desk: "Desk") -> None:
    asked, shown = [view.assistant, view.offered], view.shown()
    # Nothing can be pressed before the page knows of which assistant.
    opened = [view.assistant, *shown, *view.buttons()]
    loaded = page.load(guard(desk.load), view.assistant, opened, **QUIET)
    loaded.then(None, js=heading.RETURN)
    gr.on([view.assistant.input, view.resume.click], guard(desk.look), asked, shown, **QUIET)
    view.beat.tick(guard(desk.look), asked, shown, trigger_mode="once", **QUIET)


def _wire_buttons(view: View, guard: Guard, desk: "Desk") -> None:
    asked, shown = [view.assistant, view.offered], view.shown()
    after = [*shown, view.reason]
    once: dict[str, Any] = {"trigger_mode": "once", **QUIET}
    view.tune.click(guard(desk.tune), asked, shown, js=_confirm("sure_tune", "tune", 0), **once)
    view.promote.click(
        guard(desk.promote),
        [*asked, view.chosen, view.reason],
        after,
        js=_confirm("sure_promote", "promote", 2, 3),
        **once,
    )
    view.roll_back.click(
        guard(desk.roll_back),
        [*asked, view.reason],
        after,
        js=_confirm("sure_roll_back", "roll_back", 0, 2),
        **once,
    )
    for order, button in view.orders.items():
        button.click(guard(desk.orders[order]), [*asked, view.reason], after, **once)


def _confirm(question: str, yes: str, name: int, reason: int | None = None) -> str:
    """A browser script that asks first, naming the input at `name`; the one at `reason` is said there."""
    words = {"question": question, "yes": yes, "reason": "operate_reason", "no": "ask_no"}
    told = ", ".join(f"{place}: {scripted(key)}" for place, key in words.items())
    kept = "null" if reason is None else f"given[{reason}] || ''"
    keep = "" if reason is None else f"given[{reason}] = said;"
    return (
        "async (...given) => {"
        f"const words = {{ {told} }};"
        f"const name = given[{name}];"
        "if (!name) return given;"
        "words.question = words.question.replace('{name}', name);"
        f"const said = await honeAsk(words, {kept});"
        f"{keep} return given; }}"
    )


class Desk:
    """Handlers of the page; each answers with the whole view of it, in the order of `view` above."""

    def __init__(self, parts: Parts) -> None:
        self._operations = parts.operations
        self._store = parts.store
        self._assistants = parts.assistants
        self._supervisor = parts.supervisor
        self._router = parts.router
        self._notices = parts.notices
        self.orders = {order: self._giving(order) for order in get_args(Order)}

    @needs(Role.OPERATOR)
    async def load(self, visit: Visit, assistant: str | None) -> tuple[Any, ...]:
        known = await asyncio.to_thread(self._assistants.list)
        chosen = next((a.name for a in known if a.name == assistant), known[0].name)
        view = await self._view(visit, chosen, "")
        ready = [gr.Button(interactive=True)] * BUTTONS
        return gr.Dropdown(choices=assistant_choices(known), value=chosen), *view, *ready

    @needs(Role.OPERATOR)
    async def look(self, visit: Visit, assistant: str | None, offered: str) -> tuple[Any, ...]:
        """The page as things stand now; `offered` tells which versions its list already holds."""
        if not assistant:
            return (gr.skip(),) * SHOWN
        return await self._view(visit, assistant, offered)

    @needs(Role.OPERATOR)
    async def tune(self, visit: Visit, assistant: str, offered: str) -> tuple[Any, ...]:
        await asyncio.to_thread(self._assistants.get, assistant)
        started = await self._operations.start_run(assistant, visit.principal)
        visit.toast("tune_started", number=started.number)
        return await self._view(visit, assistant, offered)

    @needs(Role.OPERATOR)
    async def promote(
        self, visit: Visit, assistant: str, offered: str, version: str | None, reason: str
    ) -> tuple[Any, ...]:
        if not version:
            raise BadRequest(visit.say("choose_version"))
        live = await self._operations.promote(version, visit.principal, reason.strip())
        visit.toast("promoted", version=live.version)
        return *await self._view(visit, assistant, ""), ""

    @needs(Role.OPERATOR)
    async def roll_back(self, visit: Visit, assistant: str, offered: str, reason: str) -> tuple[Any, ...]:
        live = await self._operations.roll_back(assistant, visit.principal, reason.strip())
        visit.toast("rolled_back", version=live.version)
        return *await self._view(visit, assistant, ""), ""

    def _giving(self, order: Order) -> Callable[..., Any]:
        """The handler of an order's button."""

        @needs(Role.OPERATOR)
        async def give(visit: Visit, assistant: str, offered: str, reason: str) -> tuple[Any, ...]:
            await self._operations.order(assistant, order, visit.principal, reason.strip())
            visit.toast(f"done_{order}")
            return *await self._view(visit, assistant, offered), ""

        return give

    async def _view(self, visit: Visit, assistant: str, offered: str) -> tuple[Any, ...]:
        versions = list(await self._operations.versions(assistant))
        runs = list(await self._operations.runs(assistant))
        told = await self._newest_run(runs[0].id if runs else None)
        decided = await self._operations.decisions(assistant)
        language = visit.language
        # English is what was recorded, so only others need the codes.
        word = wording({} if language == "en" else await self._operations.verdicts(), language)
        dropdown, now_offered = _promotable(assistant, versions, offered)
        return (
            self._engine(visit),
            tables.run(told, language, word),
            tables.gate(told, language),
            tables.versions(versions, language, word),
            tables.decisions(decided, language),
            tables.runs(runs[:RUNS_SHOWN], language, word),
            dropdown,
            now_offered,
            rollouts.rollout(await self._operations.rollout(assistant), language, word),
            notices(self._notices.told() if self._notices else None, language),
            await asyncio.to_thread(upkeep, self._store, language),
            gr.Timer(self._beat(runs[0].state if runs else "")),
        )

    def _beat(self, newest_run: str) -> float:
        """Seconds until the next look: often while something is under way."""
        moves = newest_run in UNDER_WAY or self._supervisor.state != "ready"
        return QUICK if moves else SLOW

    async def _newest_run(self, run_id: str | None) -> dict[str, Any] | None:
        if run_id is None:
            return None
        try:
            return await self._operations.run(run_id)
        except NotFound:
            return None

    def _engine(self, visit: Visit) -> str:
        seen = self._supervisor
        facts = {"restarts": seen.restarts, "trouble": seen.trouble, **seen.facts}
        servers = self._router.engine.described()
        return tables.engine(seen.state, facts, self._router.status(), servers, visit.language)


def _promotable(assistant: str, versions: list[Version], offered: str) -> tuple[Any, str]:
    """The versions that could be promoted; left alone while they are the same, so a choice is kept."""
    names = [v.version for v in versions if v.state not in ("live", "erased", "training")]
    now_offered = json.dumps([assistant, names])
    if now_offered == offered:
        return gr.skip(), offered
    return gr.Dropdown(choices=names, value=None), now_offered
