"""A real Hone with a canary: the same conversations after `kill -9`, and no answer dropped by a roll-back."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import RunningHone, lines_of
from stories import new_store
from test_registry_and_rollout import card_for
from tiny_engine import make_adapter

from feedback.ledger import Ledger
from feedback.records import new_id
from tuner import registry

pytestmark = pytest.mark.long

CONVERSATIONS = [new_id() for _ in range(24)]


def with_version(home: Path, model: Path, adapter: Path, state: str, reason: str, **more: Any) -> str:
    """Put a version into a home in which no Hone runs, and the first of its events."""
    home.mkdir(exist_ok=True)
    made = make_adapter(model, adapter, seed=3)
    card = card_for(made, 1)
    folder = registry.register(home, made, card)
    store = new_store(home / "hone.duckdb")
    ledger = Ledger(store)
    ledger.add_version(
        version=card.version,
        assistant="general",
        number=1,
        digest=card.digest,
        folder=str(folder),
        run_id="",
        principal="ann",
    )
    told: dict[str, Any] = {"assistant": "general", "version": card.version, "principal": "hone"}
    ledger.rollouts.record(**told, state=state, reason=reason, **more)
    store.close()
    return card.version


@pytest.fixture
def staged(tiny_hone: RunningHone, tiny_model: Path, tmp_path: Path) -> tuple[RunningHone, str]:
    """A home in which a version is canary for half of the conversations, not started yet."""
    adapter = tmp_path / "adapter"
    return tiny_hone, with_version(tiny_hone.home, tiny_model, adapter, "canary", "It passed.", share=0.5)


def started(hone: RunningHone, version: str) -> None:
    hone.start()
    hone.wait(lambda: hone.get("/v1/status").json()["router"]["canaries"], 60)
    canaries = hone.get("/v1/status").json()["router"]["canaries"]
    assert canaries == {"general": {"version": version, "share": 0.5}}


def versions(hone: RunningHone) -> dict[str, str]:
    """Which version each conversation gets."""
    return {c: hone.chat("Hi", max_tokens=2, conversation_id=c)["model"] for c in CONVERSATIONS}


def test_the_stage_and_its_conversations_outlive_a_kill_and_a_roll_back_drops_no_answer(
    staged: tuple[RunningHone, str],
) -> None:
    hone, version = staged
    started(hone, version)
    before = versions(hone)
    assert set(before.values()) == {version, "general@0"}  # 1 in 8 million it is not
    hone.stop(signal.SIGKILL)
    started(hone, version)
    assert versions(hone) == before
    told = hone.get("/v1/assistants/general/rollout").json()
    assert (told["live"], told["canary"]["version"], told["canary"]["share"]) == ("general@0", version, 0.5)
    on_it = next(conversation for conversation, got in before.items() if got == version)
    heard = _heard_through_a_roll_back(hone, on_it)
    assert {event["model"] for event in heard} == {version}
    assert heard[-1]["choices"][0]["finish_reason"] == "length"
    assert hone.chat("Hi", max_tokens=2, conversation_id=on_it)["model"] == "general@0"
    assert set(versions(hone).values()) == {"general@0"}
    events = hone.get("/v1/assistants/general/rollout").json()["events"]
    assert [(event["state"], event["principal"]) for event in events] == [
        *(("withdrawn", "cli"), ("canary", "hone"))
    ]
    _orders_by_command(hone)


def _heard_through_a_roll_back(hone: RunningHone, conversation: str) -> list[dict[str, Any]]:
    body = {
        "model": "general",
        "messages": [{"role": "user", "content": "Talk for long."}],
        "stream": True,
        "max_tokens": 1500,
        "conversation_id": conversation,
    }
    headers = {"authorization": f"Bearer {hone.token}"}
    url = f"{hone.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=120, trust_env=False) as answer:
        events = lines_of(answer)
        heard = [next(events) for _ in range(5)]
        back = hone.post("/v1/assistants/general/rollback", {"reason": "It rambles."})
        assert back.json()["version"] == "general@0", back.text
        return [*heard, *events]


def _orders_by_command(hone: RunningHone) -> None:
    """The commands say what stands, and refuse in sentences."""
    held = hone.command("hold", "--reason", "A demo.")
    assert held.returncode == 1
    assert "no canary to hold" in held.stderr + held.stdout
    assert hone.command("pin").returncode == 2
    pinned = hone.command("pin", "--reason", "An audit.")
    assert "pin general@0 by cli: An audit." in pinned.stdout, pinned.stderr
    paused = hone.command("pause", "--reason", "Moving house.")
    assert "pause by cli: Moving house." in paused.stdout, paused.stderr
    assert "pause" not in hone.command("resume").stdout
    shown = hone.command("rollout")
    assert "pin general@0" in shown.stdout
    assert hone.command("unpin").returncode == 0
