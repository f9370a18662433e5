"""An engine on another machine is spoken to over TLS, and only one that somebody trusted vouches for."""

import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from certificates import self_signed
from conformance import HoneServed, said
from engine_process import SECRET

from feedback.errors import EngineUnavailable, SettingsError
from hone.engines import _trust
from serve.engines import wire

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="NO OPENSSL: apt-get install openssl")


@dataclass
class TlsServed(HoneServed):
    """Our engine with a certificate that it signed itself."""

    @property
    def certificate(self) -> Path:
        return self.folder / "tls.crt"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        files = ["--certificate", str(self.certificate), "--certificate-key", str(self.folder / "tls.key")]
        return [*super().command(), *files]

    def up(self) -> bool:
        try:
            trusted = ssl.create_default_context(cafile=str(self.certificate))
            return httpx.get(f"{self.url}/health", verify=trusted, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def served(tmp_path: Path, tiny_model: Path) -> Iterator[TlsServed]:
    engine = TlsServed(tiny_model, tmp_path)
    self_signed(tmp_path, "IP:127.0.0.1")
    yield engine
    engine.stop()


@pytest.fixture(autouse=True)
def nobody_is_trusted_afterwards() -> Iterator[None]:
    wire._tls.cache_clear()
    yield
    wire._tls.cache_clear()


async def test_an_engine_is_believed_once_its_authority_is_named(served: TlsServed) -> None:
    served.start()
    driver = served.driver()
    for ask in (driver.health, lambda: said(driver)):
        with pytest.raises(EngineUnavailable, match="vouches") as refused:
            await ask()
        assert "engine.ca_file" in refused.value.todo
    _trust(str(served.certificate))
    assert (await driver.health())["status"] == "ok"
    assert await said(driver)
    await driver.close()


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    for file in ("text", "nowhere"):
        with pytest.raises(SettingsError, match=file):
            _trust(str(tmp_path / file))
    command = [sys.executable, "-m", "serve.engine", "--alone", "--model", "none", "--cache", str(tmp_path)]
    told = subprocess.run(
        [*command, "--certificate", str(tmp_path / "text")],
        capture_output=True,
        text=True,
        env={"HONE_ENGINE_SECRET": SECRET, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.PIPE,
        timeout=60,
    )
    assert told.returncode == 2
    assert "certificate-key" in told.stderr
