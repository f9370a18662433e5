"""Starts the proxies of `deploy/` for real, in front of a Hone, from the very files that are shipped.

Only what no test can have is replaced in them: port 443, the certificate, and Hone's own port.
"""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from certificates import self_signed
from conftest import free_port

DEPLOY = Path(__file__).parent.parent / "deploy"
NAME = "chat.example.org"
# Debian keeps it where only root looks.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CADDY = shutil.which("caddy")
PROGRAMS = {"nginx": NGINX, "caddy": CADDY}


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs on a port of this machine and calls itself chat.example.org."""

    port: int
    certificate: Path

    @property
    def host(self) -> str:
        return f"{NAME}:{self.port}"

    def client(self) -> httpx.Client:
        """Speaks to it as if the name led here, and believes its certificate only."""

        class Named(httpx.Client):
            def build_request(self, *given: object, **more: object) -> httpx.Request:  # type: ignore[override]
                more["extensions"] = {"sni_hostname": NAME}
                return super().build_request(*given, **more)  # type: ignore[arg-type]

        trust = ssl.create_default_context(cafile=str(self.certificate))
        return Named(
            base_url=f"https://127.0.0.1:{self.port}",
            headers={"host": self.host, "origin": f"https://{self.host}"},
            verify=trust,
            timeout=120,
            trust_env=False,
        )

    def agreed(self) -> str | None:
        """The protocol that a browser and it agree on."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        trust.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            trust.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            return secure.selected_alpn_protocol()


@contextmanager
def proxy(kind: str, folder: Path, hone_port: int) -> Iterator[Proxy]:
    """nginx or caddy with the shipped file, until the block ends."""
    folder.mkdir(parents=True)
    certificate, key = self_signed(folder, f"DNS:{NAME}")
    port = free_port()
    command = (_nginx if kind == "nginx" else _caddy)(folder, port, hone_port, certificate, key)
    home = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=home)
    try:
        running = Proxy(port, certificate)
        until = time.monotonic() + 30
        while True:
            try:
                running.agreed()
                break
            except OSError:
                said = (folder / "log").read_text()
                assert process.poll() is None, said
                assert time.monotonic() < until, said
                time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        process.wait(20)


def _nginx(folder: Path, port: int, hone_port: int, certificate: Path, key: Path) -> list[str]:
    site = _changed(
        (DEPLOY / "nginx.conf").read_text("utf-8"),
        {
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "    listen [::]:80;\n": "",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "    listen [::]:443 ssl http2;\n": "",
            "server 127.0.0.1:7860 ": f"server 127.0.0.1:{hone_port} ",
            "/etc/nginx/tls/chat.example.org.crt": str(certificate),
            "/etc/nginx/tls/chat.example.org.key": str(key),
        },
    )
    (folder / "hone.conf").write_text(site)
    rooms = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"""{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{ }}
http {{
{rooms}    access_log off;
    include {folder}/hone.conf;
}}
"""
    (folder / "nginx.conf").write_text(main)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr, tested.stderr
    return command


def _caddy(folder: Path, port: int, hone_port: int, certificate: Path, key: Path) -> list[str]:
    shipped = DEPLOY / "Caddyfile"
    checked = [str(CADDY), "validate", "--adapter", "caddyfile", "--config"]
    subprocess.run([*checked, str(shipped)], check=True, capture_output=True)
    site = _changed(
        shipped.read_text("utf-8"),
        {
            f"\n{NAME} {{\n": f"\nhttps://{NAME}:{port} {{\n\ttls {certificate} {key}\n",
            "127.0.0.1:7860": f"127.0.0.1:{hone_port}",
        },
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + site)
    return [str(CADDY), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def _changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the file any more"
        text = text.replace(old, new)
    return text
