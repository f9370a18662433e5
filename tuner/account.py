"""What a run cost, summed up from what its steps and its training noted; and how long it may still take.

Plain numbers in, plain numbers out; measures nothing.

Trail: tuner/steps.py, hone/tuning.py -> here
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KEPT = ("cpu_seconds", "peak_bytes", "tokens", "pairs", "steps", "epochs", "device", "dtype")
"""What is kept of the training's own account; its tokens are those that carry loss."""


def of(times: Iterable[Mapping[str, Any]], trained: Mapping[str, Any]) -> dict[str, Any]:
    """A run's account from the lines of its steps.

    `steps` are seconds by step, over all attempts; `cpu` and `answered` (tokens) likewise. `joules` is
    None unless the machine told them throughout.
    """
    lines = list(times)
    steps, cpu, answered = (_by_step(lines, key) for key in ("seconds", "cpu_seconds", "tokens"))
    joules = [line.get("joules") for line in lines]
    return {
        "seconds": round(sum(steps.values()), 3),
        "cpu_seconds": round(sum(cpu.values()), 3),
        "peak_bytes": max([trained["peak_bytes"], *(line.get("peak_bytes", 0) for line in lines)]),
        "answered_tokens": int(sum(answered.values())),
        "joules": None if None in joules else round(sum(filter(None, joules)), 1),
        "steps": steps,
        "cpu": cpu,
        "answered": {step: int(tokens) for step, tokens in answered.items() if tokens},
        "training": {key: trained[key] for key in KEPT},
    }


def left(
    order: Sequence[str],
    step: str,
    inside: float,
    progress: Mapping[str, Any] | None,
    before: Mapping[str, float],
) -> float | None:
    """Seconds that a run may still take; None where nothing tells.

    Args:
        order: All steps in their order.
        step: The one that it is at, for `inside` seconds now.
        progress: The newest line of its training, where there is one.
        before: Seconds by step of an earlier run: how long the steps that tell nothing may take.
    """
    if step not in order or not (before or step == "train"):
        return None
    rest = sum(before.get(name, 0.0) for name in order[order.index(step) + 1 :])
    if step == "train" and progress and progress["step"] and progress.get("seconds") is not None:
        each = progress["seconds"] / progress["step"]
        return rest + each * (progress["steps"] - progress["step"])
    return rest + max(before[step] - inside, 0.0) if step in before else None


def _by_step(lines: Iterable[Mapping[str, Any]], key: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in lines:
        found[line["step"]] = round(found.get(line["step"], 0.0) + line.get(key, 0.0), 3)
    return found
