"""`/v1/erasures` and `DELETE` of what is one's own: words go, and a signed receipt says so.

Trail: a client -> here -> hone/erasing.py
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback.errors import BadRequest, HoneError, NotAllowed
from feedback.records import Principal, Role
from serve.api.errors import Body
from serve.erasing import Erasing
from serve.identity import Identity


class ErasureRequest(Body):
    """What to erase; without `confirm` nothing is, and the answer lists what would go."""

    scope: Literal["user", "conversation", "exchange"]
    target: str = Field(max_length=200)
    confirm: bool = False
    account: bool = Field(True, description="Of a user: whether the account ends too")
    policy: Literal["keep", "stop"] | None = Field(
        None, description="Of versions that learnt from it and serve; for operators; else the setting's"
    )


class Receipt(Body):
    receipt: dict[str, Any]


def routes(identity: Identity, erasing: Erasing) -> APIRouter:
    router = APIRouter(tags=["erasure"])
    user = Annotated[Principal, Depends(identity.may(Role.USER))]
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.post("/v1/erasures")
    async def erase(body: ErasureRequest, principal: user) -> dict[str, Any]:
        """Erase a user's chats, a conversation or an exchange: one's own, for operators others' too."""
        if body.policy and not principal.role.covers(Role.OPERATOR):
            raise NotAllowed("Only operators may choose the policy.", "Leave it out.")
        if not body.confirm:
            return await erasing.preview(principal, body.scope, body.target, account=body.account)
        return await erasing.erase(
            principal, body.scope, body.target, account=body.account, policy=body.policy
        )

    @router.get("/v1/erasures")
    async def erasures(principal: operator) -> dict[str, Any]:
        """Every erasure, the newest first: who asked, what it took, and when it was finished."""
        return {"data": await erasing.listed()}

    @router.get("/v1/erasures/{erasure_id}")
    async def receipt(erasure_id: str, principal: user) -> dict[str, Any]:
        """The signed receipt; for whoever asked for the erasure, and for operators."""
        operates = principal.role.covers(Role.OPERATOR)
        try:
            told = await erasing.receipt(erasure_id)
        except HoneError:
            if operates:
                raise
            told = {}
        if not operates and told.get("asked_by") != principal.name:
            raise NotAllowed("That receipt is somebody else's.", "Ask for your own.")
        return told

    @router.post("/v1/erasures/verify")
    async def verify(body: Receipt, principal: user) -> dict[str, bool]:
        """Whether this Hone signed the receipt, and nothing in it was changed since."""
        return {"valid": await erasing.verify(body.receipt)}

    @router.delete("/v1/conversations/{conversation_id}")
    async def erase_conversation(conversation_id: str, principal: user) -> dict[str, Any]:
        """Erase a conversation of one's own."""
        return await erasing.erase(principal, "conversation", conversation_id)

    @router.delete("/v1/me")
    async def erase_me(principal: user, confirm: str = "", account: bool = True) -> dict[str, Any]:
        """Erase all of one's own chats and end the account; `confirm` repeats the account's name."""
        if confirm != principal.name:
            raise BadRequest(
                "This erases all your chats for ever.", f"Add ?confirm={principal.name} to do it."
            )
        return await erasing.erase(principal, "user", principal.name, account=account)

    return router
