"""Posts a notice to one address, signed as the Standard Webhooks specification says.

`webhook-id`, `webhook-timestamp` and `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over the three
joined by dots, the body last. Follows no redirect, reads nothing of an answer but its status, and repeats
nothing of it: an answer may hold anything.

Trail: hone/notices/keeper.py -> here -> the receiver
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlsplit

import httpx

from hone.notices.notice import Notice, payload
from hone.sections import LOOPBACK

PATIENCE = 10.0
"""Seconds that a receiver has in all."""
FAULTY = (400, 413, 415, 422)
"""Statuses that speak of the notice and not of the address: after some tries it is let go."""


class Undelivered(Exception):
    """Why a notice did not arrive, in words without an address's path and without the receiver's.

    `tries` is after how many there is no use in another.
    """

    def __init__(self, why: str, tries: int = 0) -> None:
        super().__init__(why)
        self.tries = tries


class Webhook:
    """One address; shown to people by its host alone, for the rest of it may be a secret."""

    channel = "webhook"

    def __init__(self, url: str, key: bytes | None, *, language: str, public_url: str) -> None:
        self._url, self._key = url, key
        self._language, self._public_url = language, public_url
        split = urlsplit(url)
        self.name = split.netloc
        self.id = hashlib.sha256(url.encode()).hexdigest()[:16]
        # Past this machine the environment's proxies hold, as for any client of the outside.
        self._proxies = split.hostname not in LOOPBACK

    async def send(self, notice: Notice) -> None:
        """Post it.

        Raises:
            Undelivered: It was not taken with a status of 2xx in time.
        """
        body = json.dumps(payload(notice, self._language, self._public_url), ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "user-agent": "hone", **self._signed(notice.id, body)}
        try:
            async with (
                asyncio.timeout(PATIENCE),
                httpx.AsyncClient(trust_env=self._proxies, timeout=PATIENCE, follow_redirects=False) as http,
                http.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except TimeoutError:
            raise Undelivered(f"no answer within {PATIENCE:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            raise Undelivered(type(fault).__name__) from None
        if 300 <= status < 400:
            raise Undelivered(f"status {status}: it redirects, which is not followed")
        if not 200 <= status < 300:
            raise Undelivered(f"status {status}", tries=5 if status in FAULTY else 0)

    def _signed(self, id: str, body: bytes) -> dict[str, str]:
        at = str(int(time.time()))
        headers = {"webhook-id": id, "webhook-timestamp": at}
        if self._key:
            mac = hmac.digest(self._key, f"{id}.{at}.".encode() + body, "sha256")
            headers["webhook-signature"] = f"v1,{base64.b64encode(mac).decode()}"
        return headers
