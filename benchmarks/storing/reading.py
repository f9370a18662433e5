"""What the pages and the API ask of a store, one at a time, on a store of any size."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from benchmarks.storing import filling
from benchmarks.storing.numbers import LOUD
from benchmarks.storing.times import Times
from feedback import claims, lookup, queue, ratings, review
from feedback.exchanges import Exchanges
from feedback.policy import Policy
from feedback.queue import Item
from feedback.records import Exchange, Principal, Role, new_id, now
from feedback.search import Search
from feedback.store import Store

RITA = Principal("rita", Role.REVIEWER)
POLICY = Policy(salt="of a benchmark")
DEEP = 50 * 20
"""Exchanges before the deepest page that is asked for."""


def busiest(store: Store) -> str:
    """Whose exchanges are the most, but for the one who is loud."""
    owners = "SELECT owner FROM exchange_state WHERE owner <> $1"
    return str(store.rows(f"{owners} GROUP BY owner ORDER BY count(*) DESC LIMIT 1", [LOUD])[0]["owner"])


def queues(store: Store, times: Times, calls: int) -> None:
    """The queue in its states and depths, and its counts, as the API asks for them."""
    for name, asked in {
        "queue: pending": {},
        "queue: pending, one assistant": {"assistant": "law"},
        "queue: pending, page 21": {"offset": DEEP},
        "queue: waiting": {"state": "waiting"},
        "queue: skipped": {"state": "skipped"},
        "queue: disputed": {"state": "disputed"},
        "queue: approved": {"state": "approved"},
        "queue: rejected, one assistant": {"state": "rejected", "assistant": "law"},
    }.items():

        def page(_: int = 0, asked: dict[str, Any] = asked) -> list[Item]:
            return queue.items(store, RITA, POLICY, **asked)

        assert page()
        times.measure(name, page, calls=calls)
    times.measure("counts: all", lambda _: queue.counts(store, viewer="rita"), calls=calls)
    times.measure("counts: one assistant", lambda _: queue.counts(store, "law", "rita"), calls=calls)


def search(store: Store, index: Search, times: Times, calls: int, owner: str) -> dict[str, int]:
    """Common and rare words of both languages, with and without filters; how many each finds on a page."""
    words = {
        "common": filling.COMMON,
        "rare": filling.RARE,
        "two common": f"{filling.COMMON} {filling.OFTEN}",
        "Korean common": filling.KOREAN,
        "Korean rare": filling.KOREAN_RARE,
        "in no text": "zzzz",
    }
    asked: dict[str, Callable[[], Sequence[object]]] = {}
    for name, text in words.items():
        asked[f"{name}, to review"] = lambda text=text: _items(store, index.to_review(text, "rita"))
        asked[f"{name}, pending of one assistant"] = lambda text=text: _items(
            store, index.to_review(text, "rita", state="pending", assistant="law")
        )
        asked[f"{name}, one's own"] = lambda text=text: index.own(text, owner)
    for name, call in asked.items():
        times.measure(f"search: {name}", lambda _, call=call: call(), calls=calls)
    return {name: len(call()) for name, call in asked.items()}


def _items(store: Store, ids: list[str]) -> list[Item]:
    return queue.found(store, RITA, POLICY, ids)


def loads(store: Store, times: Times, calls: int) -> list[Exchange]:
    """One exchange and fifty of them, from all over the years."""
    some = store.rows(
        "SELECT exchange_id FROM exchange_state USING SAMPLE reservoir(2000 ROWS) REPEATABLE (7)"
    )
    ids = [row["exchange_id"] for row in some]
    times.measure("load one exchange", lambda n: lookup.get(store, ids[n % len(ids)]), calls=calls * 2)
    times.measure(
        "load 50 exchanges",
        lambda n: lookup.load(store, [ids[(n * 50 + k) % len(ids)] for k in range(50)]),
        calls=calls,
    )
    return lookup.load(store, ids[: calls * 2 + 20])


def turns(store: Store, times: Times, calls: int, owner: str) -> None:
    """What one person does, each step waiting for the one before."""
    told = Exchanges(store)
    ana = Principal(owner, Role.USER)
    times.measure("list one's conversations", lambda _: told.conversations(owner), calls=calls)
    begun = [told.begin_conversation(owner, "general", "warm")]
    times.measure(
        "begin a conversation",
        lambda n: begun.append(told.begin_conversation(owner, "general", f"title {n}")),
        calls=calls,
    )
    spoken: list[str] = []
    times.measure("turn: admit", lambda n: spoken.append(_admit(told, begun[n], owner)), calls=calls)
    closing = count()
    times.measure("turn: close", lambda _: _close(told, spoken[next(closing)], owner), calls=calls)
    rating, claiming, judging = count(), count(), count()
    times.measure(
        "rate",
        lambda _: ratings.rate(store, ana, spoken[next(rating)], rating="down", correction="Better."),
        calls=calls,
    )
    times.measure("claim and let go", lambda _: _claim(store, spoken[next(claiming)]), calls=calls)
    times.measure(
        "verdict: approve",
        lambda _: review.review(store, RITA, spoken[next(judging)], "approve", policy=POLICY),
        calls=calls,
    )
    times.measure("read a conversation", lambda n: told.conversation(begun[n], owner), calls=calls)


def _claim(store: Store, exchange_id: str) -> None:
    claims.release(store, RITA, claims.take(store, RITA, exchange_id, POLICY).id)


def _admit(told: Exchanges, conversation: str, owner: str) -> str:
    exchange = Exchange(
        id=new_id(),
        at=now(),
        principal=owner,
        conversation_id=conversation,
        assistant="general",
        version="general@0",
        context=(),
        instruction="What is the capital of France? " * 8,
        sampling={"temperature": 0.7},
    )
    told.open(exchange)
    return exchange.id


def _close(told: Exchanges, exchange_id: str, owner: str) -> None:
    told.close(
        exchange_id,
        response="The capital of France is Paris. " * 16,
        finish_reason="stop",
        version="general@0",
        principal=owner,
    )
