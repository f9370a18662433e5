"""Boots a machine of its own with systemd, in a container whose disk is this one's, copied as it is written.

What it writes lies in memory and is gone with it. The disk under it is only read, its devices, kernel
settings and network are not this machine's. Needs root and systemd-nspawn.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NSPAWN = shutil.which("systemd-nspawn")
PATIENCE = 400
"""Seconds after which a machine that does not end is ended."""

# Runs in a mount namespace of its own, so that nothing it mounts is seen outside or outlives it.
BOOT = """
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$ROOM"
mkdir "$ROOM/up" "$ROOM/work" "$ROOM/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$ROOM/up,workdir=$ROOM/work" "$ROOM/root"
cp -a "$FILES/." "$ROOM/root/"
rm -f "$ROOM/root/etc/machine-id"
systemd-id128 new > "$ROOM/root/etc/machine-id"
exec timeout --signal KILL "$PATIENCE" systemd-nspawn --quiet --register=no --keep-unit --private-network \
    --link-journal=no --directory "$ROOM/root" "$@" --boot
"""
TARGET = """[Unit]
Requires=basic.target test.service
After=basic.target
"""
TEST = """[Unit]
After=basic.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=PYTHONPATH=/opt/hone
ExecStart=/opt/hone/.venv/bin/python /opt/hone/tests/booted_steps.py
ExecStopPost=/bin/systemctl poweroff --force
StandardOutput=journal+console
StandardError=journal+console
"""


def may_boot() -> bool:
    """Whether this machine lets us mount: a container without that right cannot hold another one."""
    asked = "mount --make-rprivate / && mount -t tmpfs tmpfs /mnt"
    tried = subprocess.run(["unshare", "--mount", "bash", "-c", asked], capture_output=True, check=False)
    return tried.returncode == 0


def boot(folder: Path, model: Path, settings: str, environment: dict[str, str]) -> dict[str, Any]:
    """Boot with Hone's units and run `booted_steps.py` in there; what it found."""
    files, told, room = folder / "files", folder / "told", folder / "room"
    for place in (files, told, room):
        place.mkdir(parents=True)
    _write(files, settings, environment)
    shared = shutil.copytree(model, files / "opt/model")
    for path in (shared, *shared.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    # The services' venv is made of this one's libraries and its Python, put where the account may read.
    binds = [
        f"--bind-ro={ROOT}:/opt/hone",
        f"--bind-ro={files / 'opt/venv'}:/opt/hone/.venv",
        f"--bind-ro={Path(sys.prefix) / 'lib'}:/opt/hone/.venv/lib",
        f"--bind-ro={sys.base_prefix}:/opt/python",
        f"--bind={told}:/told",
    ]
    ran = subprocess.run(
        ["unshare", "--mount", "bash", "-c", BOOT, "boot", *binds],
        env=os.environ | {"ROOM": str(room), "FILES": str(files), "PATIENCE": str(PATIENCE)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = told / "found.json"
    assert found.exists(), (ran.stdout + ran.stderr)[-6000:]
    result: dict[str, Any] = json.loads(found.read_text())
    return result


def _write(files: Path, settings: str, environment: dict[str, str]) -> None:
    units = files / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in (ROOT / "deploy/systemd").glob("*.service"):
        shutil.copy(unit, units)
    (units / "test.target").write_text(TARGET)
    (units / "test.service").write_text(TEST)
    (units / "default.target").symlink_to("test.target")
    for path, text in {
        "etc/sysusers.d/hone.conf": (ROOT / "deploy/systemd/hone.sysusers.conf").read_text("utf-8"),
        "etc/hone/environment": "".join(f"{name}={value}\n" for name, value in environment.items()),
        "etc/hone/hone.toml": settings,
        "etc/nginx/conf.d/hone.conf": (ROOT / "deploy/nginx.conf").read_text("utf-8"),
    }.items():
        place = files / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    venv = files / "opt/venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "lib").mkdir()
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (venv / "bin/python").symlink_to(f"/opt/python/bin/{python}")
    (venv / "pyvenv.cfg").write_text("home = /opt/python/bin\ninclude-system-site-packages = false\n")
    hone = venv / "bin/hone"
    hone.write_text("#!/opt/hone/.venv/bin/python\nfrom hone.command import main\n\nmain()\n")
    hone.chmod(0o755)
