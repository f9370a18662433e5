"""A lean pass for training: no padding, no token twice, joined matrices, gradients only where LoRA needs any.

Reads the weights of the model that PEFT wrapped, the base's and whichever adapter is active, so the same
modules are trained, saved and scored. For the Llama, Mistral and Qwen families; used only where it says
what transformers' own pass says (`passes.py`). Knows nothing of lessons or optimisers.

Trail: tuner/passes.py -> here -> tuner/tree.py, tuner/fused.py, tuner/attend.py, tuner/head.py
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tuner.attend import attend
from tuner.fused import Gated, LoraLinear, RmsNorm, Rotate
from tuner.tree import Tree

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
ROTARY = ("default", "linear", "llama3", "yarn")
"""Position encodings that do not depend on how long the text has become."""


def fits(config: Any) -> bool:
    """Whether this file's arithmetic may be that of a model with this configuration."""
    rope = getattr(config, "rope_parameters", None) or {}
    windowed = any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return (
        config.model_type in FAMILIES
        and getattr(config, "hidden_act", "") == "silu"
        and rope.get("rope_type", "default") in ROTARY
        and not windowed
        and not window
        and not getattr(config, "pretraining_tp", 1) > 1
    )


class _Joined:
    """Linear layers that read the same input, as one; PEFT's modules keep views of the joined weight."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        bases = [_base(part) for part in parts]
        self._weight = bases[0].weight.detach()
        if len(bases) > 1:
            self._weight = torch.cat([base.weight.detach() for base in bases])
            sizes = [base.out_features for base in bases]
            for base, view in zip(bases, self._weight.split(sizes), strict=True):
                base.weight.data = view
        biases = [base.bias.detach() for base in bases if base.bias is not None]
        self._bias = torch.cat(biases) if biases else None

    def __call__(self, x: Tensor) -> Tensor:
        """`(tokens, in)` becomes `(tokens, out)` under the active adapter."""
        pairs = [_pair(part) for part in self._parts]
        if all(pair is None for pair in pairs):
            return functional.linear(x, self._weight, self._bias)
        down = torch.cat([pair[0] for pair in pairs if pair is not None]).to(x.dtype)
        ups = [self._up(part, pair) for part, pair in zip(self._parts, pairs, strict=True)]
        up = (ups[0] if len(ups) == 1 else torch.block_diag(*ups)).to(x.dtype)
        return LoraLinear.apply(x, self._weight, self._bias, down, up)

    def _up(self, part: Any, pair: tuple[Tensor, Tensor] | None) -> Tensor:
        return pair[1] if pair is not None else self._weight.new_zeros(_base(part).out_features, 0)


def _base(module: Any) -> Any:
    return getattr(module, "base_layer", module)


def _pair(module: Any) -> tuple[Tensor, Tensor] | None:
    """The active adapter's `A`, and its `B` times its scale; None where it does not touch this layer."""
    if getattr(module, "lora_A", None) is None or module.disable_adapters:
        return None
    (name,) = module.active_adapters
    if name not in module.lora_A:
        return None
    return module.lora_A[name].weight, module.lora_B[name].weight * module.scaling[name]


class _Norm:
    def __init__(self, norm: Any) -> None:
        self._weight, self._epsilon = norm.weight.detach(), norm.variance_epsilon

    def __call__(self, x: Tensor) -> Tensor:
        return RmsNorm.apply(x, self._weight, self._epsilon)


class _Layer:
    """One decoder layer."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._qkv = _Joined([attention.q_proj, attention.k_proj, attention.v_proj])
        self._o = _Joined([attention.o_proj])
        self._gate_up = _Joined([mlp.gate_proj, mlp.up_proj])
        self._down = _Joined([mlp.down_proj])
        self._before, self._between = _Norm(layer.input_layernorm), _Norm(layer.post_attention_layernorm)
        self._query_norm = _Norm(attention.q_norm) if hasattr(attention, "q_norm") else None
        self._key_norm = _Norm(attention.k_norm) if hasattr(attention, "k_norm") else None
        self._size, self._scale = attention.head_dim, attention.scaling
        config = attention.config
        self._heads = config.num_attention_heads, config.num_key_value_heads, config.num_key_value_heads

    def __call__(self, x: Tensor, tree: Tree, turns: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self._attend(self._before(x), tree, turns)
        return x + self._down(Gated.apply(self._gate_up(self._between(x))))

    def _attend(self, x: Tensor, tree: Tree, turns: tuple[Tensor, Tensor]) -> Tensor:
        heads = self._qkv(x).unflatten(-1, (-1, self._size))
        if self._query_norm is not None and self._key_norm is not None:
            q, k, v = heads.split(self._heads, dim=1)
            heads = torch.cat((self._query_norm(q), self._key_norm(k), v), dim=1)
        heads = Rotate.apply(heads, *turns, sum(self._heads[:2]))
        q, k, v = tree.spread(heads).split(self._heads, dim=1)
        return self._o(tree.gather(attend(q, k, v, tree.lengths, self._scale)))


class LeanPass:
    """The states of a PEFT-wrapped model's texts."""

    def __init__(self, model: Any) -> None:
        whole = model.get_base_model()
        self._decoder = whole.model
        self._layers = [_Layer(layer) for layer in self._decoder.layers]
        self._norm = _Norm(self._decoder.norm)
        head = _base(whole.get_output_embeddings())
        self.head = head.weight.detach(), None if head.bias is None else head.bias.detach()
        self._device = whole.device

    def states(self, tree: Tree, speaks: Tensor, *, frugal: bool = False) -> Tensor:
        """Normed states `(speaking, hidden)`.

        The tree's texts are in the order of their lengths; `speaks` (speaking,) are places among all their
        tokens. `frugal` keeps only what goes into a layer, and computes the layer again on the way back.
        """
        tree = tree.to(self._device)
        x = self._decoder.embed_tokens(tree.ids).detach()
        cosines, sines = self._decoder.rotary_emb(x[None], tree.places[None])
        given = tree, (cosines[0], sines[0])
        for layer in self._layers:
            x = checkpoint(layer, x, *given, use_reentrant=False) if frugal else layer(x, *given)
        return self._norm(x.index_select(0, tree.nodes[speaks.to(self._device)]))
