"""A lean forward pass for the Llama, Mistral, Qwen and Gemma families: many rows, many versions, one pass.

All tokens of a step, whether they begin prompts or continue answers, go through each layer together,
so the weights are read once; only attention treats rows apart. Built from the model that transformers
loaded, and not used where the two disagree (`assembly.py`). Knows nothing of requests.

Trail: serve/engine/worker.py -> here -> serve/engine/linear.py, serve/engine/attention.py
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.activations import ACT2FN

from serve.engine.arena import Arena
from serve.engine.attention import Attention, Plan
from serve.engine.linear import Mix, VersionedLinear
from serve.engine.lora import Delta
from serve.engine.matrix import free_memory
from serve.engine.network import Kept, Span
from serve.engine.protocol import BASE

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma")
"""The `model_type`s whose arithmetic this file is."""

ROTARY = ("default", "linear", "llama3", "yarn")
"""Position encodings that do not depend on how long the text has become."""

SETTLED_AT_ONCE = 2
"""Layers that settle between two steps: a few milliseconds, where all of them would make everyone wait."""


def fits(config: Any) -> bool:
    """Whether this file's arithmetic is that of a model with this configuration."""
    rope = getattr(config, "rope_parameters", None) or {}
    windowed = any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return (
        config.model_type in FAMILIES
        and rope.get("rope_type", "default") in ROTARY
        and not windowed
        and not window
        and not getattr(config, "pretraining_tp", 1) > 1
    )


class _Layer:
    """One decoder layer's weights."""

    def __init__(self, name: str, layer: nn.Module, gemma: bool, activation: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        at, up = f"{name}.self_attn", f"{name}.mlp"
        self.qkv = VersionedLinear(
            {f"{at}.{p}": getattr(attention, p) for p in ("q_proj", "k_proj", "v_proj")}
        )
        self.o = VersionedLinear({f"{at}.o_proj": attention.o_proj})
        self.gate_up = VersionedLinear({f"{up}.{p}": getattr(mlp, p) for p in ("gate_proj", "up_proj")})
        self.down = VersionedLinear({f"{up}.down_proj": mlp.down_proj})
        self.before = _Norm(layer.input_layernorm, gemma)
        self.between = _Norm(layer.post_attention_layernorm, gemma)
        self.query_norm = _Norm(attention.q_norm, gemma) if hasattr(attention, "q_norm") else None
        self.key_norm = _Norm(attention.k_norm, gemma) if hasattr(attention, "k_norm") else None
        self.activation = activation

    def linears(self) -> list[VersionedLinear]:
        return [self.qkv, self.o, self.gate_up, self.down]

    def mlp(self, x: torch.Tensor, mix: Mix) -> torch.Tensor:
        gate, up = self.gate_up(x, mix).chunk(2, dim=-1)
        return self.down(self.activation(gate) * up, mix)


class _Norm:
    """Root-mean-square norm; Gemma keeps its weight less one."""

    def __init__(self, norm: Any, gemma: bool) -> None:
        self._weight = (norm.weight + 1 if gemma else norm.weight).detach()
        self._epsilon = norm.eps if gemma else norm.variance_epsilon

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self._weight, self._epsilon)


class LeanNetwork:
    """The model's weights, packed, and its rows of memory. See `network.Network` for the contract."""

    def __init__(self, model: Any, *, rows: int, longest: int) -> None:
        config = model.config
        self.rows, self.longest = rows, longest
        self.dtype, self.device = model.dtype, model.device
        linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
        self.shapes: Mapping[str, tuple[int, int]] = {
            name: (m.out_features, m.in_features) for name, m in linears.items()
        }
        gemma = config.model_type == "gemma"
        hidden = getattr(config, "hidden_activation", None) or config.hidden_act
        self._embeddings = model.get_input_embeddings().weight.detach()
        self._embedding_scale = torch.tensor(config.hidden_size**0.5, dtype=self.dtype) if gemma else None
        self._layers = [
            _Layer(f"model.layers.{i}", layer, gemma, ACT2FN[hidden])
            for i, layer in enumerate(model.model.layers)
        ]
        self._norm = _Norm(model.model.norm, gemma)
        self._head = VersionedLinear({"lm_head": model.lm_head})
        self._arena = Arena(
            layers=len(self._layers),
            rows=rows,
            longest=longest,
            heads=config.num_key_value_heads,
            head_dim=head_dim(config),
            dtype=self.dtype,
            device=self.device,
        )
        self._attention = Attention(self._arena, config.num_attention_heads, _rotation(model, longest))
        self._settled: tuple[frozenset[str], int] = (frozenset(), 0)
        self._copied = sum(out * into for out, into in self.shapes.values()) * self.dtype.itemsize

    def forward(self, spans: Sequence[Span]) -> torch.Tensor:
        """Logits `(wanted, vocabulary)`; spans in any order, the logits in theirs."""
        plan = self._attention.plan(spans)
        mix = Mix(plan.versions, BASE, self.device)
        x = functional.embedding(plan.ids, self._embeddings)
        if self._embedding_scale is not None:
            x = x * self._embedding_scale
        for i, layer in enumerate(self._layers):
            x = x + self._attend(i, layer, layer.before(x), plan, mix)
            x = x + layer.mlp(layer.between(x), mix)
        if plan.wanted is None:
            return self._head(self._norm(x), mix)
        wanted = x.index_select(0, plan.wanted)
        return self._head(self._norm(wanted), Mix(plan.wanted_versions, BASE, self.device))

    def _attend(self, i: int, layer: _Layer, x: torch.Tensor, plan: Plan, mix: Mix) -> torch.Tensor:
        qkv = layer.qkv(x, mix)
        return layer.o(self._attention(i, qkv, plan, layer.query_norm, layer.key_norm), mix)

    def move(self, source: int, target: int, length: int) -> None:
        self._arena.move(source, target, length)

    def free(self, row: int, *, spoiled: int) -> None:
        if spoiled:
            self._arena.clear(row, spoiled)

    def keep(self, row: int, length: int) -> Kept | None:
        return self._arena.keep(row, length)

    def put(self, row: int, kept: Kept, length: int) -> None:
        self._arena.put(row, kept, length)

    def add(self, version: str, deltas: Mapping[str, Delta]) -> None:
        for linear in self._linears():
            linear.add(version, deltas)

    def drop(self, version: str) -> None:
        for linear in self._linears():
            linear.drop(version)
        if version in self._settled[0]:
            self._settled = (frozenset(), 0)

    def settle(self, versions: frozenset[str]) -> bool:
        """Settle a few more layers on these versions, where memory has room for a copy of the weights."""
        known, done = self._settled
        if known != versions:
            for linear in self._linears():
                linear.unsettle()
            done = 0
            if free_memory(self.device) < 2 * self._copied:
                done = len(self._layers)
        own = tuple(sorted(versions - {BASE}))
        for layer in self._layers[done : done + SETTLED_AT_ONCE]:
            for linear in layer.linears():
                linear.settle(own, pure=len(versions) == 1)
            done += 1
        self._settled = (versions, done)
        return done == len(self._layers)

    def _linears(self) -> list[VersionedLinear]:
        return [linear for layer in self._layers for linear in layer.linears()] + [self._head]


def head_dim(config: Any) -> int:
    """Numbers of one head's key."""
    own = getattr(config, "head_dim", None)
    return int(own or config.hidden_size // config.num_attention_heads)


def _rotation(model: Any, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines `(longest, head_dim)` as the model's own rotary module makes them."""
    positions = torch.arange(longest, device=model.device)[None]
    like = torch.zeros(1, dtype=model.dtype, device=model.device)
    cosines, sines = model.model.rotary_emb(like, positions)
    return cosines[0], sines[0]
