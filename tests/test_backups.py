"""Backups and their return: whole or refused, and a restore that is killed anywhere is finished or undone."""

import errno
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from stories import ANA, OTTO, ask, lay_store

from feedback import audit, erasure, ratings
from feedback.errors import BadRequest, Conflict, HomeBusy, StoreError
from feedback.forms import ImportRow
from feedback.imports import save
from feedback.records import Message, new_id
from feedback.store import Store
from hone import backups
from hone.home import Home, HomeLock


def furnished(folder):
    place = Home(folder)
    place.prepare()
    lay_store(place.store)
    (place.versions / "general@1-abc").mkdir()
    (place.versions / "general@1-abc" / "adapter.safetensors").write_bytes(b"weights" * 1000)
    (place.runs / "0001-general").mkdir()
    (place.runs / "0001-general" / "plan.json").write_text("{}")
    place.desired.write_text('{"general": "general@1-abc"}')
    return place


@pytest.fixture
def home(tmp_path):
    return furnished(tmp_path / "home")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A folder with a home, its backup, and what was said before and after that."""
    folder = tmp_path_factory.mktemp("once")
    home = furnished(folder / "home")
    told(home, add="before")
    back_up(home, folder / "backup")
    told(home, add="after")
    return folder


@pytest.fixture
def backed_up(once, tmp_path):
    """The home of a copy of that folder."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    return Home(tmp_path / "home")


def told(home, *, add=None):
    """The instructions in the home's store, after adding one."""
    store = Store(home.store)
    try:
        if add:
            ratings.rate(store, ANA, ask(store, instruction=add).id, rating="up")
        assert store.check()
        return {row["instruction"] for row in store.rows("SELECT instruction FROM exchanges")}
    finally:
        store.close()


def audited(home, kind):
    store = Store(home.store)
    try:
        return audit.listed(store, kind=kind)
    finally:
        store.close()


def back_up(home, target):
    store = Store(home.store)
    try:
        return backups.back_up(home, store, target)
    finally:
        store.close()


def test_what_was_backed_up_comes_back_and_what_was_there_is_moved_aside(home, tmp_path):
    told(home, add="before")
    salt, other = home.secret("salt"), home.secret("review-salt")
    manifest = back_up(home, tmp_path / "backup")
    assert {
        "hone.duckdb",
        "salt",
        "review-salt",
        "desired.json",
        "versions/general@1-abc/adapter.safetensors",
    } < set(manifest["files"])
    assert not {"token", "admin-password", "lock"} & set(manifest["files"])
    told(home, add="after")
    (home.versions / "general@1-abc" / "adapter.safetensors").unlink()
    aside = backups.restore(home, tmp_path / "backup")
    assert told(home) == {"before"}
    (entry,) = audited(home, "home")
    assert (entry.principal, entry.kind, entry.subject) == ("cli", "home.restored", str(tmp_path / "backup"))
    assert (home.versions / "general@1-abc" / "adapter.safetensors").read_bytes() == b"weights" * 1000
    assert (home.secret("salt"), home.secret("review-salt")) == (salt, other)
    kept = Store(aside / "hone.duckdb")
    assert kept.row("SELECT count(*) AS n FROM exchanges")["n"] == 2
    kept.close()
    assert not (home.folder / "restore.json").exists()
    assert not (home.folder / ".restoring").exists()


def test_a_backup_is_made_while_others_write_and_is_of_one_moment(home, tmp_path):
    store = Store(home.store)
    exchange = ask(store, instruction="question")
    ratings.rate(store, ANA, exchange.id, rating="down", correction="Better.")
    backups.back_up(home, store, tmp_path / "backup")
    ask(store, instruction="later")
    store.close()
    fresh = Home(tmp_path / "fresh")
    assert backups.restore(fresh, tmp_path / "backup") is None or told(fresh)
    assert told(fresh) == {"question"}


def test_pseudonyms_and_imported_conversations_are_the_same_after_a_restore_elsewhere(home, tmp_path):
    salt = home.secret("review-salt")
    told(home, add="q")
    back_up(home, tmp_path / "backup")
    fresh = Home(tmp_path / "fresh")
    backups.restore(fresh, tmp_path / "backup")
    assert fresh.secret("review-salt") == salt


def test_a_backup_without_a_review_salt_leaves_the_homes_own(home, tmp_path):
    told(home, add="q")
    back_up(home, tmp_path / "backup")
    salt = home.secret("review-salt")
    backups.restore(home, tmp_path / "backup")
    assert home.secret("review-salt") == salt


def test_settings_come_back_only_where_there_are_none(home, tmp_path):
    (home.folder / "hone.toml").write_text("[web]\nport = 1\n")
    told(home, add="q")
    back_up(home, tmp_path / "backup")
    (home.folder / "hone.toml").write_text("[web]\nport = 2\n")
    backups.restore(home, tmp_path / "backup")
    assert "port = 2" in (home.folder / "hone.toml").read_text()
    fresh = Home(tmp_path / "fresh")
    backups.restore(fresh, tmp_path / "backup")
    assert "port = 1" in (fresh.folder / "hone.toml").read_text()


@pytest.mark.parametrize(
    "name", ["hone.duckdb", "versions/general@1-abc/adapter.safetensors", "salt", "review-salt"]
)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_backup_is_refused_and_changes_nothing(backed_up, tmp_path, name, damage):
    file = tmp_path / "backup" / name
    whole = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        middle = len(whole) // 2
        file.write_bytes(
            whole[:middle] + (bytes([whole[middle] ^ 1]) + whole[middle + 1 :] if damage == "flip" else b"")
        )
    with pytest.raises(BadRequest, match=f"{name} is (damaged|missing); nothing was changed"):
        backups.restore(backed_up, tmp_path / "backup")
    assert told(backed_up) == {"before", "after"}
    assert not (backed_up.folder / ".restoring").exists()


FILE = {"bytes": 1, "sha256": ""}
WITHOUT_MANIFEST = "no manifest"


@pytest.mark.parametrize(
    "manifest",
    [
        WITHOUT_MANIFEST,
        [],
        {"form": 1, "files": {}},
        {"form": 2, "files": {"hone.duckdb": FILE}},
        {"form": 1, "files": {"hone.duckdb": FILE, "../token": FILE}},
        {"form": 1, "files": {"hone.duckdb": FILE, "/etc/x": FILE}},
        {"form": 1, "files": {"hone.duckdb": FILE, "token": FILE}},
        {"form": 1, "files": {"hone.duckdb": None}},
        {"form": 1, "files": {"hone.duckdb": ["bytes", "sha256"]}},
        {"form": 1, "files": {"hone.duckdb": FILE, "": FILE}},
        {"form": 1, "files": {"hone.duckdb": FILE, "versions": FILE}},
        {"form": 1, "files": {"hone.duckdb": FILE, "salt/token": FILE}},
        {"form": 1, "files": {"hone.duckdb": FILE, "versions/./x": FILE}},
    ],
)
def test_what_is_no_backup_is_refused(home, tmp_path, manifest):
    source = tmp_path / "no-backup"
    source.mkdir()
    if manifest != WITHOUT_MANIFEST:
        (source / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadRequest, match=r"no (whole )?backup"):
        backups.restore(home, source)


def test_a_backup_leads_to_no_file_beside_it(backed_up, tmp_path):
    """Whoever lends a backup could else have any file of the machine copied to where versions are served."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "adapter.safetensors").write_bytes(b"weights" * 1000)
    folder = tmp_path / "backup" / "versions" / "general@1-abc"
    (folder / "adapter.safetensors").unlink()
    for link, target in ((folder / "adapter.safetensors", "adapter.safetensors"), (folder, "")):
        if link == folder:
            (folder / "adapter.safetensors").unlink()
            folder.rmdir()
        link.symlink_to(tmp_path / "elsewhere" / target)
        with pytest.raises(BadRequest, match=r"safetensors is missing; nothing was changed"):
            backups.restore(backed_up, tmp_path / "backup")


def test_a_backup_that_cannot_be_copied_is_a_sentence_and_changes_nothing(backed_up, tmp_path):
    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    below = "versions/general@1-abc/adapter.safetensors/below"
    manifest["files"][below] = {"bytes": 1, "sha256": ""}
    (tmp_path / "backup" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises((BadRequest, StoreError), match="nothing was changed"):
        backups.restore(backed_up, tmp_path / "backup")
    (backed_up.folder / ".restoring").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backups, "_copy", full_disk)
        with pytest.raises(StoreError, match="No space left on device; nothing was changed"):
            backups.restore(backed_up, tmp_path / "backup")
    assert told(backed_up) == {"before", "after"}


@pytest.mark.parametrize("line", ['{"id": "../../outside"}', "[]", '{"id": 7}', '{"id": "ID", "more": 1}'])
def test_a_list_of_erasures_that_is_none_names_no_file_and_changes_nothing(home, tmp_path, line):
    told(home, add="before")
    (home.folder / "erasures.jsonl").write_text(line.replace("ID", new_id()) + "\n")
    store = Store(home.store)
    manifest = backups._made(home, store, tmp_path / "backup")
    store.close()
    assert "erasures.jsonl" in manifest["files"]
    fresh = Home(tmp_path / "fresh")
    with pytest.raises(StoreError, match=r"erasures\.jsonl has a line that is no erasure"):
        backups.restore(fresh, tmp_path / "backup")
    assert not fresh.store.exists()
    assert not list(tmp_path.rglob("outside*"))


def full_disk(source, target):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def import_file(home, *questions):
    """What becomes of a file of one conversation, imported as the server does it."""
    store = Store(home.store)
    rows = [ImportRow((Message("user", asked),), "It depends.", "talk") for asked in questions]
    try:
        return save(
            store, OTTO, "general", rows, approve=False, source="f.jsonl", salt=home.secret("review-salt")
        )
    finally:
        store.close()


def conversations(home):
    store = Store(home.store)
    try:
        return {row["conversation_id"] for row in store.rows("SELECT conversation_id FROM exchanges")}
    finally:
        store.close()


def test_an_import_goes_on_in_another_home_where_the_first_was_backed_up(home, tmp_path):
    import_file(home, "Where?")
    back_up(home, tmp_path / "backup")
    fresh = Home(tmp_path / "fresh")
    backups.restore(fresh, tmp_path / "backup")
    report = import_file(fresh, "Where?", "When?")
    assert (report.known, report.imported) == (1, 1)
    assert len(conversations(fresh)) == 1, "the rest of a conversation belongs to it"


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_secrets_are_their_owners_alone_in_a_backup_and_after_it(home, tmp_path, umask):
    told(home, add="q")
    (home.folder / "receipt-key").write_text("00")
    before = os.umask(umask)
    try:
        back_up(home, tmp_path / "backup")
        fresh = Home(tmp_path / "fresh")
        backups.restore(fresh, tmp_path / "backup")
    finally:
        os.umask(before)
    for place in (tmp_path / "backup", fresh.folder):
        for name in ("salt", "review-salt", "receipt-key"):
            assert stat.S_IMODE((place / name).stat().st_mode) == 0o600, (place, name)


def test_an_older_backup_without_the_secret_of_imports_comes_back_and_says_so(backed_up, tmp_path):
    from typer.testing import CliRunner

    from hone.command import app

    assert backups.knows_imports(tmp_path / "backup")
    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    del manifest["files"]["review-salt"]
    (tmp_path / "backup" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "backup" / "review-salt").unlink()
    own = backed_up.secret("review-salt")
    restored = CliRunner().invoke(app, ["restore", str(tmp_path / "backup"), "--home", str(backed_up.folder)])
    assert restored.exit_code == 0, restored.output
    assert "older than the keeping of review-salt" in " ".join(restored.output.split())
    assert backed_up.secret("review-salt") == own, "the only one that its imports can have been made with"
    backups.restore(Home(tmp_path / "fresh"), tmp_path / "backup")
    assert told(Home(tmp_path / "fresh")) == {"before"}


def test_a_backup_goes_only_to_a_new_folder_outside_of_the_home(home, tmp_path):
    told(home, add="q")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").touch()
    with pytest.raises(Conflict, match="something already"):
        back_up(home, full)
    for inside in (home.folder / "backup", Path("relative")):
        with pytest.raises(BadRequest, match="cannot hold a backup"):
            back_up(home, inside)
    (tmp_path / "file").touch()
    with pytest.raises((StoreError, Conflict)):
        back_up(home, tmp_path / "file" / "backup")
    assert [p.name for p in full.iterdir()] == ["mine"]


def test_a_home_in_use_is_not_restored(backed_up, tmp_path):
    lock = HomeLock(backed_up)
    lock.say("http://127.0.0.1:1")
    with pytest.raises(HomeBusy):
        backups.restore(backed_up, tmp_path / "backup")
    lock.release()


class Killed(BaseException):
    """Stands for a process that ends here."""


def test_what_came_after_the_backup_does_not_stay(home, tmp_path):
    told(home, add="before")
    home.desired.unlink()
    back_up(home, tmp_path / "backup")
    (home.runs / "0002-general").mkdir()
    (home.runs / "0002-general" / "plan.json").write_text("{}")
    home.desired.write_text("{}")
    aside = backups.restore(home, tmp_path / "backup")
    assert [path.name for path in home.runs.iterdir()] == ["0001-general"]
    assert not home.desired.exists()
    assert (aside / "runs" / "0002-general" / "plan.json").exists()


@pytest.mark.parametrize("moves", range(13))
def test_a_restore_killed_between_any_two_moves_is_finished_by_the_next_who_comes(
    backed_up, tmp_path, monkeypatch, moves
):
    done = 0
    rename = Path.rename

    def counted(path, target):
        nonlocal done
        if done == moves:
            raise Killed
        done += 1
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted)
        try:
            backups.restore(backed_up, tmp_path / "backup")
        except Killed:
            assert (backed_up.folder / "restore.json").exists()
    backups.finish(backed_up)
    assert told(backed_up) == {"before"}
    (aside,) = backed_up.folder.glob("before-restore-*")
    kept = Store(aside / "hone.duckdb")
    assert kept.row("SELECT count(*) AS n FROM exchanges")["n"] == 2
    kept.close()
    assert json.loads(backed_up.desired.read_text()) == {"general": "general@1-abc"}
    assert not (backed_up.folder / ".restoring").exists()


def test_no_backup_is_made_in_the_middle_of_an_erasure_nor_the_other_way_round(home, tmp_path, monkeypatch):
    """It would count as erased when it is restored, and bring the words back in its runs."""
    store = Store(home.store)
    asked = ask(store, ANA, "Something to be forgotten.")
    job = erasure.new(ANA, "conversation", asked.conversation_id, account=False, policy="keep")
    job = erasure.take(store, home.folder, job, ANA)
    with pytest.raises(Conflict, match="not finished"):
        backups.back_up(home, store, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    erasure.settle(store, job)
    erasure.finish(store, home.folder, job)
    held, manifest = [], backups._manifest
    monkeypatch.setattr(backups, "_manifest", lambda at: held.append(erasure._ONE.locked()) or manifest(at))
    backups.back_up(home, store, tmp_path / "backup")
    assert held == [True]
    store.close()


def test_others_have_their_say_before_a_restored_store_counts(backed_up, tmp_path, monkeypatch):
    seen = []

    def erase(store, replaced):
        seen.append(replaced)
        store.decide(lambda transaction: transaction.rows("DELETE FROM exchanges"))
        store.rebuild()

    monkeypatch.setattr(backups, "on_restored", [erase])
    backups.restore(backed_up, tmp_path / "backup")
    assert told(backed_up) == set()
    assert seen == [backed_up.store]

    def refuse(store, replaced):
        raise StoreError("No.", "Stop.")

    told(backed_up, add="after")
    monkeypatch.setattr(backups, "on_restored", [refuse])
    with pytest.raises(StoreError, match="No"):
        backups.restore(backed_up, tmp_path / "backup")
    assert told(backed_up) == {"after"}


def test_the_commands_do_all_of_it(home, tmp_path):
    from typer.testing import CliRunner

    from hone.command import app

    told(home, add="before")
    run = CliRunner()
    place = ["--home", str(home.folder)]
    made = run.invoke(app, ["backup", str(tmp_path / "backup"), *place])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "backup" / "manifest.json").exists()
    told(home, add="after")
    assert run.invoke(app, ["compact", *place]).exit_code == 0
    restored = run.invoke(app, ["restore", str(tmp_path / "backup"), *place])
    assert restored.exit_code == 0, restored.output
    assert told(home) == {"before"}
