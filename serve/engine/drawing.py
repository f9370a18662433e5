"""The end of a step: the next token of every row that has read all it has, drawn together.

Whatever goes wrong with one row's numbers is that row's alone. Knows nothing of the network.

Trail: serve/engine/worker.py -> here -> serve/engine/sampling.py
"""

import logging
from collections.abc import Sequence

import torch

from feedback.errors import HoneError
from serve.engine.network import Span
from serve.engine.refusals import GenerationFailed, our_fault
from serve.engine.row import Row
from serve.engine.sampling import Likely, choose, likelihood

log = logging.getLogger(__name__)

Chosen = dict[Row, tuple[int, Likely | None]]
"""Each row's next token, with its likelihood where that was asked for."""


def draw(rows: Sequence[Row], spans: Sequence[Span], logits: Sequence[torch.Tensor]) -> Chosen:
    """The next tokens, from each span's logits `(wanted, vocabulary)`; a row that gets none is blamed."""
    each = zip(rows, spans, logits, strict=True)
    speaking = [(row, mine[-1]) for row, span, mine in each if row.speaks(span)]
    if not speaking:
        return {}
    try:
        return _together([row for row, _ in speaking], torch.stack([mine for _, mine in speaking]).float())
    except Exception as failure:
        log.warning("drawing failed (%s); the rows draw one by one", type(failure).__name__)
    chosen: Chosen = {}
    for row, mine in speaking:
        try:
            chosen |= _together([row], mine[None].float())
        except Exception as failure:
            blame(row, failure)
    return chosen


def blame(row: Row, failure: Exception) -> None:
    """End a row with this failure."""
    if isinstance(failure, HoneError):
        row.error = failure
        return
    log.error("a row of version %s failed", row.version, exc_info=failure)
    row.error = our_fault()


def _together(rows: Sequence[Row], logits: torch.Tensor) -> Chosen:
    """Draw from logits `(rows, vocabulary)`."""
    tokens = choose(logits, [row.drawer for row in rows])
    told = _details(logits, rows, tokens)
    chosen: Chosen = {}
    for row, token in zip(rows, tokens, strict=True):
        if token is None:
            row.error = GenerationFailed(
                "The model's numbers broke down (NaN) while it answered.",
                "Roll back to the previous version if this goes on.",
            )
        else:
            chosen[row] = (token, told.get(row))
    return chosen


def _details(logits: torch.Tensor, rows: Sequence[Row], tokens: Sequence[int | None]) -> dict[Row, Likely]:
    """The log-probabilities of those rows that asked for them."""
    asked = [
        (i, row, token)
        for i, (row, token) in enumerate(zip(rows, tokens, strict=True))
        if row.details is not None and token is not None
    ]
    if not asked:
        return {}
    top = max(row.details or 0 for _, row, _ in asked)
    picked = logits[[i for i, _, _ in asked]]
    found = likelihood(picked, [token for _, _, token in asked], top)
    return {
        row: Likely(likely.logprob, likely.rank, likely.top[: row.details])
        for (_, row, _), likely in zip(asked, found, strict=True)
    }
