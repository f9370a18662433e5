"""The general suite on a real base: what it passes, what informs, and how long an examination takes.

    make bench-general                        the default model; results in benchmarks/results/general.json
    make bench-general BENCH=--known          and tuner/suite/known.jsonl is written anew
    python -m benchmarks.general --quick      a tiny model, a few items: that it runs

The base is asked every item once greedily and four times at the temperature by which the tuner knows
which items inform. Then the examination itself is timed, as a run of the tuner does it: a new version
(the base under another name, so that nothing is kept of it) is asked an assistant's items.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.serving import machine, materials, servers, verdict
from benchmarks.serving.servers import ROOT
from benchmarks.serving.verdict import Bar
from feedback.records import Message
from tuner import bases, examine
from tuner.examine import SAMPLES, Answers
from tuner.server import Answer
from tuner.suite import catalogue, known
from tuner.suite.item import Item
from tuner.suite.known import Passes
from tuner.suite.marking import mark

RESULTS = ROOT / "benchmarks" / "results" / "general.json"
LEAST_ITEMS, LEAST_SHARE, MOST_SECONDS = 400, 0.25, 120
SIZE, QUICK_SIZE, QUICK_ITEMS = 120, 4, 12


class Asked:
    """The engine's chat route as the tuner's verb `answer`; every version is the base here."""

    def __init__(self, server: servers.Server, folder: Path) -> None:
        self._server, self._folder = server, folder
        self.tokens = 0

    async def answer(
        self,
        version: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Answer:
        body: dict[str, Any] = {
            "model": "base",
            "messages": [message.as_dict() for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "priority": 1,
        }
        response = await self._server.http.post(
            "/v1/chat/completions", json=body | ({} if seed is None else {"seed": seed})
        )
        told = response.raise_for_status().json()
        used = told["usage"]["completion_tokens"]
        self.tokens += used
        choice = told["choices"][0]
        return Answer(choice["message"]["content"] or "", choice["finish_reason"], used)

    async def base_folder(self) -> Path:
        return self._folder


async def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        model = given.model or (
            materials.tiny_model(folder / "tiny") if given.quick else _default_model(folder)
        )
        server = await servers.start_hone(model, folder, given.dtype, given.threads)
        try:
            return await _measure(Asked(server, model), given.answers or folder, given)
        finally:
            await server.stop()


async def _measure(server: Any, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    items = list(catalogue.items())[: QUICK_ITEMS if given.quick else None]
    base = bases.digest(await server.base_folder())
    answers = Answers(server, folder / "answers", "general")
    started = time.monotonic()
    await answers.ask(("general@0", item, n) for item in items for n in range(SAMPLES + 1))
    sampled = time.monotonic() - started
    tokens = server.tokens
    greedy = {item.id: mark(item, answers.text("general@0", item)).passed for item in items}
    passes = {item.id: answers.passes(item) for item in items}
    if given.known:
        told = known.lines(base, ((item.digest, passes[item.id]) for item in items))
        known.FILE.write_text("".join(json.dumps(line) + "\n" for line in told), "utf-8")
    known.shipped.cache_clear()
    seconds = [round(await _examination(server, folder, given, n), 1) for n in range(given.repeats)]
    figures = {
        "suite": catalogue.digest(),
        "base": base,
        "items": len(items),
        "informing": sum(one.informs for one in passes.values()),
        "always": sum(one.always for one in passes.values()),
        "never": sum(one.passed == 0 for one in passes.values()),
        "sampling": {"answers": len(items) * (SAMPLES + 1), "tokens": tokens, "seconds": round(sampled, 1)},
        "examination": {"wanted": given.size, "seconds": seconds},
        "kinds": list(_kinds(items, greedy, passes)),
    }
    if given.show:
        _show_answers(answers, items)
    return figures


async def _examination(server: Any, folder: Path, given: argparse.Namespace, repeat: int) -> float:
    """Seconds until a version that nothing is kept of is examined, the base's own answers being kept."""
    kept = folder / "suite"
    for version in ("general@1-first", f"general@{repeat + 2}-new"):
        started = time.monotonic()
        await examine.examine(server, kept, candidate=version, incumbent="general@0", size=given.size)
    return time.monotonic() - started


def _kinds(
    items: Sequence[Item], greedy: dict[str, bool], passes: dict[str, Passes]
) -> Iterator[dict[str, Any]]:
    for language, kind in sorted({(item.language, item.kind) for item in items}):
        of_kind = [item for item in items if (item.language, item.kind) == (language, kind)]
        yield {
            "language": language,
            "kind": kind,
            "items": len(of_kind),
            "passed": sum(greedy[item.id] for item in of_kind),
            "sampled_share": round(
                sum(passes[item.id].passed for item in of_kind) / len(of_kind) / SAMPLES, 3
            ),
            "informing": sum(passes[item.id].informs for item in of_kind),
            "always": sum(passes[item.id].always for item in of_kind),
        }


def _show_answers(answers: Answers, items: Sequence[Item]) -> None:
    for item in items:
        told = answers.text("general@0", item)
        print(
            json.dumps([item.id, item.messages[-1].content, told, mark(item, told).why], ensure_ascii=False)
        )


def bars(figures: dict[str, Any]) -> dict[str, Bar]:
    share = figures["informing"] / figures["items"]
    slowest = max(figures["examination"]["seconds"])
    return {
        "general_items": Bar(figures["items"], LEAST_ITEMS, figures["items"] >= LEAST_ITEMS),
        "general_informing_share": Bar(round(share, 3), LEAST_SHARE, share >= LEAST_SHARE),
        "general_examination_seconds": Bar(slowest, MOST_SECONDS, slowest <= MOST_SECONDS),
    }


def table(figures: dict[str, Any]) -> Table:
    shown = Table("language", "kind", title="The general suite on this base")
    for column in ("items", "passed", "sampled_share", "informing", "always"):
        shown.add_column(column, justify="right")
    for row in figures["kinds"]:
        shown.add_row(*map(str, row.values()))
    return shown


def _default_model(folder: Path) -> Path:
    from serve.engine.model import prepare

    return prepare("smollm2-135m", folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model and a few items, in seconds")
    parser.add_argument("--model", type=Path, help="a prepared model's folder; left out: SmolLM2-135M")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--threads", type=int, default=machine.cores(), help="1 on a machine that others use")
    parser.add_argument("--answers", type=Path, help="keep answers here, and go on from those that are kept")
    parser.add_argument("--size", type=int, help="items that an examination wants")
    parser.add_argument("--repeats", type=int, default=3, help="examinations that are timed")
    parser.add_argument("--known", action="store_true", help="write tuner/suite/known.jsonl")
    parser.add_argument("--show", action="store_true", help="print every greedy answer with its mark")
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    given = parser.parse_args()
    given.size = given.size or (QUICK_SIZE if given.quick else SIZE)
    given.output = given.output or (Path(tempfile.mkdtemp()) / "general.json" if given.quick else RESULTS)
    when, facts = datetime.now(UTC).isoformat(timespec="seconds"), machine.describe()
    figures = asyncio.run(benchmark(given))
    found = bars(figures)
    verdict.show(table(figures), verdict.bar_table(found))
    print({key: value for key, value in figures.items() if key != "kinds"})
    verdict.write(given.output, facts, when, found, figures)
    print(f"written to {given.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
