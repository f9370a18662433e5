"""How soon a long conversation's second turn begins, beside its first. Knows a server's chat route only."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import materials
from benchmarks.serving.servers import Server
from benchmarks.serving.spread import Spread, ratio
from benchmarks.serving.streams import Answer, Said, ask, from_user

SECOND = "Which of these notes would you keep, and why?"


@dataclass
class Turns:
    """Seconds to the first words of both turns, one pair a repeat, and what the second found kept."""

    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    cached_tokens: list[int] = field(default_factory=list)

    @property
    def ratio(self) -> Spread:
        return ratio(self.second, self.first)

    def body(self) -> dict[str, object]:
        return {
            "first_seconds": Spread.of(self.first).body(),
            "second_seconds": Spread.of(self.second).body(),
            "second_over_first": self.ratio.body(),
            "prompt_tokens_of_second": self.prompt_tokens,
            "cached_tokens_of_second": self.cached_tokens,
        }


async def measure(
    servers: Sequence[Server], model: Path, *, repeats: int, length: int, tokens: int
) -> dict[str, Turns]:
    """Each repeat is a new conversation, the same for every server, in a rotating order."""
    found: dict[str, Turns] = defaultdict(Turns)
    for repeat in range(-1, repeats):
        notes = materials.conversation(model, length, 500 + repeat)
        turn = repeat % len(servers)
        for server in (*servers[turn:], *servers[:turn]):
            pair = await _two_turns(server, notes, f"conversation-{repeat}", tokens)
            if repeat >= 0:  # the one before is for warming up
                _note(found[server.name], *pair)
    return found


async def _two_turns(server: Server, notes: str, owner: str, tokens: int) -> tuple[Answer, Answer]:
    asked = from_user(notes)
    first = await ask(server.http, "base", asked, tokens, cache_salt=owner)
    answered = {"role": "assistant", "content": _heard(server, first).text}
    second = await ask(server.http, "base", [*asked, answered, *from_user(SECOND)], tokens, cache_salt=owner)
    return first, second


def _note(turns: Turns, first: Answer, second: Answer) -> None:
    for answer, seconds in ((first, turns.first), (second, turns.second)):
        seconds.append(answer.read().times[0] - answer.started)
    turns.prompt_tokens.append(second.read().prompt_tokens)
    turns.cached_tokens.append(second.read().cached_tokens)


def _heard(server: Server, answer: Answer) -> Said:
    said = answer.read()
    if said.fault or not said.times:
        raise RuntimeError(f"{server.name} did not answer: {said.fault or 'no words'}")
    return said
