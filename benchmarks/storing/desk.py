"""The review page as its reviewers use it: the handlers that the browser calls, each with all that it asks.

One page's load takes a claim, so it writes too. Between two loads the reviewer lets go of what they held, as
the page does when another exchange is chosen.
"""

from types import SimpleNamespace
from typing import Any

from benchmarks.storing.reading import POLICY, RITA
from benchmarks.storing.times import Times
from feedback import claims, queue, screen
from feedback.assistants import Assistants
from feedback.records import Principal, Role
from feedback.store import Store
from serve.pages.desk import PAGE, Desk
from serve.pages.handlers import Visit

ROB = Principal("rob", Role.REVIEWER)
HELD = 10
"""Exchanges at the queue's head that another reviewer looks at."""
CHOSEN, PROPOSED, CLAIM = 7, 8, 13
"""Where the page's answer has the chosen exchange, the proposed words and the claim."""


class Quiet(Visit):
    """A visit of nobody's browser, to which nothing can be said."""

    def toast(self, key: str, **values: object) -> None:
        """Nobody would see it."""


def use(store: Store, times: Times, calls: int) -> None:
    """Open the page in every state and judge what it shows."""
    for item in queue.items(store, ROB, POLICY, limit=HELD):
        claims.take(store, ROB, item.exchange.id, POLICY)
    parts: Any = SimpleNamespace(
        store=store, assistants=Assistants(store), policy=POLICY, curation=screen.Policy()
    )
    desk, visit = Desk(parts), Quiet(RITA, "en")
    for name, where in {
        "review page: pending": ("pending", "", PAGE),
        "review page: pending, one assistant": ("pending", "law", PAGE),
        "long review page: pending, 200 shown": ("pending", "", 4 * PAGE),
        "review page: waiting": ("waiting", "", PAGE),
        "review page: skipped": ("skipped", "", PAGE),
        "review page: disputed": ("disputed", "", PAGE),
        "review page: approved": ("approved", "", PAGE),
        "review page: rejected, one assistant": ("rejected", "law", PAGE),
    }.items():
        seen = [desk.load(visit, "", *where)]

        def load(_: int, where: tuple[str, str, int] = where, seen: list[Any] = seen) -> None:
            seen[0] = desk.load(visit, seen[0][CLAIM], *where)

        assert seen[0][CHOSEN]
        times.measure(name, load, calls=calls)
        if seen[0][CLAIM]:
            claims.release(store, RITA, seen[0][CLAIM])
    _judge(desk, visit, times, calls)


def _judge(desk: Desk, visit: Visit, times: Times, calls: int) -> None:
    """Verdicts, each on what the page chose after the one before."""
    where = ("pending", "", PAGE)
    seen = [desk.load(visit, "", *where)]

    def approve(_: int) -> None:
        words, chosen, claim = (seen[0][place] for place in (PROPOSED, CHOSEN, CLAIM))
        seen[0] = desk.approve(visit, words, words, chosen, "", claim, *where)

    def reject(_: int) -> None:
        seen[0] = desk.reject(visit, seen[0][CHOSEN], "", seen[0][CLAIM], *where)

    def skip(_: int) -> None:
        seen[0] = desk.skip(visit, seen[0][CHOSEN], "", seen[0][CLAIM], *where)

    for name, judge in {"approve": approve, "reject": reject, "skip": skip}.items():
        times.measure(f"verdict on the page: {name}", judge, calls=calls)
