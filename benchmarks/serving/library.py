"""transformers as a contender: a child process that generates what its input asks, with no HTTP around it.

    python -m benchmarks.serving.library {generate,continuous} --model FOLDER --dtype bfloat16 --threads 2

A line of JSON in is a batch of prompts, a line out how long it took. `generate` pads them into one batch;
`continuous` hands them to transformers' continuous batching. Also holds the parent's side, `Library`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.machine import memory
from benchmarks.serving.servers import ROOT, STREAMS
from benchmarks.serving.streams import Burst

Times = tuple[int, float, list[float]]
"""Tokens made, seconds they took, and seconds to the first token of each stream."""
LINE_LIMIT = 2**24


class Library:
    """The parent's side: asks like a server is asked, but through a pipe."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(cls, mode: str, model: Path, folder: Path, dtype: str, threads: int) -> "Library":
        name = f"transformers_{mode}"
        options = ["--model", str(model), "--dtype", dtype, "--threads", str(threads)]
        with (folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.serving.library", mode, *options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                limit=LINE_LIMIT,
            )
        library = cls(name, process)
        await library._hear()
        return library

    @property
    def memory(self) -> float:
        return memory(self._process.pid)

    async def burst(self, versions: Sequence[str], prompts: Sequence[str], tokens: int) -> Burst:
        assert self._process.stdin is not None
        question = json.dumps({"prompts": list(prompts), "tokens": tokens})
        self._process.stdin.write(question.encode() + b"\n")
        made, seconds, first = await self._hear()
        return Burst.of(made, seconds, first)

    def freeze(self, frozen: bool) -> None:
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    async def stop(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(ProcessLookupError):
            self.freeze(False)
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 20)
            return
        self._process.kill()
        await self._process.wait()

    async def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended; its log says why")
        return json.loads(line)


class _Clock:
    """A streamer that keeps only the time of the first new token; the prompt comes before it."""

    def __init__(self) -> None:
        self.puts: list[float] = []

    def put(self, _: object) -> None:
        if len(self.puts) < 2:
            self.puts.append(time.perf_counter())

    def end(self) -> None:
        pass


def generating(model: Any, tokenizer: Any) -> Callable[[list[list[int]], int], Times]:
    """One call of `generate` for all prompts, padded on the left."""
    tokenizer.padding_side = "left"

    def answer(prompts: list[list[int]], tokens: int) -> Times:
        clock = _Clock()
        started = time.perf_counter()
        batch = tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
        made = model.generate(
            **batch,
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            pad_token_id=tokenizer.pad_token_id,
            streamer=clock,
        )
        seconds = time.perf_counter() - started
        new = (made.shape[1] - batch["input_ids"].shape[1]) * len(prompts)
        return new, seconds, [clock.puts[1] - started] * len(prompts)

    return answer


def batching(model: Any) -> Callable[[list[list[int]], int], Times]:
    """A manager of continuous batching that stays, as a server would keep it."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(do_sample=False, eos_token_id=-1),
        continuous_batching_config=ContinuousBatchingConfig(
            num_blocks=2 * STREAMS, max_batch_tokens=1024, auto_switch_to_flash=False
        ),
    )
    manager.start()

    def answer(prompts: list[list[int]], tokens: int) -> Times:
        started = time.perf_counter()
        for prompt in prompts:
            manager.add_request(prompt, max_new_tokens=tokens, record_timestamps=True, eos_token_id=-1)
        made = 0
        first: list[float] = []
        while len(first) < len(prompts):
            output = manager.get_result(timeout=1)
            if output is None:
                if not manager.is_running():
                    raise RuntimeError("continuous batching stopped")
                continue
            if output.error:
                raise RuntimeError(output.error)
            if output.is_finished():
                made += len(output.generated_tokens)
                first.append(output.timestamps[0] - started)
        return made, time.perf_counter() - started, first

    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("generate", "continuous"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    # The pipe is for answers; whatever a library prints goes to the log.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(given.threads)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=getattr(torch, given.dtype))
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    answer = generating(model, tokenizer) if given.mode == "generate" else batching(model)
    print(json.dumps("ready"), file=replies, flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            asked = json.loads(line)
            prompts = [_ids(tokenizer, prompt) for prompt in asked["prompts"]]
            print(json.dumps(answer(prompts, asked["tokens"])), file=replies, flush=True)
    # Continuous batching keeps a thread that would outlive the input.
    os._exit(0)


def _ids(tokenizer: Any, prompt: str) -> list[int]:
    messages = [{"role": "user", "content": prompt}]
    ids: list[int] = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    return ids


if __name__ == "__main__":
    main()
