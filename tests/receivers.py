"""Real receivers of notices: one over HTTP that checks signatures, and a mail server."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass
class Received:
    """What came, and the statuses to answer with; 200 once they are used up."""

    port: int = 0
    notices: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    forged: int = 0

    @property
    def kinds(self) -> list[str]:
        return [notice["type"] for notice in self.notices]


@contextmanager
def webhook(port: int = 0) -> Iterator[Received]:
    """A receiver as the Standard Webhooks specification describes one."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            id, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
            mac = hmac.new(KEY, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
            signed = self.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
            received.forged += not signed
            status = received.statuses.pop(0) if received.statuses else 200
            received.bodies.append(body)
            if status == 200:
                received.notices.append({**json.loads(body), "id": id})
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", f"http://127.0.0.1:{received.port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        received.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield received
        server.shutdown()


@dataclass
class Mailbox:
    """What a mail server took, and how it behaves: `login` is the name and password that it asks for."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    mute: bool = False
    login: tuple[str, str] | None = None

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        if self.mute:
            await asyncio.Event().wait()
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 taken"

    def knows(self, server: SMTP, session: Session, envelope: Envelope, how: str, given: Any) -> AuthResult:
        said = given.login.decode(), given.password.decode()
        return AuthResult(success=said == self.login, handled=False)


@asynccontextmanager
async def mail_server(security: str = "none", tls: ssl.SSLContext | None = None) -> AsyncIterator[Mailbox]:
    """aiosmtpd's server; with TLS it asks for a name and a password, and takes neither without it."""
    box = Mailbox()
    asks: dict[str, Any] = {"auth_required": True, "authenticator": box.knows} if tls else {}
    if security == "starttls":
        asks |= {"tls_context": tls, "require_starttls": True}
    if security == "tls":
        asks |= {"auth_require_tls": False}  # it is spoken within TLS, of which it does not know
    within = tls if security == "tls" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, loop=loop, **asks), "127.0.0.1", 0, ssl=within)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
