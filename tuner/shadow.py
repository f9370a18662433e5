"""Answers recent prompts with a new version before anyone is given it, and counts what is broken.

The prompts are those of conversations that may be learnt from; the answers that people got are what the
new ones are compared with. No text is kept or shown to anyone, only counts. Knows no gate and no route.

Trail: tuner/launch.py -> here -> tuner/server.py
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import comb

from feedback.errors import EngineBusy, EngineError, EngineUnavailable, PromptTooLong, UnknownVersion
from feedback.records import Exchange
from tuner import meaning
from tuner.server import Answer, Server

SURE = 0.02
"""The chance at which as many newly broken answers are no accident any more: six of six, eight of nine."""
REPEATING = 0.5
MAX_TOKENS = 512
"""Where an exchange doesn't say how long its answer could be."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """Of how many prompts how many answers had each fault: `(new, as people got them)`."""

    prompts: int
    faults: dict[str, tuple[int, int]]
    refused: str
    """What is broken, in a sentence; empty where nothing is."""

    def as_dict(self) -> dict[str, object]:
        return {"prompts": self.prompts, "refused": self.refused} | {
            name: list(counts) for name, counts in self.faults.items()
        }


async def shadow(server: Server, version: str, exchanges: Sequence[Exchange]) -> Shadow:
    """Ask a loaded version what people asked, drawn as theirs was, at low priority.

    Raises:
        EngineUnavailable, EngineBusy: Later it may do.
        UnknownVersion: It is not loaded.
    """
    pairs: list[tuple[Answer, Answer]] = []
    for exchange in exchanges:
        told = await _answer(server, version, exchange)
        if told is not None:
            before = Answer(exchange.response or "", "stop", 0)
            pairs.append((told, replace(before, finish_reason="length") if _cut(exchange) else before))
    return compare(pairs)


def compare(pairs: Sequence[tuple[Answer, Answer]]) -> Shadow:
    """Count the faults of new answers beside those that people got."""
    faults: dict[str, tuple[int, int]] = {}
    refused = []
    for name, broken in FAULTS.items():
        told = [(broken(new), broken(old)) for new, old in pairs]
        faults[name] = sum(new for new, _ in told), sum(old for _, old in told)
        risen, fallen = sum(new > old for new, old in told), sum(new < old for new, old in told)
        if risen and _by_accident(risen, fallen) <= SURE:
            refused.append(
                f"It {name} on {faults[name][0]} of {len(pairs)} recent prompts; before: {faults[name][1]}."
            )
    return Shadow(len(pairs), faults, " ".join(refused))


async def _answer(server: Server, version: str, exchange: Exchange) -> Answer | None:
    """The version's answer; None where the prompt no longer fits, an empty one where none came."""
    drawn = exchange.sampling
    try:
        return await server.answer(
            version,
            exchange.messages,
            max_tokens=int(drawn.get("max_tokens") or MAX_TOKENS),
            temperature=float(drawn.get("temperature") or 0.0),
        )
    except PromptTooLong:
        return None
    except (EngineUnavailable, EngineBusy, UnknownVersion):
        raise
    except EngineError:
        return Answer("", "stop", 0)


def _cut(exchange: Exchange) -> bool:
    return exchange.finish_reason == "length"


def _by_accident(risen: int, fallen: int) -> float:
    """The chance of so many risen among those that changed, were either way as likely (a sign test)."""
    changed = risen + fallen
    return sum(comb(changed, count) for count in range(risen, changed + 1)) / 2.0**changed


FAULTS: dict[str, Callable[[Answer], bool]] = {
    "says nothing": lambda answer: not answer.text.strip(),
    "repeats itself": lambda answer: meaning.repetition(answer.text) > REPEATING,
    "does not stop": lambda answer: answer.finish_reason == "length",
}
