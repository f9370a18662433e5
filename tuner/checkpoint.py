"""The adapter on disk, and the checkpoint from which a killed training goes on as if nothing happened.

No dropout and no sampling happen while training, so the adapter, AdamW's moments and the step are all
of its state: the order of the pairs follows from seed and epoch. Knows nothing of losses.

Trail: tuner/train.py -> here -> tuner/registry.py
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import save_file

from feedback import whole

Tensors = dict[str, torch.Tensor]


@dataclass(slots=True)
class Progress:
    """How far a training is; every field survives a kill."""

    step: int = 0
    done: bool = False
    tokens: int = 0
    """Taught tokens so far."""
    seconds: float = 0.0
    """Wall time of training so far, over all its processes."""
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    dev: list[float] = field(default_factory=list)
    """Mean dev loss per taught token after each epoch."""
    losses: list[float] = field(default_factory=list)
    """Mean loss per taught token of each step."""
    best_epoch: int | None = None


def adapter_state(model: Any) -> Tensors:
    """The adapter's weights under PEFT's names, as copies on the CPU."""
    state = get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False)
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}


def save_adapter(model: Any, folder: Path, base: str) -> None:
    """Write the adapter in PEFT's format, so that equal weights are equal bytes.

    PEFT's own writer keeps sets in hash order and the base's path, so it would differ by process and
    by home, and it looks for the base on the hub.
    """
    folder.mkdir(exist_ok=True)
    save_file(adapter_state(model), folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    config.update(base_model_name_or_path=base, inference_mode=True)
    text = json.dumps(config, indent=1, sort_keys=True, default=_plain)
    (folder / "adapter_config.json").write_text(text, "utf-8")


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def save(path: Path, plan_digest: str, progress: Progress, model: Any, optimizer: Any, best: Tensors) -> None:
    """Replace the checkpoint at once: after a kill there is the old one or the new one."""
    with whole.replacing(path) as file:
        torch.save(
            {
                "plan": plan_digest,
                "progress": asdict(progress),
                "adapter": adapter_state(model),
                "optimizer": optimizer.state_dict(),
                "best": best,
            },
            file,
        )


def restore(path: Path, plan_digest: str, model: Any, optimizer: Any) -> tuple[Progress, Tensors]:
    """Put model and optimiser back where the checkpoint left them; without one of this plan, at the start."""
    if not path.exists():
        return Progress(), {}
    kept = torch.load(path, map_location="cpu", weights_only=True)
    if kept["plan"] != plan_digest:
        return Progress(), {}
    put_back(model, kept["adapter"])
    optimizer.load_state_dict(kept["optimizer"])
    return Progress(**kept["progress"]), kept["best"]


def put_back(model: Any, state: Tensors) -> None:
    set_peft_model_state_dict(model, state, adapter_name="default")
