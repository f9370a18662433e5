"""How many events a second are durable while many write at once, and how long each waits for it.

An event is one row of one table, written and awaited alone: an exchange, its answer, every second time a
rating. Each write is acknowledged after its commit is on the disk.
"""

import threading
import time
from dataclasses import dataclass

from benchmarks.storing.times import percentile
from feedback.exchanges import answer_id, as_row
from feedback.records import Exchange, Message, new_id, now
from feedback.store import Store

CONTEXT = (Message("system", "You are a helpful assistant."),)
INSTRUCTION = "What is the capital of France, and how many people live there? " * 3
RESPONSE = "The capital of France is Paris, and some two million people live in the city. " * 6


@dataclass(frozen=True)
class Load:
    """What many writers did: events, seconds, and each event's milliseconds until its acknowledgement."""

    events: int
    seconds: float
    waits: tuple[float, ...]

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    def wait(self, share: float) -> float:
        return percentile(self.waits, share)


def write(store: Store, *, writers: int, seconds: float) -> Load:
    """So many writers, each writing the next event when the one before is durable."""
    waits: list[list[float]] = [[] for _ in range(writers)]
    ready, until = threading.Barrier(writers + 1), [0.0]
    conversation = new_id()

    def work(number: int) -> None:
        ready.wait()
        turn = 0
        while time.perf_counter() < until[0]:
            turn += 1
            for rows in _turn(conversation, f"user{number}", turn):
                began = time.perf_counter()
                store.append(rows)
                waits[number].append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    until[0] = time.perf_counter() + seconds
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    together = tuple(sorted(wait for each in waits for wait in each))
    return Load(len(together), took, together)


def _turn(conversation: str, owner: str, number: int) -> list[dict[str, list[dict[str, object]]]]:
    exchange = Exchange(
        id=new_id(),
        at=now(),
        principal=owner,
        conversation_id=conversation,
        assistant="general",
        version="general@0",
        context=CONTEXT,
        instruction=INSTRUCTION,
        sampling={"temperature": 0.7, "top_p": 0.95, "max_tokens": 512},
    )
    answer = {
        "id": answer_id(exchange.id),
        "principal": owner,
        "exchange_id": exchange.id,
        "response": RESPONSE,
        "finish_reason": "stop",
        "version": "general@0",
        "prompt_tokens": 60,
        "completion_tokens": 110,
        "first_token_ms": 91.5,
        "total_ms": 2400.0,
        "error": "",
    }
    rating = {"principal": owner, "exchange_id": exchange.id, "rating": "up", "reasons": [], "comment": ""}
    events = [{"exchanges": [as_row(exchange)]}, {"answers": [answer]}]
    return events if number % 2 else [*events, {"ratings": [rating]}]
