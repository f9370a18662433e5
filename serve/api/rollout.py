"""`/v1/assistants/NAME/rollout` and the standing orders: hold, pin, unpin, pause, resume.

Trail: a client -> here -> serve/operations.py -> feedback/orders.py, tuner/watch.py
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends

from feedback.assistants import Assistants
from feedback.orders import Order
from feedback.records import Principal, Role
from serve.api.operate import Reason
from serve.identity import Identity
from serve.operations import Operations

MEANING: dict[Order, str] = {
    "hold": "Keep the canary at its stage; harm still rolls it back.",
    "pin": "Keep the live version; one that passes waits, and nothing rolls it back by itself.",
    "unpin": "Let versions that pass take the live one's place again.",
    "pause": "Start no runs of this assistant by itself.",
    "resume": "End a hold and a pause.",
}


def routes(identity: Identity, operations: Operations, assistants: Assistants) -> APIRouter:
    router = APIRouter(tags=["operate"])
    operator = Annotated[Principal, Depends(identity.may(Role.OPERATOR))]

    @router.get("/v1/assistants/{name}/rollout")
    async def rollout(name: str, principal: operator) -> dict[str, Any]:
        """The canary with its evidence, drift, standing orders, and what happened, newest first."""
        await asyncio.to_thread(assistants.get, name)
        return await operations.rollout(name)

    def giving(order: Order) -> Callable[..., Awaitable[dict[str, Any]]]:
        async def give(name: str, body: Reason, principal: operator) -> dict[str, Any]:
            await asyncio.to_thread(assistants.get, name)
            return await operations.order(name, order, principal, body.reason)

        return give

    for order in get_args(Order):
        path = f"/v1/assistants/{{name}}/{order}"
        router.add_api_route(
            path, giving(order), methods=["POST"], name=order, description=MEANING[order], summary=order
        )
    return router
