"""The run-books: each command is one that Hone has, with options that it takes, and has been tried."""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer
from conftest import RunningHone
from test_metrics import hone, scrape

from hone.command import app
from hone.settings import known

pytestmark = pytest.mark.long

__all__ = ["hone"]
TEXT = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")
LINES = [line.split("#")[0].strip() for block in re.findall(r"^```\n(.*?)^```", TEXT, re.M | re.S)
         for line in block.splitlines()]  # fmt: skip
COMMANDS = sorted({
    *(line for line in LINES if line.startswith("hone ")), *re.findall(r"`(hone [^`]+)`", TEXT)
})  # fmt: skip


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_run_books_is_one_that_hone_has(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app)
    assert isinstance(command, click.Group | typer.core.TyperGroup)
    assert name in command.commands
    if arguments or name not in ("rows", "promote"):
        command.commands[name].make_context(name, arguments).close()


def test_settings_that_the_run_books_name_exist() -> None:
    sections = {name.partition(".")[0] for name, _ in known()}
    named = {
        name for name in re.findall(r"`(\w+\.\w+)(?: = [^`]*)?`", TEXT) if name.split(".")[0] in sections
    }
    assert len(named) > 8
    assert named - {"engine.log", "training.log"} <= {name for name, _ in known()}


def test_a_version_is_taken_back_and_the_base_returned_to(hone: RunningHone) -> None:
    (version,) = hone.get("/v1/status").json()["router"]["loaded"]
    for line in (
        f'promote {version} --reason "Its answers read well."',
        'rollback --assistant general --reason "Support says it invents prices."',
        f'promote {version} --reason "Again."',
        'promote general@0 --reason "Back to the base until it is understood."',
        'pause --assistant general --reason "Until it is understood."',
        "resume --assistant general",
        "rollout --assistant general",
        "versions --assistant general",
        "curation --assistant general --each",
        "rebuild",
        "status",
        "doctor",
    ):
        done = hone.command(*shlex.split(line))
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert hone.chat("Hi")["model"] == "general@0"
    assert scrape(hone)("hone_versions", assistant="general", state="live") == 1


def test_the_drill_gives_a_home_that_answers(hone: RunningHone, tmp_path: Path) -> None:
    said = hone.chat("Remember me")["id"]
    assert hone.command("backup", str(tmp_path / "backup")).returncode == 0
    drill = RunningHone(tmp_path / "drill", hone.settings, hone.environment)
    restored = drill.command("restore", str(tmp_path / "backup"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    try:
        drill.start()
        assert drill.command("rebuild").returncode == 0
        assert drill.get(f"/v1/exchanges/{said}/fate").status_code == 200
    finally:
        drill.stop()
