"""Who is asking: a session, a token or key, whom a proxy names, or, without a login, the first admin.

Every route and page handler names the role it needs and gets the principal from here. Decides who
somebody is and what role they have; whether an exchange is theirs is the store's to check.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import quote

from fastapi import HTTPException, Request

from feedback.accounts import Accounts
from feedback.errors import NotAllowed, NotSignedIn
from feedback.keys import PREFIX, Keys, Scope
from feedback.records import COMMAND_LINE, Principal, Role
from serve.elsewhere import Elsewhere
from serve.pace import Pace
from serve.scopes import opening

COOKIE = "hone_session"


class HasRequest(Protocol):
    """What identification reads of a request; Starlette's and Gradio's both have it."""

    @property
    def headers(self) -> dict[str, str]: ...

    @property
    def cookies(self) -> dict[str, str]: ...


class Identity:
    """Tells principals apart and checks roles."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        token: str,
        anyone: Principal | None,
        session_days: int,
        keys: Keys | None = None,
        elsewhere: Elsewhere | None = None,
        requests_per_minute: int = 0,
    ) -> None:
        """`token` is the home's command-line token; `anyone`, if set, is who unknown visitors are."""
        self.accounts = accounts
        self.session_days = session_days
        self.elsewhere = elsewhere
        self._keys = keys
        self._pace = Pace(requests_per_minute)
        self._anyone = anyone
        self._token = _digest(token)

    @property
    def login_needed(self) -> bool:
        return self._anyone is None

    def principal(self, request: HasRequest) -> Principal | None:
        """Who asks, or None for a visitor who is not signed in.

        Raises:
            NotSignedIn: A token was given and is wrong; a wrong key never falls back to a visitor.
        """
        return self._who(request)[0]

    def sure(self, request: HasRequest) -> bool:
        """Whether it is known without a look into the record that somebody's session asks."""
        session = request.cookies.get(COOKIE)
        return (
            bool(session)
            and "authorization" not in request.headers
            and not self.elsewhere
            and self.accounts.session_held(str(session))
        )

    def _who(self, request: HasRequest) -> tuple[Principal | None, frozenset[Scope] | None]:
        """Who asks, and for what their key is; None for whoever has none, and may all that their role may."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._bearer(given.strip())
        if self.elsewhere and (named := self.elsewhere.named(request.headers)):
            return named, None  # any other scheme is between them and the proxy
        if scheme:
            raise _not_valid()
        session = request.cookies.get(COOKIE)
        known = self.accounts.session(session) if session else None
        return known or self._anyone, None

    def _bearer(self, given: str) -> tuple[Principal, frozenset[Scope] | None]:
        if hmac.compare_digest(_digest(given), self._token):
            return Principal(COMMAND_LINE, Role.ADMIN), None
        if self._keys and given.startswith(PREFIX) and (opened := self._keys.opened(given)):
            return opened
        raise _not_valid()

    def require(self, request: HasRequest, role: Role, route: tuple[str, str] | None = None) -> Principal:
        """Who asks, if they may. A key opens what has a `route`, its method and address, and no page.

        Raises:
            NotSignedIn: Nobody is signed in.
            NotAllowed: Somebody is, without the role, or with a key for something else.
        """
        principal, scopes = self._who(request)
        if principal is None:
            raise NotSignedIn("You are not signed in.", "Sign in at /login, or send the home's token.")
        if scopes is not None:
            needed = opening(*route) if route else frozenset()
            if not needed & scopes:
                named = " or ".join(sorted(needed))
                todo = f"Take a key for {named}." if named else "No key opens this: sign in on the pages."
                raise NotAllowed(f"Your key is for {', '.join(sorted(scopes))}.", todo)
        if not principal.role.covers(role):
            whose, todo = "yours", "Ask an admin for it."
            if scopes is not None:
                whose, todo = "your key's", "Make a key with that role, where its account has it."
            raise NotAllowed(f"This needs the role {role}; {whose} is {principal.role}.", todo)
        return principal

    def may(self, role: Role) -> Callable[[Request], Awaitable[Principal]]:
        """A route dependency that admits `role` and above, and hands the principal on."""

        async def principal_with_role(request: Request) -> Principal:
            route = (request.method, request.scope["route"].path)
            principal = self.require(request, role, route)  # type: ignore[arg-type]
            if principal.name != COMMAND_LINE and self.login_needed:
                self._pace.take(principal.name)
            return principal

        principal_with_role.role = role  # type: ignore[attr-defined]
        return principal_with_role

    def page(self, role: Role) -> Callable[[Request], Awaitable[str | None]]:
        """The same for a mounted page: browsers are sent to the sign-in, programs get None (401).

        Every event of a page asks, so the loop never waits for the record here.
        """

        async def name_with_role(request: Request) -> str | None:
            try:
                if self.sure(request):  # type: ignore[arg-type]
                    return self.require(request, role).name  # type: ignore[arg-type]
                return (await asyncio.to_thread(self.require, request, role)).name  # type: ignore[arg-type]
            except NotSignedIn:
                if "text/html" in request.headers.get("accept", ""):
                    raise HTTPException(
                        303, headers={"Location": f"/login?next={quote(request.url.path)}"}
                    ) from None
                return None
            except NotAllowed as refused:
                raise HTTPException(403, detail=str(refused)) from None

        return name_with_role


def _not_valid() -> NotSignedIn:
    return NotSignedIn(
        "That token is not valid.",
        "Send a key that is neither revoked nor out of date; the home's token is in its file `token`.",
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
