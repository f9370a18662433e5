"""Makes a network of a loaded model: which forward pass it gets, and how many rows memory has room for.

The lean pass is used where it knows the family and agrees with transformers on this very model, on
this very machine; else transformers' own. Knows nothing of requests.

Trail: serve/engine/model.py -> here -> serve/engine/lean.py, serve/engine/whole.py
"""

import logging
from typing import Any

import torch

from feedback.errors import SettingsError
from serve.engine.arena import bytes_a_token
from serve.engine.lean import LeanNetwork, fits, head_dim
from serve.engine.matrix import free_memory
from serve.engine.network import Network, Span
from serve.engine.protocol import BASE
from serve.engine.whole import WholeNetwork

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.5
"""Of the memory that is free once the model is loaded, the part that rows may fill."""

PROMPT = 40
"""How many tokens, from all over the vocabulary, both passes read for comparison."""

NEAR = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}
"""How far the two may differ on average, in parts of the log-probabilities' own spread: rounding only."""


def assemble(model: Any, *, rows: int, longest: int) -> Network:
    """A network of at most `rows` rows of `longest` tokens.

    Raises:
        SettingsError: There is not the memory for a single row.
    """
    rows = min(rows, room(model, longest))
    if not fits(model.config):
        log.info("%s runs on transformers' own forward pass", model.config.model_type)
        return WholeNetwork(model, rows=rows, longest=longest)
    lean = LeanNetwork(model, rows=rows, longest=longest)
    apart = difference(model, lean)
    if apart < NEAR[model.dtype]:
        return lean
    log.warning("the lean pass differs from transformers' by %.3g; using transformers' own", apart)
    return WholeNetwork(model, rows=rows, longest=longest)


def difference(model: Any, lean: Network) -> float:
    """How far the two are apart on one prompt: the mean difference of their log-probabilities, in spreads."""
    size = model.get_input_embeddings().num_embeddings
    prompt = [(i * size) // PROMPT for i in range(1, min(PROMPT, lean.longest))]
    with torch.inference_mode():
        expected = _logprobs(model(torch.tensor([prompt], device=model.device)).logits[0])
        found = _logprobs(lean.forward([Span(0, 0, prompt, BASE, "all")]))
        lean.free(0, spoiled=len(prompt))
    return float((found - expected).abs().mean() / expected.std())


def room(model: Any, longest: int) -> int:
    """How many rows of this length memory has room for.

    Raises:
        SettingsError: Not one.
    """
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    each = longest * bytes_a_token(
        layers=config.num_hidden_layers, heads=heads, head_dim=head_dim(config), dtype=model.dtype
    )
    free = free_memory(model.device)
    if each > free * MEMORY_SHARE:
        raise SettingsError(
            f"One conversation of {longest} tokens takes {each / 2**30:.1f} GiB, and conversations may take "
            f"{free * MEMORY_SHARE / 2**30:.1f} GiB, half of what is free.",
            "Make engine.max_context smaller, or use a smaller model.",
        )
    return int(free * MEMORY_SHARE / each)


def _logprobs(logits: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits.float(), dim=-1)
