"""What happens at the review page: look, claim, judge, settle; each answer is the whole view.

Whatever is looked at is claimed while it can be judged, and let go when another is chosen. Nothing the
browser sends is believed: the store decides whose turn it is, and on which words.

Trail: serve/pages/review.py -> here -> feedback/queue.py, feedback/review.py
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from feedback import claims, disputes, drafts, queue, review, rounds
from feedback.errors import BadRequest, HoneError
from feedback.queue import QUEUES, Item
from feedback.records import Role
from feedback.review import Verdict
from serve.pages import bulk, cards, opened
from serve.pages.finds import Finds
from serve.pages.handlers import Visit, needs
from serve.pages.shown import Shown
from serve.pages.words import Language, assistant_choices
from serve.parts import Parts

ANY = ""
PAGE = 50
"""Exchanges in the queue at once, and how many more each "Show more" brings."""
MOST = 1000
TO_JUDGE = ("pending", "skipped", "disputed")
TICKED = ("pending", "skipped")
"""The states that can be judged several at once: a dispute wants to be read."""
BULK: tuple[Verdict, ...] = ("approve", "reject", "skip")
SHOWN = 17
"""How much every answer sets: the length of `View.shown`."""
EDITOR, CHOSEN = 5, 7
"""Where in it the editor's words are, and whose they are."""
PULSE = 0.3
"""Seconds between two words on how far many verdicts have come."""


class Where(NamedTuple):
    """What of the queue is shown."""

    state: str | None
    assistant: str | None
    limit: float | None

    @property
    def queue(self) -> str:
        return self.state if self.state in QUEUES else QUEUES[0]

    @property
    def shown(self) -> int:
        return max(PAGE, min(int(self.limit or PAGE), MOST))


class Desk:
    """Handlers of the page; each answers with the whole view of it, in the order of its `view`."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._assistants = parts.assistants
        self._policy = parts.policy
        self._curation = parts.curation
        self._shown = Shown()
        self.bulk = {verdict: self._judging(verdict) for verdict in BULK}

    @needs(Role.REVIEWER)
    def load(self, visit: Visit, claim: str, *where: Any) -> tuple[Any, ...]:
        """The queue as it stands, its first exchange that nobody holds chosen."""
        return self._view(visit, Where(*where), leaving=claim)

    @needs(Role.REVIEWER)
    def longer(self, visit: Visit, chosen: str, claim: str, *where: Any) -> tuple[Any, ...]:
        longer = Where(*where)._replace(limit=Where(*where).shown + PAGE)
        return *self._view(visit, longer, [chosen]), longer.shown

    @needs(Role.REVIEWER)
    def pick(self, visit: Visit, wanted: str, claim: str, *where: Any) -> tuple[Any, ...]:
        return self._view(visit, Where(*where), [wanted], leaving=claim)

    @needs(Role.REVIEWER)
    def approve(
        self, visit: Visit, text: str, proposed: str, chosen: str, reason: str, claim: str, *where: Any
    ) -> tuple[Any, ...]:
        """Approve what is in the editor: as an edit, if it is not what was proposed when it was shown."""
        edited = text.strip() != proposed.strip()
        verdict: Verdict = "edit" if edited else "approve"
        words = text if edited else proposed
        return self._judge(visit, Where(*where), chosen, verdict, words, reason, claim)

    @needs(Role.REVIEWER)
    def reject(self, visit: Visit, chosen: str, reason: str, claim: str, *where: Any) -> tuple[Any, ...]:
        return self._judge(visit, Where(*where), chosen, "reject", None, reason, claim)

    @needs(Role.REVIEWER)
    def skip(self, visit: Visit, chosen: str, reason: str, claim: str, *where: Any) -> tuple[Any, ...]:
        return self._judge(visit, Where(*where), chosen, "skip", None, reason, claim)

    @needs(Role.REVIEWER)
    def reopen(self, visit: Visit, chosen: str, reason: str, claim: str, *where: Any) -> tuple[Any, ...]:
        """Send what was judged back into the queue."""
        _check_chosen(visit, chosen)
        disputes.reopen(self._store, visit.principal, chosen, reason)
        visit.toast("reopened")
        return self._view(visit, Where(*where))

    @needs(Role.REVIEWER)
    def keep(self, visit: Visit, chosen: str, claim: str, text: str, proposed: str) -> None:
        """Keep what is in the editor, where it is more than what was proposed and not judged meanwhile."""
        if chosen and claim:
            words = "" if text == proposed else text
            drafts.save(self._store, visit.principal, chosen, words)

    @needs(Role.REVIEWER)
    def beat(self, visit: Visit, chosen: str, claim: str, text: str, proposed: str) -> tuple[str, str]:
        """Keep the claim and the draft of what is open; a claim that ended is taken again if it can be."""
        if not chosen or not claim:
            return claim, gr.skip()
        try:
            self.keep(visit, chosen, claim, text, proposed)
            held = self._renewed(visit, chosen, claim)
        except HoneError as gone:
            return "", cards.notice(visit.trouble(gone))
        return held.id, cards.claimed(held.until, visit.language)

    @needs(Role.REVIEWER)
    def resume(
        self, visit: Visit, chosen: str, claim: str, text: str, proposed: str, *where: Any
    ) -> tuple[Any, ...]:
        """The queue after Hone was away; what was open is still chosen, its words as they are."""
        with suppress(HoneError):  # it was judged before that, or erased: the view tells
            self.keep(visit, chosen, claim, text, proposed)
        view = self._view(visit, Where(*where), [chosen], leaving=claim)
        same = chosen and view[CHOSEN] == chosen
        return *view[:EDITOR], gr.skip() if same else view[EDITOR], *view[EDITOR + 1 :]

    @needs(Role.REVIEWER)
    def look_through(self, visit: Visit, text: str) -> str:
        """What is private in the editor's words."""
        return Finds(self._curation, visit.language).taught(text)

    def _judging(self, verdict: Verdict) -> Callable[..., Any]:
        """The handler of a button that gives one verdict to all that is ticked."""

        @needs(Role.REVIEWER)
        async def judge(
            visit: Visit, ticked: str, reason: str, chosen: str, *where: Any
        ) -> AsyncIterator[tuple[Any, ...]]:
            asked, came = bulk.read(ticked), list[bulk.Result]()
            given = (self._store, visit.principal, self._policy, asked, verdict, reason, came)
            # A thread goes on to the end, though the page that asked be gone.
            work = asyncio.ensure_future(asyncio.to_thread(bulk.judge, *given))
            while not (await asyncio.wait([work], timeout=PULSE))[0]:
                yield *[gr.skip()] * (SHOWN + 1), bulk.under_way(len(came), len(asked), visit.language)
            work.result()
            view = await asyncio.to_thread(self._view, visit, Where(*where), [chosen])
            yield *view, "", bulk.told(came, visit.language)

        return judge

    def _renewed(self, visit: Visit, chosen: str, claim: str) -> claims.Claim:
        try:
            return claims.beat(self._store, visit.principal, claim, self._policy)
        except HoneError:
            return claims.take(self._store, visit.principal, chosen, self._policy)

    def _let_go(self, visit: Visit, claim: str) -> None:
        if claim:
            claims.release(self._store, visit.principal, claim)

    def _judge(
        self,
        visit: Visit,
        where: Where,
        chosen: str,
        verdict: Verdict,
        response: str | None,
        reason: str,
        claim: str,
    ) -> tuple[Any, ...]:
        """Record the opinion, or end the dispute, then choose what stood after the exchange in the queue."""
        _check_chosen(visit, chosen)
        following = self._following(visit, where, chosen)
        under: dict[str, Any] = {"response": response, "reason": reason, "claim": claim or None}
        if verdict != "skip" and rounds.state(self._store, chosen, visit.principal) == "disputed":
            # Words on the table are chosen, never written: an edit of them is refused by the store.
            verdict = "approve" if verdict == "edit" else verdict
            disputes.adjudicate(self._store, visit.principal, chosen, verdict, **under)
            visit.toast("adjudicated")
        else:
            policy = self._policy
            review.record(self._store, visit.principal, chosen, verdict, policy=policy, **under)
            waits = rounds.state(self._store, chosen, visit.principal) == "waiting"
            visit.toast("judged_waiting" if waits else f"judged_{verdict}")
        return self._view(visit, where, following)

    def _following(self, visit: Visit, where: Where, chosen: str) -> list[str]:
        """What stood after it as the queue was last shown; as it stands, where that is not known."""
        mine = visit.principal.name, where.queue, where.assistant
        if (shown := self._shown.after(mine, chosen)) is None:
            self._shown.keep(mine, queue.ids(self._store, visit.principal.name, **self._asked(where)))
            shown = self._shown.after(mine, chosen)
        return shown or []

    def _items(self, visit: Visit, where: Where) -> list[Item]:
        return queue.items(self._store, visit.principal, self._policy, **self._asked(where))

    def _asked(self, where: Where) -> dict[str, Any]:
        return {"state": where.queue, "assistant": where.assistant or None, "limit": where.shown}

    def _view(
        self, visit: Visit, where: Where, wanted: Sequence[str] = (), leaving: str = ""
    ) -> tuple[Any, ...]:
        """The queue with the first of those `wanted` chosen that is in it, else the first that is free."""
        found = self._items(visit, where)
        there = {item.exchange.id: item for item in found}
        self._shown.keep((visit.principal.name, where.queue, where.assistant), list(there))
        free = [item for item in found if item.held is None] or found
        item = next((there[one] for one in wanted if one in there), free[0] if free else None)
        item = self._claimed(visit, item, leaving)
        exchange = item.exchange if item else None
        words = self._words(visit, item) if item else ""
        finds = Finds(self._curation, visit.language)
        return (
            self._state_choice(visit, where),
            self._assistant_choice(visit, where.assistant),
            self._queue(found, exchange.id if exchange else None, where, visit.language),
            gr.Button(visible=len(found) == where.shown < MOST),
            opened.whole(item, finds, visit.language),
            words,
            gr.skip(),  # a reason is typed while this is on its way: queue.js keeps it
            exchange.id if exchange else "",
            item.proposed if item else "",
            *opened.buttons(item),
            item.claim.id if item and item.claim else "",
            cards.claim(item, visit.language) if item else "",
            opened.table(item),
            finds.taught(words),
        )

    def _queue(self, found: list[Item], chosen: str | None, where: Where, language: Language) -> str:
        ticks = where.queue in TICKED
        return cards.queue(found, chosen, language, ticks=ticks, name=where.queue)

    def _claimed(self, visit: Visit, item: Item | None, leaving: str) -> Item | None:
        """The item with a claim of this reviewer's, where it can be judged and nobody else holds it.

        The claim they are leaving ends with that, unless it is of this item.
        """
        if item is None or item.exchange.state not in TO_JUDGE or item.held:
            self._let_go(visit, leaving)
            return item
        try:
            held = claims.take(self._store, visit.principal, item.exchange.id, self._policy, leaving)
        except HoneError:
            self._let_go(visit, leaving)
            return queue.item(self._store, visit.principal, self._policy, item.exchange.id)
        return replace(item, claim=held)

    def _words(self, visit: Visit, item: Item) -> str:
        draft = drafts.of(self._store, visit.principal, item.exchange.id)
        return draft or item.exchange.approved_response or item.proposed

    def _state_choice(self, visit: Visit, where: Where) -> gr.Radio:
        counts = queue.counts(self._store, where.assistant or None, visit.principal.name)
        choices = [(f"{visit.say(name)} ({counts.get(name, 0):,})", name) for name in QUEUES]
        return gr.Radio(choices=choices, value=where.queue)

    def _assistant_choice(self, visit: Visit, assistant: str | None) -> gr.Dropdown:
        choices = [(visit.say("all_assistants"), ANY), *assistant_choices(self._assistants.list())]
        return gr.Dropdown(choices=choices, value=assistant or ANY)


def _check_chosen(visit: Visit, chosen: str) -> None:
    if not chosen:
        raise BadRequest(visit.say("pick_one"))
