"""A linear layer that serves many versions at once: the base's product, plus each token's own delta.

The versions in a batch are laid side by side and multiplied together, each token masked to its own:
`y = W x + B (A x, masked)`. So a batch of any mix costs two thin products more, and loading a version
touches nothing that another uses. For versions that keep coming together the layer can settle on a copy
of its weights that spares a product or both. Knows nothing of requests or slots.

Trail: serve/engine/lean.py -> here -> serve/engine/matrix.py
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from serve.engine.lora import Delta
from serve.engine.matrix import Matrix

MIXES = 3
"""How many sets of versions a layer keeps laid side by side."""


class Mix:
    """Which version each token of one batch belongs to; `versions` are those that are not the base."""

    def __init__(self, of_tokens: Sequence[str], base: str, device: torch.device) -> None:
        self.versions = tuple(sorted({version for version in of_tokens if version != base}))
        self.pure = len(self.versions) == 1 and base not in of_tokens
        self._masks: dict[tuple[int, ...], torch.Tensor] = {}
        place = {version: i for i, version in enumerate(self.versions)}
        # One column a version: true where the token is another's.
        self._strangers = torch.ones(len(of_tokens), len(self.versions), dtype=torch.bool, device=device)
        if not self.pure:
            own = [(token, place[version]) for token, version in enumerate(of_tokens) if version in place]
            if own:
                at = torch.tensor(own, device=device)
                self._strangers[at[:, 0], at[:, 1]] = False

    def mask(self, widths: tuple[int, ...]) -> torch.Tensor | None:
        """`(tokens, sum of widths)`: true where a token meets another version's ranks; None if none does."""
        if self.pure:
            return None
        if widths not in self._masks:
            repeats = torch.tensor(widths, device=self._strangers.device)
            self._masks[widths] = self._strangers.repeat_interleave(repeats, dim=1)
        return self._masks[widths]


@dataclass(frozen=True, slots=True)
class _Side:
    """Several versions' pairs laid side by side, packed, and how many ranks each takes."""

    down: Matrix
    up: Matrix
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Settled:
    """A copy of the weights made for one set of versions.

    One version alone is added to them. Several, or one beside the base, stand at their right: `[W, B]`
    reads a token together with what its version's `A` made of it.
    """

    versions: tuple[str, ...]
    pure: bool
    weights: Matrix
    down: Matrix | None = None
    widths: tuple[int, ...] = ()

    def serves(self, mix: Mix) -> bool:
        return mix.versions == self.versions and mix.pure == self.pure

    def __call__(self, x: torch.Tensor, mix: Mix) -> torch.Tensor:
        if self.down is None:
            return self.weights(x)
        return self.weights(torch.cat((x, _masked(self.down(x), mix, self.widths)), dim=1))


@dataclass(frozen=True, slots=True)
class _Pair:
    """One version's change of the whole layer: `down` `(ranks, in)`, `up` `(out, ranks)`, and alone."""

    down: torch.Tensor
    up: torch.Tensor
    alone: _Side


class VersionedLinear:
    """Several of a model's linear layers that read the same input, as one, with room for versions."""

    def __init__(self, parts: Mapping[str, torch.nn.Linear]) -> None:
        """`parts` by module name, in the order in which their outputs stand."""
        self.parts = {name: part.out_features for name, part in parts.items()}
        biases = [part.bias for part in parts.values() if part.bias is not None]
        weight = torch.cat([part.weight.detach() for part in parts.values()])
        self._base = Matrix(weight, torch.cat(biases).detach() if biases else None)
        self._pairs: dict[str, _Pair] = {}
        self._sides: OrderedDict[tuple[str, ...], _Side | None] = OrderedDict()
        self._settled: _Settled | None = None

    def __call__(self, x: torch.Tensor, mix: Mix) -> torch.Tensor:
        """`(tokens, in)` becomes `(tokens, out)`."""
        if not mix.versions:
            return self._base(x)
        if self._settled is not None and self._settled.serves(mix):
            return self._settled(x, mix)
        y = self._base(x)
        side = self._side(mix.versions)
        if side is None:
            return y
        return side.up.add(_masked(side.down(x), mix, side.widths), y)

    def add(self, version: str, deltas: Mapping[str, Delta]) -> None:
        """Lay a version beside the others; deltas of other layers are left out. Any thread may call."""
        own = {name: deltas[name] for name in self.parts if name in deltas}
        if own:
            self._pairs[version] = self._joined(own)

    def drop(self, version: str) -> None:
        self._pairs.pop(version, None)
        for mixed in [mixed for mixed in self._sides if version in mixed]:
            del self._sides[mixed]
        if self._settled is not None and version in self._settled.versions:
            self._settled = None

    def settle(self, versions: tuple[str, ...], *, pure: bool) -> None:
        """Keep a copy of the weights for batches of these; `pure`: of one alone, without the base."""
        side = self._side(versions)
        if side is None:
            self._settled = _Settled(versions, pure, self._base)
        elif pure:
            self._settled = _Settled(versions, pure, self._changed(self._pairs[versions[0]]))
        else:
            beside = torch.cat((self._base.plain(), side.up.plain()), dim=1)
            weights = Matrix(beside, self._base.bias)
            self._settled = _Settled(versions, pure, weights, side.down, side.widths)

    def unsettle(self) -> None:
        self._settled = None

    def _changed(self, pair: _Pair) -> Matrix:
        """The weights with a version's change added, rounded once."""
        return Matrix(torch.addmm(self._base.plain(), pair.up, pair.down), self._base.bias)

    def _joined(self, own: Mapping[str, Delta]) -> _Pair:
        """The parts' deltas as one: their `down` stacked, their `up` on the diagonal."""
        down = torch.cat([delta.down for delta in own.values()])
        up = down.new_zeros(sum(self.parts.values()), down.shape[0])
        row = rank = 0
        for name, out in self.parts.items():
            if name in own:
                ranks = own[name].down.shape[0]
                up[row : row + out, rank : rank + ranks] = own[name].up
                rank += ranks
            row += out
        return _Pair(down, up, _Side(Matrix(down), Matrix(up), (down.shape[0],)))

    def _side(self, versions: tuple[str, ...]) -> _Side | None:
        """These versions' pairs side by side, or None if none of them changes this layer."""
        if len(versions) == 1:
            only = self._pairs.get(versions[0])
            return only.alone if only else None
        if versions in self._sides:
            self._sides.move_to_end(versions)
            return self._sides[versions]
        pairs = [self._pairs.get(version) for version in versions]
        known = [pair for pair in pairs if pair is not None]
        side = None
        if known:
            widths = tuple(0 if pair is None else pair.down.shape[0] for pair in pairs)
            down = torch.cat([pair.down for pair in known])
            side = _Side(Matrix(down), Matrix(torch.cat([pair.up for pair in known], dim=1)), widths)
        self._sides[versions] = side
        while len(self._sides) > MIXES:
            self._sides.popitem(last=False)
        return side


def _masked(h: torch.Tensor, mix: Mix, widths: tuple[int, ...]) -> torch.Tensor:
    """Each token's own version's ranks alone.

    Filled, not multiplied: a version whose numbers overflow must not reach its neighbours.
    """
    mask = mix.mask(widths)
    return h if mask is None else h.masked_fill_(mask, 0)
