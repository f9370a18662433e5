"""Chooses the next token from one row of logits, with a random generator of the row's own.

So what one request draws never depends on its neighbours, and a seed means the same answer again.
Knows nothing of models or text.
"""

import torch

from serve.engine.refusals import GenerationFailed

LIKELY = 1024
"""How many of the likeliest tokens are sorted first; nearly always enough to fill the nucleus."""


class Sampler:
    """Draws tokens at one temperature; temperature 0 is greedy and needs no randomness."""

    def __init__(self, temperature: float, top_p: float, seed: int | None) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def choose(self, logits: torch.Tensor) -> int:
        """The next token's id from logits `(vocabulary,)` on any device.

        Raises:
            GenerationFailed: The logits are not numbers; the model or the adapter is broken.
        """
        highest, likeliest = logits.max(dim=-1)
        if not torch.isfinite(highest):
            raise GenerationFailed(
                "The model's numbers broke down (NaN) while it answered.",
                "Roll back to the previous version if this goes on.",
            )
        if self._temperature == 0:
            return int(likeliest)
        # The highest logit becomes 0 first, so that a tiny temperature cannot overflow.
        cool = (logits.float().cpu() - highest.float().cpu()) / self._temperature
        return self._draw(torch.softmax(cool, dim=-1))

    def _draw(self, shares: torch.Tensor) -> int:
        if self._top_p >= 1:
            return int(torch.multinomial(shares, 1, generator=self._generator))
        values, ids = shares.topk(min(LIKELY, shares.numel()))
        if float(values.sum()) < self._top_p:
            values, ids = shares.sort(descending=True)
        before = values.cumsum(0) - values
        values = values * (before < self._top_p)
        return int(ids[torch.multinomial(values, 1, generator=self._generator)])
