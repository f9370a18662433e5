"""Operators hear of what happened: once each, signed, after kills too, and without anybody's words."""

import asyncio
import json
import shutil
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import self_signed
from conftest import RunningHone, free_port
from receivers import KEY, SECRET, mail_server, webhook
from stories import killed, new_store
from test_registry_and_rollout import ANN, House

from feedback import happenings
from feedback.errors import SettingsError
from feedback.ledger import Ledger
from feedback.records import new_id, now
from feedback.store import Store
from hone.notices import keeper, mail, notice
from hone.notices.keeper import Keeper
from hone.sections import Notices
from hone.settings import read
from serve.metrics import Metrics
from serve.pages import notices as notices_page

WORDS = "Ana's landlord is called Mortimer"


def keep(store: Store, path: Path, up: Callable[[], bool] = lambda: True, **settings: Any) -> Keeper:
    given = Notices(**{"secret": SECRET, "public_url": "https://chat.example.org", **settings})
    return Keeper(given, store, path, engine_up=up, metrics=Metrics(), every=0.02, waits=(0.05,))


def happen(store: Store) -> None:
    """A run that abstains and one that fails, told with words that are nobody's business; two erasures."""
    ledger = Ledger(store)
    for number, state in ((1, "abstained"), (2, "failed")):
        run: dict[str, Any] = {"run_id": new_id(), "assistant": "general", "number": number}
        told: dict[str, Any] = {"step": "train", "principal": "ann", "reason": WORDS}
        coded = [{"code": "too_few", "values": {"reason": WORDS}}, {"text": WORDS}]
        ledger.record_run(**run, **told, state="running")
        ledger.record_evaluation(
            run_id=run["run_id"],
            version="general@1-0badbeef",
            incumbent="general@0",
            scorecard={"coded": coded},
            verdict=state,
            reasons=[WORDS],
            principal="ann",
        )
        for _ in range(2):  # a restart records the end again
            ledger.record_run(**run, **told, state=state)
    asked = {"scope": "user", "target": "ana", "account": True, "policy": "keep", "removed": {}}
    store.append({"erasures": [{"principal": "ana", **asked} for _ in range(2)]})


async def until(done: Callable[[], Any], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)


async def running(kept: Keeper, work: Callable[[], Awaitable[None]]) -> None:
    await kept.start()
    try:
        await work()
    finally:
        await kept.stop()


def test_what_took_traffic_and_what_was_taken_back_is_told_apart(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def story() -> None:
        one, two, three, four = (house.version(number) for number in (1, 2, 3, 4))
        rollout = house.rollout
        await rollout.promote(one, ANN, "good")
        await rollout.promote(two, ANN, "good")
        await rollout.stage(three, 0.05, ANN, "a try")
        await rollout.stage(three, 0.25, ANN, "more", at_stage=0.05)
        await rollout.promote(four, ANN, "better")  # the canary makes way, and one is kept no more
        await rollout.roll_back("general", ANN, WORDS)
        await rollout.stage(three, 0.05, ANN, "again")
        await rollout.roll_back("general", ANN, WORDS)

    asyncio.run(story())
    found = happenings.since(house.store, 0, house.store.newest)
    told = [(one.kind, one.version.partition("-")[0]) for one in found]
    assert told == [
        *(("live", "general@1"), ("live", "general@2"), ("canary", "general@3"), ("live", "general@4")),
        *(("rolled_back", "general@4"), ("canary", "general@3"), ("rolled_back", "general@3")),
    ]
    assert WORDS not in repr(found)
    middle = found[2].seq
    assert happenings.since(house.store, middle, house.store.newest) == found[3:]
    house.store.close()


async def test_each_is_told_once_signed_and_without_words(store: Store, tmp_path: Path) -> None:
    with webhook() as received:
        received.statuses = [503, 302, 500]
        kept = keep(store, tmp_path / "outbox", webhooks=[f"http://127.0.0.1:{received.port}/x?token=hush"])

        async def story() -> None:
            await until(lambda: (tmp_path / "outbox").exists())
            happen(store)
            await until(lambda: len(received.notices) == 3)
            await until(lambda: kept.told()["places"][0]["waiting"] == 0)
            await asyncio.sleep(0.1)

        happen(store)  # before it was set: the past is not told
        await running(kept, story)
    assert sorted(received.kinds) == ["erasure_asked", "run_abstained", "run_failed"]
    assert received.forged == 0
    assert len(received.bodies) == 3 + 3, "a redirect was followed, or one was told twice"
    told = {one["type"]: one for one in received.notices}
    assert told["run_abstained"]["data"] == {
        "assistant": "general",
        "run": 1,
        "reasons": ["too_few"],
        "link": "https://chat.example.org/operate/",
    }
    assert told["run_failed"]["data"]["step"] == "train"
    assert told["erasure_asked"]["data"]["count"] == 2
    sent = b"".join(received.bodies).decode()
    assert not [word for word in (WORDS, "ana", "ann", "hush", SECRET) if word in sent]
    assert "hush" not in repr(kept.told())
    assert kept.told()["places"][0]["fault"] == ""


async def test_a_receiver_that_is_away_hears_it_later_and_the_fault_is_shown(
    store: Store, tmp_path: Path
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with webhook() as other:
        urls = [address, f"http://127.0.0.1:{other.port}/"]
        kept = keep(store, tmp_path / "outbox", webhooks=urls, language="ko")

        async def away() -> None:
            await until(lambda: (tmp_path / "outbox").exists())
            happen(store)
            await until(lambda: len(other.notices) == 3)  # the one does not wait for the other
            await until(lambda: kept.told()["places"][0]["fault"])
            await until(lambda: kept.told()["places"][1]["waiting"] == 0)

        await running(kept, away)
        place = kept.told()["places"][0]
        assert (place["fault"], place["waiting"], place["delivered_at"]) == ("ConnectError", 3, "")
        with webhook(port) as received:
            kept = keep(store, tmp_path / "outbox", webhooks=urls, language="ko")

            async def back() -> None:
                await until(lambda: len(received.notices) == 3)

            await running(kept, back)
            assert len(other.notices) == 3
    assert {one["id"] for one in received.notices} == {one["id"] for one in other.notices}
    assert "보류" in {one["type"]: one["text"] for one in received.notices}["run_abstained"]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, "tests")
from test_notices import happen, keep, until
from feedback.store import Store

async def main(folder, url, at):
    store = Store(folder / "hone.duckdb")
    kept = keep(store, folder / "outbox", webhooks=[url])
    place, sent = kept.places[0], []
    send = place.send
    async def dying(notice):
        if at == len(sent):  # 0: it was put on the disk; else: so many arrived, and the last was not noted
            os.kill(os.getpid(), signal.SIGKILL)
        await send(notice)
        sent.append(notice)
        if at == len(sent):
            os.kill(os.getpid(), signal.SIGKILL)
    place.send = dying
    await kept.start()
    await until((folder / "outbox").exists)
    happen(store)
    await asyncio.sleep(20)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("at", [0, 2])
async def test_a_kill_loses_none_and_what_is_told_again_has_its_id(tmp_path: Path, at: int) -> None:
    new_store(tmp_path / "hone.duckdb").close()
    with webhook() as received:
        url = f"http://127.0.0.1:{received.port}/"
        await asyncio.to_thread(killed, KILLED, str(tmp_path), url, str(at))
        assert len(received.notices) == at
        store = new_store_of(tmp_path)
        kept = keep(store, tmp_path / "outbox", webhooks=[url])

        async def story() -> None:
            await until(lambda: len({one["id"] for one in received.notices}) == 3)
            await until(lambda: kept.told()["places"][0]["waiting"] == 0)
            await asyncio.sleep(0.1)

        await running(kept, story)
        store.close()
    assert len(received.notices) <= 4, "at most the one that was not noted comes again"
    by_id = {one["id"]: one for one in received.notices}
    assert sorted(one["type"] for one in by_id.values()) == ["erasure_asked", "run_abstained", "run_failed"]


def new_store_of(folder: Path) -> Store:
    return Store(folder / "hone.duckdb")


async def test_old_and_too_many_are_let_go_and_counted(store: Store, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    kept = keep(store, tmp_path / "outbox", webhooks=[url])

    async def story() -> None:
        await until(lambda: (tmp_path / "outbox").exists())
        happen(store)
        await until(lambda: kept.told()["places"][0]["waiting"] == 3)
        kept._clock = lambda: now() + timedelta(days=2)
        await until(lambda: kept.told()["dropped"] == 3)
        await until(lambda: json.loads((tmp_path / "outbox").read_text())["waiting"] == [])

    await running(kept, story)


async def test_mail_is_handed_to_the_server_and_a_mute_one_holds_nothing_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_server() as box:
        told: dict[str, Any] = {"mail_from": "hone@example.org", "mail_to": ["ops@example.org", "b@x.org"]}
        told |= {"smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_security": "none"}
        kept = keep(store, tmp_path / "outbox", **told, language="ko")
        box.refused = {"b@x.org"}

        async def story() -> None:
            await until(lambda: (tmp_path / "outbox").exists())
            happen(store)
            await until(lambda: kept.told()["places"][0]["waiting"] == 0 and len(box.messages) == 3)

        await running(kept, story)
        assert len(box.messages) == 3, (
            "who was refused is not tried again, for the others would hear it twice"
        )
        failed = next(one for one in box.messages if "실패" in one["subject"])
        assert failed["from"] == "hone@example.org"
        assert failed["subject"].startswith("[Hone] general의 실행 2")
        assert "https://chat.example.org/operate/" in failed.get_content()
        assert WORDS not in "".join(one.as_string() + one.get_content() for one in box.messages)
        assert "refused 1 of the recipients" in kept.told()["places"][0]["fault"]
        box.mute = True
        monkeypatch.setattr(mail, "PATIENCE", 0.3)
        fault = (await asyncio.wait_for(kept.test(), 5))[0]["fault"]
        assert fault.startswith(("no answer", "TimeoutError", "SMTPServerDisconnected"))


@pytest.mark.skipif(not shutil.which("openssl"), reason="NO OPENSSL: apt-get install openssl")
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_goes_over_tls_with_a_password_to_whom_somebody_vouches_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    certificate, key = self_signed(tmp_path, "IP:127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with mail_server(security, tls) as box:
        told: dict[str, Any] = {"mail_from": "hone@example.org", "mail_to": ["ops@example.org"]}
        told |= {"smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_security": security}
        told |= {"smtp_user": "hone", "smtp_password": "Sesame-7-Sesame"}
        kept = keep(store, tmp_path / "outbox", **told)
        assert (await kept.test())[0]["fault"] == "the server's certificate is not trusted"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert (await kept.test())[0]["fault"] == "the server refused the sign-in (535)"
        assert box.messages == []
        box.login = "hone", "Sesame-7-Sesame"
        assert not (await kept.test())[0]["fault"]
        assert [one["to"] for one in box.messages] == ["ops@example.org"]


async def test_an_engine_away_and_a_queue_that_grows_are_told_once(store: Store, tmp_path: Path) -> None:
    up, waiting = [False], [3]
    with webhook() as received, pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "QUEUE_EVERY", 1)
        patch.setattr(keeper.queue, "counts", lambda _: {"pending": waiting[0]})
        told: dict[str, Any] = {"webhooks": [f"http://127.0.0.1:{received.port}/"], "engine_seconds": 0.1}
        for _ in range(2):  # a restart meanwhile tells nothing again
            kept = keep(store, tmp_path / "outbox", lambda: up[0], **told, queue=2)

            async def story() -> None:
                await until(lambda: len(received.notices) >= 2)
                await asyncio.sleep(0.3)

            await running(kept, story)
        assert sorted(received.kinds) == ["engine_down", "queue_growing"]

        async def later() -> None:
            up[0], waiting[0] = True, 6
            await until(lambda: len(received.notices) == 4)

        await running(keep(store, tmp_path / "outbox", lambda: up[0], **told, queue=2), later)
    assert sorted(received.kinds[2:]) == ["engine_back", "queue_growing"]
    assert received.notices[-1]["data"].get("count") in (6, None)


def test_every_kind_has_its_words_in_both_languages() -> None:
    for kind in (*Notices().kinds, "test"):
        for language in ("en", "ko"):
            head, body = notice.words(notice.Notice(new_id(), kind, now().isoformat()), language)
            assert head
            assert body
            assert any("가" <= letter <= "힣" for letter in head + body) == (language == "ko")


def test_settings_that_cannot_work_are_refused_without_repeating_secrets(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"webhooks": ["ftp://hush"], "secret": "hush", "mail_to": ["a"], "smtp_user": "u"}
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, notices=wrong | {"smtp_security": "none"})
    assert "hush" not in str(refused.value)
    for word in ("webhooks", "secret is not whsec_", "mail_to", "'a' for an e-mail", "smtp_security"):
        assert word in str(refused.value)
    assert len(KEY) == 32


def test_a_running_hone_tells_of_its_engine_and_shows_how_it_arrives(tiny_hone: RunningHone) -> None:
    with webhook() as received:
        tiny_hone.settings = (
            f'[notices]\nwebhooks = ["http://127.0.0.1:{received.port}/"]\nsecret = "{SECRET}"\n'
            "engine_seconds = 0\n"
        )
        tiny_hone.start()  # until its engine is there, there is none
        sent = tiny_hone.command("notices", "test")
        assert (sent.returncode, "arrived" in sent.stdout) == (0, True), sent.stdout + sent.stderr
        tiny_hone.wait(lambda: {"engine_down", "engine_back"} <= set(received.kinds), 30)
        assert received.forged == 0
        assert f"webhook 127.0.0.1:{received.port}: last" in tiny_hone.command("status").stdout


def test_the_operate_page_shows_where_notices_go_and_what_keeps_them() -> None:
    place = {"channel": "webhook", "name": "<b>x</b>", "waiting": 2, "delivered_at": "", "kind": ""}
    failed = {**place, "failed_at": now().isoformat(), "fault": "status 500"}
    fine = {**place, "failed_at": "", "fault": "", "delivered_at": now().isoformat(), "kind": "drift"}
    shown = notices_page.notices({"places": [failed, fine], "dropped": 1}, "ko")
    assert "<b>x" not in shown
    for word in ("status 500", "웹훅", "품질 저하 경보", "1건은"):
        assert word in shown
    assert "notices.webhooks" in notices_page.notices({"places": [], "dropped": 0}, "en")
