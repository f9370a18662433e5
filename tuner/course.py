"""One training from its first step, or from its checkpoint, to its end.

Each step averages over the taught tokens of all its pairs, whatever packs they went through the model in
and however many processes shared them. Knows nothing of files but the run's folder.

Trail: tuner/train.py -> here -> tuner/student.py, tuner/checkpoint.py
"""

import gc
import json
import math
import time
from collections.abc import Sequence
from typing import Any

import psutil
import torch

from feedback.errors import TrainingFailed
from tuner import checkpoint, lessons, memory
from tuner.lessons import Lesson
from tuner.plan import RunFolder, TrainPlan, append_line, read_lines
from tuner.replay import Replay
from tuner.student import LOWER, Student
from tuner.team import Team


class Course:
    """One training from its first step, or from its checkpoint, to its end."""

    def __init__(
        self,
        folder: RunFolder,
        plan: TrainPlan,
        student: Student,
        taught: list[Lesson],
        dev: list[Lesson],
        replay: Replay,
        team: Team,
    ) -> None:
        self.folder, self.plan, self.student, self.taught = folder, plan, student, taught
        self.replay, self.team = replay, team
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
        """One optimiser step on the mean loss of all the step's taught tokens, what it repeats included."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.progress.step, self.steps)
        repeated = self.replay.beside(self.progress.step, sum(lesson.taught for lesson in step))
        counted = sum(lesson.weight * lesson.taught for lesson in (*step, *repeated))
        pull = self.plan.replay_pull / max(sum(lesson.taught for lesson in repeated), 1)
        total = torch.zeros(1, device=self.student.device)
        packs = self.student.way.packs([*step, *repeated], self._most([*step, *repeated]))
        for pack in self.team.share(packs):
            aim = pack.aim(
                [lesson.weight / counted for lesson in pack.lessons],
                [pull] * len(pack.lessons),
                self.replay.teacher,
            )
            loss, _ = self.student.way.loss(pack, aim)
            self.progress.peak_bytes = max(self.progress.peak_bytes, self._process.memory_info().rss)
            loss.backward()
            total += loss.detach()
        self._gather(total)
        norm = torch.nn.utils.clip_grad_norm_(self.student.weights, self.plan.clip_norm)
        self._take(total.item(), norm.item(), sum(lesson.taught for lesson in step))

    def _most(self, step: Sequence[Lesson]) -> int:
        """Tokens of a pack: what fits, and no more than leaves every process of the team something."""
        each = -(-sum(len(lesson.ids) for lesson in step) // self.team.size)
        return min(self.student.batch_tokens, each)

    def _gather(self, total: torch.Tensor) -> None:
        """Add up what the processes of the team found."""
        if self.team.size > 1:
            grads = [weight.grad for weight in self._with_grads()]
            self.team.add([total, *(grad for grad in grads if grad is not None)])

    def _with_grads(self) -> list[torch.nn.Parameter]:
        for weight in self.student.weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        return self.student.weights

    def _take(self, loss: float, norm: float, tokens: int) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingFailed(f"The loss of step {self.progress.step + 1} is not a number.", LOWER)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if not self.progress.losses:
            gc.freeze()  # the model's million objects never become garbage; don't search them
        self.progress.step += 1
        self.progress.tokens += tokens
        self.progress.losses.append(loss)

    def _judge(self, epoch: int) -> None:
        """Note the epoch's dev loss, keep the best weights, and end when patience does."""
        if self.dev:
            weights = [lesson.taught for lesson in self.dev]
            means = self.student.means(self.dev)
            loss = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
            loss = self.team.as_first(loss)
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
        if self.team.first:
            append_line(self.folder.progress, line)

    def _save(self) -> None:
        self._count_time()
        if not self.team.first:
            return
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
        if not self.team.first:
            return
        lines = read_lines(self.folder.progress)
        kept = [line for line in lines if line["phase"] == "train" and line["step"] <= step]
        self.folder.progress.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")

    def account(self) -> dict[str, Any]:
        """What the training cost and how it went."""
        self._count_time()
        told = self.progress
        told.peak_bytes = max(told.peak_bytes, memory.most_held())
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
            "pass": self.student.way.name,
            "processes": self.team.size,
            "batch_tokens": self.student.batch_tokens,
        }
