"""Attention over ragged rows: answers that grow by a token are read together, prompts one by one.

Rows that stand together and are about as long share one call, padded to the longest of them and
masked; a row much longer than its neighbours gets a call of its own. Heads that share keys are folded
into the query's length, so keys are never copied. Knows nothing of weights.

Trail: serve/engine/lean.py -> here -> serve/engine/arena.py
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from serve.engine.arena import Arena
from serve.engine.network import Span

WASTE = 1.5
"""How much more than its rows' own lengths a shared call may read, in times."""

SHORT = 256
"""Rows up to this many tokens share a call however their lengths differ: a call costs more than they do."""

Norm = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Group:
    """Tokens `begin` to `end` of the step, which attend together over rows `first` to `last`."""

    begin: int
    end: int
    first: int
    last: int
    length: int
    bias: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Plan:
    """One step's tokens in the order in which they are computed, and what attends to what."""

    ids: torch.Tensor
    rows: torch.Tensor
    positions: torch.Tensor
    cosines: torch.Tensor
    sines: torch.Tensor
    groups: list[_Group]
    versions: list[str]
    wanted: torch.Tensor | None
    wanted_versions: list[str]


class Attention:
    """Rotates, remembers and attends, layer after layer, over one arena."""

    def __init__(self, arena: Arena, heads: int, rotation: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._arena = arena
        self._heads = heads
        self._shared = heads // arena.heads
        self._cosines, sines = rotation
        # The first half of a rotated head is minus the second half times the sine.
        half = arena.head_dim // 2
        self._sines = torch.cat((-sines[:, :half], sines[:, half:]), dim=-1)
        self._scale = arena.head_dim**-0.5

    def plan(self, spans: Sequence[Span]) -> Plan:
        """Lay the spans' tokens out: single tokens first, by row, then prompts."""
        device = self._cosines.device
        order = sorted(range(len(spans)), key=lambda i: (len(spans[i].ids) > 1, spans[i].row))
        ids: list[int] = []
        rows: list[int] = []
        positions: list[int] = []
        versions: list[str] = []
        begins = [0] * len(spans)
        for i in order:
            span = spans[i]
            begins[i] = len(ids)
            ids += span.ids
            rows += [span.row] * len(span.ids)
            positions += range(span.start, span.start + len(span.ids))
            versions += [span.version] * len(span.ids)
        at = torch.tensor(positions, device=device)
        wanted, wanted_versions = _wanted(spans, begins)
        return Plan(
            torch.tensor(ids, device=device),
            torch.tensor(rows, device=device),
            at,
            self._cosines.index_select(0, at)[:, None],
            self._sines.index_select(0, at)[:, None],
            self._groups([(spans[i], begins[i]) for i in order]),
            versions,
            None
            if wanted == list(range(len(ids)))
            else torch.tensor(wanted, dtype=torch.long, device=device),
            wanted_versions,
        )

    def __call__(
        self, layer: int, qkv: torch.Tensor, plan: Plan, query_norm: Norm | None, key_norm: Norm | None
    ) -> torch.Tensor:
        """From `(tokens, (heads + 2 heads_kv) head_dim)` to what each token attended to."""
        tokens, arena = qkv.shape[0], self._arena
        apart = qkv.view(tokens, self._heads + 2 * arena.heads, arena.head_dim)
        rotated = apart[:, : self._heads + arena.heads]
        if query_norm is not None and key_norm is not None:
            rotated = torch.cat(
                (query_norm(rotated[:, : self._heads]), key_norm(rotated[:, self._heads :])), 1
            )
        half = arena.head_dim // 2
        turned = torch.cat((rotated[..., half:], rotated[..., :half]), dim=-1)
        rotated = torch.addcmul(rotated * plan.cosines, turned, plan.sines)
        apart[:, self._heads : self._heads + arena.heads] = rotated[:, self._heads :]
        arena.write(layer, plan.rows, plan.positions, apart[:, self._heads :])
        queries = rotated[:, : self._heads]
        parts = [self._group(layer, queries[group.begin : group.end], group) for group in plan.groups]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _group(self, layer: int, queries: torch.Tensor, group: _Group) -> torch.Tensor:
        """Queries `(tokens, heads, head_dim)` of one group against its rows."""
        arena, rows = self._arena, group.last - group.first
        keys, values = arena.read(layer, group.first, group.last, group.length)
        each = queries.shape[0] // rows
        folded = queries.view(rows, each, arena.heads, self._shared, arena.head_dim)
        folded = folded.permute(0, 2, 3, 1, 4).reshape(rows, arena.heads, self._shared * each, arena.head_dim)
        attended = functional.scaled_dot_product_attention(
            folded, keys, values, attn_mask=group.bias, scale=self._scale
        )
        back = attended.view(rows, arena.heads, self._shared, each, arena.head_dim).permute(0, 3, 1, 2, 4)
        return back.reshape(queries.shape[0], self._heads * arena.head_dim)

    def _groups(self, ordered: list[tuple[Span, int]]) -> list[_Group]:
        singles = [(span, begin) for span, begin in ordered if len(span.ids) == 1]
        groups = [self._single(run) for run in _runs(singles)]
        return groups + [self._prompt(span, begin) for span, begin in ordered if len(span.ids) > 1]

    def _single(self, run: list[tuple[Span, int]]) -> _Group:
        lengths = [span.start + 1 for span, _ in run]
        longest = max(lengths)
        bias = None
        if min(lengths) < longest:
            own = torch.tensor(lengths, device=self._cosines.device)[:, None]
            hidden = torch.arange(longest, device=own.device)[None] >= own
            bias = torch.zeros(hidden.shape, dtype=self._cosines.dtype, device=own.device)
            bias = bias.masked_fill_(hidden, float("-inf"))[:, None, None]
            bias = bias.expand(len(run), 1, self._shared, longest)
        first = run[0][0].row
        return _Group(run[0][1], run[0][1] + len(run), first, first + len(run), longest, bias)

    def _prompt(self, span: Span, begin: int) -> _Group:
        count = len(span.ids)
        end = span.start + count
        device = self._cosines.device
        own = torch.arange(span.start, end, device=device)[:, None]
        hidden = torch.arange(end, device=device)[None] > own
        bias = torch.zeros(hidden.shape, dtype=self._cosines.dtype, device=device)
        bias = bias.masked_fill_(hidden, float("-inf")).repeat(self._shared, 1)
        return _Group(begin, begin + count, span.row, span.row + 1, end, bias)


def _runs(singles: list[tuple[Span, int]]) -> list[list[tuple[Span, int]]]:
    """Neighbouring rows that are near enough in length to be read in one call."""
    runs: list[list[tuple[Span, int]]] = []
    total = longest = 0
    for span, begin in singles:
        length = span.start + 1
        tallest = max(longest, length)
        together = runs and span.row == runs[-1][-1][0].row + 1
        if together and (tallest <= SHORT or tallest * (len(runs[-1]) + 1) <= WASTE * (total + length)):
            runs[-1].append((span, begin))
            total, longest = total + length, tallest
        else:
            runs.append([(span, begin)])
            total = longest = length
    return runs


def _wanted(spans: Sequence[Span], begins: Sequence[int]) -> tuple[list[int], list[str]]:
    """Which of the step's tokens are to get logits, in the order of the spans, and their versions."""
    wanted: list[int] = []
    versions: list[str] = []
    for span, begin in zip(spans, begins, strict=True):
        end = begin + len(span.ids)
        wanted += range(end - span.logits, end)
        versions += [span.version] * span.logits
    return wanted, versions
