"""A home with a past, for the tests of erasure: people's words in every kind of file that can hold them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stories import ANA, RITA, ask
from test_registry_and_rollout import base_of

from feedback import conversations, erasure, pairs, ratings, review, scan, snapshot
from feedback.conversations import MAX_TITLE
from feedback.curate import curate
from feedback.ledger import Ledger
from feedback.records import Exchange, Message, Principal, Role, new_id
from feedback.scan import Needles
from feedback.store import Store
from tuner import registry
from tuner.registry import Card

LEE = Principal("lee", Role.USER)
SECRET = "My late aunt Philomena kept exactly 412 hedgehogs in Saltcoats"
ANSWER = "Keeping 412 hedgehogs calls for a licence from the council of Saltcoats"
KOREAN = "우리 할머니는 강릉에서 고슴도치를 사백열두 마리나 키우셨어요"


Make = Callable[[Path, int], None]
"""Makes a run's adapter, in a folder that is not there yet, for a run's number."""


@dataclass(frozen=True, slots=True)
class Past:
    """What `live` left behind: lee's exchange and its conversation, ana's, and three versions' names."""

    lee: Exchange
    ana: Exchange
    versions: tuple[str, ...]


def pretended(folder: Path, number: int) -> None:
    """An adapter that no engine would take."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(bytes([number]) * 64)


def live(store: Store, home: Path, adapter: Make = pretended) -> Past:
    """Ana teaches, Lee teaches, and three versions learn: the first from Ana alone, the others from both."""
    (home / "runs").mkdir(exist_ok=True)
    ana = taught(store, ANA, "Which bird is on the coin?", "A wren is on the coin.")
    versions = [version(store, home, 1, adapter)]
    lee = taught(store, LEE, SECRET, ANSWER)
    taught(store, LEE, KOREAN, "네, 정말 대단하시네요. 고슴도치 사백열두 마리라니요.", lee.conversation_id)
    conversations.rename(store, lee.conversation_id, LEE.name, f"Of {SECRET}"[:MAX_TITLE])
    versions += [version(store, home, number, adapter) for number in (2, 3)]
    (home / "engine.log").write_text(f"warning: prompt {SECRET!r} was long\nnext line\n")
    return Past(lee, ana, tuple(versions))


def erase(
    store: Store, home: Path, principal: Principal, scope: Any, target: str, **asked: Any
) -> dict[str, Any]:
    """A whole erasure where no server runs; its receipt."""
    asked = {"account": False, "policy": "keep"} | asked
    job = erasure.take(store, home, erasure.new(principal, scope, target, **asked), principal)
    erasure.settle(store, job)
    return erasure.finish(store, home, job)


def left(folder: Path, *texts: str) -> dict[str, int]:
    """Which files of a folder hold some of these words, the store's own apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and "duckdb" not in path.name]
    return scan.through(folder, files, Needles(scan.fragments(texts))).where


def taught(
    store: Store, who: Principal, instruction: str, response: str, conversation_id: str | None = None
) -> Exchange:
    """A turn with a thumb, a comment and a correction, approved."""
    exchange = ask(store, who, instruction, "Nothing useful.", conversation_id=conversation_id)
    ratings.rate(
        store,
        who,
        exchange.id,
        rating="down",
        comment=f"About '{instruction}' it said nothing.",
        correction=response,
    )
    return review.review(store, RITA, exchange.id, "approve", reason=f"{response} is what was meant.")


def version(store: Store, home: Path, number: int, adapter: Make = pretended) -> str:
    """A whole run on what is approved now, with every file that a run leaves; its version goes live."""
    ledger = Ledger(store)
    run_id, folder = new_id(), home / "runs" / f"{number:04d}-general"
    told = {"run_id": run_id, "assistant": "general", "number": number, "principal": "hone"}
    ledger.record_run(**told, state="running", step="snapshot", folder=str(folder))
    frozen = freeze(store, run_id, folder / "snapshot")
    quote(folder, frozen)
    adapter(folder / "adapter", number)
    name = register(home, folder, number, run_id, frozen)
    ledger.add_version(
        version=name,
        assistant="general",
        number=number,
        digest=registry.verify(home, name).digest,
        folder=str(registry.folder(home, name)),
        run_id=run_id,
        principal="hone",
    )
    scorecard = json.loads((folder / "evaluation.json").read_text("utf-8"))
    ledger.record_evaluation(
        run_id=run_id,
        version=name,
        incumbent="general@0",
        scorecard=scorecard,
        verdict="pass",
        reasons=["It is not worse."],
        principal="hone",
    )
    ledger.record_run(**told, state="passed", step="account", folder=str(folder), version=name)
    ledger.set_state(name, "live", "It passed.", "hone", run_id)
    return name


def freeze(store: Store, run_id: str, folder: Path) -> snapshot.Snapshot:
    """All approved pairs, every group to learn from."""
    curated = curate(pairs.approved(store, "general"), max_tokens=10_000, count_tokens=lambda pair: 1)
    shares = {"gate_share": 0.0, "gate_share_later": 0.0, "dev_share": 0.0}
    return snapshot.freeze(store, "general", run_id, folder, curated, salt="sea", principal="hone", **shares)


def quote(folder: Path, frozen: snapshot.Snapshot) -> None:
    """The files of a run that quote what it learnt from and judged by."""
    said = [
        {
            "group": row.group_key,
            "exchange_ids": [row.exchange_id],
            "instruction": row.messages[-1].content,
            "references": [row.response],
            "candidate": {"text": row.response, "finish_reason": "stop", "correct": True, "why": ""},
            "incumbent": {"text": "Nothing.", "finish_reason": "stop", "correct": False, "why": "other"},
        }
        for row in frozen.train
    ]
    (folder / "evaluation.json").write_text(json.dumps({"items": said}), "utf-8")
    probes = [
        {"messages": [Message("user", i["instruction"]).as_dict()], "response": i["references"][0]}
        for i in said
    ]
    (folder / "probe.json").write_text(json.dumps({"items": probes}, ensure_ascii=False), "utf-8")
    (folder / "answers.jsonl").write_text(
        "".join(json.dumps({"text": i["instruction"]}) + "\n" for i in said)
    )
    (folder / "checkpoint.pt").write_bytes(json.dumps(said).encode("utf-16-le"))
    (folder / "training.log").write_text("".join(f"skipped: {i['instruction']}\n" for i in said), "utf-8")
    (folder / "verdict.json").write_text(json.dumps({"decision": "pass", "reasons": ["It is not worse."]}))


def register(home: Path, folder: Path, number: int, run_id: str, frozen: snapshot.Snapshot) -> str:
    adapter = folder / "adapter"
    made = registry.digest(adapter)
    name = registry.version_name("general", number, made)
    told = run_id, frozen.digest, "plan", "2026-01-01T00:00:00"
    card = Card(name, "general", number, made, base_of(adapter), *told)
    registry.register(home, adapter, card)
    return name
