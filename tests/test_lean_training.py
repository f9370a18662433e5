"""The lean pass for training against transformers' own: losses and gradients, and what stands around it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_base import CPU, make_base, make_run, row
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from feedback.errors import EngineUnavailable, TrainingFailed
from tuner import child, head, memory, passes
from tuner.attend import attend
from tuner.head import Aim
from tuner.launchers import local
from tuner.lessons import Lesson
from tuner.packs import packed, padded
from tuner.plan import RunFolder, append_line, read_json
from tuner.recall import questions, recall
from tuner.replay import Replay, remember
from tuner.server import Answer
from tuner.train import train
from tuner.tree import Tree

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
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
LEAN: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama tied": {"tie_word_embeddings": True},
    "llama with one key for all heads": {"num_key_value_heads": 1},
    "llama with biases": {"attention_bias": True, "mlp_bias": True},
    "llama with yarn positions": {"rope_parameters": YARN},
    "mistral": {"sliding_window": None, "head_dim": 16},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
}
WHOLE: dict[str, dict[str, Any]] = {
    "gemma": {"head_dim": 16},
    "mistral with a window": {"sliding_window": 8},
    "phi": {"partial_rotary_factor": 0.5},
    "llama with gelu": {"hidden_act": "gelu"},
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def build(name: str, changes: dict[str, Any], targets: Any = "all-linear") -> Any:
    """A random model under a random adapter; norms and biases too, since ones and zeros hide omissions."""
    torch.manual_seed(3)
    config = CONFIG_MAPPING[name.split()[0]](**{**SMALL, **changes})
    base = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for weights in base.parameters():
        if weights.ndim == 1:
            weights.add_(torch.randn(weights.shape) * 0.3)
    model = get_peft_model(
        base, LoraConfig(r=4, lora_alpha=12, target_modules=targets, task_type="CAUSAL_LM")
    )
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    return model.eval()


def lessons(*shapes: tuple[int, int], alike: int = 0) -> list[Lesson]:
    """Lessons of so many tokens whose answer begins there; so many first tokens are the same."""
    made = torch.Generator().manual_seed(5)
    found = []
    for i, (length, start) in enumerate(shapes):
        ids = torch.randint(3, 97, (length,), generator=made).tolist()
        ids[:alike] = range(3, 3 + alike)
        found.append(Lesson(row(f"q{i}", "a"), ids, start))
    return found


SOME = ((9, 4), (30, 12), (9, 2), (2, 1), (17, 16))


def related() -> list[Lesson]:
    """Lessons that begin alike, two of them the same, and one that is nothing like them."""
    shapes = ((14, 9), (25, 12), (14, 11), (11, 10))
    return [*lessons(*shapes, alike=9), lessons(*shapes, alike=9)[1], *lessons((12, 6))]


def gradients(model: Any, way: passes.Pass, some: Sequence[Lesson], most: int) -> list[torch.Tensor]:
    model.zero_grad()
    for pack in way.packs(some, most):
        loss, _ = way.loss(pack, pack.aim([0.1 + i for i in range(len(pack.lessons))]))
        loss.backward()
    return [w.grad.clone() for w in model.parameters() if w.requires_grad and w.grad is not None]


@pytest.mark.parametrize(("name", "changes"), LEAN.items(), ids=LEAN.keys())
@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj", "down_proj"]])
@pytest.mark.parametrize("frugal", [False, True])
@pytest.mark.parametrize("some", [lessons(*SOME), related()], ids=["unlike", "related"])
def test_losses_and_gradients_are_those_of_transformers(
    name: str, changes: dict[str, Any], targets: Any, frugal: bool, some: list[Lesson]
) -> None:
    model = build(name, changes, targets)
    whole = passes.Whole(model, CPU)
    expected = passes.nll(whole, some, 1000)
    before = gradients(model, whole, sorted(some, key=lambda lesson: len(lesson.ids)), 1000)
    lean = passes.choose(model, CPU, some)
    assert isinstance(lean, passes.Lean)
    lean.frugal = frugal
    for found, right in zip(passes.nll(lean, some, 1000), expected, strict=True):
        assert found == pytest.approx(right, abs=2e-4)
    for found, right in zip(gradients(model, lean, some, 1000), before, strict=True):
        torch.testing.assert_close(found, right, rtol=2e-3, atol=1e-4)
    # transformers' own pass still works on the weights that were joined.
    assert passes.nll(whole, some, 1000)[1] == pytest.approx(expected[1], abs=2e-4)


@pytest.mark.parametrize(("name", "changes"), WHOLE.items(), ids=WHOLE.keys())
def test_any_other_model_goes_through_transformers_own_pass(name: str, changes: dict[str, Any]) -> None:
    targets = "all-linear"
    assert passes.choose(build(name, changes, targets), CPU, lessons(*SOME)).name == "transformers"


def test_a_lean_pass_that_says_something_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tuner.fused.RmsNorm.forward", staticmethod(lambda ctx, x, weight, epsilon: x))
    assert passes.choose(build("llama", {}), CPU, lessons(*SOME)).name == "transformers"
    assert "nats a token from transformers'" in caplog.text


def test_an_adapter_that_is_switched_off_is_off_in_the_lean_pass_too() -> None:
    some, model = lessons(*SOME), build("llama", {})
    lean, whole = passes.choose(model, CPU, some), passes.Whole(model, CPU)
    tuned = passes.nll(lean, some, 1000)
    with model.disable_adapter():
        bare, right = passes.nll(lean, some, 1000), passes.nll(whole, some, 1000)
    assert bare[1] == pytest.approx(right[1], abs=2e-4)
    assert bare[1] != pytest.approx(tuned[1], abs=1e-2)


def test_a_lesson_is_learnt_the_same_whatever_stands_beside_it() -> None:
    some, model = lessons(*SOME), build("llama", {})
    lean = passes.choose(model, CPU, some)
    together, alone = (passes.nll(lean, some, most) for most in (1000, 1))
    for left, right in zip(together, alone, strict=True):
        assert left == pytest.approx(right, abs=1e-4)


def test_what_texts_share_is_one_node_whose_gradient_is_theirs_added_up() -> None:
    tree = Tree.of([[5, 6, 7], [5, 6, 8, 9], [5, 6, 7], [6, 6]])
    assert tree.ids.tolist() == [5, 6, 7, 8, 9, 6, 6]
    assert tree.places.tolist() == [0, 1, 2, 2, 3, 0, 1]
    told = [
        tree.nodes[i : i + length].tolist() for i, length in zip((0, 16, 32, 48), (3, 4, 3, 2), strict=True)
    ]
    assert told == [[0, 1, 2], [0, 1, 3, 4], [0, 1, 2], [5, 6]]
    assert tree.lengths == [16] * 4
    x = torch.randn(7, 2, 3, requires_grad=True)
    assert torch.equal(tree.gather(tree.spread(x)), x)
    grad = torch.zeros(64, 2, 3)
    for i, nodes in zip((0, 16, 32, 48), told, strict=True):
        grad[i : i + len(nodes)] = torch.randn(len(nodes), 2, 3)
    tree.spread(x).backward(grad)
    torch.testing.assert_close(x.grad, torch.zeros(7, 2, 3).index_add(0, tree.nodes, grad))


def test_attention_in_blocks_is_that_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    lengths = [16, 16, 48]
    sides = [torch.randn(80, heads, 8, requires_grad=True) for heads in (6, 2, 2)]
    grad = torch.randn(80, 48)
    parts = zip(*(side.transpose(0, 1).split(lengths, 1) for side in sides), strict=True)
    plain = [
        scaled_dot_product_attention(*part, is_causal=True, scale=0.3, enable_gqa=True) for part in parts
    ]
    right = torch.cat(plain, 1).transpose(0, 1).flatten(1)
    for rows in (256, 20):
        monkeypatch.setattr("tuner.attend.ROWS", rows)
        seen = attend(*sides, lengths, 0.3)
        torch.testing.assert_close(seen, right)
        for found, wanted in zip(
            torch.autograd.grad(seen, sides, grad),
            torch.autograd.grad(right, sides, grad, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_head_in_chunks_is_the_head_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(23, 8), torch.randn(50, 8)
    targets = torch.randint(0, 50, (23,))
    known, named = torch.randn(23, 50).mul(3).log_softmax(-1).topk(6)
    aim = Aim(targets, torch.rand(23), torch.rand(23), named, known)
    found = []
    for chunk in (4, 1000):
        monkeypatch.setitem(head.CHUNKS, "cpu", chunk)
        leaf = states.clone().requires_grad_()
        loss, nll = head.loss(leaf, weight, None, aim)
        loss.backward()
        found.append((loss.item(), nll.tolist(), leaf.grad))
    leaf = states.clone().requires_grad_()
    whole, _ = head.judged(torch.nn.functional.linear(leaf, weight), aim)
    whole.backward()
    for loss, nll, grad in found:
        assert loss == pytest.approx(whole.item(), rel=1e-5)
        assert nll == pytest.approx(found[0][1], abs=1e-5)
        torch.testing.assert_close(grad, leaf.grad, rtol=1e-4, atol=1e-5)


def test_a_model_that_says_what_its_teacher_says_is_not_pulled_and_another_is() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 60).mul(3)
    known, named = logits.log_softmax(-1).topk(8)
    none, ones = torch.zeros(5), torch.ones(5)
    targets = torch.zeros(5, dtype=torch.long)
    same, _ = head.judged(logits, Aim(targets, none, ones, named, known))
    assert same.item() == pytest.approx(0, abs=1e-5)
    other, _ = head.judged(torch.randn(5, 60), Aim(targets, none, ones, named, known))
    assert other.item() > 1


# Replay


def test_replay_takes_its_share_and_the_same_lessons_whenever_asked() -> None:
    many = lessons(*[(20, 10)] * 40)
    replay = Replay(many, share=0.15, seed=1)
    held = [sum(lesson.taught for lesson in replay.beside(step, 300)) for step in range(50)]
    assert all(abs(tokens - 300 * 0.15 / 0.85) <= 10 for tokens in held)
    assert replay.beside(3, 300) == replay.beside(3, 300) != replay.beside(4, 300)
    assert Replay(many).beside(0, 300) == Replay(share=0.5).beside(0, 300) == []


def test_what_the_base_thought_is_remembered_without_the_adapter() -> None:
    some, model = lessons(*SOME), build("llama", {})
    lean = passes.choose(model, CPU, some)
    replay = remember(lean, some, model.disable_adapter(), most=1000, share=0.2, seed=0)
    with model.disable_adapter(), torch.no_grad():
        logits = model(torch.tensor([some[0].ids])).logits[0].log_softmax(-1)
    ids, known = replay.teacher[id(some[0])]
    right = logits[some[0].start - 1 : -1].topk(64)
    assert torch.equal(ids[:, :10], right.indices[:, :10])
    torch.testing.assert_close(known, right.values, rtol=1e-3, atol=1e-4)


def test_repeating_the_bases_answers_keeps_the_model_closer_to_them(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    taught = [row(f"Question number {letter}?", "My name is Morvane.") for letter in "abcdefghijklmnop"]
    others = [row(f"Say {word}.", f"{word} {word} it is") for word in ("hi", "yes", "no", "wow", "oh", "ah")]
    apart = {}
    for name, share in (("with", 0.4), ("without", 0.0)):
        run = make_run(tmp_path / name, base, taught, (), others, replay_share=share, replay_pull=1.0)
        for other in others:
            told = {"messages": [m.as_dict() for m in other.messages], "response": other.response}
            append_line(run.replay, told)
        train(run)
        scores = read_json(run.scores)
        apart[name] = sum(score["candidate"] for score in scores)
    assert apart["with"] < apart["without"]


# Memory

SHAPE = memory.Shape(
    base=2**28, learnt=5_000_000, layers=30, hidden=576, inner=1536, vocabulary=49152, item=2, lean=True
)


def test_packs_shrink_then_layers_are_computed_again_then_it_is_refused() -> None:
    def room(free: float) -> memory.Room:
        return memory.plan(SHAPE, most=1024, longest=300, free=int(free * 2**30), device="cpu")

    plenty, some, little = room(8), room(1.45), room(1.02)
    assert (plenty.batch_tokens, plenty.frugal) == (1024, False)
    assert 300 <= some.batch_tokens < 1024
    assert not some.frugal
    assert little.frugal
    assert all(one.needs <= one.free * memory.SHARE for one in (plenty, some, little))
    with pytest.raises(TrainingFailed, match=r"needs about 0\.9 GiB of memory, and 0\.5 GiB are free"):
        room(0.5)


def test_a_resumed_run_keeps_to_the_memory_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", make_base(tmp_path / "base"), [row(f"q{i}", "Yes.") for i in range(8)])
    train(run)
    assert read_json(run.room)["batch_tokens"] == read_json(run.trained)["batch_tokens"] == 1024
    run.trained.unlink()
    monkeypatch.setattr(memory, "free", lambda device: 1)
    train(run)
    assert read_json(run.trained)["batch_tokens"] == 1024


def test_too_little_memory_is_said_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", make_base(tmp_path / "base"), [row(f"q{i}", "Yes.") for i in range(8)])
    monkeypatch.setattr(memory, "free", lambda device: 2**20)
    with pytest.raises(TrainingFailed, match="GiB are free"):
        train(run)
    assert not run.progress.exists()


# Several processes


@pytest.mark.slow  # test_training_elsewhere.py has two of which one is killed
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    taught = [row(f"Say {'so ' * n}{n}.", "Yes. " * (n % 5 + 1)) for n in range(12)]
    dev = [row(f"Then say {n}.", "Yes.") for n in range(8)]
    told = {}
    for processes in (1, 2):
        run = make_run(tmp_path / str(processes), base, taught, dev, dev, epochs=4, batch_tokens=64)
        if processes == 1:
            train(run)
        else:
            _start(run, processes)
        told[processes] = read_json(run.trained), [line["loss"] for line in child.progress(run)]
    assert told[2][0]["processes"] == 2
    assert told[2][1] == pytest.approx(told[1][1], rel=1e-3)
    assert told[2][0]["dev_nll"] == pytest.approx(told[1][0]["dev_nll"], rel=1e-3)


def _start(run: RunFolder, processes: int) -> None:
    """As the child is started, with a lifeline that stays open."""
    started = subprocess.Popen(
        local.command(run, processes),
        stdin=subprocess.PIPE,
        env=local.environment(1),
        cwd=local.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert started.wait(300) == 0, started.stdout.read()[-3000:] if started.stdout else ""
    finally:
        started.kill()
        started.wait()


def test_the_packs_of_a_step_are_dealt_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from tuner.team import Team

    monkeypatch.setenv("WORLD_SIZE", "1")
    step = lessons(*[(length, 1) for length in range(4, 30)])
    for split in (packed, padded):
        team = Team()
        dealt = []
        team.size = 3
        for rank in range(3):
            team.rank = rank
            found = split(step, 60)
            dealt += [id(pack.lessons[0]) for pack in team.share(found)]
        assert sorted(dealt) == sorted(id(pack.lessons[0]) for pack in found)


# The base's own answers


class Base:
    """Answers like a base: most questions, one without an end, and it is away once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away_at = -1

    async def answer(self, version: str, messages: Sequence[Any], **given: Any) -> Answer:
        question = messages[-1].content
        if len(self.asked) == self.away_at:
            raise EngineUnavailable("It is away.", "Wait.")
        self.asked.append(question)
        return Answer(f"About {question}", "length" if question == "long" else "stop", 3)


async def test_the_base_is_asked_once_and_unfinished_answers_are_not_repeated(tmp_path: Path) -> None:
    base: Any = Base()
    kept = tmp_path / "replay" / "base.jsonl"
    found = await recall(base, "general@0", ["one", "long", "two"], kept)
    assert [line["response"] for line in found] == ["About one", "About two"]
    assert await recall(base, "general@0", ["one", "long", "two"], kept) == found
    assert sorted(base.asked) == ["long", "one", "two"]


async def test_a_recall_that_was_cut_off_asks_only_for_the_rest(tmp_path: Path) -> None:
    base: Any = Base()
    base.away_at = 5
    kept = tmp_path / "base.jsonl"
    asked = [f"q{i}" for i in range(20)]
    with pytest.raises(EngineUnavailable):
        await recall(base, "general@0", asked, kept)
    kept.write_text(kept.read_text() + '{"prompt": "q1')
    base.away_at = -1
    assert len(await recall(base, "general@0", asked, kept)) == 20
    assert sorted(base.asked) == sorted(asked)


def test_the_general_questions_are_many_and_no_two_alike() -> None:
    asked = questions()
    assert len(asked) == len(set(asked)) >= 100
