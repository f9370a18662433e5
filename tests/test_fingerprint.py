"""A version's name promises its bytes: the digest over an adapter's two files."""

from pathlib import Path

import pytest

from feedback.errors import BadAdapter
from feedback.fingerprint import ADAPTER_FILES, digest, require
from tuner.registry import version_name


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    for name in ADAPTER_FILES:
        (tmp_path / name).write_bytes(f"what {name} holds".encode())
    return tmp_path


def test_the_digest_is_that_of_the_bytes_and_of_nothing_else(adapter: Path) -> None:
    before = digest(adapter)
    assert len(before) == 64
    (adapter / "README.md").write_text("a card")
    (adapter / ADAPTER_FILES[0]).touch()
    assert digest(adapter) == before


@pytest.mark.parametrize("name", ADAPTER_FILES)
def test_one_changed_bit_of_either_file_is_another_digest(adapter: Path, name: str) -> None:
    before = digest(adapter)
    content = bytearray((adapter / name).read_bytes())
    content[-1] ^= 1
    (adapter / name).write_bytes(content)
    assert digest(adapter) != before


def test_bytes_that_wander_from_one_file_to_the_other_are_another_digest(adapter: Path) -> None:
    before = digest(adapter)
    first, second = (adapter / name for name in ADAPTER_FILES)
    moved = first.read_bytes()[-1:]
    first.write_bytes(first.read_bytes()[:-1])
    second.write_bytes(moved + second.read_bytes())
    assert digest(adapter) != before


@pytest.mark.parametrize("name", ADAPTER_FILES)
def test_a_missing_file_is_named(adapter: Path, name: str) -> None:
    (adapter / name).unlink()
    with pytest.raises(BadAdapter, match=name):
        digest(adapter)


def test_a_name_that_the_registry_gives_is_kept_by_the_same_bytes_only(adapter: Path) -> None:
    version = version_name("general", 12, digest(adapter))
    require(version, adapter)
    (adapter / ADAPTER_FILES[1]).write_bytes(b"others")
    with pytest.raises(BadAdapter, match="another digest"):
        require(version, adapter)


@pytest.mark.parametrize(
    "version", ["v1", "general@12", "general@12-short", "general@x-0123abcd", "a@1-0123ABCD"]
)
def test_a_name_without_a_digest_promises_nothing(adapter: Path, version: str) -> None:
    require(version, adapter)


def test_a_promise_about_a_folder_that_is_gone_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(BadAdapter, match="no readable"):
        require("general@1-01234567", tmp_path / "gone")
