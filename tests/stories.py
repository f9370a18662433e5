"""Short ways to make things happen in a store, for the tests of the feedback layer."""

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from feedback import ratings, review
from feedback.exchanges import Exchanges
from feedback.records import Exchange, Message, Principal, Role, new_id, now
from feedback.store import Store

ANA = Principal("ana", Role.USER)
BEN = Principal("ben", Role.USER)
RITA = Principal("rita", Role.REVIEWER)
ROB = Principal("rob", Role.REVIEWER)
OTTO = Principal("otto", Role.OPERATOR)
ADA = Principal("ada", Role.ADMIN)

PASSWORD = "correct horse"
HISTORIES = int(os.environ.get("HISTORIES", "3"))
"""How many a test draws that makes up histories of events; each takes seconds."""
ROOT = Path(__file__).parent.parent


def new_store(path: Path) -> Store:
    """A store in which nothing has happened."""
    lay_store(path)
    return Store(path)


def lay_store(path: Path) -> None:
    """Its file, as a copy: to make it anew for each test would double the time of many."""
    path.write_bytes(_empty())


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hone.duckdb"
        Store(path).close()
        return path.read_bytes()


def killed(program: str, *arguments: str) -> None:
    """Run a program that is to kill itself somewhere in the middle."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def admitted(
    conversation_id: str,
    principal: Principal = ANA,
    instruction: str = "What is 2 + 2?",
    *,
    context: tuple[Message, ...] = (),
    assistant: str = "general",
    replaces: str | None = None,
    id: str | None = None,
) -> Exchange:
    return Exchange(
        id=id or new_id(),
        at=now(),
        principal=principal.name,
        conversation_id=conversation_id,
        assistant=assistant,
        version=f"{assistant}@0",
        context=context,
        instruction=instruction,
        sampling={"temperature": 0.0},
        replaces=replaces,
    )


def ask(
    store: Store,
    principal: Principal = ANA,
    instruction: str = "What is 2 + 2?",
    response: str = "4.",
    *,
    conversation_id: str | None = None,
    finish_reason: str | None = "stop",
    replaces: str | None = None,
    assistant: str = "general",
    context: tuple[Message, ...] = (),
) -> Exchange:
    """A whole turn; with a `finish_reason` of None it still runs."""
    told = Exchanges(store)
    conversation_id = conversation_id or told.begin_conversation(principal.name, assistant, instruction)
    exchange = admitted(
        conversation_id, principal, instruction, replaces=replaces, assistant=assistant, context=context
    )
    told.open(exchange)
    if finish_reason:
        told.close(
            exchange.id,
            response=response,
            finish_reason=finish_reason,  # type: ignore[arg-type]
            version=exchange.version,
            prompt_tokens=5,
            completion_tokens=3,
            first_token_ms=12.5,
            total_ms=40.0,
            principal=principal.name,
        )
    return told.get(exchange.id)


def teach(store: Store, instruction: str, response: str, **turn: str) -> Exchange:
    """A turn whose answer its author liked and a reviewer approved."""
    exchange = ask(store, instruction=instruction, response=response, **turn)  # type: ignore[arg-type]
    ratings.rate(store, ANA, exchange.id, rating="up")
    return review.review(store, RITA, exchange.id, "approve")


def add_people(store: Store, *people: Principal) -> None:
    """Accounts without a password: hashing one takes a moment that few tests have a use for."""
    rows = [{"principal": "hone", "name": p.name, "change": "created", "role": p.role} for p in people]
    store.append({"accounts": rows})
