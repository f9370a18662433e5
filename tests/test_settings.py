"""Settings: every fault is named at once, with the nearest right name; defaults have one home."""

from pathlib import Path

import pytest

from feedback.errors import SettingsError
from feedback.screen import Policy
from hone import settings, settings_page
from hone.policy import policy

ROOT = Path(__file__).parent.parent


def test_every_fault_is_reported_together_with_the_nearest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hone.toml").write_text('[engine]\ndtyp = "float32"\nthreads = -3\n[wed]\nport = 1\n')
    monkeypatch.setenv("HONE_ENGINE__DTYPE", "float16")
    monkeypatch.setenv("HONE_TUNER__SLAT", "x")
    with pytest.raises(SettingsError) as refused:
        settings.read(tmp_path)
    said = str(refused.value)
    for part in (
        "engine.dtyp is unknown; did you mean engine.dtype?",
        "[wed] is unknown; did you mean [web]?",
        "HONE_TUNER__SLAT is unknown; did you mean HONE_TUNER__SALT?",
        "engine.dtype is 'float16'",
        "engine.threads is -3",
        str(tmp_path / "hone.toml"),
    ):
        assert part in said


def test_variables_win_over_the_file_and_the_command_line_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hone.toml").write_text('[engine]\ndtype = "bfloat16"\n[web]\nport = 1111\n')
    monkeypatch.setenv("HONE_ENGINE__DTYPE", "float32")
    monkeypatch.setenv("HONE_WEB__PORT", "2222")
    read = settings.read(tmp_path, web={"port": 3333})
    assert (read.engine.dtype, read.web.port, read.web.host) == ("float32", 3333, "127.0.0.1")


def test_broken_toml_names_the_file_and_the_place(tmp_path: Path) -> None:
    (tmp_path / "hone.toml").write_text("[web\n")
    with pytest.raises(SettingsError, match=r"hone\.toml is not valid TOML.*line 1"):
        settings.read(tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_hone_refuses_to_listen_beyond_this_machine_without_a_login(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match=r"without a login.*auth\.login"):
        settings.read(tmp_path, web={"host": host})
    assert settings.read(tmp_path, web={"host": host}, auth={"login": "local"}).web.host == host


def test_a_value_that_contradicts_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"leaves no room for a prompt"):
        settings.read(tmp_path, chat={"max_tokens": 4096})
    with pytest.raises(SettingsError, match="22-6"):
        settings.read(tmp_path, tuner={"quiet_hours": "at night"})


def test_the_printed_documents_are_current() -> None:
    example = (ROOT / "deploy" / "hone.example.toml").read_text("utf-8")
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == settings_page.page()
    assert example == settings_page.example()


def test_the_example_is_a_whole_valid_file_of_defaults(tmp_path: Path) -> None:
    (tmp_path / "hone.toml").write_text(settings_page.example())
    assert settings.read(tmp_path) == settings.Settings()


def test_what_is_blocked_redacted_and_allowed_becomes_the_policy(tmp_path: Path) -> None:
    told = (
        '[curation]\nblock = ["secret", "injection"]\nredact = ["email"]\nallowed = ["help@house.example"]\n'
    )
    (tmp_path / "hone.toml").write_text(told + "contributor_share = 0.1\n")
    made = policy(settings.read(tmp_path).curation)
    assert (made.block, made.redact) == ({"secret", "injection"}, {"email"})
    assert (made.allowed, made.caps.contributor_share) == ({"help@house.example"}, 0.1)
    assert policy(settings.Settings().curation) == Policy()
    (tmp_path / "hone.toml").write_text('[curation]\nredact = ["injection"]\n')
    with pytest.raises(SettingsError, match=r"curation\.redact"):
        settings.read(tmp_path)
