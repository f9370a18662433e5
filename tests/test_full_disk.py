"""Chat on a full disk: answers come to their last word, nothing half is kept, and everyone is told."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent

CHATTING = """
import asyncio, resource, signal, sys
from pathlib import Path
from feedback.assistants import Assistants
from feedback.errors import StoreError
from feedback.exchanges import Exchanges
from feedback.records import Sampling
from feedback.store import Store
from serve.conversation import Conversations
from serve.router import Router
from test_conversation import MINA, ScriptedEngine, hear

store = Store(sys.argv[1])
engine = ScriptedEngine()
talk = Conversations(Exchanges(store), Assistants(store), Router(engine, Path(sys.argv[1] + ".json")),
                     sampling=Sampling(), max_prompt_chars=1000, max_running=9)

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    before = await talk.say(MINA, "general", "Before", None)
    running = await talk.say(MINA, "general", "Running", None)
    await hear(before)
    room(1)
    print(1, await hear_to_the_end(running))
    fresh = await talk.say(MINA, "general", "Fresh", None)
    print(2, await hear(fresh), type(fresh.unkept).__name__, "space" in str(fresh.unkept))
    on = await talk.say(MINA, "general", "On", before.exchange.conversation_id)
    print(3, await hear(on), on.unkept is not None, [m.content for m in engine.heard[-1]][-3:])
    await fresh.close()
    room(resource.RLIM_INFINITY)
    after = await talk.say(MINA, "general", "After", before.exchange.conversation_id)
    print(4, await hear(after), after.unkept, [m.content for m in engine.heard[-1]][-3:])
    print(5, sorted(row["instruction"] for row in store.rows("SELECT instruction FROM exchanges")))
    answers = store.rows("SELECT response FROM answers ORDER BY seq")
    print(6, [row["response"] for row in answers], store.check())

async def hear_to_the_end(turn):
    heard = []
    try:
        async for piece in turn.pieces:
            heard.append(piece)
    except StoreError as fault:
        heard.append("|" + type(fault).__name__)
    return "".join(heard)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
store.close()
"""


def test_answers_stream_on_a_full_disk_and_are_said_not_to_be_kept(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", CHATTING, str(tmp_path / "hone.duckdb")],
        cwd=TESTS,
        env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [
        "1 Hello|StoreError",
        "2 Hello StoreError True",
        "3 Hello True ['Before', 'Hello', 'On']",
        "4 Hello None ['Before', 'Hello', 'After']",
        "5 ['After', 'Before', 'Running']",
        "6 ['Hello', 'Hello'] True",
    ]
