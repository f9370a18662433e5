"""A language model small enough to build in a test, adapters for it, and what transformers makes of both."""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from feedback.template import render
from serve.engine.engine import Engine, Stream
from serve.engine.model import Loaded
from serve.engine.protocol import ChatRequest, Ended

STARTS, ENDS = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = ["The capital of France is Paris.", "Tell me a story, please.", "안녕하세요, 반갑습니다."]
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
    adapted.save_pretrained(folder)
    return folder


def ask(text: str = "Tell me", **more: object) -> ChatRequest:
    asked = {
        "model": "base",
        "temperature": 0,
        "max_tokens": 24,
        "messages": [{"role": "user", "content": text}],
    }
    return ChatRequest.model_validate({**asked, **more})


async def answer(engine: Engine, request: ChatRequest) -> tuple[str, Ended]:
    return await whole(await engine.chat(request))


async def whole(stream: Stream) -> tuple[str, Ended]:
    text = ""
    async for part in stream:
        if isinstance(part, Ended):
            return text, part
        text += part
    raise AssertionError("the stream ended without its end")


def reference(model: Loaded, folder: Path, request: ChatRequest, adapter: Path | None = None) -> str:
    """What transformers and PEFT themselves answer, greedily, in float32."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        network = PeftModel.from_pretrained(network, adapter)
    prompt = render(model.tokenizer, request.conversation())
    ids = torch.tensor([prompt])
    output = network.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=request.max_tokens,
    )
    return model.decode(output[0, len(prompt) :].tolist())
