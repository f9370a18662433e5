"""An hour's use in minutes: pages opened, chats held, tabs closed; does the web process keep growing?"""

import asyncio
from dataclasses import dataclass, field

from benchmarks.browsing.visitor import Page, Visitor
from benchmarks.browsing.web import Web

QUESTIONS = 3
AT_ONCE = 8


@dataclass
class Growth:
    """MiB resident, by how many tabs had been opened, talked in and left."""

    tabs: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def slope(self) -> float:
        """MiB a thousand tabs, over the second half: the first fills what is kept on purpose."""
        half = len(self.tabs) // 2
        tabs, memory = self.tabs[half:], self.memory[half:]
        middle, level = sum(tabs) / len(tabs), sum(memory) / len(memory)
        spread = sum((x - middle) ** 2 for x in tabs)
        return (
            1000 * sum((x - middle) * (y - level) for x, y in zip(tabs, memory, strict=True)) / (spread or 1)
        )

    def share(self) -> float:
        """What the second half added, as a share of what was held at its beginning, along the slope."""
        half = len(self.tabs) // 2
        return self.slope() * (self.tabs[-1] - self.tabs[half]) / 1000 / self.memory[half]

    def body(self) -> dict[str, object]:
        return {
            "tabs": self.tabs,
            "memory_mib": [round(held, 1) for held in self.memory],
            "mib_per_thousand_tabs": round(self.slope(), 2),
            "second_half_share": round(self.share(), 4),
        }


async def use(web: Web, tabs: int, *, samples: int = 20) -> Growth:
    """Open so many tabs, some at once, each with a new conversation of a few questions."""
    page = Page(web.get("/chat/").text, web.get("/chat/config").json())
    found, limit, done = Growth(), asyncio.Semaphore(AT_ONCE), 0

    async def one(number: int) -> None:
        nonlocal done
        async with limit:
            visitor = Visitor(web.port, web.sessions[1 + number % (len(web.sessions) - 1)], page)
            await visitor.open()
            for question in range(QUESTIONS):
                answer = await visitor.ask(f"Question {question + 1} of tab {number}?")
                assert answer.ended, "an answer was lost"
        done += 1
        if done % max(tabs // samples, 1) == 0:
            found.tabs.append(done)
            found.memory.append(web.memory())

    await asyncio.gather(*map(one, range(tabs)))
    return found
