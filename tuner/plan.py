"""A run's folder and its plan: every path and every hyperparameter of one training.

The plan is written once, before the training child starts, and is all that the child is told. What
the numbers are and why is the recipe; nothing here knows torch, the store or the server.

Trail: tuner/cycle.py -> here -> tuner/train.py
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from feedback import whole
from feedback.errors import BadRequest

REFERENCE_RATE = 2e-4
REFERENCE_WIDTH = 4096
LONGEST_PAIR = 2048
LOWEST_RATE, HIGHEST_RATE = 1e-4, 6e-4
EPOCHS_BELOW = ((100, 5), (500, 4), (2000, 3), (10_000, 2))
PAIRS_PER_STEP = 16
LEAST_STEPS = 8
"""Steps an epoch has at least: with 16 pairs a step, thirty pairs would be over before they are learnt."""

Number = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """Everything that decides what a training does; two equal plans on one machine train equally."""

    base: str
    """Folder of the frozen base model and its tokenizer."""
    learning_rate: float
    """Peak rate of AdamW."""
    epochs: int
    """Passes over the training pairs, at most; dev patience may end earlier."""
    incumbent: str = ""
    """Adapter folder of the version now live, scored beside the candidate; empty where that is the base."""
    rank: int = 16
    """Rank of every LoRA matrix."""
    alpha: int = 32
    """LoRA scale times rank: the update is multiplied by alpha / rank."""
    pairs_per_step: int = PAIRS_PER_STEP
    """Pairs whose tokens are averaged into one optimiser step."""
    warmup_steps: int = 5
    """Least steps of linear warm-up; 5% of all steps where that is more."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    clip_norm: float = 1.0
    """Largest L2 norm of a step's gradient."""
    patience: int = 2
    """Epochs without a better dev loss before training ends."""
    patience_rows: int = 8
    """Dev rows below which dev loss is too noisy to stop by or to choose by."""
    max_tokens: int = LONGEST_PAIR
    """Longest pair in tokens; longer ones are skipped, never cut."""
    batch_tokens: int = 1024
    """Most tokens, padding included, that go through the model at once; they decide the peak of memory."""
    replay_share: float = 0.15
    """Share of the learnt tokens that repeat the base's own answers, against forgetting."""
    replay_pull: float = 1.0
    """What the mean divergence from the base on those tokens counts beside the loss: a tenth of it moved
    55 general answers where this moves 32, four times it took a seventh of what was learnt (docs/log.md)."""
    checkpoint_steps: int = 20
    """Steps between checkpoints; each epoch's end makes one too."""
    probes: int = 8
    """Training pairs whose log-probabilities prove later that the served version is this one."""
    probe_tokens: int = 512
    """Longest pair in tokens that is used as a probe."""
    dtype: Number = "auto"
    """Number format of the frozen base; `auto` is bfloat16 where the hardware multiplies it, else float32."""
    threads: int = 1
    """Processor threads of the training child."""
    seed: int = 0
    """Decides the adapter's start and the order of the pairs."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "rank", "pairs_per_step", "batch_tokens", "threads"):
            if getattr(self, name) <= 0:
                raise BadRequest(f"The training plan's {name} must be above 0.", "Correct the setting.")
        if not 0 <= self.replay_share < 1:
            raise BadRequest(
                "The training plan's replay_share must be at least 0 and below 1.", "Correct the setting."
            )

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`: linear up, then linear to 0."""
        warmup = min(max(self.warmup_steps, math.ceil(steps * 0.05)), max(steps // 2, 1))
        up = (step + 1) / warmup
        down = (steps - step) / max(steps - warmup, 1)
        return self.learning_rate * min(up, down, 1.0)


def design(base: Path, pairs: int, **settings: Any) -> TrainPlan:
    """The recipe for so many training pairs on this base; `settings` override single fields."""
    shape = _shape(base)
    width = next((shape[key] for key in ("hidden_size", "n_embd", "d_model") if key in shape), None)
    if not width:
        raise BadRequest(f"{base} does not say how wide its layers are.", "Use a model with a config.json.")
    rate = REFERENCE_RATE * math.sqrt(REFERENCE_WIDTH / width)
    longest = min(LONGEST_PAIR, shape.get("max_position_embeddings", LONGEST_PAIR))
    chosen: dict[str, Any] = {
        "learning_rate": min(max(rate, LOWEST_RATE), HIGHEST_RATE),
        "epochs": next((epochs for below, epochs in EPOCHS_BELOW if pairs < below), 1),
        "pairs_per_step": min(max(math.ceil(pairs / LEAST_STEPS), 2), PAIRS_PER_STEP),
        "max_tokens": longest,
    }
    return TrainPlan(base=str(base), **{**chosen, **settings})


def _shape(base: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((base / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as bad:
        raise BadRequest(
            f"The base model's config.json in {base} cannot be read: {bad}.",
            "Set model.name to a Hugging Face model or a folder of one.",
        ) from bad
    return {**config, **config.get("text_config", {})}


class RunFolder:
    """Every path in a run's folder, and the whole-or-not-at-all writing of its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.job = path / "run.json"
        self.snapshot = path / "snapshot"
        self.plan = path / "plan.json"
        self.replay = path / "replay.jsonl"
        self.room = path / "room.json"
        self.progress = path / "progress.jsonl"
        self.log = path / "training.log"
        self.checkpoint = path / "checkpoint.pt"
        self.adapter = path / "adapter"
        self.scores = path / "scores.json"
        self.probe = path / "probe.json"
        self.error = path / "error.json"
        self.trained = path / "trained.json"
        self.registered = path / "registered.json"
        self.proof = path / "proof.json"
        self.answers = path / "answers.jsonl"
        self.general = path / "general.json"
        self.evaluation = path / "evaluation.json"
        self.verdict = path / "verdict.json"
        self.rollout = path / "rollout.json"
        self.times = path / "times.jsonl"
        self.account = path / "account.json"

    @classmethod
    def named(cls, home: Path, number: int, assistant: str) -> "RunFolder":
        return cls(home / "runs" / f"{number:04d}-{assistant}")

    @property
    def suite(self) -> str:
        """Digest of the general suite that the run's version was put to; empty where it was put to none."""
        return str(read_json(self.general)["suite"]) if self.general.exists() else ""

    def read_plan(self) -> TrainPlan:
        told = read_json(self.plan)
        unknown = set(told) - {field.name for field in fields(TrainPlan)}
        if unknown:
            raise BadRequest(
                f"{self.plan} has fields this program does not know: {', '.join(sorted(unknown))}.",
                "It was made by another version of Hone; start a new run.",
            )
        return TrainPlan(**told)

    def write_plan(self, plan: TrainPlan) -> None:
        write_json(self.plan, asdict(plan))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a file that is either whole or not there, whatever kills the writer."""
    _write(path, json.dumps(value, ensure_ascii=False, indent=1))


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write a file of JSON lines that is either whole or not there."""
    _write(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.write(path, text)


def read_lines(path: Path) -> list[Any]:
    """The JSON lines of a growing file; a line that its writer did not finish is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text("utf-8", errors="replace").split("\n"):
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def append_line(path: Path, value: Any) -> None:
    """Add a line; one that a killed writer left unfinished stays a line of its own."""
    line = json.dumps(value, ensure_ascii=False).encode() + b"\n"
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
