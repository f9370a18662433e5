"""One training in a process of its own: `python -m benchmarks.tuning.contender WHO JOB.json` prints figures.

Every contender learns the same pairs with the same LoRA, the same rate at each step and sixteen pairs a step,
and leaves its adapter in the job's folder. Timed is from the second step to the last; loading, tokenising and
the first step, which compiles kernels, are reported apart.

Useful tokens are those of the pairs that the timed steps had, prompt and answer, each pair's counted in full
and no padding: what is to be learnt from, however a contender goes about it. So what pairs have in common
counts for each of them, though Hone computes it once. TRL counts one token more for each: a line break.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

BATCHES: dict[str, dict[str, Any]] = {
    # As it comes: float32 weights under bfloat16 autocast, checkpointing, batches of 8 in random order.
    "trl": {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2},
    "trl_autocast": {
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length",
    },
    "trl_bfloat16_4": {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length",
        "bf16": False,
        "model_init_kwargs": {"dtype": "bfloat16"},
    },
    "trl_bfloat16_8": {
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length",
        "bf16": False,
        "model_init_kwargs": {"dtype": "bfloat16"},
    },
    "trl_bfloat16_16": {
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length",
        "bf16": False,
        "model_init_kwargs": {"dtype": "bfloat16"},
    },
}
"""TRL as it comes, and the settings among which its best is looked for. Packing is not one of them: TRL says
itself that without flash attention, which is for GPUs, packed texts see each other."""


@dataclass(frozen=True)
class Job:
    """What every contender is told."""

    model: str
    folder: str
    rows: list[dict[str, str]]
    """`instruction` and `response` of each pair."""
    epochs: int
    rate: float
    rank: int
    alpha: int
    threads: int
    seed: int


@dataclass(frozen=True)
class Figures:
    """What one training took."""

    tokens: int
    """Useful tokens of the timed steps."""
    seconds: float
    before: float
    """Seconds until the second step began, imports excluded."""
    steps: int
    peak_mib: float


def hone(job: Job) -> Figures:
    from feedback import snapshot
    from feedback.records import Message
    from tuner import checkpoint, lessons
    from tuner.course import Course
    from tuner.plan import RunFolder, read_lines
    from tuner.replay import Replay
    from tuner.student import Student
    from tuner.team import Team

    begun = time.perf_counter()
    folder = RunFolder(Path(job.folder))
    plan = _plan(job)
    student = Student(plan)
    rows = [
        snapshot.Row("", "", "", (Message("user", row["instruction"]),), row["response"], "")
        for row in job.rows
    ]
    taught, _ = student.lessons(rows)
    student.settle(taught)
    course = Course(folder, plan, student, taught, [], Replay(), Team())
    course.finish()
    checkpoint.save_adapter(student.model, folder.path / "adapter", "base")
    told = [line["seconds"] for line in read_lines(folder.progress) if line["phase"] == "train"]
    ended = time.perf_counter()
    order = [
        step
        for epoch in range(job.epochs)
        for step in lessons.steps(taught, epoch, job.seed, plan.pairs_per_step)
    ]
    tokens = sum(len(lesson.ids) for step in order[1:] for lesson in step)
    timed = told[-1] - told[0]
    return Figures(tokens, timed, ended - begun - timed, len(order), _peak())


def trl(job: Job, batches: dict[str, Any]) -> Figures:
    from datasets import Dataset
    from peft import LoraConfig
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    begun = time.perf_counter()
    clock: list[float] = []
    seen: list[int] = []
    """Tokens so far at the end of each step, padding left out: TRL's own count."""

    class Clock(TrainerCallback):
        def on_step_end(self, *given: Any, **named: Any) -> None:
            clock.append(time.perf_counter())
            seen.append(trainer._total_train_tokens)

    pairs = [
        {
            "prompt": [{"role": "user", "content": row["instruction"]}],
            "completion": [{"role": "assistant", "content": row["response"]}],
        }
        for row in job.rows
    ]
    given = SFTConfig(
        output_dir=job.folder,
        num_train_epochs=job.epochs,
        learning_rate=job.rate,
        max_grad_norm=1.0,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=job.seed,
        max_length=2048,
        **batches,
    )
    shape = LoraConfig(r=job.rank, lora_alpha=job.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        model=job.model,
        args=given,
        train_dataset=Dataset.from_list(pairs),
        peft_config=shape,
        callbacks=[Clock()],
    )
    plan = _plan(job)
    steps = math.ceil(len(pairs) / 16) * job.epochs
    trainer.create_optimizer()
    trainer.lr_scheduler = LambdaLR(
        trainer.optimizer, lambda step: plan.rate(step, steps) / plan.learning_rate
    )
    trainer.train()
    trainer.save_model(str(Path(job.folder) / "adapter"))
    timed = clock[-1] - clock[0]
    return Figures(seen[-1] - seen[0], timed, time.perf_counter() - begun - timed, len(clock), _peak())


def _plan(job: Job) -> Any:
    """Hone's plan, whose rates TRL takes too."""
    from tuner.plan import design

    settings = {"epochs": job.epochs, "learning_rate": job.rate, "rank": job.rank, "alpha": job.alpha}
    return design(
        Path(job.model), len(job.rows), **settings, pairs_per_step=16, threads=job.threads, seed=job.seed
    )


def _peak() -> float:
    """MiB that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(who: str, path: str) -> None:
    job = Job(**json.loads(Path(path).read_text("utf-8")))
    torch.set_num_threads(job.threads)
    ways: dict[str, Callable[[], Figures]] = {
        "hone": lambda: hone(job),
        **{name: lambda batches=batches: trl(job, batches) for name, batches in BATCHES.items()},  # type: ignore[misc]
    }
    print("FIGURES " + json.dumps(asdict(ways[who]())), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
