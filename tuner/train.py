"""The training child: `python -m tuner.train RUN_DIR` turns a run's snapshot into an adapter.

It sees its run folder and the base model's folder, nothing else: no store, no server, no settings.
`trained.json` is written last, so a run killed anywhere goes on from its checkpoint and ends with the
same bytes. What a person can do about a failure goes to `error.json`; the exit status is then 1.

Trail: tuner/child.py -> here -> tuner/registry.py
"""

from feedback.lifeline import end_with_parent

if __name__ == "__main__":
    end_with_parent()  # before torch, whose import takes seconds

import gc
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from feedback import snapshot
from feedback.errors import HoneError, TrainingFailed
from feedback.fingerprint import digest
from tuner import checkpoint, lessons
from tuner.lessons import Lesson
from tuner.plan import RunFolder, TrainPlan, append_line, read_lines, write_json
from tuner.student import LOWER, Student


def main(arguments: Sequence[str]) -> int:
    folder = RunFolder(Path(arguments[0]))
    try:
        train(folder)
    except Exception as failed:
        traceback.print_exc()
        todo = failed.todo if isinstance(failed, HoneError) else f"The whole story is in {folder.log}."
        what = failed.what if isinstance(failed, HoneError) else f"Training failed: {failed!r}."
        write_json(folder.error, {"what": what, "todo": todo})
        return 1
    return 0


def train(folder: RunFolder) -> None:
    """Learn, judge on held-out rows, and leave the adapter with its manifest in the run's folder.

    Raises:
        TrainingFailed: There is nothing to learn from, or what was learnt is unusable.
    """
    plan = folder.read_plan()
    _behave(plan)
    student = Student(plan)
    rows = snapshot.load(folder.snapshot)
    taught, dropped = student.lessons(rows.train)
    if not taught:
        raise TrainingFailed(
            f"None of the {len(rows.train)} training pairs can be learnt from: {dict(dropped)}.",
            "Approve pairs that fit the model's context and its chat template, then run again.",
        )
    course = Course(folder, plan, student, taught, student.lessons(rows.dev)[0])
    course.finish()
    student.check()
    checkpoint.save_adapter(student.model, folder.adapter, Path(plan.base).name)
    held_out, unscored = student.lessons(rows.gate)
    write_json(folder.scores, student.scores(held_out))
    write_json(folder.probe, student.probes(taught))
    left_out = {"train": dict(dropped), "gate": dict(unscored)}
    write_json(folder.trained, {**course.account(), "left_out": left_out, "digest": digest(folder.adapter)})


def _behave(plan: TrainPlan) -> None:
    """Stay behind people's chats: fewer threads, lower priority."""
    torch.set_num_threads(plan.threads)
    with suppress(OSError, AttributeError):
        os.nice(plan.niceness)


class Course:
    """One training from its first step, or from its checkpoint, to its end."""

    def __init__(
        self, folder: RunFolder, plan: TrainPlan, student: Student, taught: list[Lesson], dev: list[Lesson]
    ) -> None:
        self.folder, self.plan, self.student, self.taught = folder, plan, student, taught
        self.dev = dev if len(dev) >= plan.patience_rows else []
        self.per_epoch = math.ceil(len(taught) / plan.pairs_per_step)
        self.steps = self.per_epoch * plan.epochs
        self.optimizer = torch.optim.AdamW(
            student.weights, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        self.progress, self.best = checkpoint.restore(
            folder.checkpoint, plan.digest, student.model, self.optimizer
        )
        self._order: Sequence[list[Lesson]] = ()
        self._clock, self._cpu = time.monotonic(), 0.0
        self._process = psutil.Process()
        self._forget_after(self.progress.step)

    def finish(self) -> None:
        """Take every step that is left, then keep the weights that dev loss liked best."""
        while not self.progress.done:
            epoch, turn = divmod(self.progress.step, self.per_epoch)
            if turn == 0 or not self._order:
                self._order = lessons.steps(self.taught, epoch, self.plan.seed, self.plan.pairs_per_step)
            self._learn(self._order[turn])
            ends = turn + 1 == self.per_epoch
            if ends:
                self._judge(epoch)
            self._tell("train", epoch, ends)
            if ends or self.progress.step % self.plan.checkpoint_steps == 0:
                self._save()
        if self.best:
            checkpoint.put_back(self.student.model, self.best)
        self._tell("score", epoch=(self.progress.step - 1) // self.per_epoch, judged=True)

    def _learn(self, step: list[Lesson]) -> None:
        """One optimiser step on the mean loss of all the step's taught tokens."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.progress.step, self.steps)
        tokens = sum(lesson.taught for lesson in step)
        total = 0.0
        for batch in lessons.batches(step, self.plan.batch_tokens):
            loss = (
                lessons.negative_log_likelihood(self.student.model, batch, self.student.device).sum() / tokens
            )
            self.progress.peak_bytes = max(self.progress.peak_bytes, self._process.memory_info().rss)
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self.student.weights, self.plan.clip_norm)
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TrainingFailed(f"The loss of step {self.progress.step + 1} is not a number.", LOWER)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if not self.progress.losses:
            gc.freeze()  # the model's million objects never become garbage; don't search them
        self.progress.step += 1
        self.progress.tokens += tokens
        self.progress.losses.append(total)

    def _judge(self, epoch: int) -> None:
        """Note the epoch's dev loss, keep the best weights, and end when patience does."""
        if self.dev:
            weights = [lesson.taught for lesson in self.dev]
            means = self.student.means(self.dev)
            loss = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
            if not self.progress.dev or loss < min(self.progress.dev):
                self.progress.best_epoch = epoch
                self.best = checkpoint.adapter_state(self.student.model)
            self.progress.dev.append(loss)
        waited = epoch - (self.progress.best_epoch if self.progress.best_epoch is not None else epoch)
        self.progress.done = self.progress.step == self.steps or waited >= self.plan.patience

    def _tell(self, phase: str, epoch: int, judged: bool) -> None:
        line = {
            "phase": phase,
            "step": self.progress.step,
            "steps": self.steps,
            "epoch": epoch + 1,
            "loss": self.progress.losses[-1],
            "dev_nll": self.progress.dev[-1] if judged and self.dev else None,
            "tokens": self.progress.tokens,
            "seconds": round(self.progress.seconds + time.monotonic() - self._clock, 3),
        }
        append_line(self.folder.progress, line)

    def _save(self) -> None:
        self._count_time()
        checkpoint.save(
            self.folder.checkpoint,
            self.plan.digest,
            self.progress,
            self.student.model,
            self.optimizer,
            self.best,
        )

    def _count_time(self) -> None:
        clock, cpu = time.monotonic(), time.process_time()
        self.progress.seconds += clock - self._clock
        self.progress.cpu_seconds += cpu - self._cpu
        self._clock, self._cpu = clock, cpu

    def _forget_after(self, step: int) -> None:
        """Leave out of the progress file the steps that will be taken again."""
        lines = read_lines(self.folder.progress)
        kept = [line for line in lines if line["phase"] == "train" and line["step"] <= step]
        self.folder.progress.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")

    def account(self) -> dict[str, Any]:
        """What the training cost and how it went."""
        self._count_time()
        told = self.progress
        return {
            "steps": told.step,
            "epochs": math.ceil(told.step / self.per_epoch),
            "best_epoch": None if told.best_epoch is None else told.best_epoch + 1,
            "pairs": len(self.taught),
            "tokens": told.tokens,
            "first_loss": told.losses[0],
            "last_loss": told.losses[-1],
            "dev_nll": told.dev,
            "seconds": round(told.seconds, 2),
            "cpu_seconds": round(told.cpu_seconds, 2),
            "peak_bytes": told.peak_bytes,
            "device": self.student.device.type,
            "dtype": str(self.student.dtype).removeprefix("torch."),
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
