"""Sends a notice by e-mail, on a thread of its own that ends when its time is over.

Trail: hone/notices/keeper.py -> here -> the mail server
"""

import asyncio
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from hone.notices.notice import Notice, link, words
from hone.notices.webhook import Undelivered

PATIENCE = 30.0
"""Seconds that a mail server has in all; each of its answers may take a third."""


class Mail:
    """One mail server and who is written to."""

    channel = "mail"
    id = "mail"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        security: str,
        user: str,
        password: str,
        sender: str,
        to: Sequence[str],
        language: str,
        public_url: str,
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._user, self._password = user, password
        self._sender, self._to = sender, tuple(to)
        self._language, self._public_url = language, public_url
        self.name = f"{host}:{port}"

    async def send(self, notice: Notice) -> None:
        """Hand it to the server.

        Raises:
            Undelivered: The server did not take it for everybody, in time.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        talk = _Talk(self._message(notice), self)

        def go() -> None:
            fault: BaseException | None = None
            try:
                talk.run()
            except BaseException as raised:
                fault = raised
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, fault)

        def settle(fault: BaseException | None) -> None:
            if not done.done():
                done.set_exception(fault) if fault else done.set_result(None)

        # A daemon, and not the loop's own threads: those are waited for when Hone stops.
        threading.Thread(target=go, name="mail", daemon=True).start()
        try:
            async with asyncio.timeout(PATIENCE):
                await done
        except TimeoutError as late:
            if talk.over:
                raise _undelivered(late) from None
            raise Undelivered(f"no answer within {PATIENCE:.0f} s") from None
        except (OSError, smtplib.SMTPException, ValueError) as fault:
            raise _undelivered(fault) from None
        finally:
            talk.end()

    def _message(self, notice: Notice) -> EmailMessage:
        head, body = words(notice, self._language)
        message = EmailMessage()
        message["Subject"] = f"[Hone] {head}"
        message["From"], message["To"] = self._sender, ", ".join(self._to)
        message["Date"] = format_datetime(datetime.fromisoformat(notice.at))
        message["Message-ID"] = f"<{notice.id}@{self._sender.partition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        lines = [f"{head}.", body, link(self._public_url)]
        message.set_content("\n\n".join(filter(None, lines)) + "\n")
        return message


class _Talk:
    """One conversation with the server, which can be ended from outside."""

    def __init__(self, message: EmailMessage, mail: Mail) -> None:
        self._message, self._mail = message, mail
        self._server: smtplib.SMTP | None = None
        self.over = False

    def run(self) -> None:
        mail = self._mail
        tls = ssl.create_default_context()
        wait = PATIENCE / 3
        try:
            if mail._security == "tls":
                self._server = smtplib.SMTP_SSL(mail._host, mail._port, timeout=wait, context=tls)
            else:
                self._server = smtplib.SMTP(mail._host, mail._port, timeout=wait)
            with self._server as server:
                if mail._security == "starttls":
                    server.starttls(context=tls)
                if mail._user:
                    server.login(mail._user, mail._password)
                refused = server.send_message(self._message)
        finally:
            self.over = True
        if refused:  # the others have it, and would get it again
            raise Undelivered(f"the server refused {len(refused)} of the recipients", tries=1)

    def end(self) -> None:
        held = self._server.sock if self._server else None
        if not self.over and held:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)


def _undelivered(fault: BaseException) -> Undelivered:
    """What the server said is not repeated, but for its code."""
    if isinstance(fault, smtplib.SMTPAuthenticationError):
        return Undelivered(f"the server refused the sign-in ({fault.smtp_code})")
    if isinstance(fault, smtplib.SMTPResponseException):
        return Undelivered(f"the server refused it ({fault.smtp_code})")
    if isinstance(fault, smtplib.SMTPRecipientsRefused):
        return Undelivered(f"the server refused {len(fault.recipients)} of the recipients")
    if isinstance(fault, ssl.SSLCertVerificationError):
        return Undelivered("the server's certificate is not trusted")
    return Undelivered(type(fault).__name__)
