"""Many people who are answered at once: does each word come, and how long is each on its way?"""

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from statistics import quantiles

from benchmarks.browsing.visitor import Answer, Page, Visitor
from benchmarks.browsing.web import Web
from benchmarks.browsing.wire import Wire

LOOK_EVERY = 0.05


@dataclass
class Load:
    """What was seen of people who asked `turns` times each."""

    people: int
    turns: int
    words: int
    seconds: float = 0
    cpu: float = 0
    """Cores that the web process used."""
    memory: float = 0
    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """What ended a visitor's answer before its end."""
    loop: list[float] = field(default_factory=list)
    """Seconds that the smallest request took, asked all the while: the event loop's lag and a little more."""

    @property
    def dropped(self) -> int:
        whole = [answer for answer in self.answers if answer.ended and len(answer.words) >= self.words]
        return self.people * self.turns - len(whole)

    def body(self) -> dict[str, float]:
        """The figures, times in milliseconds."""
        every = itertools.chain.from_iterable
        told = {
            "loop_lag": self.loop,
            "word_lag": list(every(answer.lags for answer in self.answers)),
            "gap": list(every(answer.gaps() for answer in self.answers)),
            "first_word": [answer.first for answer in self.answers if answer.first],
        }
        found = {
            f"{name}_{place}_ms": round(1000 * at(times, share), 1)
            for name, times in told.items()
            for place, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }
        facts = {"people": self.people, "turns": self.turns, "dropped": self.dropped}
        return facts | found | {"cpu_cores": round(self.cpu, 3), "memory_mib": round(self.memory, 1)}


def at(times: list[float], share: float) -> float:
    """The value below which so large a share lies; no number where nothing was seen."""
    if len(times) < 2:
        return times[0] if times else float("nan")
    return quantiles(times, n=100, method="inclusive")[round(share * 100) - 1]


async def load(web: Web, people: int, *, turns: int, words: int, rate: float) -> Load:
    """People who read an answer and ask again, `turns` times; all come within an answer's time.

    So the answers begin and end evenly, and nearly all the while everybody is being answered.
    """
    page = Page(web.get("/chat/").text, web.get("/chat/config").json())
    visitors = [Visitor(web.port, session, page) for session in web.sessions[1 : people + 1]]
    for visitor in visitors:
        await visitor.open()
    found = Load(people, turns, words)
    watching = asyncio.create_task(_watch(web.port, found.loop))
    began, used = time.monotonic(), web.cpu()
    after = [place * words / rate / people for place in range(people)]
    await asyncio.gather(*map(_talk, visitors, after, [found] * people))
    found.seconds = time.monotonic() - began
    found.cpu, found.memory = (web.cpu() - used) / found.seconds, web.memory()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return found


async def _talk(visitor: Visitor, after: float, load: Load) -> None:
    await asyncio.sleep(after)
    for turn in range(load.turns):
        try:
            load.answers.append(await visitor.ask(f"Question {turn + 1}: what now?"))
        except Exception as fault:  # whatever it is: this answer is lost, and the others go on
            load.lost.append(repr(fault))


async def _watch(port: int, loop: list[float]) -> None:
    wire = Wire(port)
    while True:
        began = time.monotonic()
        await wire.get("/healthz")
        loop.append(time.monotonic() - began)
        await asyncio.sleep(LOOK_EVERY)
