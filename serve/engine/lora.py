"""Reads an adapter from PEFT's folder format, and refuses what it could not serve faithfully.

The refusals are vLLM's, so what passes here serves there too: DoRA, biases, saved modules, methods
that change the base weights, modules the model does not have, wrong shapes, numbers that are none.
Knows nothing of slots, requests or the disk beyond the folder's two files.

Trail: tuner/registry.py -> here -> serve/engine/adapters.py
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from feedback.errors import BadAdapter

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

UNSERVED = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "alora_invocation_tokens",
    "trainable_token_indices",
    "target_parameters",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "megatron_config",
    "fan_in_fan_out",
)
"""Settings of PEFT that change the arithmetic beyond `W x + B A x`."""

FAITHFUL_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Initialisations that leave the base weights as they are; PiSSA and its like do not."""

KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight$")


@dataclass(frozen=True, slots=True)
class Delta:
    """One module's low-rank change: `down` is `(rank, in)`, `up` is `(out, rank)` with the scale in it."""

    down: torch.Tensor
    up: torch.Tensor


def read(
    folder: Path,
    shapes: Mapping[str, tuple[int, int]],
    dtype: torch.dtype,
    device: torch.device,
    pause: Callable[[], None] = lambda: None,
) -> dict[str, Delta]:
    """The adapter's deltas by module name, ready for a model whose linear layers have these shapes.

    `shapes` maps module names to `(out, in)`. `pause` is called after every module, so that whoever
    answers meanwhile gets the processor.

    Raises:
        BadAdapter: The folder is unreadable, or asks for something this engine would get wrong.
    """
    try:
        return _read(folder, shapes, dtype, device, pause)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, re.error) as odd:
        raise _refuse(f"{CONFIG} says something that cannot be read ({odd!r})") from odd


def _read(
    folder: Path,
    shapes: Mapping[str, tuple[int, int]],
    dtype: torch.dtype,
    device: torch.device,
    pause: Callable[[], None],
) -> dict[str, Delta]:
    config = _config(folder / CONFIG)
    sides = _sides(_tensors(folder / WEIGHTS), shapes)
    _require_all_targets(config, sides, shapes)
    deltas: dict[str, Delta] = {}
    for name, pair in sides.items():
        delta = _delta(name, pair, shapes[name], config)
        down, up = delta.down.to(dtype), delta.up.to(dtype)
        if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
            raise _refuse(f"{name} holds numbers that are not finite, or become so when scaled")
        deltas[name] = Delta(_placed(down, device), _placed(up, device))
        pause()
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()  # a version is ready when its weights are there
    return deltas


def _placed(weights: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The weights where the model is; to a GPU from pinned memory, which the copy need not wait for."""
    if device.type != "cuda":
        return weights.contiguous()
    return weights.contiguous().pin_memory().to(device, non_blocking=True)


def _refuse(what: str) -> BadAdapter:
    return BadAdapter(f"The adapter was refused: {what}.", "Train it again, or check the folder's files.")


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refuse(f"{path.name} cannot be read ({error})") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise _refuse(f"{path.name} does not describe a LoRA")
    asked = [name for name in UNSERVED if config.get(name)]
    if config.get("bias", "none") != "none":
        asked.append("bias")
    if config.get("init_lora_weights", True) not in FAITHFUL_STARTS:
        asked.append(f"init_lora_weights={config['init_lora_weights']}")
    if asked:
        raise _refuse(f"it uses {', '.join(asked)}, which this engine does not serve")
    _require_numbers(config)
    return config


def _require_numbers(config: dict[str, Any]) -> None:
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise _refuse(f"r={rank!r} and lora_alpha={alpha!r} are no rank and scale")


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise _refuse(f"{path.name} cannot be read ({error})") from error


def _sides(
    tensors: dict[str, torch.Tensor], shapes: Mapping[str, tuple[int, int]]
) -> dict[str, dict[str, torch.Tensor]]:
    """The A and B tensors by module, each complete and each of a module that the model has."""
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.match(key)
        if match is None or match["module"] not in shapes:
            raise _refuse(f"it changes {key}, which is no linear layer of this model")
        sides.setdefault(match["module"], {})[match["side"]] = tensor
    if not sides:
        raise _refuse("it changes nothing in this model")
    halves = [name for name, pair in sides.items() if len(pair) != 2]
    if halves:
        raise _refuse(f"{halves[0]} has only one of its two matrices")
    return sides


def _require_all_targets(
    config: dict[str, Any], sides: Mapping[str, object], shapes: Mapping[str, tuple[int, int]]
) -> None:
    """A file that lost layers would answer almost like the base; PEFT would load it without a word."""
    if config.get("layers_to_transform") is not None or config.get("exclude_modules"):
        return
    missing = [name for name in shapes if name not in sides and _targeted(name, config["target_modules"])]
    if missing:
        raise _refuse(f"it has no weights for {missing[0]} and {len(missing) - 1} more that it targets")


def _targeted(name: str, targets: Any) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets or ())


def _delta(
    name: str,
    pair: Mapping[str, torch.Tensor],
    shape: tuple[int, int],
    config: Mapping[str, Any],
) -> Delta:
    down, up = pair["A"].float(), pair["B"].float()
    rank = _pattern(config.get("rank_pattern"), name, config["r"])
    out, into = shape
    if tuple(down.shape) != (rank, into) or tuple(up.shape) != (out, rank):
        raise _refuse(
            f"{name} has shapes {tuple(down.shape)} and {tuple(up.shape)}, "
            f"this model needs {(rank, into)} and {(out, rank)}"
        )
    alpha = _pattern(config.get("alpha_pattern"), name, config["lora_alpha"])
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Delta(down, up * scale)


def _pattern(pattern: Mapping[str, Any] | None, name: str, default: Any) -> Any:
    """PEFT's own rule: the first key that matches the end of the module's name."""
    for key, value in (pattern or {}).items():
        if re.match(rf"(.*\.)?({key})$", name):
            return value
    return default
