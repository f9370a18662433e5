"""Any other family: transformers' own forward pass, row after row, behind the same contract.

Slower than `lean.py`, since each row reads all the weights for itself, but as right as transformers is,
whatever the architecture. Knows nothing of requests.

Trail: serve/engine/worker.py -> here
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from serve.engine.lora import Delta
from serve.engine.network import Kept, Span
from serve.engine.protocol import BASE


class _Switch:
    """Names the version whose weights the next forward pass uses."""

    def __init__(self) -> None:
        self.version = BASE


class _AdaptedLinear(nn.Module):
    """A linear layer that adds the switched-in version's delta, if that version changes this layer."""

    def __init__(self, base: nn.Linear, switch: _Switch) -> None:
        super().__init__()
        self.weight = base.weight
        self.bias = base.bias
        self.in_features, self.out_features = base.in_features, base.out_features
        self.deltas: dict[str, Delta] = {}
        self._switch = switch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.linear(x, self.weight, self.bias)
        delta = self.deltas.get(self._switch.version)
        if delta is None:
            return y
        return y.add_(functional.linear(functional.linear(x, delta.down), delta.up))


class WholeNetwork:
    """The model as transformers built it, with its linear layers adapted. See `network.Network`."""

    def __init__(self, model: Any, *, rows: int, longest: int) -> None:
        self.rows, self.longest = rows, longest
        self.dtype, self.device = model.dtype, model.device
        self._model = model
        self._switch = _Switch()
        plain = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
        self._layers = {name: _AdaptedLinear(m, self._switch) for name, m in plain}
        for name, layer in self._layers.items():
            model.set_submodule(name, layer)
        self.shapes: Mapping[str, tuple[int, int]] = {
            name: (layer.out_features, layer.in_features) for name, layer in self._layers.items()
        }
        self._memory: list[DynamicCache | None] = [None] * rows
        self._read_already: dict[tuple[int, int, int], torch.Tensor] = {}

    def forward(self, spans: Sequence[Span]) -> torch.Tensor:
        """Logits of the spans; those read before another one failed are not read again when asked again."""
        for span in spans:
            key = (span.row, span.start, len(span.ids))
            if key not in self._read_already:
                self._read_already[key] = self._read(span)
        return torch.cat([self._read_already.pop((s.row, s.start, len(s.ids))) for s in spans])

    def _read(self, span: Span) -> torch.Tensor:
        memory = self._memory[span.row]
        if memory is None:
            memory = self._memory[span.row] = DynamicCache(config=self._model.config)
        if memory.get_seq_length() > span.start:
            _cut(memory, span.start)  # a step that failed half-way is taken again
        self._switch.version = span.version
        output = self._model(
            input_ids=torch.tensor([span.ids], device=self.device),
            past_key_values=memory,
            use_cache=True,
            logits_to_keep=max(1, span.logits),
            return_dict=True,
        )
        logits: torch.Tensor = output.logits[0]
        return logits[: span.logits]

    def move(self, source: int, target: int, length: int) -> None:
        self._memory[target], self._memory[source] = self._memory[source], None

    def free(self, row: int, *, spoiled: int) -> None:
        self._memory[row] = None
        self._read_already = {key: found for key, found in self._read_already.items() if key[0] != row}

    def keep(self, row: int, length: int) -> Kept | None:
        memory = self._memory[row]
        # Windows and states of other kinds cannot be cut back to an earlier token.
        if memory is None or any(type(layer) is not DynamicLayer for layer in memory.layers):
            return None
        tensors = [t for layer in memory.layers for t in (layer.keys, layer.values)]
        return Kept(length, sum(t.numel() * t.element_size() for t in tensors), copy.deepcopy(memory))

    def put(self, row: int, kept: Kept, length: int) -> None:
        memory = copy.deepcopy(kept.memory)
        _cut(memory, length)
        self._memory[row] = memory

    def add(self, version: str, deltas: Mapping[str, Delta]) -> None:
        for name, delta in deltas.items():
            self._layers[name].deltas[version] = delta

    def drop(self, version: str) -> None:
        for layer in self._layers.values():
            layer.deltas.pop(version, None)

    def settle(self, versions: frozenset[str]) -> bool:
        """There is nothing to prepare."""
        return True


def _cut(memory: DynamicCache, length: int) -> None:
    """Back to so many tokens, layer by layer: a pass that failed half-way has lengthened only some."""
    for layer in memory.layers:
        longer = layer.get_seq_length() - length
        if longer > 0:
            layer.crop(-longer)
