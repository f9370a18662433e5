"""Certificates that sign themselves, as `openssl` makes them."""

import subprocess
from pathlib import Path


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of `name`, such as `IP:127.0.0.1` or `DNS:chat.example.org`, and its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", f"/CN={name.partition(':')[2]}", "-addext", f"subjectAltName={name}", "-days", "2"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*made, *named, *files], check=True, capture_output=True)
    return certificate, key
