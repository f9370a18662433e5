"""The systemd units: right to systemd's own eyes, closed, and run on a machine that systemd boots."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from booted import NSPAWN, ROOT, boot, may_boot
from proxies import NAME, NGINX

pytestmark = pytest.mark.long

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
EXPOSURE = 25
"""Tenths of systemd's measure of how much a service may do beyond its work, from 0 to 100."""
SETTINGS = f"""[auth]
login = "local"
[web]
allowed_hosts = ["{NAME}"]
trusted_proxies = ["127.0.0.1"]
[tuner]
enabled = false
general_items = 4
replay_share = 0
"""


def missing(what: str, how: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"NO {what.upper()}: {how}")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_unit_and_little_open(unit: Path, tmp_path: Path) -> None:
    if not ANALYZE:
        missing("systemd-analyze", "apt-get install systemd")
    text = unit.read_text("utf-8")
    # It looks for the program, which is where a team installs it.
    installed = tmp_path / unit.name
    installed.write_text(text.replace("/opt/hone/.venv/bin/hone", "/bin/true"))
    verified = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(installed)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", f"--threshold={EXPOSURE}", str(installed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-2000:]


def test_the_units_call_commands_that_there_are() -> None:
    from typer.main import get_command

    from hone.command import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    called = {re.search(r"ExecStart=\S+/hone (\w+)", unit.read_text("utf-8")) for unit in UNITS}
    assert {match[1] for match in called if match} == {"up", "web", "engine"} <= known


def test_the_services_run_behind_nginx_and_outlive_kills(tiny_model: Path, tmp_path: Path) -> None:
    if not NSPAWN or os.geteuid() != 0:
        missing("systemd-nspawn", "as root, apt-get install systemd-container")
    if not NGINX:
        missing("nginx", "apt-get install nginx-light")
    if not may_boot():
        pytest.skip("NO MOUNTS HERE: run it on a machine whose root may mount")
    environment = {
        "PYTHONPATH": "/opt/hone",
        "LD_LIBRARY_PATH": "/opt/python/lib",  # where Python is built as a library
        "HONE_MODEL__NAME": "/opt/model",
        "HONE_ENGINE__DTYPE": "float32",
        "HONE_ENGINE__THREADS": "1",
        "HONE_TUNER__THREADS": "1",
    }
    found = boot(tmp_path / "machine", tiny_model, SETTINGS, environment)
    assert "trouble" not in found, found["trouble"] + found["journal"]
    corrections = [f"Better {number}" for number in range(5)]
    learnt = found.pop("learnt")
    assert found == {
        "account": "hone",
        "apart": "length",
        "web killed": True,
        "engine killed": True,
        "corrections": corrections,
        "web restarted": "length",
        "others": ["inactive", "inactive"],
        "together": "length",
        "corrections later": corrections,
        "stopped": "success",
        "left": "0",
    }
    assert re.match(r"\w+: general@1-", learnt), learnt
