"""`/v1/keys`: what programs sign in with. A key is shown once; no key opens these routes."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback.errors import NotAllowed
from feedback.keys import Keys, Scope
from feedback.records import Principal, Role
from serve.api.errors import Body
from serve.parts import Parts


class NewKey(Body):
    """`days` null: it never runs out. An admin may name somebody else's `account`."""

    label: str
    scopes: list[Scope]
    role: Role = Role.USER
    days: int | None = Field(90, ge=1, le=3650)
    account: str | None = None


def routes(parts: Parts) -> APIRouter:
    router = APIRouter(prefix="/v1/keys", tags=["accounts"])
    keys = Keys(parts.store)
    user = Annotated[Principal, Depends(parts.identity.may(Role.USER))]

    @router.get("")
    async def listed(principal: user, everyone: bool = False) -> dict[str, Any]:
        """One's own keys; with `everyone`, for admins, all."""
        if everyone and principal.role is not Role.ADMIN:
            raise NotAllowed("Only admins see everybody's keys.", "Leave out `everyone`.")
        found = await asyncio.to_thread(keys.list, None if everyone else principal.name)
        return {"data": [asdict(key) for key in found]}

    @router.post("", status_code=201)
    async def make(body: NewKey, principal: user) -> dict[str, Any]:
        owner = principal
        if body.account is not None and body.account != principal.name:
            if principal.role is not Role.ADMIN:
                raise NotAllowed("Only admins make keys for others.", "Leave out `account`.")
            owner = await asyncio.to_thread(parts.accounts.principal, body.account)
        asked = (owner, body.label, body.role, body.scopes, body.days)
        key, secret = await asyncio.to_thread(lambda: keys.add(*asked, by=principal))
        return asdict(key) | {"secret": secret}

    @router.delete("/{key_id}", status_code=204)
    async def revoke(key_id: str, principal: user) -> None:
        await asyncio.to_thread(keys.revoke, principal, key_id)

    return router
