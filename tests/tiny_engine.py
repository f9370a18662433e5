"""A language model small enough to build in a test, adapters for it, and what transformers makes of both."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from feedback.records import Message
from feedback.template import render
from serve.engine.asking import Ask, Drawing, Ended, Piece
from serve.engine.engine import Engine
from serve.engine.model import Loaded, load
from serve.engine.network import Network, Span
from serve.engine.spelling import Spelling
from serve.engine.stream import Stream

STARTS, ENDS = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = ["The capital of France is Paris.", "Tell me a story, please.", "안녕하세요, 반갑습니다."]
PATIENCE = 120.0
"""Seconds after which an answer that does not come fails a test, instead of holding all of them up."""
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that Korean and emoji take several tokens a character."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[STARTS, ENDS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS[:2], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=ENDS, pad_token=ENDS)
    fast.add_special_tokens({"additional_special_tokens": [STARTS]})
    fast.chat_template = TEMPLATE
    return fast


def readable(tokenizer: PreTrainedTokenizerFast, token: int) -> bool:
    text = tokenizer.decode([token], skip_special_tokens=True)
    return text.isascii() and text.isprintable() and text != ""


def make_model(folder: Path, *, context: int = 4096) -> Path:
    """A random two-layer Llama that says readable nonsense and never ends by itself."""
    torch.manual_seed(7)
    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.3,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # A logit of zero is never the highest: no control tokens, no bytes that are half a character.
        model.lm_head.weight[[i for i in range(len(tokenizer)) if not readable(tokenizer, i)]] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(model: Path, folder: Path, *, seed: int = 0, size: float = 0.3, **config: object) -> Path:
    """An adapter as PEFT saves it, with random weights of the given size in both its matrices."""
    torch.manual_seed(seed)
    asked: dict[str, object] = {"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "task_type": "CAUSAL_LM"}
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(model), LoraConfig(**{**asked, **config}))
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_" in name:
                weights.normal_(std=size)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def open_model(folder: Path, cache: Path, *, dtype: str = "float32", rows: int = 6) -> Loaded:
    """Load a folder as the engine does, on one thread."""
    return load("tiny", folder, cache=cache, dtype=dtype, device="cpu", threads=1, longest=4096, rows=rows)


class Watched:
    """A network that writes down each pass, and may be told to fail or to spoil what it gives."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.steps: list[list[Span]] = []
        self.before: Callable[[Sequence[Span]], None] = lambda spans: None
        self.after: Callable[[Sequence[Span], torch.Tensor], torch.Tensor] = lambda spans, logits: logits

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def forward(self, spans: Sequence[Span]) -> torch.Tensor:
        self.steps.append(list(spans))
        self.before(spans)
        return self.after(spans, self.network.forward(spans))


def ask(text: str = "Tell me", version: str = "base", **more: Any) -> Ask:
    """A greedy request of 24 tokens; fields of `Drawing` and of `Ask` may be given by name."""
    drawing = {f.name: more.pop(f.name) for f in fields(Drawing) if f.name in more}
    chosen = Drawing(**{"temperature": 0.0, "max_tokens": 24, **drawing})
    return Ask(version, (Message("user", text),), chosen, **more)


async def answer(engine: Engine, asked: Ask) -> tuple[str, Ended]:
    return await whole(await engine.generate(asked))


async def whole(stream: Stream) -> tuple[str, Ended]:
    text = ""
    async with asyncio.timeout(PATIENCE):
        async for part in stream:
            if isinstance(part, Ended):
                return text, part
            text += part.text
    raise AssertionError("the stream ended without its end")


async def tokens(engine: Engine, asked: Ask) -> tuple[list[int], Ended]:
    """An answer's token ids; the request must ask for their details."""
    assert asked.top_logprobs is not None
    ids: list[int] = []
    async with asyncio.timeout(PATIENCE):
        async for part in await engine.generate(asked):
            if isinstance(part, Piece):
                ids += [token.id for token in part.tokens]
            else:
                return ids, part
    raise AssertionError("the stream ended without its end")


def gauges(engine: Engine) -> dict[str, float]:
    """What the engine says is in use now, by the gauges' names without their common beginning."""
    lines = engine.metrics.text().decode().splitlines()
    kinds = {line.split()[2] for line in lines if line.startswith("# TYPE") and line.endswith(" gauge")}
    kinds -= {"hone_engine_slots", "hone_engine_max_requests_running"}  # what there is room for
    values = dict(line.split() for line in lines if line.split()[0] in kinds)
    return {name.removeprefix("hone_engine_"): float(value) for name, value in values.items()}


async def at_rest(engine: Engine) -> None:
    """Wait until nobody is answered, waits, or holds a version; fails if that does not come."""
    busy = dict.fromkeys(("num_requests_running", "num_requests_waiting", "references"), 1.0)
    for _ in range(500):
        busy = {name: gauges(engine)[name] for name in busy}
        if not any(busy.values()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still in use: {busy}")


@lru_cache(maxsize=16)
def _alone(folder: Path, adapter: Path | None) -> Any:
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return (network if adapter is None else PeftModel.from_pretrained(network, adapter)).eval()


def reference_tokens(model: Loaded, folder: Path, asked: Ask, adapter: Path | None = None) -> list[int]:
    """The tokens that transformers and PEFT themselves make, greedily, in float32."""
    assert not isinstance(asked.prompt, str)
    said = [part for part in asked.prompt if isinstance(part, Message)]
    prompt = render(model.tokenizer, said) if said else list(asked.prompt)
    ids = torch.tensor([prompt])
    output = _alone(folder, adapter).generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=asked.drawing.max_tokens,
    )
    made: list[int] = output[0, len(prompt) :].tolist()
    return made


def reference(model: Loaded, folder: Path, asked: Ask, adapter: Path | None = None) -> str:
    """What transformers and PEFT themselves answer, greedily, in float32."""
    made = reference_tokens(model, folder, asked, adapter)
    return Spelling(model.tokenizer).text(made)
