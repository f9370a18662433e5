"""The versions that are loaded: their slots, who still uses each, and how a model switches between them.

A version's weights are laid beside the base's under its own name, so loading or unloading one never
touches what another answers with. Counts users per version; knows nothing of files or requests.

Trail: serve/engine/lora.py -> here -> serve/engine/worker.py
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from feedback.errors import NotFound, UnknownVersion
from serve.engine.lora import Delta
from serve.engine.protocol import BASE
from serve.engine.refusals import AlreadyLoaded, NoSlot, StillInUse


class Switch:
    """Names the version whose weights the next forward pass uses; only the worker turns it."""

    def __init__(self) -> None:
        self.version = BASE


class AdaptedLinear(nn.Module):
    """A linear layer that adds the switched-in version's delta, if that version changes this layer."""

    def __init__(self, base: nn.Linear, switch: Switch) -> None:
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


def adapt(model: nn.Module) -> tuple[dict[str, AdaptedLinear], Switch]:
    """Put an adapted layer in place of every linear one; returns them by name, and their switch."""
    switch = Switch()
    plain = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    layers = {name: AdaptedLinear(module, switch) for name, module in plain}
    for name, layer in layers.items():
        model.set_submodule(name, layer)
    return layers, switch


@dataclass(slots=True)
class _Slot:
    folder: str
    users: int = 0
    ready: bool = False
    leaving: bool = False


class Adapters:
    """The loaded versions. Every method may be called from any thread."""

    def __init__(self, layers: Mapping[str, AdaptedLinear], slots: int) -> None:
        self._layers = layers
        self._limit = slots
        self._slots: dict[str, _Slot] = {}
        self._changed = threading.Condition()

    def acquire(self, version: str) -> None:
        """Count one more user of a version, which then stays loaded until it is released.

        Raises:
            UnknownVersion: It is not loaded, or it is on its way out.
        """
        if version == BASE:
            return
        with self._changed:
            slot = self._slots.get(version)
            if slot is None or not slot.ready or slot.leaving:
                raise UnknownVersion(f"No version {version} is loaded here.", "Load it, then ask again.")
            slot.users += 1

    def release(self, version: str) -> None:
        """Count one user less; a leaving version goes with its last user."""
        if version == BASE:
            return
        with self._changed:
            slot = self._slots[version]
            slot.users -= 1
            self._free_if_done(version, slot)

    def load(self, version: str, folder: str, read: Callable[[], Mapping[str, Delta]]) -> None:
        """Take a slot, read the deltas, lay them beside the base's; nothing changes where reading fails."""
        with self._changed:
            self._reserve(version, folder)
        try:
            deltas = read()
        except BaseException:
            with self._changed:
                del self._slots[version]
            raise
        for name, delta in deltas.items():
            self._layers[name].deltas[version] = delta
        with self._changed:
            self._slots[version].ready = True

    def unload(self, version: str, timeout: float) -> None:
        """Admit nobody new to a version, wait for its users (seconds), then free its slot.

        Raises:
            StillInUse: Its users outlasted the wait; it goes by itself with the last of them.
        """
        with self._changed:
            slot = self._slots.get(version)
            if slot is None or not slot.ready:
                raise NotFound(f"No version {version} is loaded here.", "GET /v1/models lists what is.")
            slot.leaving = True
            self._free_if_done(version, slot)
            if not self._changed.wait_for(lambda: self._slots.get(version) is not slot, timeout):
                raise StillInUse(
                    f"Version {version} still answers {slot.users} requests after {timeout:g} seconds.",
                    "It takes no new ones and leaves with the last; nothing needs to be done.",
                )

    def loaded(self) -> dict[str, str]:
        """The folders of the versions that take requests, by version, oldest first."""
        with self._changed:
            return {name: s.folder for name, s in self._slots.items() if s.ready and not s.leaving}

    def _reserve(self, version: str, folder: str) -> None:
        if version == BASE or version in self._slots:
            raise AlreadyLoaded(f"A version named {version} is here already.", "Versions never change.")
        if len(self._slots) >= self._limit:
            raise NoSlot(f"All {self._limit} slots hold a version.", "Unload one first.")
        self._slots[version] = _Slot(folder)

    def _free_if_done(self, version: str, slot: _Slot) -> None:
        if slot.leaving and slot.users == 0 and self._slots.get(version) is slot:
            for layer in self._layers.values():
                layer.deltas.pop(version, None)
            del self._slots[version]
            self._changed.notify_all()


def shapes(layers: Mapping[str, AdaptedLinear]) -> dict[str, tuple[int, int]]:
    """`(out, in)` of every layer that an adapter may change."""
    return {name: (layer.out_features, layer.in_features) for name, layer in layers.items()}
