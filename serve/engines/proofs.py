"""What each version scores, so that replicas are compared when one is proved and when one comes back.

A replica that was started again may hold everything under the right names and still answer otherwise:
with another base model, number format or release. Remembers numbers and the probes they belong to.

Trail: serve/engines/replicas.py -> here -> serve/engines/replica.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from feedback.errors import CannotSwap, EngineUnavailable
from feedback.records import Message
from serve.engines.base import BASE
from serve.engines.replica import Replica

SAME = 0.1
"""Mean difference of log-probabilities, in nats per token, beyond which replicas are not the same."""
Items = Sequence[tuple[Sequence[Message], str]]
Scores = Sequence[Sequence[float]]
PLAIN: Items = (((Message("user", "What is the capital of France?"),), "The capital of France is Paris."),)
"""What is asked of a version that was proved before this process began."""


@dataclass(slots=True)
class Proofs:
    """By version, who scored what."""

    known: dict[str, tuple[Items, Scores, str]] = field(default_factory=dict)

    async def of_all(self, version: str, items: Items, replicas: Sequence[Replica]) -> list[list[float]]:
        """The scores of those that are there; one that is gone drops out.

        Raises:
            CannotSwap: Two differ by more than rounding may.
            EngineUnavailable: None is there.
        """
        told: list[list[float]] = []
        found: tuple[Items, Scores, str] | None = None
        for replica in replicas:
            try:
                scores = await replica.engine.probe(version, items)
            except EngineUnavailable as lost:
                replica.drop(lost)
                continue
            if found is None:
                told, found = scores, (items, scores, replica.engine.url)
            _compare(version, scores, found, replica)
        if found is None:
            raise EngineUnavailable(f"No engine could score {version}.", "See `hone status`.")
        self.known[version] = found
        return told

    async def check(self, replica: Replica, version: str, others: Sequence[Replica]) -> None:
        """Compare one that is to be let in with what was scored before, or with one of the others.

        Raises:
            CannotSwap: It would serve something else under the name.
        """
        if not replica.engine.proves:
            return
        if version == BASE and not others:
            self.forget(BASE)  # all were away, perhaps for another base; their versions are still compared
        if version not in self.known:
            able = [other for other in others if version == BASE or version in other.held]
            if not able:
                return
            await self.of_all(version, PLAIN, able[:1])
        found = self.known[version]
        _compare(version, await replica.engine.probe(version, found[0]), found, replica)

    def forget(self, version: str) -> None:
        self.known.pop(version, None)


def _compare(version: str, scores: Scores, found: tuple[Items, Scores, str], replica: Replica) -> None:
    if not _same(found[1], scores):
        here = replica.engine.url
        apart = f"{found[2]} and {here} score {version} differently"
        raise CannotSwap(
            f"{here} scores {version} otherwise than before." if found[2] == here else f"{apart}.",
            "Run the same base model, number format and release on every replica.",
        )


def _same(left: Scores, right: Scores) -> bool:
    one = [value for row in left for value in row]
    two = [value for row in right for value in row]
    return len(one) == len(two) and sum(abs(a - b) for a, b in zip(one, two, strict=True)) <= SAME * len(one)
