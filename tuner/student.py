"""The model that learns: a frozen base with a fresh LoRA on every linear layer.

It scores lessons under its adapter, under the bare base and under another version's adapter, and says
whether what it became is usable. Knows nothing of steps, rates or checkpoints.

Trail: tuner/train.py -> here -> tuner/lessons.py, tuner/passes.py
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from feedback import snapshot, template
from feedback.errors import TrainingFailed
from tuner import lessons, memory, passes
from tuner.lessons import Lesson
from tuner.plan import TrainPlan

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Processor flags (x86, ARM) without which bfloat16 products run a hundred times slower than float32."""

LOWER = "Lower the learning rate, or look for a broken pair among the newest, then run again."


def place(wanted: str) -> tuple[torch.device, torch.dtype]:
    """Where to train and in which number format the frozen base is held."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "auto":
        wanted = "bfloat16" if device.type == "cuda" or BF16_FLAGS & _processor_flags() else "float32"
    return device, getattr(torch, wanted)


def _processor_flags() -> set[str]:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("flags", "features")):
                return set(line.split(":", 1)[1].split())
    return set()


class Student:
    """The frozen base with a fresh float32 LoRA on every linear layer, and its tokenizer."""

    def __init__(self, plan: TrainPlan) -> None:
        self.plan = plan
        self.device, self.dtype = place(plan.dtype)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(plan.base, local_files_only=True)
            base = AutoModelForCausalLM.from_pretrained(plan.base, dtype=self.dtype, local_files_only=True)
        except (OSError, ValueError) as bad:
            raise TrainingFailed(
                f"The base model in {plan.base} cannot be loaded: {bad}",
                "Check the folder, or set model.name again.",
            ) from bad
        self.stops = template.stop_ids(self.tokenizer, base.generation_config)
        torch.manual_seed(plan.seed)
        shape = LoraConfig(
            r=plan.rank, lora_alpha=plan.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        self.model = get_peft_model(base.to(self.device), shape)
        # Evaluation mode throughout: a base with dropout of its own would not resume exactly.
        self.model.eval()
        self.way: passes.Pass = passes.Whole(self.model, self.device)
        self.batch_tokens = plan.batch_tokens

    def settle(self, taught: Sequence[Lesson]) -> None:
        """Choose the way through the model: the lean one where it agrees on some of these lessons."""
        self.way = passes.choose(self.model, self.device, taught)

    def shape(self) -> memory.Shape:
        """What decides how much memory its training takes."""
        config = self.model.config.get_text_config()
        held = sum(w.numel() * w.element_size() for w in self.model.parameters() if not w.requires_grad)
        inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        return memory.Shape(
            base=held,
            learnt=sum(weight.numel() for weight in self.weights),
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            inner=inner,
            vocabulary=config.vocab_size,
            item=self.dtype.itemsize,
            lean=self.way.name == "lean",
        )

    def take(self, room: memory.Room) -> None:
        """Keep to the memory that was found free."""
        self.batch_tokens = room.batch_tokens
        if isinstance(self.way, passes.Lean):
            self.way.frugal = room.frugal

    def lessons(self, rows: Sequence[snapshot.Row]) -> tuple[list[Lesson], Any]:
        return lessons.lessons(self.tokenizer, rows, self.stops, self.plan.max_tokens)

    @property
    def weights(self) -> list[torch.nn.Parameter]:
        return [weight for weight in self.model.parameters() if weight.requires_grad]

    def means(self, asked: Sequence[Lesson]) -> list[float]:
        """Mean negative log-likelihood per taught token, one number a lesson."""
        return [fmean(values) for values in passes.nll(self.way, asked, self.batch_tokens)]

    def check(self) -> None:
        """Refuse an adapter that would break or change nothing."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.weights):
            raise TrainingFailed("Training ended in weights that are not numbers.", LOWER)
        moved = sum(
            weight.detach().norm().item()
            for name, weight in self.model.named_parameters()
            if "lora_B" in name
        )
        if moved == 0.0:
            raise TrainingFailed(
                "Training changed nothing: every LoRA B matrix is still zero.",
                "Check that the approved responses are not empty and that the learning rate is not 0.",
            )

    def scores(self, held_out: list[Lesson]) -> list[dict[str, Any]]:
        """Held-out losses of the candidate, the base, and the version now live, row by row."""
        candidate = self.means(held_out)
        with self.model.disable_adapter():
            base = self.means(held_out)
        incumbent = self._incumbent(held_out) if self.plan.incumbent else base
        return [
            {"exchange_id": lesson.row.exchange_id, "tokens": lesson.taught}
            | {"candidate": mine, "base": plain, "incumbent": theirs}
            for lesson, mine, plain, theirs in zip(held_out, candidate, base, incumbent, strict=True)
        ]

    def _incumbent(self, held_out: list[Lesson]) -> list[float]:
        self.model.load_adapter(self.plan.incumbent, adapter_name="incumbent")
        self.model.set_adapter("incumbent")
        found = self.means(held_out)
        self.model.set_adapter("default")
        self.model.delete_adapter("incumbent")
        return found

    def probes(self, taught: Sequence[Lesson]) -> dict[str, Any]:
        """Log-probabilities under adapter and base that a server of this very version must repeat."""
        short = [lesson for lesson in taught if len(lesson.ids) <= self.plan.probe_tokens] or taught[:1]
        chosen = short[:: max(len(short) // self.plan.probes, 1)][: self.plan.probes]
        candidate = self._log_probabilities(chosen)
        with self.model.disable_adapter():
            base = self._log_probabilities(chosen)
        items = [
            {"messages": [m.as_dict() for m in lesson.row.messages], "response": lesson.row.response}
            | {"candidate": mine, "base": plain}
            for lesson, mine, plain in zip(chosen, candidate, base, strict=True)
        ]
        return {"dtype": str(self.dtype).removeprefix("torch."), "items": items}

    def _log_probabilities(self, asked: Sequence[Lesson]) -> list[list[float]]:
        return [[-value for value in each] for each in passes.nll(self.way, asked, self.batch_tokens)]
