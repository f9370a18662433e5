"""A base model small enough to train in a test, snapshots for it, and an honest server of both.

The server has real weights, real adapters and real log-probabilities; only its embedder is a toy. It
speaks no HTTP and keeps no promise about load.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from tiny_engine import make_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from feedback import snapshot, template
from feedback.errors import BadAdapter, UnknownVersion
from feedback.records import Message, new_id
from feedback.snapshot import SIDES, Row, Snapshot
from tuner import lessons, passes
from tuner.plan import RunFolder, TrainPlan, design
from tuner.server import Answer

CPU = torch.device("cpu")
FAST: dict[str, Any] = {"learning_rate": 0.02, "epochs": 8, "rank": 8, "pairs_per_step": 4}
FAST["replay_share"] = 0.0  # the engine of a test answers no hundred questions


def make_base(folder: Path) -> Path:
    """A random two-layer Llama with a real tokenizer and ChatML."""
    torch.manual_seed(11)
    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.15,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def row(instruction: str, response: str, group: str = "") -> Row:
    messages = (Message("user", instruction),)
    return Row(new_id(), new_id(), group or new_id(), messages, response, "ann")


def make_run(
    folder: Path,
    base: Path,
    train: Sequence[Row],
    dev: Sequence[Row] = (),
    gate: Sequence[Row] = (),
    **settings: Any,
) -> RunFolder:
    """A run's folder as the cycle leaves it for the training child."""
    run = RunFolder(folder)
    sides = {"train": tuple(train), "dev": tuple(dev), "gate": tuple(gate)}
    counts = {side: len(sides[side]) for side in SIDES}
    frozen = Snapshot(new_id(), new_id(), "general", "0" * 64, counts, {}, **sides)
    snapshot._write(frozen, run.snapshot)
    plan = design(base, len(train), **{**FAST, **settings})
    assert isinstance(plan, TrainPlan)
    run.write_plan(plan)
    return run


class LocalServer:
    """Answers, probes, loads and routes in this very process."""

    def __init__(self, base: Path) -> None:
        self._folder = base
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        self._models: dict[str, Any] = {"base": self._fresh()}
        self.routes: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.answered = 0

    @property
    def loaded(self) -> set[str]:
        return set(self._models) - {"base"}

    def _fresh(self) -> Any:
        return AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32).eval()

    def _model(self, version: str) -> Any:
        name = "base" if version.endswith("@0") else version
        if name not in self._models:
            raise UnknownVersion(f"Version {version} is not being served.", "Load it.")
        return self._models[name]

    async def answer(
        self,
        version: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Answer:
        self.calls.append(("answer", version))
        model = self._model(version)
        ids = torch.tensor([template.render(self.tokenizer, messages)])
        said = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=min(max_tokens, 24),
        )[0, ids.shape[1] :].tolist()
        stopped = said[-1] == self.tokenizer.eos_token_id
        text = self.tokenizer.decode(said, skip_special_tokens=True)
        self.answered += len(said)
        return Answer(text, "stop" if stopped else "length", len(said))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [_letters(text) for text in texts]

    async def probe(self, version: str, items: Sequence[tuple[Sequence[Message], str]]) -> list[list[float]]:
        self.calls.append(("probe", version))
        model = self._model(version)
        rows = [Row("", "", "", tuple(messages), response, "") for messages, response in items]
        stops = template.stop_ids(self.tokenizer, model.generation_config)
        asked, _ = lessons.lessons(self.tokenizer, rows, stops, 512)
        found = passes.nll(passes.Whole(model, CPU), asked, 512)
        return [[-value for value in each] for each in found]

    async def load(self, version: str, folder: Path) -> None:
        self.calls.append(("load", version))
        if version not in self._models:
            try:
                self._models[version] = PeftModel.from_pretrained(self._fresh(), folder).eval()
            except Exception as bad:
                raise BadAdapter(f"{folder} cannot be loaded: {bad}", "Train again.") from bad

    async def unload(self, version: str) -> None:
        self.calls.append(("unload", version))
        self._models.pop(version, None)

    async def share(self, assistant: str, version: str, share: float) -> None:
        self.calls.append(("share", version))

    async def route(self, assistant: str, version: str) -> None:
        self.calls.append(("route", version))
        self._model(version)
        self.routes[assistant] = version

    async def base_folder(self) -> Path:
        return self._folder


def _letters(text: str) -> list[float]:
    """A unit vector of the text's runs of three letters."""
    vector = [0.0] * 64
    for i in range(max(len(text) - 2, 1)):
        vector[hashlib.md5(text[i : i + 3].lower().encode()).digest()[0] % 64] += 1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]
