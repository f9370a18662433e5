"""Names a base model by its bytes, so that what was learnt over one is never served or believed over another.

A LoRA fits every base of the same shapes and is right over one only. Asks nobody; knows nothing of versions.

Trail: tuner/steps.py -> here -> tuner/registry.py
"""

import hashlib
from pathlib import Path

SLICE, SLICES = 1 << 16, 32
TOLD_BY = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""Files that decide what the weights are shown; whichever of them there are."""


def digest(folder: Path) -> str:
    """Names the model in a folder by its tokenizer and by pieces from all over its weights.

    Reading gigabytes whole would take longer than the examination; a fine-tune changes weights everywhere.
    Empty where the weights lie elsewhere, as those of an engine on another machine may.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return ""
    total = hashlib.sha256()
    for name in TOLD_BY:
        if (folder / name).exists():
            total.update((folder / name).read_bytes())
    for path in weights:
        size = path.stat().st_size
        total.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            for place in range(SLICES):
                file.seek(size * place // SLICES)
                total.update(file.read(SLICE))
    return total.hexdigest()[:16]
