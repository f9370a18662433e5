"""The lean forward pass against transformers' own, family by family; the others go to the whole one."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from tiny_engine import make_adapter
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from serve.engine import assembly
from serve.engine.assembly import assemble, room
from serve.engine.lean import LeanNetwork, fits
from serve.engine.lora import Delta, read
from serve.engine.network import Network, Span
from serve.engine.whole import WholeNetwork

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
LEAN: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama tied": {"tie_word_embeddings": True},
    "llama with every head its own keys": {"num_key_value_heads": 4},
    "llama with one key for all heads": {"num_key_value_heads": 1},
    "llama with wide heads": {"head_dim": 20},
    "llama with biases": {"attention_bias": True, "mlp_bias": True},
    "llama with llama3 positions": {"rope_parameters": LLAMA3},
    "llama with linear positions": {
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
    },
    "llama with yarn positions": {"rope_parameters": YARN},
    "llama with gelu": {"hidden_act": "gelu"},
    "mistral": {"sliding_window": None},
    "mistral with narrow heads": {"sliding_window": None, "head_dim": 6, "tie_word_embeddings": True},
    "qwen2": {},
    "qwen2 tied": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 16},
    "qwen3 with biases, tied": {"head_dim": 10, "attention_bias": True, "tie_word_embeddings": True},
    "gemma": {"head_dim": 16, "num_key_value_heads": 1, "tie_word_embeddings": True},
    "gemma untied": {"head_dim": 12},
}
WHOLE: dict[str, dict[str, Any]] = {
    "gemma2": {"head_dim": 16, "sliding_window": 8, "tie_word_embeddings": True},
    "mistral with a window": {"sliding_window": 8},
    "qwen2 with a window": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    "phi": {"partial_rotary_factor": 0.5},
    "gpt_neox": {"rotary_pct": 0.5},
    "llama with dynamic positions": {
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    },
}
PROMPTS = [[3, 17, 29, 31, 5, 8, 90, 2], list(range(4, 44)), [60], [7, 7, 7, 9, 11] * 3]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def build(name: str, changes: dict[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    """A random model; norms and biases too, since ones and zeros would hide that they are left out."""
    torch.manual_seed(3)
    config = CONFIG_MAPPING[name.split()[0]](**{**SMALL, **changes})
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for weights in model.parameters():
        if weights.ndim == 1:
            weights.add_(torch.randn(weights.shape) * 0.3)
    return model.to(dtype)


def alone(model: Any, prompt: Sequence[int], count: int) -> list[int]:
    """Greedy, by reading everything again for each token."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@torch.inference_mode()
def together(
    network: Network,
    prompts: Sequence[Sequence[int]],
    count: int,
    *,
    chunk: int = 12,
    versions: Sequence[str] = ("base",) * 9,
) -> list[list[int]]:
    """Greedy, all prompts in rows of one network: read in pieces, row 0 a piece ahead of row 1, and so on.

    `versions` are the rows'.
    """
    told = [list(prompt) for prompt in prompts]
    read = [0] * len(prompts)
    late = list(range(len(prompts)))
    while any(len(ids) < len(prompt) + count for ids, prompt in zip(told, prompts, strict=True)):
        spans = []
        for row, ids in enumerate(told):
            if late[row]:
                late[row] -= 1
            elif len(ids) < len(prompts[row]) + count:
                spans.append(Span(row, read[row], ids[read[row] : read[row] + chunk], versions[row]))
        logits = network.forward(spans)
        assert logits.shape[0] == len(spans)
        for span, likeliest in zip(spans, logits.argmax(-1).tolist(), strict=True):
            read[span.row] += len(span.ids)
            if read[span.row] == len(told[span.row]):
                told[span.row].append(likeliest)
    return [ids[len(prompt) :] for ids, prompt in zip(told, prompts, strict=True)]


@pytest.mark.parametrize(("name", "changes"), LEAN.items(), ids=LEAN.keys())
def test_a_family_that_fits_says_token_for_token_what_transformers_says(
    name: str, changes: dict[str, Any]
) -> None:
    model = build(name, changes)
    expected = [alone(model, prompt, 12) for prompt in PROMPTS]
    with torch.inference_mode():
        logits = model(torch.tensor([PROMPTS[1]])).logits[0]
    network = assemble(model, rows=4, longest=128)
    assert isinstance(network, LeanNetwork)
    with torch.inference_mode():
        torch.testing.assert_close(
            network.forward([Span(0, 0, PROMPTS[1], "base", "all")]), logits, atol=2e-4, rtol=1e-4
        )
        network.free(0, spoiled=False)
    assert together(network, PROMPTS, 12) == expected
    assert len({tuple(ids) for ids in expected}) > 1


@pytest.mark.parametrize(("name", "changes"), WHOLE.items(), ids=WHOLE.keys())
def test_any_other_runs_on_transformers_own_pass_and_is_as_right(name: str, changes: dict[str, Any]) -> None:
    model = build(name, changes)
    expected = [alone(model, prompt, 12) for prompt in PROMPTS]
    network = assemble(model, rows=4, longest=128)
    assert isinstance(network, WholeNetwork)
    assert together(network, PROMPTS, 12) == expected


@pytest.mark.parametrize(
    ("name", "targets"), [("gpt_neox", ["query_key_value"]), ("phi", ["q_proj", "dense"])]
)
def test_other_families_answer_with_versions_as_peft_does(
    name: str, targets: list[str], tmp_path: Path
) -> None:
    model = build(name, WHOLE[name])
    model.save_pretrained(tmp_path / "model")
    adapter = make_adapter(tmp_path / "model", tmp_path / "adapter", target_modules=targets)
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "model"), adapter).eval()
    network = assemble(model, rows=4, longest=128)
    base = together(network, PROMPTS, 8)
    network.add("v", read(adapter, network.shapes, torch.float32, CPU))
    for row in range(4):
        network.free(row, spoiled=False)
    said = together(network, PROMPTS, 8, versions=["v"] * 4)
    assert said == [alone(peft, prompt, 8) for prompt in PROMPTS]
    assert said != base


def test_a_lean_pass_that_disagrees_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def corrupted(model: Any, **room: int) -> LeanNetwork:
        other = copy.deepcopy(model)
        other.model.layers[1].mlp.down_proj.weight[5, 7] += 3
        return LeanNetwork(other, **room)

    model = build("llama", {})
    expected = [alone(model, prompt, 6) for prompt in PROMPTS]
    monkeypatch.setattr(assembly, "LeanNetwork", corrupted)
    network = assemble(model, rows=4, longest=128)
    assert isinstance(network, WholeNetwork)
    assert "differs from transformers'" in caplog.text
    assert together(network, PROMPTS, 6) == expected


def test_a_lean_pass_that_gives_no_numbers_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: Any, **room: int) -> LeanNetwork:
        other = copy.deepcopy(model)
        other.model.layers[0].mlp.down_proj.weight[:] = float("nan")
        return LeanNetwork(other, **room)

    monkeypatch.setattr(assembly, "LeanNetwork", broken)
    assert isinstance(assemble(build("llama", {}), rows=2, longest=64), WholeNetwork)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "gemma"])
def test_bfloat16_is_near_float32(name: str) -> None:
    changes = {**LEAN[name], "initializer_range": 0.05}
    exact = build(name, changes)
    with torch.inference_mode():
        logs = exact(torch.tensor([PROMPTS[1]])).logits[0].log_softmax(-1)
        network = assemble(build(name, changes, torch.bfloat16), rows=2, longest=64)
        assert isinstance(network, LeanNetwork)
        logits = network.forward([Span(1, 0, PROMPTS[1], "base", "all")])
    assert logits.dtype is torch.bfloat16
    apart = (logits.float().log_softmax(-1) - logs).abs()
    assert float(apart.mean()) < 0.02
    assert float(apart.max()) < 0.15


def test_only_what_is_wanted_gets_logits_and_in_the_order_of_the_spans() -> None:
    network = assemble(build("llama", {}), rows=4, longest=64)
    with torch.inference_mode():
        each = [network.forward([Span(row, 0, ids, "base", "all")]) for row, ids in enumerate(PROMPTS)]
        assert network.forward([Span(1, 0, PROMPTS[1], "base", "none")]).shape == (0, 97)
        spans = [
            Span(3, 0, PROMPTS[3], "base", "all"),
            Span(0, 0, PROMPTS[0], "base", "none"),
            Span(2, 0, PROMPTS[2], "base", "last"),
            Span(1, 0, PROMPTS[1], "base", "last"),
        ]
        logits = network.forward(spans)
    torch.testing.assert_close(logits, torch.cat([each[3], each[2], each[1][-1:]]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("lean", [True, False])
def test_rows_are_moved_kept_and_put_back_without_a_change(
    lean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "fits", lambda config: lean)
    network = assemble(build("qwen3", LEAN["qwen3"]), rows=4, longest=64)
    ids, then = PROMPTS[1], [5, 6, 7]
    with torch.inference_mode():
        whole = network.forward([Span(0, 0, [*ids, *then], "base", "all")])[-3:]
        network.free(0, spoiled=False)
        network.forward([Span(3, 0, ids, "base", "none")])
        network.move(3, 1, len(ids))
        kept = network.keep(1, len(ids))
        assert kept is not None
        moved = network.forward([Span(1, len(ids), then, "base", "all")])
        network.forward([Span(1, len(ids) + 3, [9, 9, 9], "base", "none")])
        for row, length in ((2, len(ids)), (0, 20)):
            network.put(row, kept, length)
        put = network.forward([Span(2, len(ids), then, "base", "all")])
        part = network.forward([Span(0, 20, [*ids[20:], *then], "base", "all")])[-3:]
    assert kept.length == len(ids)
    assert kept.size == 2 * 2 * len(ids) * 2 * 16 * 4  # layers, keys and values, tokens, heads, width, bytes
    for found in (moved, put, part):
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)


def test_a_window_cannot_be_kept_and_says_so() -> None:
    network = assemble(build("mistral", WHOLE["mistral with a window"]), rows=2, longest=64)
    with torch.inference_mode():
        network.forward([Span(0, 0, PROMPTS[1], "base", "none")])
    assert network.keep(0, len(PROMPTS[1])) is None


@pytest.mark.parametrize("name", ["llama", "phi", "gemma2", "mistral with a window"])
def test_a_row_is_none_the_wiser_when_a_pass_failed_for_its_neighbour(name: str) -> None:
    """As the worker does: all together, and where that fails one by one."""
    network = assemble(build(name, {**LEAN, **WHOLE}[name]), rows=2, longest=64)
    calm = assemble(build(name, {**LEAN, **WHOLE}[name]), rows=2, longest=64)
    next_one, broken = Span(0, len(PROMPTS[1]), [5], "base"), Span(1, 0, [10**6], "base")
    with torch.inference_mode():
        for each in (network, calm):
            each.forward([Span(0, 0, PROMPTS[1], "base", "none")])
        with pytest.raises(Exception, match=r"range|index"):
            network.forward([next_one, broken])
        found, expected = network.forward([next_one]), calm.forward([next_one])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# Settling on one version


def deltas(network: Network, seed: int) -> dict[str, Delta]:
    made = torch.Generator().manual_seed(seed)
    return {
        name: Delta(torch.randn(3, into, generator=made) * 0.3, torch.randn(out, 3, generator=made) * 0.3)
        for name, (out, into) in network.shapes.items()
        if "lm_head" not in name
    }


@pytest.fixture
def network() -> LeanNetwork:
    network = assemble(build("llama", {"num_hidden_layers": 3}), rows=4, longest=64)
    assert isinstance(network, LeanNetwork)
    for version, seed in (("v", 1), ("w", 2)):
        network.add(version, deltas(network, seed))
    return network


V, W, BOTH, BESIDE = (frozenset(names) for names in (["v"], ["w"], ["v", "w"], ["base", "v"]))
MIXES = [
    ["base"] * 4,
    ["v"] * 4,
    ["w"] * 4,
    ["v", "w", "v", "w"],
    ["v", "base", "w", "v"],
    ["base", "v", "v", "base"],
]


def answers(network: LeanNetwork) -> list[list[list[int]]]:
    """What each mix of versions says to the four prompts, one pass for all four."""
    return [together(network, PROMPTS, 8, versions=mix) for mix in MIXES]


def settle(network: LeanNetwork, versions: frozenset[str]) -> None:
    while not network.settle(versions):
        pass


@pytest.mark.parametrize("versions", [V, BOTH, BESIDE], ids=["one", "two", "one beside the base"])
def test_settling_step_by_step_changes_no_token(network: LeanNetwork, versions: frozenset[str]) -> None:
    before = answers(network)
    assert len({str(said) for said in before}) == len(MIXES)
    steps, done = 0, False
    while not done:
        done = network.settle(versions)
        steps += 1
        assert answers(network) == before
    assert steps == 2  # for three layers
    assert network.settle(versions)
    assert network.settle(W) is False
    assert answers(network) == before


@pytest.mark.parametrize("versions", [V, BOTH])
def test_versions_come_and_go_while_some_are_settled_on(
    network: LeanNetwork, versions: frozenset[str]
) -> None:
    before = [together(network, PROMPTS, 8, versions=[name] * 4) for name in ("base", "v", "w")]
    settle(network, versions)
    network.drop("w")
    network.add("x", deltas(network, 2))
    assert [together(network, PROMPTS, 8, versions=[name] * 4) for name in ("base", "v", "x")] == before


@pytest.mark.parametrize("versions", [V, BOTH, BESIDE])
def test_a_version_that_is_dropped_while_settled_on_leaves_nothing_behind(
    network: LeanNetwork, versions: frozenset[str]
) -> None:
    base, second = (together(network, PROMPTS, 8, versions=[name] * 4) for name in ("base", "w"))
    settle(network, versions)
    network.drop("v")
    assert not any(linear._settled for linear in network._linears())
    network.add("v", deltas(network, 2))  # the same name, other weights
    for _ in range(2):
        assert together(network, PROMPTS, 8, versions=["v", "w"] * 2) == second
        assert together(network, PROMPTS, 8, versions=["base"] * 4) == base
        settle(network, versions)


# Room


def test_rows_are_as_many_as_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama", {})
    each = 64 * 2 * 2 * 2 * 12 * 4
    monkeypatch.setattr(assembly, "free_memory", lambda device: 2 * each * 3)
    assert room(model, 64) == 3
    assert assemble(model, rows=8, longest=64).rows == 3
    assert assemble(build("llama", {}), rows=2, longest=64).rows == 2


def test_a_model_fits_by_its_arithmetic_and_not_by_its_name() -> None:
    assert fits(build("llama", {}).config)
    assert not fits(build("mistral", {"sliding_window": 4096}).config)
    assert not fits(build("phi", {}).config)
