"""`/v1/users` and `/v1/invitations` for admins, one's own account for everyone, and the pages for both."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from feedback.errors import NotAllowed
from feedback.invitations import Invitation, Invitations
from feedback.passwords import MAX_PASSWORD
from feedback.records import Principal, Role
from serve.api import forms
from serve.api.errors import Body
from serve.api.sign_in import let_in
from serve.brake import Brake
from serve.identity import COOKIE
from serve.parts import Parts


class NewUser(Body):
    name: str
    password: str
    role: Role = Role.USER


class UserChange(Body):
    """What to change of an account; what is left out stays."""

    role: Role | None = None
    password: str | None = None
    suspended: bool | None = None


class NewInvitation(Body):
    """Who gets the link chooses the name, where none is given."""

    role: Role = Role.USER
    name: str | None = None


class NewPassword(Body):
    old: str
    new: str


def routes(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["accounts"])
    accounts, invitations = parts.accounts, Invitations(parts.store)
    admin = Annotated[Principal, Depends(parts.identity.may(Role.ADMIN))]

    @router.get("/v1/users")
    async def users(principal: admin) -> dict[str, Any]:
        return {"data": [asdict(account) for account in await asyncio.to_thread(accounts.list)]}

    @router.post("/v1/users", status_code=201)
    async def add(body: NewUser, principal: admin) -> dict[str, str]:
        made = await asyncio.to_thread(accounts.add, principal, body.name, body.role, body.password)
        return {"name": made.name, "role": made.role}

    @router.patch("/v1/users/{name}")
    async def change(name: str, body: UserChange, principal: admin) -> dict[str, str]:
        """Change a role or password, suspend or restore; each is an event, and suspending ends sessions."""
        if body.role:
            await asyncio.to_thread(accounts.set_role, principal, name, body.role)
        if body.password:
            await asyncio.to_thread(accounts.set_password, principal, name, body.password)
        if body.suspended is not None:
            await asyncio.to_thread(accounts.suspend, principal, name, body.suspended)
        return {"name": name}

    @router.post("/v1/users/{name}/reset", status_code=201)
    async def reset(name: str, request: Request, principal: admin) -> dict[str, Any]:
        """A link, good once, by which its holder sets the account's password."""
        return _told(request, *await asyncio.to_thread(invitations.reset, principal, name))

    @router.delete("/v1/users/{name}/sessions", status_code=204)
    async def sign_out(name: str, principal: admin) -> None:
        await asyncio.to_thread(accounts.end_sessions, principal, name)

    @router.get("/v1/invitations")
    async def invited(principal: admin) -> dict[str, Any]:
        return {"data": [asdict(link) for link in await asyncio.to_thread(invitations.list)]}

    @router.post("/v1/invitations", status_code=201)
    async def invite(body: NewInvitation, request: Request, principal: admin) -> dict[str, Any]:
        made = await asyncio.to_thread(invitations.invite, principal, body.role, body.name)
        return _told(request, *made)

    @router.delete("/v1/invitations/{invitation_id}", status_code=204)
    async def withdraw(invitation_id: str, principal: admin) -> None:
        await asyncio.to_thread(invitations.withdraw, principal, invitation_id)

    @router.get("/people", include_in_schema=False)
    async def people(request: Request, principal: admin) -> HTMLResponse:
        return forms.html(forms.Form(request).people("people"))

    _add_own(router, parts)
    return router


def _add_own(router: APIRouter, parts: Parts) -> None:
    """The routes for one's own account."""
    accounts, brake = parts.accounts, Brake()
    user = Annotated[Principal, Depends(parts.identity.may(Role.USER))]

    @router.get("/account", include_in_schema=False)
    async def account(request: Request, principal: user) -> HTMLResponse:
        elsewhere = parts.identity.elsewhere
        passwords = elsewhere is None or elsewhere.passwords
        own = passwords and await asyncio.to_thread(accounts.has_password, principal.name)
        return forms.html(forms.Form(request).people("account", password=own))

    @router.post("/v1/me/password", status_code=204)
    async def password(body: NewPassword, request: Request, principal: user) -> Response:
        """Change one's own password; every sign-in ends but this one."""
        client = request.client.host if request.client else ""
        old = body.old[: MAX_PASSWORD + 1]
        verify = accounts.verify
        if not await brake.check(principal.name, lambda: verify(principal.name, old), client=client):
            raise NotAllowed(
                "That is not your password now.",
                "Type the one you sign in with; who signs in elsewhere changes it there.",
            )
        await asyncio.to_thread(accounts.set_password, principal, principal.name, body.new)
        answer = Response(status_code=204)
        if request.cookies.get(COOKIE):
            days = parts.identity.session_days
            token = await asyncio.to_thread(accounts.open_session, principal, days)
            let_in(answer, request, token, days)
        return answer

    @router.delete("/v1/me/sessions", status_code=204)
    async def sign_out_everywhere(principal: user) -> None:
        await asyncio.to_thread(accounts.end_sessions, principal, principal.name)


def _told(request: Request, link: Invitation, token: str) -> dict[str, Any]:
    return asdict(link) | {"link": str(request.url_for("link", token=token))}
