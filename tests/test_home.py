"""A home has one owner at a time, private secrets, and says clearly when it cannot be used."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from feedback.errors import HomeBusy, SettingsError
from hone.home import Home, HomeLock


@pytest.fixture
def place(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def test_secrets_are_made_once_and_only_their_owner_can_read_them(place: Home) -> None:
    token = place.secret("token")
    assert place.secret("token") == token
    assert stat.S_IMODE((place.folder / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700


def test_those_who_are_first_at_once_read_one_secret(place: Home) -> None:
    for round in range(20):
        with ThreadPoolExecutor(8) as several:
            read = set(several.map(place.secret, [f"engine-key-{round}"] * 8))
        assert len(read) == 1
    assert len(list(place.folder.glob("engine-key-*"))) == 20


def test_a_second_owner_is_told_who_holds_the_home(place: Home) -> None:
    lock = HomeLock(place)
    lock.say("http://127.0.0.1:1")
    with pytest.raises(HomeBusy, match=rf"process {os.getpid()}.*http://127.0.0.1:1"):
        HomeLock(place)
    assert place.running() == {"pid": os.getpid(), "url": "http://127.0.0.1:1"}
    lock.release()
    assert place.running() is None
    HomeLock(place).release()


def test_a_killed_owner_leaves_no_lock_behind(place: Home) -> None:
    code = (
        "import os, signal; from pathlib import Path; from hone.home import Home, HomeLock\n"
        f"HomeLock(Home(Path({str(place.folder)!r}))); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    HomeLock(place).release()


def test_a_home_that_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match=r"cannot be written: .*--home"):
        Home(tmp_path / "file" / "home").prepare()
