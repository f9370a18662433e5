"""TRL's SFTTrainer as an oracle: equal label masks on four families, equal losses and gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tiny_base import CPU, make_base, row
from tiny_engine import make_tokenizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

from feedback import template
from feedback.records import Message
from feedback.snapshot import Row
from tuner import lessons, passes
from tuner.lessons import Lesson
from tuner.plan import design

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}" + CHATML
)
LLAMA = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "<bos>{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
FAMILIES = {
    "chatml": (CHATML, [], "<|im_end|>"),
    "qwen": (QWEN, [], "<|im_end|>"),
    "llama 3": (
        LLAMA,
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|eot_id|>",
    ),
    "gemma": (GEMMA, ["<bos>", "<start_of_turn>", "<end_of_turn>"], "<end_of_turn>"),
}
SILENT = -100
"""TRL's label of a token that carries no loss."""
ROWS = [
    row("Hi", "Yes."),
    row("서울은 어디에 있나요?", "서울은 대한민국에 있습니다 🎉"),
    Row(
        "",
        "",
        "",
        (Message("user", "Say one."), Message("assistant", "One."), Message("user", "And two?")),
        "Two.\nThat is all.",
        "ann",
    ),
    row("Say so so so.", "so so so"),
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def dataset(rows: list[Row]) -> Dataset:
    return Dataset.from_list(
        [
            {
                "prompt": [m.as_dict() for m in one.messages],
                "completion": [{"role": "assistant", "content": one.response}],
            }
            for one in rows
        ]
    )


def trainer(model: Any, tokenizer: Any, rows: list[Row], folder: Path, **given: Any) -> SFTTrainer:
    """TRL in float32, all rows in one batch, so that their order is no matter."""
    config = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=len(rows),
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        logging_steps=1,
        max_grad_norm=1.0,
        **given,
    )
    return SFTTrainer(model=model, args=config, train_dataset=dataset(rows), processing_class=tokenizer)


def wrapped(base: Path) -> Any:
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    shape = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, shape)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_labels_are_trls_up_to_the_stop_token(family: str, base: Path, tmp_path: Path) -> None:
    text, added, stop = FAMILIES[family]
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": added})
    tokenizer.chat_template, tokenizer.eos_token = text, stop
    model = AutoModelForCausalLM.from_pretrained(base)
    model.resize_token_embeddings(len(tokenizer))
    theirs = trainer(model, tokenizer, ROWS, tmp_path).train_dataset
    ours, dropped = lessons.lessons(tokenizer, ROWS, template.stop_ids(tokenizer), 512)
    assert not dropped
    for lesson, their in zip(ours, theirs, strict=True):
        length = len(lesson.ids)
        assert list(their["input_ids"][:length]) == lesson.ids
        silent = [SILENT] * lesson.start
        assert list(their["labels"][:length]) == silent + lesson.ids[lesson.start :]
        # What TRL has after the stop token is the template's own line break.
        assert not tokenizer.decode(their["input_ids"][length:]).strip()


def taught(base: Path) -> list[Lesson]:
    tokenizer = make_tokenizer()
    found, _ = lessons.lessons(tokenizer, ROWS, template.stop_ids(tokenizer), 512)
    return found


def cut(row: dict[str, Any], stops: set[int]) -> dict[str, Any]:
    """A row of TRL's without what follows the stop token, which ours leaves out."""
    begin = next(i for i, label in enumerate(row["labels"]) if label != SILENT)
    end = next(i for i in range(begin, len(row["input_ids"])) if row["input_ids"][i] in stops) + 1
    return {name: list(row[name])[:end] for name in ("input_ids", "labels")}


def test_losses_and_gradients_over_four_steps_are_trls(base: Path, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    stops = template.stop_ids(tokenizer)
    plan = design(base, len(ROWS), learning_rate=0.01, epochs=4, warmup_steps=2)
    theirs, ours = wrapped(base), wrapped(base)
    optimizer = torch.optim.AdamW(
        [w for w in theirs.parameters() if w.requires_grad], lr=plan.learning_rate, weight_decay=0.0
    )
    schedule = LambdaLR(optimizer, lambda step: plan.rate(step, 4) / plan.learning_rate)
    oracle = trainer(theirs, tokenizer, ROWS, tmp_path, num_train_epochs=4)
    oracle.optimizer, oracle.lr_scheduler = optimizer, schedule
    oracle.train_dataset = oracle.train_dataset.map(lambda row: cut(row, stops))
    oracle.train()
    found = [line["loss"] for line in oracle.state.log_history if "loss" in line]

    some = taught(base)
    way = passes.choose(ours, CPU, some)
    assert way.name == "lean"
    mine = torch.optim.AdamW([w for w in ours.parameters() if w.requires_grad], weight_decay=0.0)
    count = sum(lesson.taught for lesson in some)
    for step in range(4):
        total = 0.0
        for pack in way.packs(some, 40):
            loss, _ = way.loss(pack, pack.aim([1 / count] * len(pack.lessons)))
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_([w for w in ours.parameters() if w.requires_grad], 1.0)
        for group in mine.param_groups:
            group["lr"] = plan.rate(step, 4)
        mine.step()
        mine.zero_grad()
        assert total == pytest.approx(found[step], rel=2e-3)
    for (name, left), (_, right) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=2e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_of_one_step_are_trls(base: Path, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    stops = template.stop_ids(tokenizer)
    theirs, ours = wrapped(base), wrapped(base)
    for model in (theirs, ours):
        torch.manual_seed(1)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05)
    oracle = trainer(theirs, tokenizer, ROWS, tmp_path)
    oracle.train_dataset = oracle.train_dataset.map(lambda row: cut(row, stops))
    batch = next(iter(oracle.get_train_dataloader()))
    oracle.compute_loss(oracle.model, batch).backward()

    some = taught(base)
    way = passes.choose(ours, CPU, some)
    count = sum(lesson.taught for lesson in some)
    for pack in way.packs(some, 1000):
        way.loss(pack, pack.aim([1 / count] * len(pack.lessons)))[0].backward()
    compared = 0
    for left, right in zip(theirs.parameters(), ours.parameters(), strict=True):
        if left.requires_grad:
            assert left.grad is not None
            assert right.grad is not None
            torch.testing.assert_close(left.grad, right.grad, rtol=1e-3, atol=1e-5)
            compared += 1
    assert compared == 2 * 14
