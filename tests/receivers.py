"""Real receivers of notices: one over HTTP that checks signatures, and one that speaks SMTP."""

import base64
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    mute: bool = False


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """As much of RFC 5321 as it takes to be handed a message."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            if box.mute:
                self.rfile.read()
                return
            self.say("220 box ESMTP")
            while line := self.rfile.readline().decode().strip():
                verb = line.upper()
                if verb == "DATA":
                    self.say("354 go on")
                    held = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        held += part[1:] if part.startswith(b".") else part
                    box.messages.append(message_from_bytes(held, policy=policy.default))  # type: ignore[arg-type]
                    self.say("250 taken")
                elif verb.startswith("RCPT") and any(one in line for one in box.refused):
                    self.say("550 nobody here")
                elif verb == "QUIT":
                    return self.say("221 bye")
                else:
                    self.say("250 box")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield box
        server.shutdown()
