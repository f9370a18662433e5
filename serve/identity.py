"""Who is asking: a session cookie, a bearer token, or, without a login, the first admin of this machine.

Every route and page handler names the role it needs and gets the principal from here. Decides who
somebody is and what role they have; whether an exchange is theirs is the store's to check.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol

from fastapi import HTTPException, Request

from feedback.accounts import Accounts
from feedback.errors import NotAllowed, NotSignedIn
from feedback.records import COMMAND_LINE, Principal, Role

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
        self, accounts: Accounts, *, token: str, anyone: Principal | None, session_days: int
    ) -> None:
        """`token` is the home's command-line token; `anyone`, if set, is who unknown visitors are."""
        self.accounts = accounts
        self.session_days = session_days
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
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), self._token):
                return Principal(COMMAND_LINE, Role.ADMIN)
            raise NotSignedIn("That token is not valid.", "The home's token is in its file `token`.")
        session = request.cookies.get(COOKIE)
        known = self.accounts.session(session) if session else None
        return known or self._anyone

    def require(self, request: HasRequest, role: Role) -> Principal:
        """Who asks, if they may.

        Raises:
            NotSignedIn: Nobody is signed in.
            NotAllowed: Somebody is, without the role.
        """
        principal = self.principal(request)
        if principal is None:
            raise NotSignedIn("You are not signed in.", "Sign in at /login, or send the home's token.")
        if not principal.role.covers(role):
            raise NotAllowed(
                f"This needs the role {role}; yours is {principal.role}.", "Ask an admin for it."
            )
        return principal

    def may(self, role: Role) -> Callable[[Request], Awaitable[Principal]]:
        """A route dependency that admits `role` and above, and hands the principal on."""

        async def principal_with_role(request: Request) -> Principal:
            return self.require(request, role)  # type: ignore[arg-type]

        principal_with_role.role = role  # type: ignore[attr-defined]
        return principal_with_role

    def page(self, role: Role) -> Callable[[Request], str | None]:
        """The same for a mounted page: browsers are sent to the sign-in, programs get None (401)."""

        def name_with_role(request: Request) -> str | None:
            try:
                return self.require(request, role).name  # type: ignore[arg-type]
            except NotSignedIn:
                if "text/html" in request.headers.get("accept", ""):
                    raise HTTPException(
                        303, headers={"Location": f"/login?next={request.url.path}"}
                    ) from None
                return None
            except NotAllowed as refused:
                raise HTTPException(403, detail=str(refused)) from None

        return name_with_role


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
