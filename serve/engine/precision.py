"""Decides between bfloat16 and float32 by trying both on this very processor.

Some processors multiply bfloat16 twice as fast as float32, others several times slower, and no flag
tells reliably which; a fraction of a second of measuring does. Knows nothing of models.
"""

import json
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from serve.engine.matrix import Matrix

WIDTH = 1024
MATRICES = 12
"""Enough weights (48 MiB in float32) that they come from memory, as a model's do."""

PROMPT = 128
STEPS = 48
"""Rows of a prompt's products, and one-row products after it: a conversation is read longer than said."""

NAMED = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def choose_dtype(wanted: str, device: torch.device, cache: Path, threads: int) -> torch.dtype:
    """The dtype asked for, or for `auto` the faster one here; the measurement is kept in the cache."""
    if wanted != "auto":
        return NAMED[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    kept = cache / "dtype.json"
    key = f"{_processor()} | torch {torch.__version__} | {threads} threads | packed"
    known = _read(kept)
    if known.get(key) not in NAMED:
        known[key] = measure()
        _write(kept, known)
    return NAMED[known[key]]


def described(wanted: str, device: torch.device, cache: Path, threads: int) -> str:
    """The device and the dtype chosen on it, for people."""
    torch.set_num_threads(threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    chosen = str(choose_dtype(wanted, device, cache, threads)).removeprefix("torch.")
    how = "measured as the faster one here" if wanted == "auto" else "as set"
    return f"{name}, {threads} threads, {chosen} ({how})"


def measure() -> str:
    """The name of the dtype in which this processor answers faster."""
    seconds = {name: _turn_seconds(dtype) for name, dtype in NAMED.items()}
    return min(seconds, key=lambda name: seconds[name])


def _turn_seconds(dtype: torch.dtype) -> float:
    """Time of a made-up turn: one prompt's matrix products and its answer's vector products."""
    # The products that answers are made of, packed where they would be.
    weights = [Matrix(torch.full((WIDTH, WIDTH), 0.01, dtype=dtype)) for _ in range(MATRICES)]
    one, many = torch.ones(1, WIDTH, dtype=dtype), torch.ones(PROMPT, WIDTH, dtype=dtype)
    with torch.inference_mode():
        step = _fastest(lambda: [weight(one) for weight in weights])
        prompt = _fastest(lambda: [weight(many) for weight in weights])
    return STEPS * step + prompt


def _fastest(work: Callable[[], object], tries: int = 3) -> float:
    """Seconds of the quickest try, since a busy machine can only make one slower."""
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} {torch.backends.cpu.get_cpu_capability()}"
    return f"{platform.processor()} {torch.backends.cpu.get_cpu_capability()}"


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: Path, known: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=1), encoding="utf-8")
    partial.replace(path)
