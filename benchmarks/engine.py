"""One stream of the embedded engine against `transformers.generate`, on the same prompts in the same run.

    python benchmarks/engine.py [--rounds 6] [--tokens 64]

Both decode greedily in the same dtype with the same threads, taking turns round by round, so that
whatever else the machine does hits both. Prints the medians, and the ratio with its spread over rounds.
"""

import argparse
import asyncio
import statistics
import tempfile
import threading
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

from feedback.records import Message, Sampling
from feedback.template import render
from hone.machine import physical_cores
from serve.engine.model import prepare
from serve.engines.hone import HoneEngine
from serve.supervisor import Supervisor

PROMPTS = (
    "Explain in a few sentences why the sea is salty.",
    "Write a short story about a lighthouse keeper.",
    "Give me advice on learning to cook.",
)
Timing = tuple[float, float]
"""Seconds to the first words, and tokens a second after them."""


async def through_hone(engine: HoneEngine, prompt: str, tokens: int) -> Timing:
    started = time.perf_counter()
    first = 0.0
    said = 0
    sampling = Sampling(temperature=0, max_tokens=tokens)
    async for piece in engine.stream("base", [Message("user", prompt)], sampling):
        first = first or time.perf_counter() - started
        said = piece.completion_tokens or said
    return first, said / (time.perf_counter() - started - first)


def through_transformers(model: torch.nn.Module, tokenizer: object, prompt: str, tokens: int) -> Timing:
    ids = torch.tensor([render(tokenizer, [Message("user", prompt)])])
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    settings = {"max_new_tokens": tokens, "do_sample": False, "streamer": streamer}
    started = time.perf_counter()
    made: list[torch.Tensor] = []
    worker = threading.Thread(target=lambda: made.append(model.generate(ids, **settings)))
    worker.start()
    first = 0.0
    for text in streamer:
        first = first or (time.perf_counter() - started if text else 0.0)
    worker.join()
    return first, (made[0].shape[1] - ids.shape[1]) / (time.perf_counter() - started - first)


async def compare(rounds: int, tokens: int, dtype: str, cache: Path) -> None:
    threads = physical_cores()
    torch.set_num_threads(threads)
    folder = await asyncio.to_thread(prepare, "smollm2-135m", cache)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    engine = HoneEngine("benchmark")
    ready = asyncio.Event()

    async def on_ready() -> None:
        ready.set()

    arguments = ["--model", "smollm2-135m", "--cache", str(cache), "--dtype", dtype]
    supervisor = Supervisor(
        engine,
        [*arguments, "--threads", str(threads)],
        secret="benchmark",
        log=cache / "engine.log",
        start_timeout=300,
        on_ready=on_ready,
    )
    await supervisor.start()
    await ready.wait()
    ours: list[Timing] = []
    theirs: list[Timing] = []
    for turn in range(rounds):
        prompt = PROMPTS[turn % len(PROMPTS)]
        ours.append(await through_hone(engine, prompt, tokens))
        theirs.append(await asyncio.to_thread(through_transformers, model, tokenizer, prompt, tokens))
    await supervisor.stop()
    await engine.close()
    print(f"SmolLM2-135M, {dtype}, {threads} threads, {tokens} tokens, {rounds} rounds")
    for name, place in (("seconds to the first words", 0), ("tokens a second after them", 1)):
        ratios = sorted(o[place] / t[place] for o, t in zip(ours, theirs, strict=True))
        print(
            f"{name}: Hone {statistics.median(o[place] for o in ours):.2f}, "
            f"transformers {statistics.median(t[place] for t in theirs):.2f}, "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--tokens", type=int, default=64)
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options.add_argument("--cache", type=Path, default=None, help="folder that keeps the prepared model")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(compare(given.rounds, given.tokens, given.dtype, given.cache or Path(temporary)))


if __name__ == "__main__":
    main()
