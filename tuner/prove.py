"""Proof that the version a server answers with is the version that was trained.

The training child left log-probabilities of some pairs under adapter and base; the server must repeat
both. How well it repeats the base's tells how much its kernels and number format move them, so the
same bound serves float32 and bfloat16. Knows no engine by name.

Trail: tuner/registry.py -> here -> tuner/evaluate.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feedback.errors import CannotSwap
from feedback.records import Message
from tuner.server import Server

CLOSEST = 0.01
"""Mean difference, in nats per token, that is always allowed: rounding in float32 stays far below."""
NOISE = 3.0
"""How many times further from the trainer's numbers the version may be than the base is."""
FARTHEST = 0.25
"""Mean difference at which even the base counts as another model."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Mean absolute differences of log-probabilities, in nats per token."""

    version: str
    tokens: int
    base_apart: float
    """Base as served, from base as trained on: numerical noise."""
    version_apart: float
    """Version as served, from version as trained."""
    trained_shift: float
    """How far training moved the probes."""
    served_shift: float
    """How far the served version is from the served base."""

    @property
    def allowed(self) -> float:
        return max(CLOSEST, NOISE * self.base_apart)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "allowed": self.allowed}


async def prove(server: Server, version: str, base: str, folder: Path, probe: Mapping[str, Any]) -> Proof:
    """Load a version beside the others and compare what it says of the probes with what was trained.

    Args:
        base: The assistant's version 0.
        probe: What the training child left in `probe.json`.

    Raises:
        CannotSwap: The served version, or the base under it, is not the trained one.
    """
    await server.load(version, folder)
    items = [(tuple(Message(**m) for m in item["messages"]), item["response"]) for item in probe["items"]]
    served = _flat(await server.probe(version, items))
    served_base = _flat(await server.probe(base, items))
    trained = _flat([item["candidate"] for item in probe["items"]])
    trained_base = _flat([item["base"] for item in probe["items"]])
    if not len(served) == len(served_base) == len(trained):
        raise CannotSwap(
            f"The engine splits the probes of {version} into {len(served)} tokens; "
            f"training saw {len(trained)}.",
            "Engine and trainer must use the same tokenizer and chat template: restart Hone.",
        )
    proof = Proof(
        version,
        len(trained),
        _apart(served_base, trained_base),
        _apart(served, trained),
        _apart(trained, trained_base),
        _apart(served, served_base),
    )
    _check(proof)
    return proof


def _check(proof: Proof) -> None:
    if not proof.base_apart <= FARTHEST:
        raise CannotSwap(
            f"The engine's base model is not the one that {proof.version} was trained on "
            f"(log-probabilities differ by {proof.base_apart:.2f}).",
            "Set model.name back, or run the tuner again on the new base.",
        )
    if not proof.version_apart <= proof.allowed:
        raise CannotSwap(
            f"The engine does not serve {proof.version} as it was trained: log-probabilities differ by "
            f"{proof.version_apart:.3f}, and {proof.allowed:.3f} is allowed.",
            "Restart the engine and run again; if it stays so, the engine applies adapters wrongly.",
        )
    if not proof.served_shift > proof.trained_shift / 2:
        raise CannotSwap(
            f"The engine answers as the base where {proof.version} should answer.",
            "Restart the engine and run again; if it stays so, the engine ignores adapters.",
        )


def _flat(values: Sequence[Sequence[float]]) -> list[float]:
    return [value for one in values for value in one]


def _apart(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)
