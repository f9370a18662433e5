"""HTTP as lean as it can be, so that many visitors cost less than the process they visit.

One connection for one request, or for one stream. Speaks only what Hone's web process answers.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

LONGEST_LINE = 2**24


class Refused(Exception):
    """The server answered something else than 200."""


class Wire:
    """One visitor's way to the server: its address and its cookie."""

    def __init__(self, port: int, cookie: str = "", headers: str = "") -> None:
        self._port = port
        self._headers = f"Host: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n{headers}"

    async def get(self, path: str, accept: str = "*/*") -> bytes:
        async with self._asked(f"GET {path}", f"Accept: {accept}\r\n", b"") as reader:
            return await reader.read()

    async def post(self, path: str, body: Any) -> Any:
        content = json.dumps(body).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        async with self._asked(f"POST {path}", head, content) as reader:
            return json.loads(await reader.read())

    async def events(self, path: str) -> AsyncIterator[bytes]:
        """The data of a server-sent stream, until the server ends it."""
        async with self._asked(f"GET {path}", "Accept: text/event-stream\r\n", b"") as reader:
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    yield line[6:]

    @asynccontextmanager
    async def _asked(self, what: str, head: str, content: bytes) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LONGEST_LINE)
        try:
            # Of HTTP/1.0, whose answers come without the lengths of their chunks and end with the connection.
            writer.write(f"{what} HTTP/1.0\r\n{self._headers}{head}\r\n".encode() + content)
            status = (await reader.readline()).split(b" ")[1:2]
            if status != [b"200"]:
                raise Refused(f"{what}: {status}")
            while (await reader.readline()).strip():
                pass
            yield reader
        finally:
            writer.close()
