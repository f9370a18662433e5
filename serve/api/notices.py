"""`/v1/notices/test`: send a notice now, to see that it arrives. How they arrive is in `/v1/status`.

Trail: a client -> here -> hone/notices/keeper.py
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from feedback.records import Principal, Role
from serve.identity import Identity
from serve.notices import Notices


def routes(identity: Identity, notices: Notices) -> APIRouter:
    router = APIRouter(tags=["operate"])
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.post("/v1/notices/test")
    async def test(principal: operator) -> dict[str, Any]:
        """Send one to every place that is set; `fault` says why it did not arrive."""
        return {"data": await notices.test()}

    return router
