"""The demo: two assistants of invented people, pairs to learn from, and exchanges in every state.

Puts all of it in as one write, once: every id follows from what the row is, so a second time finds it
there. What the rows are is in `rows.py`, their words in the JSON lines beside it. Knows no page.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends

from feedback.accounts import Accounts
from feedback.errors import Conflict
from feedback.records import Principal, Role, now
from feedback.store import Store
from feedback.writer import Rows, Transaction
from hone.demo import rows
from serve.identity import COMMAND_LINE, Identity

NEXT = "Open /review to judge what waits, then run `hone tune --assistant helpdesk --wait`."


def routes(identity: Identity, store: Store) -> APIRouter:
    router = APIRouter(tags=["demo"])
    admin = Annotated[Principal, Depends(identity.may(Role.ADMIN))]

    @router.post("/v1/demo")
    async def demo(principal: admin) -> dict[str, str]:
        """Fill this home with the demo's data; a second time adds nothing."""
        return {"said": await asyncio.to_thread(fill, store, principal)}

    return router


def fill(store: Store, principal: Principal) -> str:
    """Put the demo in, all of it or none, and say what was put in and what to do next.

    Raises:
        Conflict: An assistant of someone's own has the name of one of the demo's.
    """
    batch = rows.batch(_owner(store, principal), now())

    def put(transaction: Transaction) -> str:
        _check_names(transaction, batch)
        fresh = _fresh(transaction, batch)
        transaction.append(batch)
        return _sentence(batch, fresh)

    return store.decide(put)


def _owner(store: Store, principal: Principal) -> str:
    """Who gets conversations of their own: the command line has no Chat page, but its admin has one."""
    if principal.name != COMMAND_LINE:
        return principal.name
    return Accounts(store).first_admin_name() or principal.name


def _check_names(transaction: Transaction, batch: Rows) -> None:
    ours = {row["name"]: row["id"] for row in batch["assistants"]}
    held = transaction.rows("SELECT id, name FROM assistants WHERE name IN (SELECT unnest($1))", [list(ours)])
    known = {row["id"] for row in held}
    foreign = sorted({row["name"] for row in held if ours[row["name"]] not in known})
    if foreign:
        raise Conflict(
            f"This home has an assistant {foreign[0]} already, and it is not the demo's.",
            "Run the demo in another home: `hone demo --home FOLDER`.",
        )


def _fresh(transaction: Transaction, batch: Rows) -> set[str]:
    """The ids of the batch's exchanges that the store does not have yet."""
    asked = [row["id"] for row in batch["exchanges"]]
    held = transaction.rows("SELECT id FROM exchanges WHERE id IN (SELECT unnest($1::UUID[]))", [asked])
    return set(asked) - {row["id"] for row in held}


def _sentence(batch: Rows, fresh: set[str]) -> str:
    if not fresh:
        return f"The demo is in this home already, so nothing was added. {NEXT}"
    judged = [row for row in batch["reviews"] if row["exchange_id"] in fresh]
    pairs = sum(row["verdict"] != "reject" for row in judged)
    names = " and ".join(row["name"] for row in batch["assistants"])
    return (
        f"The assistants {names} are here with {pairs} approved pairs, "
        f"and {len(fresh) - pairs} more exchanges in every state. {NEXT}"
    )
