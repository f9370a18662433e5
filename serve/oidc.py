"""Sign-in at an OpenID Connect provider: where to send a browser, and what to believe when it comes back.

Authorization code with PKCE, state and nonce; the provider's addresses and keys come from its discovery
document. Of an ID token signature, issuer, audience, times and nonce are checked before a claim of it is
read. Makes no accounts: who somebody is here, `feedback/identities.py` decides.

Trail: serve/api/sign_in.py -> here -> feedback/identities.py
"""

import hmac
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from feedback.errors import ProviderUnavailable, SignInRefused
from feedback.identities import Identified
from feedback.records import Role

# Those that need the provider's private key: never `none`, and no HMAC, whose key would be our own secret.
ALGORITHMS = frozenset(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)) | {
    "EdDSA",
    "Ed25519",
}
LEEWAY = 60
"""Seconds by which the provider's clock and ours may differ."""
REMEMBER_SECONDS = 3600.0
TIMEOUT = 10.0
LOCAL = ("127.0.0.1", "localhost", "::1")
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
USED = ("userinfo_endpoint", "end_session_endpoint")
"""Where a provider has them."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What the browser that left must bring back; nonce and verifier never pass the provider's page."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are at the provider, and how its claims are read."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: str = "openid profile"
    name_claim: str = "preferred_username"
    role_claim: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)


class Oidc:
    """One provider."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._told: dict[str, Any] = {}
        self._told_at = 0.0
        self._keys: KeySet | None = None

    async def leave(self, pending: Pending, back: str) -> str:
        """The provider's address to send a browser to, which is to come back to `back`."""
        async with self._asking() as http:
            told = await self._metadata(http)
            url, _ = http.create_authorization_url(
                told["authorization_endpoint"],
                state=pending.state,
                code_verifier=pending.verifier,
                nonce=pending.nonce,
                redirect_uri=back,
            )
        return str(url)

    async def come_back(self, pending: Pending, back: str, query: Mapping[str, str]) -> Identified:
        """Who it is that the provider sends back.

        Raises:
            SignInRefused: The provider refused, or what it sent does not hold.
            ProviderUnavailable: It does not answer.
        """
        if not hmac.compare_digest(query.get("state", "").encode(), pending.state.encode()):
            raise _refused("it was not started in this browser, or another one was since")
        async with self._asking() as http:
            told = await self._metadata(http)
            # RFC 9207: which of several providers answered.
            named = query.get("iss")
            if named != self.client.issuer and (
                named is not None or told.get("authorization_response_iss_parameter_supported")
            ):
                raise _refused("another provider answered")
            if "error" in query or not query.get("code"):
                raise _refused(f"the provider says {query.get('error', 'nothing')[:64]!r}")
            with _in_sentences():
                token = await http.fetch_token(
                    told["token_endpoint"],
                    grant_type="authorization_code",
                    code=query["code"],
                    redirect_uri=back,
                    code_verifier=pending.verifier,
                )
                claims = await self._claims(http, token, pending.nonce)
                return self._identified(claims | await self._more(http, claims))

    async def sign_out(self, back: str) -> str:
        """The provider's address at which one signs out there, or nothing where it has none."""
        async with self._asking() as http:
            told = await self._metadata(http)
        end = told.get("end_session_endpoint")
        asked = {"client_id": self.client.client_id, "post_logout_redirect_uri": back}
        return f"{end}{'&' if '?' in end else '?'}{urlencode(asked)}" if end else ""

    def _asking(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self.client.client_id,
            self.client.client_secret or None,
            scope=self.client.scopes,
            code_challenge_method="S256",
            timeout=TIMEOUT,
            # Past this machine the environment's proxies hold, as for any client of the outside.
            trust_env=urlsplit(self.client.issuer).hostname not in LOCAL,
        )

    async def _metadata(self, http: AsyncOAuth2Client) -> dict[str, Any]:
        if self._told and time.monotonic() - self._told_at < REMEMBER_SECONDS:
            return self._told
        url = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
        with _in_sentences():
            told = await _json(http, url)
            if told.get("issuer") != self.client.issuer:
                raise _refused(f"the document at oidc.issuer names {told.get('issuer')!r}, another issuer")
            for name in (*NEEDED, *(name for name in USED if told.get(name))):
                if urlsplit(told[name]).scheme not in _schemes(self.client.issuer):
                    raise _refused(f"the provider's {name} is not an https address")
        self._told, self._told_at, self._keys = told, time.monotonic(), None
        return told

    async def _claims(self, http: AsyncOAuth2Client, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        said = self._told.get("id_token_signing_alg_values_supported") or ["RS256"]
        registry = JWSRegistry(algorithms=sorted(ALGORITHMS & set(said)), strict_check_header=False)
        if self._keys is None:
            self._keys = await self._fetch_keys(http)
        try:
            read = jwt.decode(token["id_token"], self._keys, registry=registry)
        except InvalidKeyIdError:  # the provider has new keys
            self._keys = await self._fetch_keys(http)
            read = jwt.decode(token["id_token"], self._keys, registry=registry)
        wanted = {
            "iss": {"essential": True, "value": self.client.issuer},
            "aud": {"essential": True, "value": self.client.client_id},
        }
        known = {
            "nonce": nonce,
            "client_id": self.client.client_id,
            "access_token": token.get("access_token"),
        }
        claims = CodeIDToken(read.claims, read.header, wanted, known)
        claims.validate(leeway=LEEWAY)
        return dict(claims)

    async def _fetch_keys(self, http: AsyncOAuth2Client) -> KeySet:
        return KeySet.import_key_set(await _json(http, self._told["jwks_uri"]))  # type: ignore[arg-type]

    async def _more(self, http: AsyncOAuth2Client, claims: Mapping[str, Any]) -> dict[str, Any]:
        """What the provider tells only when asked again, where the ID token lacks what is read here."""
        needed = [name.partition(".")[0] for name in (self.client.name_claim, self.client.role_claim) if name]
        url = self._told.get("userinfo_endpoint")
        if not url or all(name in claims for name in needed):
            return {}
        told = (await http.get(url)).raise_for_status().json()
        if told.get("sub") != claims["sub"]:
            raise _refused("the provider tells of somebody else")
        return {name: told[name] for name in needed if name in told and name not in claims}

    def _identified(self, claims: Mapping[str, Any]) -> Identified:
        name = claims.get(self.client.name_claim)
        role = (
            role_of(_at(claims, self.client.role_claim), self.client.roles)
            if self.client.role_claim
            else None
        )
        return Identified(self.client.issuer, str(claims["sub"]), name if isinstance(name, str) else "", role)


def role_of(groups: Any, roles: Mapping[str, Role]) -> Role:
    """The highest role that any of these groups gives; a user's where none does."""
    named = groups if isinstance(groups, list) else [groups]
    found = [roles[group] for group in named if isinstance(group, str) and group in roles]
    return max(found, key=list(Role).index, default=Role.USER)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim at a dotted path, such as `realm_access.roles`; a claim with that very name goes before."""
    if path in claims:
        return claims[path]
    head, _, rest = path.partition(".")
    inner = claims.get(head)
    return _at(inner, rest) if rest and isinstance(inner, Mapping) else None


def _schemes(issuer: str) -> tuple[str, ...]:
    """An http provider is believed on this machine only, and tells of http addresses there."""
    return ("https", "http") if urlsplit(issuer).scheme == "http" else ("https",)


async def _json(http: AsyncOAuth2Client, url: str) -> dict[str, Any]:
    answer = await http.request("GET", url, withhold_token=True)
    return dict(answer.raise_for_status().json())


@contextmanager
def _in_sentences() -> Iterator[None]:
    """What goes wrong at the provider, or with what it sent, as an error of ours."""
    try:
        yield
    except (AuthlibBaseError, JoseError) as wrong:
        raise _refused(f"what the provider sent does not hold ({wrong.error})") from None
    except httpx2.HTTPStatusError as answer:
        raise ProviderUnavailable(
            f"The sign-in provider answered with status {answer.response.status_code}.",
            "Try again in a moment; an operator checks oidc.issuer.",
        ) from None
    except httpx2.HTTPError as gone:
        raise ProviderUnavailable(
            f"The sign-in provider does not answer ({type(gone).__name__}).",
            "Try again in a moment; an operator checks oidc.issuer and the network.",
        ) from None
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise _refused("the provider's answer is not of OpenID Connect's shape") from None


def _refused(why: str) -> SignInRefused:
    return SignInRefused(f"The sign-in did not succeed: {why}.", "Start it again from the sign-in page.")
