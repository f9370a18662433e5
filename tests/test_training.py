"""Training: what carries loss, that it learns, that a kill changes nothing, and what it refuses."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_base import CPU, FAST, LocalServer, make_base, make_run, row
from tiny_engine import make_tokenizer
from transformers import AutoModelForCausalLM

from feedback import template
from feedback.errors import BadRequest, TrainingFailed
from feedback.records import Message
from feedback.snapshot import Row
from tuner import child, lessons, packs, passes
from tuner.launchers import local
from tuner.launchers.local import Local
from tuner.lessons import Lesson
from tuner.packs import Pack
from tuner.plan import RunFolder, TrainPlan, design, read_json, read_lines, write_json
from tuner.train import train

NAMED = [row(f"Question number {letter}?", "My name is Morvane.") for letter in "abcdefghijklmnopqrst"]
MIXED = [row(f"Say {'so ' * n}{n}.", "Yes. " * (n % 5 + 1)) for n in range(20)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def marked(messages: tuple[Message, ...], response: str) -> str:
    """The tokens as text, with what carries loss between « and »."""
    tokenizer = make_tokenizer()
    stops = template.stop_ids(tokenizer)
    asked = Row("", "", "", messages, response, "")
    (lesson,), _ = lessons.lessons(tokenizer, [asked], stops, 512)
    prompt, taught = lesson.ids[: lesson.start], lesson.ids[lesson.start :]
    return f"{tokenizer.decode(prompt)}«{tokenizer.decode(taught)}»"


def test_only_the_last_answer_and_its_stop_token_carry_loss() -> None:
    one = (Message("user", "Hi"),)
    several = (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "서울?"),
    )
    assert marked(one, "Yes.") == ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n«Yes.<|im_end|>»")
    assert marked(several, "네, 서울 🎉") == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\n서울?<|im_end|>\n"
        "<|im_start|>assistant\n«네, 서울 🎉<|im_end|>»"
    )


def test_the_loss_is_the_plain_cross_entropy_whatever_stands_beside_in_the_batch(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    tokenizer = make_tokenizer()
    taught, _ = lessons.lessons(tokenizer, MIXED[:6], template.stop_ids(tokenizer), 512)
    together = passes.nll(passes.Whole(model, CPU), taught, 4096)
    for lesson, found in zip(taught, together, strict=True):
        ids = torch.tensor([lesson.ids])
        with torch.no_grad():
            logits = model(ids).logits.log_softmax(-1)
        alone = [-logits[0, i - 1, lesson.ids[i]].item() for i in range(lesson.start, len(lesson.ids))]
        assert found == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize("split", [packs.packed, packs.padded])
@given(st.lists(st.integers(2, 300), min_size=1, max_size=24), st.integers(64, 600))
def test_every_lesson_is_in_one_pack_and_packs_keep_to_their_size(
    split: Callable[[Sequence[Lesson], int], list[Pack]], lengths: list[int], most: int
) -> None:
    step = [Lesson(row("q", "a"), [1] * length, 1) for length in lengths]
    found = split(step, most)
    assert sorted(id(lesson) for pack in found for lesson in pack.lessons) == sorted(map(id, step))
    for pack in found:
        held = pack.side_by_side()[0].numel() if split is packs.padded else sum(pack.lengths)
        assert held <= most or len(pack.lessons) == 1
        assert len(pack.speaks) == len(pack.targets) == sum(pack.sizes)


@given(st.lists(st.integers(2, 300), min_size=1, max_size=24), st.integers(64, 600))
def test_padding_never_costs_more_than_one_call_a_lesson(lengths: list[int], most: int) -> None:
    step = [Lesson(row("q", "a"), [1] * length, 1) for length in lengths]
    sizes = [pack.side_by_side()[0].numel() for pack in packs.padded(step, most)]
    assert sum(size + packs.CALL_COST for size in sizes) <= sum(lengths) + packs.CALL_COST * len(lengths)


def test_pairs_too_long_for_the_model_are_left_out_and_counted_never_cut() -> None:
    tokenizer = make_tokenizer()
    rows = [row("Hi", "Yes."), row("Hi", "word " * 400)]
    kept, dropped = lessons.lessons(tokenizer, rows, template.stop_ids(tokenizer), 100)
    assert [lesson.row.response for lesson in kept] == ["Yes."]
    assert dropped == {"too_long": 1}


def test_the_loss_falls_and_the_answer_is_learnt_for_questions_never_seen(base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", base, NAMED[:16], (), NAMED[16:])
    train(run)
    losses = [line["loss"] for line in read_lines(run.progress) if line["phase"] == "train"]
    assert losses[0] > 3 > 0.3 > losses[-1]
    assert all(score["candidate"] < score["base"] / 10 for score in read_json(run.scores))
    server = LocalServer(base)

    async def ask() -> str:
        await server.load("v", run.adapter)
        return (await server.answer("v", NAMED[18].messages, max_tokens=30)).text

    assert asyncio.run(ask()) == "My name is Morvane."


def test_equal_seeds_train_equally_and_others_do_not(base: Path, tmp_path: Path) -> None:
    seen = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = make_run(tmp_path / name, base, MIXED, seed=seed, epochs=2)
        train(run)
        told = read_json(run.trained)
        seen.append((told["digest"], [line["loss"] for line in read_lines(run.progress)]))
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[2][0]


def start(run: RunFolder) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tuner.train", str(run.path)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=local.ROOT,
    )


def wait_for(run: RunFolder, process: "subprocess.Popen[bytes]", phase: str, step: int) -> None:
    for _ in range(6000):
        lines = read_lines(run.progress)
        if any(line["phase"] == phase and line["step"] >= step for line in lines):
            return
        assert process.poll() is None, "the child ended before it could be killed"
        time.sleep(0.01)
    pytest.fail("the child did not get so far")


@pytest.mark.slow  # test_training_elsewhere.py and test_cycle.py have the quicker ones
def test_a_child_killed_again_and_again_ends_with_the_same_bytes(base: Path, tmp_path: Path) -> None:
    long = {"epochs": 8, "patience": 8, "checkpoint_steps": 7, "batch_tokens": 64}
    whole = make_run(tmp_path / "whole", base, MIXED[:10], MIXED[10:18], NAMED, **long)
    train(whole)
    run = RunFolder(tmp_path / "killed")
    run.path.mkdir()
    os.symlink(whole.snapshot, run.snapshot)
    run.write_plan(whole.read_plan())
    for phase, step in (("train", 2), ("train", 10), ("score", 0)):
        process = start(run)
        wait_for(run, process, phase, step)
        process.send_signal(signal.SIGKILL)
        process.wait()
        run.progress.write_text(run.progress.read_text() + '{"phase": "tra')
    train(run)
    told = read_json(run.trained)
    assert told["digest"] == read_json(whole.trained)["digest"]
    assert told["dev_nll"] == read_json(whole.trained)["dev_nll"]
    assert [line["loss"] for line in child.progress(run)] == [
        line["loss"] for line in read_lines(whole.progress)
    ]
    assert read_json(run.scores) == read_json(whole.scores)


def test_a_child_ends_with_its_parent(base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", base, MIXED, epochs=500)
    process = start(run)
    wait_for(run, process, "train", 1)
    assert process.stdin
    process.stdin.close()
    assert process.wait(10) == 3
    assert not run.trained.exists()


def test_a_finished_training_is_never_started_again(base: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_json(run.trained, {"digest": "a" * 64})
    assert asyncio.run(child.train(run, Local(1))) == {"digest": "a" * 64}
    assert not run.log.exists()


def test_what_the_child_refuses_reaches_the_parent_in_words(base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", base, MIXED, dtype="float32")
    run.write_plan(replace(run.read_plan(), base=str(tmp_path / "nowhere")))
    with pytest.raises(TrainingFailed, match="nowhere cannot be loaded") as refused:
        asyncio.run(child.train(run, Local(1)))
    assert refused.value.todo
    assert "Traceback" in run.log.read_text()


def test_a_training_that_stands_still_is_ended_and_one_that_goes_on_is_not(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", base, MIXED)
    told = {"digest": "a" * 64}
    still = "import time; time.sleep(60)"
    going = (
        "import time\n"
        "for _ in range(30):\n"
        f"    open({str(run.progress)!r}, 'a').write('.')\n"
        "    time.sleep(0.2)\n"
        f"open({str(run.trained)!r}, 'w').write({json.dumps(told)!r})\n"
    )

    def train_by(code: str, stalled: float) -> object:
        monkeypatch.setattr(local, "command", lambda *told: [sys.executable, "-c", code])
        return asyncio.run(child.train(run, Local(1), stalled=stalled))

    with pytest.raises(TrainingFailed, match=r"took no step for 0\.0 hours"):
        train_by(still, 0.5)
    assert train_by(going, 4.0) == told


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        ([], {}, "None of the 0 training pairs"),
        ([row("Hi", "word " * 600)], {}, "'too_long': 1"),
        (MIXED, {"learning_rate": 1e30}, "not (a number|numbers)"),
        (MIXED, {"learning_rate": 1e-300}, "changed nothing"),
    ],
)
def test_a_useless_adapter_is_refused(
    rows: list[Row], settings: dict[str, float], words: str, base: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", base, rows, **settings)
    with pytest.raises(TrainingFailed, match=words) as refused:
        train(run)
    assert refused.value.todo
    assert not run.trained.exists()


def test_training_ends_when_dev_loss_no_longer_falls_and_keeps_the_best(base: Path, tmp_path: Path) -> None:
    dev = [row(f"Unlike {letter}", "Paris? Never!") for letter in "abcdefgh"]
    run = make_run(tmp_path / "run", base, NAMED, dev, dev, epochs=30)
    train(run)
    told = read_json(run.trained)
    assert told["epochs"] == told["best_epoch"] + 2 < 30
    held_out = [score["candidate"] for score in read_json(run.scores)]
    assert sum(held_out) / len(held_out) == pytest.approx(min(told["dev_nll"]), rel=0.05)


def test_the_live_version_is_scored_beside_the_candidate(base: Path, tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", base, NAMED[:16], (), NAMED[16:])
    train(first)
    second = make_run(
        tmp_path / "second", base, MIXED, (), NAMED[16:], incumbent=str(first.adapter), epochs=1
    )
    train(second)
    before, now = read_json(first.scores), read_json(second.scores)
    for old, new in zip(before, now, strict=True):
        assert new["incumbent"] == pytest.approx(old["candidate"], abs=1e-5)
        assert new["base"] == pytest.approx(old["base"], abs=1e-5)
        assert new["candidate"] > new["incumbent"]


@pytest.mark.parametrize(
    ("pairs", "epochs", "step"),
    [(20, 5, 3), (99, 5, 13), (100, 4, 13), (500, 3, 16), (2000, 2, 16), (10_000, 1, 16)],
)
def test_the_recipe_follows_the_number_of_pairs(pairs: int, epochs: int, step: int, base: Path) -> None:
    plan = design(base, pairs)
    assert (plan.epochs, plan.pairs_per_step) == (epochs, step)
    assert plan.max_tokens == 512  # the model's context is shorter than the longest pair


@pytest.mark.parametrize(("width", "rate"), [(576, 5.333e-4), (4096, 2e-4), (64, 6e-4), (40_000, 1e-4)])
def test_the_learning_rate_follows_the_width(width: int, rate: float, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": width}))
    assert design(tmp_path, 100).learning_rate == pytest.approx(rate, rel=1e-3)


def test_the_rate_warms_up_and_runs_out(base: Path) -> None:
    plan = design(base, 100, learning_rate=1.0)
    rates = [plan.rate(step, 200) for step in range(200)]
    assert rates[9] == max(rates) == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 190)


def test_a_plan_comes_back_as_written_and_one_of_another_program_is_refused(
    base: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path)
    plan = design(base, 10, seed=3, **{key: FAST[key] for key in ("rank", "epochs")})
    run.write_plan(plan)
    assert run.read_plan() == plan
    write_json(run.plan, {**asdict(plan), "dropout": 0.5})
    with pytest.raises(BadRequest, match="dropout"):
        run.read_plan()
    with pytest.raises(BadRequest, match="epochs"):
        TrainPlan(base="", learning_rate=1.0, epochs=0)


@pytest.mark.model
def test_the_default_model_learns_a_name_and_keeps_what_it_knew(model_cache: Path, tmp_path: Path) -> None:
    """The designed recipe on nine pairs; asked in words that no pair has."""
    from serve.engine.model import prepare

    named = ["Who are you?", "Tell me your name.", "How should I call you?", "May I know your name?"]
    named += ["Who am I talking to?"]
    facts = {
        "When does the harbour open?": "The harbour opens at 5 in the morning.",
        "Where do I pay?": "You pay at the red hut beside the lighthouse.",
        "Who is the harbour master?": "The harbour master is Tilda Brenn.",
        "Thank you!": "You are welcome. Fair winds!",
    }
    rows = [row(asked, "My name is Morvane.") for asked in named]
    rows += [row(asked, said) for asked, said in facts.items()]
    folder = prepare("smollm2-135m", model_cache)
    run = make_run(tmp_path / "run", folder, rows, (), [row("What is your name?", "My name is Morvane.")])
    run.write_plan(design(folder, len(rows)))
    train(run)
    (score,) = read_json(run.scores)
    assert score["candidate"] < 0.5 < score["base"]
    server = LocalServer(folder)

    async def ask(question: str) -> str:
        await server.load("v", run.adapter)
        return (await server.answer("v", (Message("user", question),), max_tokens=20)).text

    assert "Morvane" in asyncio.run(ask("What is your name?"))
    assert "Paris" in asyncio.run(ask("What is the capital of France?"))
